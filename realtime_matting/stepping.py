"""When the machine is too slow for the preset, the next cheaper one is taken, and a dearer one again when it can be."""

from collections import deque
from collections.abc import Callable, Sequence

_WINDOW = 2.0
"""Seconds that are judged at a time: long enough that one slow frame changes nothing."""
_CALM = 8.0
"""Seconds without trouble before a dearer preset is tried; doubled each time that turns out to be too early."""
_LONGEST_CALM = 300.0
_FULL = 0.95
"""A share of the time in work above this keeps no pace."""
_EASY = 0.55
"""A share of the time in work below this has room for a dearer preset."""
_TROUBLE, _TROUBLED = 0.85, 0.5
"""A share above the first for seconds of the second: a cheaper preset may soon be needed."""
_SETTLING = 3
"""Frames after a change that are not judged: what is first of its kind takes longer."""


class Stepper:
    """Chooses a preset from the seconds that frames take; knows no clock of its own.

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
        self._spent: deque[tuple[float, float]] = deque()
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
        mean = sum(spent for _, spent in self._spent) / len(self._spent)
        share = mean / self._period
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
            return self._move(+1, f"a frame takes {1e3 * mean:.0f} ms of {1e3 * self._period:.0f}")
        if self._easy_since is not None and self._index > 0 and now - self._easy_since >= self._calm:
            self._wanted = self._names[self._index - 1]
            if self._ready(self._wanted):
                self._tried_at = now
                return self._move(-1, f"a frame takes only {1e3 * mean:.0f} ms of {1e3 * self._period:.0f}")
        return None

    def _move(self, by: int, why: str) -> str:
        before = self.name
        self._index += by
        self._begin()
        return f"preset {before} → {self.name}: {why}"
