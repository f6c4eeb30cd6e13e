"""How the person is put before the new background: light on the rim, colours that match, then the composite."""

import numpy as np
from numpy.typing import NDArray

from realtime_matting.compositing.backgrounds import Background
from realtime_matting.compositing.blend import composite
from realtime_matting.compositing.colour_match import ColourMatch, recoloured
from realtime_matting.compositing.light_wrap import add_light, light
from realtime_matting.frames import Frame
from realtime_matting.pipeline import MatteLike, PictureFunction
from realtime_matting.resampling import reduced

Alpha = NDArray[np.float32]
Rgb = NDArray[np.uint8]

_SHORT_SIDE = 120
"""Of the reduced picture that light is computed in, in pixels."""
_SAMPLES = 80
"""Of the grid of pixels that statistics are made of, along the shorter side."""


class Look:
    """The look of one stream; not for several threads at once."""

    def __init__(self, light_wrap: float = 0.0, match_colours: float = 0.0) -> None:
        """Strengths, 0 to 1; at 0 the composite is exactly the plain one."""
        self._light_wrap = light_wrap
        self._match = ColourMatch(match_colours) if match_colours else None
        self._lit = np.empty((0, 0, 3), np.uint8)
        self._behind: Rgb | None = None
        self._behind_small = np.empty((0, 0, 3), np.float32)

    def reset(self) -> None:
        """The next frame is the first of a new stream."""
        if self._match is not None:
            self._match.reset()

    def over(self, time: float, frame: Rgb, matte: MatteLike, behind: Rgb) -> Rgb:
        """The composite of one frame.

        Args:
            time: of the frame, in seconds; it goes on within a stream.
            frame: uint8 (H, W, 3).
            matte: of the frame.
            behind: uint8 (H, W, 3), what the person is put on.

        Returns:
            uint8 (H, W, 3); the frame itself where that is what is behind.
        """
        if behind is frame:
            # Estimated colours over the frame they were estimated from would not quite be the frame again.
            return frame
        if self._is_plain:
            return matte.over(behind)
        return composite(self.foreground(time, matte.foreground, matte.alpha, behind), matte.alpha, behind)

    @property
    def _is_plain(self) -> bool:
        return not self._light_wrap and self._match is None

    def foreground(self, time: float, foreground: Rgb, alpha: Alpha, behind: Rgb) -> Rgb:
        """The person's colours before a background.

        Args:
            time, behind: as of ``over``.
            foreground: uint8 (H, W, 3), the person's colours.
            alpha: float32 (H, W) in [0, 1].

        Returns:
            uint8 (H, W, 3): the array given, as it is, where both strengths are 0; else one that the next call changes.
        """
        if self._is_plain:
            return foreground
        if self._lit.shape != foreground.shape:
            self._lit = np.empty_like(foreground)
        height, width = alpha.shape
        if self._match is not None:
            step = max(1, min(height, width) // _SAMPLES)
            grid = (slice(None, None, step), slice(None, None, step))
            change = self._match.follow(time, foreground[grid], alpha[grid], behind[grid])
            recoloured(foreground, change, self._lit)
            foreground = self._lit
        if self._light_wrap:
            reduction = max(1.0, min(height, width) / _SHORT_SIDE)
            small = max(1, round(height / reduction)), max(1, round(width / reduction))
            if behind is not self._behind or self._behind_small.shape[:2] != small:
                self._behind, self._behind_small = behind, reduced(behind, *small)
            falling = light(self._behind_small, reduced(alpha, *small), self._light_wrap)
            add_light(foreground, falling, self._lit)
        return self._lit


def composite_picture(background: Background, look: Look) -> PictureFunction:
    """The function that puts a frame's person on a background, with a look; see ``output_picture``."""

    def picture(frame: Frame, matte: MatteLike) -> Rgb:
        behind = background.at(frame.time, frame.rgb, matte.alpha)
        return look.over(frame.time, frame.rgb, matte, behind)

    return picture
