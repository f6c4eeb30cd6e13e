"""Which preset a live run uses: the one that was asked for, or the dearest that the machine keeps up with."""

import threading
from collections.abc import Callable, Mapping, Sequence

from realtime_matting.errors import InputError
from realtime_matting.live_presets import LivePreset
from realtime_matting.stepping import Stepper

REST_AFTER = 10.0
"""Seconds after a change from which on the preset before it is not kept open: it holds all of its networks."""


class PresetChoice:
    """The preset in use, and the one to be used as soon as its networks are open; safe to use from several threads.

    Attributes:
        changes: one line for each change by itself.
    """

    def __init__(
        self,
        presets: Mapping[str, LivePreset],
        *,
        size: tuple[int, int],
        period: float,
        preset: str,
        steps: Sequence[str],
        start: str | None,
        say: Callable[[str], None],
    ) -> None:
        """Choose the first one; see ``LiveOptions`` for the arguments.

        Args:
            period: seconds between two frames.

        Raises:
            InputError: there is no preset of the name in ``preset``.
        """
        self._presets = dict(presets)
        self._size = size
        self._period = period
        self._say = say
        self._lock = threading.Lock()
        self._steps = list(steps or presets)
        self._start = start or self._steps[len(self._steps) // 2]
        self._current: str | None = None
        self._left: set[str] = set()  # presets that were in use before
        self._judged: tuple[str, float] | None = None  # the preset of the last frame, and since when
        self.changes: list[str] = []
        self.choose(preset)
        self._first = self._chosen

    @property
    def chosen(self) -> str:
        """The preset in use, or to be used as soon as its networks are open."""
        return self._chosen

    @property
    def auto(self) -> bool:
        """Whether the machine's speed decides."""
        return self._stepper is not None

    def choose(self, name: str) -> None:
        """Take the preset ``name``, or "auto"; see ``Matting.choose_preset``."""
        if name != "auto" and name not in self._presets:
            raise InputError(f"{name}: no such preset; choose auto, {', '.join(self._presets)}")
        with self._lock:
            stepper = self._stepper_from(self._current) if name == "auto" else None
            chosen = stepper.name if stepper else name
            error = self._presets[chosen].error
            if error is not None:
                raise error
            self._presets[chosen].prepare(*self._size)
            self._stepper, self._chosen = stepper, chosen

    def _stepper_from(self, name: str | None) -> Stepper:
        usable = [step for step in self._steps if self._presets[step].error is None] or self._steps
        start = next((step for step in (name, self._start) if step in usable), usable[-1])
        return Stepper(usable, start, self._period, lambda step: self._presets[step].ready)

    def current(self) -> tuple[str, LivePreset] | None:
        """The preset for the next frame: the chosen one as soon as it is ready, until then the one before, if any.

        Raises:
            Exception: the first preset cannot be opened.
        """
        with self._lock:
            if self._chosen != self._current:
                self._change()
            return None if self._current is None else (self._current, self._presets[self._current])

    def _change(self) -> None:
        chosen = self._presets[self._chosen]
        if chosen.error is not None:
            before = self._current or self._first
            if before == self._chosen:
                raise chosen.error
            self._give_up(self._chosen, chosen.error, before)
            self._chosen = before
        if self._presets[self._chosen].ready:
            if self._current is not None:
                self._left.add(self._current)
            self._current = self._chosen
            self._left.discard(self._current)

    def judge(self, name: str, now: float, stages: Sequence[float]) -> None:
        """Note what the stages of a frame took with the preset ``name``; the next may then be another one's.

        Args:
            name: of the preset.
            now: ``time.monotonic()`` when the frame was done.
            stages: seconds of work in each; see ``Stepper``.
        """
        with self._lock:
            stepper = self._stepper
            if self._chosen != self._current or name != self._current:
                return
            # Frames come in order: none of another preset is on its way any more.
            self._let_rest(name, now)
            if stepper is None:
                return
            if any(preset.busy for preset in self._presets.values()):
                stepper.disturb()
                return
            change = stepper.observe(now, stages)
            wanted = stepper.wanted
            if change is None:
                if wanted is not None:
                    self._make_ready(wanted)
                return
            self._chosen = stepper.name
        self.changes.append(change)
        self._say(change)

    def _let_rest(self, name: str, now: float) -> None:
        """Presets that were left a while ago, but for one that may soon be taken."""
        if self._judged is None or self._judged[0] != name:
            self._judged = name, now
        if now - self._judged[1] < REST_AFTER:
            return
        wanted = self._stepper.wanted if self._stepper is not None else None
        for left in self._left - {wanted}:
            preset = self._presets[left]
            if preset.busy:
                continue
            self._left.discard(left)
            if preset is not self._presets[name]:  # two names may be one preset
                preset.rest()

    def _make_ready(self, name: str) -> None:
        """In the background, while the preset in use goes on."""
        preset = self._presets[name]
        if preset.error is not None:
            self._give_up(name, preset.error, self._chosen)
        else:
            preset.prepare(*self._size)

    def _give_up(self, name: str, error: BaseException, before: str) -> None:
        """Stay with the preset before one that cannot be opened, and do not step to that one again."""
        self._say(f"preset {name} cannot be used ({error}); {before} stays")
        if self._stepper is not None:
            self._stepper = self._stepper_from(before)
