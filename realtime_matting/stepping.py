"""When the machine is too slow for the preset, the next cheaper one is taken, and a dearer one again when it can be.

Judged is the wall time of each stage of the work, as it is while the others run beside it: this holds what they and
other programs take from each other. Stages overlap, so the longest one, and not their sum, says how many frames go
through; their sum says how late each comes out, which matters where frames are so long that sum and period are alike.
Time spent waiting, for a frame or for the next stage, is nobody's work and is not judged.
"""

from collections import deque
from collections.abc import Callable, Sequence

_WINDOW = 2.0
"""Seconds that are judged at a time: long enough that one slow frame changes nothing."""
_CALM = 8.0
"""Seconds without trouble before a dearer preset is tried; doubled each time that turns out to be too early."""
_LONGEST_CALM = 300.0
_FULL = 0.95
"""A share of the time in work above this keeps no pace."""
_EASY = 0.4
"""A share of the time in work below this has room for a dearer preset: the longest stage of balanced takes 2.1 times as
long as that of fast."""
_LATE = 0.09
"""Seconds by which sound may come before its picture, which the work on a frame may take, or one period where that is
longer: the limit of acceptance in ITU-R BT.1359-1 (sound does not wait for the picture)."""
_TROUBLE, _TROUBLED = 0.85, 0.5
"""A share above the first for seconds of the second: a cheaper preset may soon be needed."""
_SETTLING = 3
"""Frames after a change that are not judged: what is first of its kind takes longer."""


class Stepper:
    """Chooses a preset from the seconds that a frame's stages take; knows no clock of its own.

    The last step stays where it is when it is too slow as well: frames are then dropped.
    """

    def __init__(
        self, names: Sequence[str], start: str, period: float, ready: Callable[[str], bool] = lambda name: True
    ) -> None:
        """Begin with ``start``.

        Args:
            names: presets, the dearest first.
            start: one of them.
            period: seconds between two frames of the camera.
            ready: whether a preset can be taken at once; one that cannot is only ``wanted``.
        """
        self._names = list(names)
        self._index = self._names.index(start)
        self._period = period
        self._ready = ready
        self._calm = _CALM
        self._tried_at: float | None = None
        self._begin()

    def _begin(self) -> None:
        self._spent: deque[tuple[float, Sequence[float]]] = deque()
        self._since: float | None = None
        self._easy_since: float | None = None
        self._new = 0
        self._wanted: str | None = None

    @property
    def name(self) -> str:
        """The preset to use now."""
        return self._names[self._index]

    @property
    def wanted(self) -> str | None:
        """The preset that may soon be taken, to be made ready; None where there is no sign of a change."""
        return self._wanted

    def disturb(self) -> None:
        """Do not judge by the frames so far: something else kept the machine busy, such as making a preset ready."""
        self._spent.clear()
        self._since = None

    def observe(self, now: float, stages: Sequence[float]) -> str | None:
        """Note a frame that was done at ``now``.

        Args:
            now: a clock, in seconds.
            stages: seconds of work in each stage; they are as many for each frame.

        Returns:
            Why the preset was changed, for people; None where it was not.
        """
        if self._new < _SETTLING:
            self._new += 1
            return None
        if self._since is None:
            self._since = now
        self._spent.append((now, stages))
        while now - self._spent[0][0] > _WINDOW:
            self._spent.popleft()
        taken, allowed = self._longest()
        share = taken / allowed
        self._wanted = None
        if share > _TROUBLE and now - self._since >= _TROUBLED and self._index + 1 < len(self._names):
            self._wanted = self._names[self._index + 1]
        if now - self._since < _WINDOW:
            return None
        if share >= _EASY:
            self._easy_since = None
        elif self._easy_since is None:
            self._easy_since = now - _WINDOW
        if share > _FULL and self._wanted is not None and self._ready(self._wanted):
            if self._tried_at is not None and now - self._tried_at < 2 * self._calm:
                self._calm = min(_LONGEST_CALM, 2 * self._calm)
            self._tried_at = None
            return self._move(+1, f"a frame takes {1e3 * taken:.0f} ms of {1e3 * allowed:.0f}")
        if self._easy_since is not None and self._index > 0 and now - self._easy_since >= self._calm:
            self._wanted = self._names[self._index - 1]
            if self._ready(self._wanted):
                self._tried_at = now
                return self._move(-1, f"a frame takes only {1e3 * taken:.0f} ms of {1e3 * allowed:.0f}")
        return None

    def _longest(self) -> tuple[float, float]:
        """Seconds that the longest stage takes, or all of them, and that it may take: whichever is nearer to that."""
        count = len(self._spent)
        means = [sum(column) / count for column in zip(*(stages for _, stages in self._spent), strict=True)]
        longest, whole, patience = max(means), sum(means), max(self._period, _LATE)
        return (longest, self._period) if longest * patience >= whole * self._period else (whole, patience)

    def _move(self, by: int, why: str) -> str:
        before = self.name
        self._index += by
        self._begin()
        return f"preset {before} → {self.name}: {why}"
