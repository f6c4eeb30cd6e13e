"""When the machine is too slow for the preset, the next cheaper one is taken, and a dearer one again when it can be."""

from collections import deque
from collections.abc import Sequence

_WINDOW = 2.0
"""Seconds that are judged at a time: long enough that one slow frame changes nothing."""
_CALM = 8.0
"""Seconds without trouble before a dearer preset is tried; doubled each time that turns out to be too early."""
_LONGEST_CALM = 300.0
_FULL = 0.95
"""A share of the time in work above this keeps no pace."""
_EASY = 0.55
"""A share of the time in work below this has room for a dearer preset."""


_SETTLING = 3
"""Frames after a change that are not judged: the first of a new size compiles the networks for it."""


class Stepper:
    """Chooses a preset from the seconds that frames take; knows no clock of its own.

    The last step stays where it is when it is too slow as well: frames are then dropped.
    """

    def __init__(self, names: Sequence[str], start: str, period: float) -> None:
        """Begin with ``start``.

        Args:
            names: presets, the dearest first.
            start: one of them.
            period: seconds between two frames of the camera.
        """
        self._names = list(names)
        self._index = self._names.index(start)
        self._period = period
        self._spent: deque[tuple[float, float]] = deque()
        self._since: float | None = None
        self._calm = _CALM
        self._new = 0
        self._tried_at: float | None = None

    @property
    def name(self) -> str:
        """The preset to use now."""
        return self._names[self._index]

    def observe(self, now: float, seconds: float) -> str | None:
        """Note that a frame took ``seconds`` of work that ended at ``now``.

        Returns:
            Why the preset was changed, for people; None where it was not.
        """
        if self._new < _SETTLING:
            self._new += 1
            return None
        if self._since is None:
            self._since = now
        self._spent.append((now, seconds))
        while now - self._spent[0][0] > _WINDOW:
            self._spent.popleft()
        if now - self._since < _WINDOW:
            return None
        mean = sum(spent for _, spent in self._spent) / len(self._spent)
        share = mean / self._period
        if share > _FULL and self._index + 1 < len(self._names):
            if self._tried_at is not None and now - self._tried_at < 2 * self._calm:
                self._calm = min(_LONGEST_CALM, 2 * self._calm)
            self._tried_at = None
            return self._move(+1, now, f"a frame takes {1e3 * mean:.0f} ms of {1e3 * self._period:.0f}")
        if share < _EASY and self._index > 0 and now - self._since >= self._calm:
            self._tried_at = now
            return self._move(-1, now, f"a frame takes only {1e3 * mean:.0f} ms of {1e3 * self._period:.0f}")
        if share >= _EASY:
            # Calm is counted anew; the window that has been seen still counts.
            self._since = max(self._since, now - _WINDOW)
        return None

    def _move(self, by: int, now: float, why: str) -> str:
        before = self.name
        self._index += by
        self._spent.clear()
        self._since = None
        self._new = 0
        return f"preset {before} → {self.name}: {why}"
