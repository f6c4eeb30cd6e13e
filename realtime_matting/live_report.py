"""What a live run counts while it runs, and tells at its end, in memory that does not grow with the hours."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

_BIN_MS = 0.5
_BINS = 4000
"""Latencies up to 2 s are told apart by half a millisecond; the last bin holds all that are longer."""


class Latencies:
    """Percentiles of any number of latencies, from a histogram of fixed size."""

    def __init__(self) -> None:
        self._bins = [0] * _BINS
        self._count = 0
        self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one latency, in seconds, 0 or more."""
        milliseconds = 1e3 * seconds
        self._bins[min(_BINS - 1, int(milliseconds / _BIN_MS))] += 1
        self._count += 1
        self._longest = max(self._longest, milliseconds)

    def percentile(self, share: float) -> float:
        """Milliseconds, to the half, that ``share`` (above 0, to 1) of the latencies do not exceed; 0 of none."""
        wanted, seen = share * self._count, 0
        for number, count in enumerate(self._bins[:-1]):
            seen += count
            if seen >= wanted and seen:
                return min((number + 1) * _BIN_MS, self._longest)
        return self._longest


@dataclass(frozen=True)
class LiveReport:
    """What a live run did.

    Attributes:
        seconds: wall time of the run.
        captured: frames the camera gave.
        shown: composites that went out, each made from a frame of its own.
        dropped: frames or composites that a newer one replaced before work on them began or they went out.
        rested: frames that nobody wanted: the run was paused, or nobody watched.
        stale: times the last composite, or the background after it, went out again because the next one, which was
            wanted, was not there in time.
        failed: frames whose matte failed.
        damaged: frames the camera gave that could not be decoded.
        reconnects: times the camera was lost and came back.
        latency_ms: "p50", "p95", "p99", "max": milliseconds from the capture of a frame until it was handed over.
        milliseconds: mean milliseconds per frame of each stage.
        changes: one line for each change of the preset.
    """

    seconds: float
    captured: int
    shown: int
    dropped: int
    rested: int
    stale: int
    failed: int
    damaged: int
    reconnects: int
    latency_ms: Mapping[str, float]
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    changes: tuple[str, ...] = ()

    @property
    def fps(self) -> float:
        """Composites shown per second."""
        return self.shown / self.seconds if self.seconds else 0.0

    def lines(self) -> list[str]:
        """For people: counts and latency, then what went wrong, if anything did."""
        latency = ", ".join(f"{name} {value:.0f}" for name, value in self.latency_ms.items())
        lines = [
            f"{self.seconds:.1f} s: captured {self.captured}, shown {self.shown} ({self.fps:.1f} fps), "
            f"dropped {self.dropped}",
            f"latency from capture to output in ms: {latency}",
        ]
        rest = {
            "rested": self.rested,
            "stale": self.stale,
            "failed": self.failed,
            "damaged": self.damaged,
            "reconnects": self.reconnects,
        }
        if any(rest.values()):
            lines.append(", ".join(f"{name} {count}" for name, count in rest.items() if count))
        return lines


class Tally:
    """The counts of a run under way; safe to use from several threads."""

    NAMES = ("captured", "shown", "dropped", "rested", "stale", "failed", "damaged", "reconnects")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(self.NAMES, 0)
        self._latencies = Latencies()

    def count(self, name: str, more: int = 1) -> None:
        """Add ``more`` to the count ``name``, one of ``NAMES``."""
        with self._lock:
            self._counts[name] += more

    def shown(self, latency: float) -> None:
        """Count one composite that went out ``latency`` seconds after its frame was captured."""
        with self._lock:
            self._counts["shown"] += 1
            self._latencies.add(latency)

    def counts(self) -> dict[str, int]:
        """All counts, now."""
        with self._lock:
            return dict(self._counts)

    def latency_ms(self) -> dict[str, float]:
        """Keys "p50", "p95", "p99" and "max", in milliseconds, now."""
        with self._lock:
            shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
            return {name: self._latencies.percentile(share) for name, share in shares.items()}

    def report(self, seconds: float, milliseconds: Mapping[str, float], changes: tuple[str, ...]) -> LiveReport:
        """All of it, at the end."""
        counts = self.counts()
        return LiveReport(
            seconds=seconds, latency_ms=self.latency_ms(), milliseconds=milliseconds, changes=changes, **counts
        )
