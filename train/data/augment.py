"""What a camera and a wardrobe do to a picture. Every function takes the random generator first and is pure.

Pictures are float32 (H, W, 3) in [0, 1], RGB, unless said otherwise. A degradation that a camera would apply to
everything it sees (noise, blur, compression, white balance) must reach person and background alike: a network
otherwise learns "sharp means person".
"""

from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Image = NDArray[np.float32]


def chance(rng: Rng, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


@dataclass(frozen=True)
class Light:
    """How bright people and the room are lit, and how much of it the camera gets: factors, 1 is as photographed."""

    people: float = 1.0
    room: float = 1.0
    camera: float = 1.0

    @property
    def noise(self) -> float:
        """Factor of the sensor's noise: shot noise, seen through the gain that a dim picture was given."""
        return self.camera**-0.5


def draw_light(rng: Rng, backlit_share: float, dim_share: float) -> Light:
    """A window behind people (they are dark, it is burnt out), a badly lit room, both, or mostly neither."""
    people = room = camera = 1.0
    if chance(rng, backlit_share):
        people, room = rng.uniform(0.3, 0.75), rng.uniform(1.1, 1.8)
    if chance(rng, dim_share):
        camera = rng.uniform(0.25, 0.65)
    return Light(people, room, camera)


def tone_curve(rng: Rng, strength: float = 1.0, light: float = 1.0) -> tuple[NDArray[np.float32], float]:
    """A random camera look: (table float32 (256, 3) from uint8 level to [0, 1], saturation factor).

    White balance, exposure, gamma and contrast are drawn together and baked into one table a channel. ``light`` is a
    further factor of the exposure.
    """
    level = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    gain = np.exp(rng.normal(0, 0.08 * strength, 3)).astype(np.float32)
    exposure = np.float32(np.exp(rng.normal(0, 0.22 * strength)) * light)
    gamma = np.float32(np.exp(rng.normal(0, 0.22 * strength)))
    contrast = np.float32(np.exp(rng.normal(0, 0.15 * strength)))
    table = np.clip(level**gamma * exposure * gain, 0, 1)
    table = np.clip((table - 0.45) * contrast + 0.45, 0, 1)
    return table.astype(np.float32), float(np.clip(rng.normal(1, 0.25 * strength), 0, 1.8))


def apply_tone(picture: NDArray[np.uint8], table: NDArray[np.float32], saturation: float) -> Image:
    """Apply a look of :func:`tone_curve` to a uint8 (H, W, 3) picture."""
    quantized = np.clip(table * 255 + 0.5, 0, 255).astype(np.uint8)[None]
    toned = cv2.LUT(picture, np.ascontiguousarray(quantized)).astype(np.float32)
    # grey + saturation·(colour − grey) as one matrix; the rows are Rec. 601 luma.
    grey = np.tile(np.float32([0.299, 0.587, 0.114]), (3, 1))
    matrix = (grey + np.float32(saturation) * (np.eye(3, dtype=np.float32) - grey)) * np.float32(1 / 255)
    mixed = cv2.transform(toned, matrix)
    return np.clip(mixed, 0, 1, out=mixed)  # type: ignore[call-overload,no-any-return]


def recolor_white_clothes(rng: Rng, rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Dye pale, unsaturated cloth in the lower part of a person; uint8 (H, W, 4), straight alpha."""
    *planes, alpha = cv2.split(rgba)
    color = cv2.merge(planes)
    height = rgba.shape[0]
    highest = cv2.max(cv2.max(planes[0], planes[1]), planes[2])
    lowest = cv2.min(cv2.min(planes[0], planes[1]), planes[2])
    value = highest.astype(np.float32)
    chroma = value - lowest
    rows = np.clip((np.arange(height, dtype=np.float32) / height - 0.35) / 0.1, 0, 1)[:, None]
    pale = np.clip((45 - chroma) / 20, 0, 1) * np.clip((value - 110) / 40, 0, 1) * rows
    dye = rng.uniform(0.05, 1.0, 3).astype(np.float32)
    factor = 1 - cv2.GaussianBlur(pale, (0, 0), 1.5)[..., None] * (1 - dye)
    if chance(rng, 0.35):  # stripes or checks, so that clothing is not always plain
        period = rng.uniform(0.015, 0.08) * height
        angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
        y, x = np.mgrid[:height, : rgba.shape[1]].astype(np.float32)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * np.float32(2 * np.pi / period)) > 0
        factor *= 1 - (wave * pale)[..., None] * (1 - rng.uniform(0.2, 1.0, 3).astype(np.float32))
    dyed = np.clip(color * factor, 0, 255).astype(np.uint8)
    return cv2.merge([*cv2.split(dyed), alpha])  # type: ignore[return-value]


def motion_kernel(rng: Rng, length: float) -> Image:
    """A straight smear of ``length`` pixels in a random direction, float32 (k, k), summing to 1."""
    size = int(np.ceil(length)) | 1
    kernel = np.zeros((size, size), np.float32)
    middle = size // 2
    angle = rng.uniform(0, np.pi)
    dx, dy = np.cos(angle) * length / 2, np.sin(angle) * length / 2
    start = (round(middle - dx), round(middle - dy))
    end = (round(middle + dx), round(middle + dy))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_AA)
    return kernel / kernel.sum()


def motion_area(rng: Rng) -> tuple[float, float, float]:
    """What moves: centre x, y and radius as shares of the picture's width and height; all of it, or about a hand."""
    if chance(rng, 0.4):
        return 0.5, 0.5, 100.0
    x, y = rng.uniform(0.1, 0.9), rng.uniform(0.2, 1.0)
    return x, y, rng.uniform(0.08, 0.25)


def smear(
    premultiplied: Image, alpha: Image, kernel: Image, area: tuple[float, float, float] = (0.5, 0.5, 100.0)
) -> tuple[Image, Image]:
    """Filter premultiplied colour and alpha alike (a moving person mixes with what is behind, never with black).

    ``area``: of :func:`motion_area`; outside it, fading over its rim, nothing moves.
    """
    height, width = alpha.shape
    x, y, radius = area
    across = ((np.arange(width, dtype=np.float32) + 0.5) / width - x) / radius
    down = ((np.arange(height, dtype=np.float32) + 0.5) / height - y) / radius
    moving = np.clip(2 - 2 * np.sqrt(across**2 + down[:, None] ** 2), 0, 1).astype(np.float32)
    both = np.dstack([premultiplied, alpha])
    both += moving[..., None] * (cv2.filter2D(both, -1, kernel, borderType=cv2.BORDER_REPLICATE) - both)
    return both[..., :3], both[..., 3]


def toward_background(color: Image, alpha: Image, background: Image, strength: float) -> Image:
    """Clothes of the wall's colour: a person's mean colour moved towards that of what the person hides.

    ``strength`` 1 makes the means equal (a channel's factor stays between 1/4 and 4), 0 changes nothing. ``alpha`` is
    the person's, float32 (H, W).
    """
    weight = np.float32(1 / max(float(alpha.sum()), 1e-3))
    own, behind = (np.tensordot(alpha, x, 2) * weight for x in (color, background))
    gain = np.clip((behind + 0.02) / (own + 0.02), 0.25, 4) ** np.float32(strength)
    return np.clip(color * gain, 0, 1)


def sensor_noise(rng: Rng, picture: Image, factor: float = 1.0) -> Image:
    """Shot and read noise, partly as coloured blotches the size of a few pixels, as cheap webcams show."""
    height, width = picture.shape[:2]
    strength = rng.exponential(0.018) * factor
    noise = rng.standard_normal((height, width, 1), dtype=np.float32)
    blotch = rng.standard_normal((height // 3 + 1, width // 3 + 1, 3), dtype=np.float32)
    noise = noise + 0.6 * cv2.resize(blotch, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(picture + noise * np.float32(strength) * (0.5 + np.sqrt(np.maximum(picture, 0))), 0, 1)


def jpeg(rng: Rng, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Compress and decode, quality 25 to 95, chroma halved as cameras do."""
    quality = int(rng.uniform(25, 95))
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(".jpg", picture, options)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[return-value]


def h264(rng: Rng, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Compress as one H.264 picture and decode, at a quantiser of 24 (good) to 42 (a call on a bad line)."""
    height, width = picture.shape[:2]
    even = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = even.shape[:2]
    encoder.pix_fmt, encoder.time_base, encoder.thread_count = "yuv420p", Fraction(1, 30), 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "qp": str(int(rng.uniform(24, 42)))}
    frame = av.VideoFrame.from_ndarray(even, format="rgb24").reformat(format="yuv420p")
    frame.pts = 0
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    decoded = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return np.ascontiguousarray(decoded[0].to_ndarray(format="rgb24")[:height, :width])


def lower_resolution(rng: Rng, picture: Image) -> Image:
    """Shrink by up to 2.2 and enlarge again: a camera whose real resolution is below its nominal one."""
    height, width = picture.shape[:2]
    factor = rng.uniform(1.2, 2.2)
    small = cv2.resize(picture, (int(width / factor), int(height / factor)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def sharpen(rng: Rng, picture: Image) -> Image:
    """Unsharp mask with its bright and dark rims, as webcams apply."""
    soft = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.8, 1.6))
    return np.clip(picture + np.float32(rng.uniform(0.3, 1.2)) * (picture - soft), 0, 1)
