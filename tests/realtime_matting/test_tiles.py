from realtime_matting.tiles import Rectangle


def test_a_scaled_area_holds_all_pixels_that_it_touches() -> None:
    assert Rectangle(3, 9, 0, 8).scaled((12, 16), (3, 4)) == Rectangle(0, 3, 0, 2)
    assert Rectangle(4, 5, 7, 16).scaled((12, 16), (3, 4)) == Rectangle(1, 2, 1, 4)


def test_an_area_grows_as_far_as_the_picture_reaches() -> None:
    assert Rectangle(3, 5, 1, 12).grown(2, 3, (6, 20)) == Rectangle(1, 6, 0, 15)
