"""Time stamps of a stream, kept exactly where they can be and repaired where they cannot."""

from fractions import Fraction

_JITTER_FRAMES = 10  # a step back by no more than this is one misplaced frame, a larger one a new recording


class Timeline:
    """Turns the time stamps as decoded, some missing, some running backwards, into strictly increasing ones.

    A stamp later than the one before is kept exactly, whatever the gap. Where it is missing or steps back, the
    decoding stamp stands in if it comes next: AVI stores no other, and what stands for the time of presentation there
    is guessed. A stamp missing altogether is put one frame after the one before; runs of them are counted from the
    last known stamp, so rounding does not add up. A stamp that steps back a little is put one unit after the one
    before; one that steps back far (recordings joined together) starts a new piece that goes on one frame after the
    old.

    Attributes:
        filled: how many stamps were missing.
        repaired: how many stamps ran backwards.
    """

    def __init__(self, time_base: Fraction, rate: Fraction) -> None:
        """``time_base`` is seconds per unit, ``rate`` frames per second; both positive."""
        self._step = 1 / (rate * time_base)
        self._shift = 0
        self._last: int | None = None
        self._anchor = 0
        self._since_anchor = 0
        self.filled = 0
        self.repaired = 0

    def place(self, pts: int | None, dts: int | None = None) -> int:
        """The time stamp of the next frame, later than all before; all in units of the time base."""
        if pts is None:
            pts = dts
        if self._last is None:
            self.filled += pts is None
            return self._keep(0 if pts is None else pts)
        expected = max(self._last + 1, self._anchor + round((self._since_anchor + 1) * self._step))
        if pts is None:
            self.filled += 1
            self._since_anchor += 1
            self._last = expected
            return expected
        pts += self._shift
        if pts > self._last:
            return self._keep(pts)
        if dts is not None and 0 < dts + self._shift - self._last <= _JITTER_FRAMES * self._step:
            return self._keep(dts + self._shift)
        self.repaired += 1
        if self._last - pts <= _JITTER_FRAMES * self._step:
            self._since_anchor += 1
            self._last += 1
            return self._last
        self._shift += expected - pts
        return self._keep(expected)

    def _keep(self, pts: int) -> int:
        self._last = self._anchor = pts
        self._since_anchor = 0
        return pts
