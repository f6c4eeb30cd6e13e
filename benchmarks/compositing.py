"""What follows the networks, on one core: guided filter, foreground colours, blur, composite.

    python benchmarks/compositing.py [VIDEO ...]

With videos: their first frames, brought to 720 rows, with the networks' own alphas. Told are the milliseconds of one
core that each step takes for a frame, the least of several runs, as the mean over the frames and for the worst one.

Without, the person is drawn: a disc on shoulders with a crown of strands, as in a picture of a curly-haired person at a
desk. Told are milliseconds a frame, each the shortest of many runs, so that it hardly depends on what else runs; the
error at the edges that the guided filter leaves of an exact alpha reduced to the size of the networks' (shm-balanced),
as a share of what linear interpolation leaves; and the error of the foreground colours, weighted by alpha, as a share
of that of the picture's own colours.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.allocator import keep_freed_memory
from realtime_matting.compositing.backgrounds import open_background
from realtime_matting.frames import Frame
from realtime_matting.matting.foreground import blur_fusion, fusion_of
from realtime_matting.matting.matter import Matter
from realtime_matting.matting.refine import at_picture_size
from realtime_matting.matting.stream import Draft
from realtime_matting.metrics import edge_mad
from realtime_matting.resampling import shrunk
from realtime_matting.sources.video import VideoSource

RUNS = 40
FRAMES = 45
"""Of a video, of which every third is measured."""
SMALL = (640, 360)
"""(width, height) of the networks' alpha."""


def person(height: int, width: int) -> NDArray[np.float32]:
    """Alpha of head, shoulders and flyaway hair."""
    generator = np.random.default_rng(0)
    alpha = np.zeros((height * 2, width * 2), np.uint8)
    head, radius = np.array((width, height * 0.85)), height * 0.36
    cv2.ellipse(alpha, (width, height * 2), (int(height * 0.95), int(height * 0.7)), 0, 180, 360, 255, -1)
    cv2.circle(alpha, (int(head[0]), int(head[1])), int(radius), 255, -1)
    for _ in range(900):
        angle = generator.uniform(0.75 * np.pi, 2.25 * np.pi)
        direction = np.array((np.cos(angle), np.sin(angle)))
        tip = head + direction * radius * generator.uniform(1.1, 1.35) + generator.normal(0, height * 0.02, 2)
        root = head + direction * radius * 0.95
        cv2.line(alpha, tuple(int(c) for c in root), tuple(int(c) for c in tip), 255, 1, cv2.LINE_AA)
    return cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def milliseconds(run: Callable[[], object]) -> float:
    """The shortest of many runs."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


@dataclass(frozen=True)
class Scene:
    """A person before a wall: uint8 (H, W, 3) the picture and the person's own colours, float32 (H, W) alpha."""

    frame: NDArray[np.uint8]
    colours: NDArray[np.float32]
    alpha: NDArray[np.float32]

    @property
    def small(self) -> NDArray[np.float32]:
        """The alpha at the networks' size."""
        return np.asarray(cv2.resize(self.alpha, SMALL, interpolation=cv2.INTER_AREA), np.float32)


def scene(width: int, height: int) -> Scene:
    """The drawn person, brown before a blue wall, in colours that wander, with a camera's noise over all."""
    alpha = person(height, width)
    rng = np.random.default_rng(1)
    colours = np.array([(90, 60, 45), (150, 170, 190)], np.float32)[:, None, None] + rng.normal(0, 25, (2, 18, 32, 3))
    inside, outside = (
        np.clip(cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255) for plane in colours
    )
    noise = rng.normal(0, 2, (height, width, 3))
    frame = np.clip(np.rint(alpha[..., None] * (inside - outside) + outside + noise), 0, 255).astype(np.uint8)
    return Scene(frame, inside.astype(np.float32), alpha)


def stages(seen: Scene) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    frame, alpha, small = seen.frame, seen.alpha, seen.small
    blur, fusion = open_background("blur"), fusion_of(frame, alpha)
    room, out = blur.at(0, frame, alpha), np.empty_like(frame)
    return {
        f"reduction to {SMALL[0]}x{SMALL[1]}": lambda: shrunk(frame, SMALL[1], SMALL[0]),
        f"guided filters from {SMALL[0]}x{SMALL[1]}": lambda: at_picture_size(small, frame),
        "near colours": lambda: fusion_of(frame, alpha),
        "blur background": lambda: blur.at(0, frame, alpha),
        "colours and composite": lambda: fusion.over(room, out),
    }


def errors(seen: Scene) -> dict[str, float]:
    """Errors as shares of those of the simple way."""
    height, width = seen.alpha.shape
    linear = np.asarray(cv2.resize(seen.small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    guided = at_picture_size(seen.small, seen.frame)
    edge = max(1, round(10 * height / 720))
    weight = np.where((seen.alpha > 0.02) & (seen.alpha < 1), seen.alpha, 0)[..., None]
    estimate = blur_fusion(seen.frame, seen.alpha).astype(np.float32)
    return {
        "edge MAD, guided : linear": edge_mad(guided, seen.alpha, edge) / edge_mad(linear, seen.alpha, edge),
        "colours, estimated : seen": float(
            (weight * np.abs(estimate - seen.colours)).sum() / (weight * np.abs(seen.frame - seen.colours)).sum()
        ),
    }


def drafted(video: str) -> list[tuple[NDArray[np.uint8], Draft]]:
    """Every third of a video's first frames at 720 rows, and its alpha by the networks."""

    def scaled(frame: Frame) -> Frame:
        height, width = frame.rgb.shape[:2]
        rgb = cv2.resize(frame.rgb, (round(width * 720 / height), 720), interpolation=cv2.INTER_LINEAR)
        return replace(frame, rgb=np.asarray(rgb, np.uint8))

    with VideoSource(video) as source, Matter(reuse=True) as matter:
        # Without looking ahead: these drafts are final as they are.
        drafts = list(matter.drafts(scaled(frame) for frame in islice(source, FRAMES)))
    return [(frame.rgb, draft) for frame, draft in drafts[2::3]]


def measure(video: str) -> None:
    """Print what the steps take for the frames of a video, each step with the results of the one before."""
    frames = drafted(video)
    behind = np.random.default_rng(0).integers(0, 256, frames[0][0].shape, dtype=np.uint8)
    spent = np.empty((RUNS // 4, len(frames), 3))
    for run in spent:
        for (rgb, draft), milliseconds_each in zip(frames, run, strict=True):
            # As `Matter` does.
            reduced = draft.small if draft.picture is None else draft.picture
            times = [time.thread_time()]
            alpha = at_picture_size(draft.alpha, rgb, small=reduced)
            times.append(time.thread_time())
            fusion = fusion_of(rgb, alpha, halved=draft.small)
            times.append(time.thread_time())
            fusion.over(behind, np.empty_like(behind))
            times.append(time.thread_time())
            milliseconds_each[:] = 1e3 * np.diff(times)
    soft = 100 * np.mean([np.mean((draft.alpha > 0) & (draft.alpha < 1)) for _, draft in frames])
    print(f"{video}, {len(frames)} frames, {soft:.1f} % of the alpha soft, ms a frame, mean and worst:")
    least = spent.min(0)
    for name, each in zip(("guided filters", "near colours", "colours and composite"), least.T, strict=True):
        print(f"  {name:30s} {each.mean():6.2f} {each.max():6.2f}")
    print(f"  {'all of it':30s} {least.sum(1).mean():6.2f} {least.sum(1).max():6.2f}")


def main() -> None:
    cv2.setNumThreads(1)
    keep_freed_memory()
    for video in sys.argv[1:]:
        measure(video)
    if len(sys.argv) > 1:
        return
    for width, height in ((1280, 720), (1920, 1080), (3840, 2160)):
        seen = scene(width, height)
        soft = 100 * np.mean((seen.alpha > 0) & (seen.alpha < 1))
        print(f"{width}x{height}, {soft:.1f} % of the pixels soft, ms a frame:")
        for name, run in stages(seen).items():
            print(f"  {name:30s} {milliseconds(run):6.2f}")
        for name, share in errors(seen).items():
            print(f"  {name:30s} {share:6.2f}")


if __name__ == "__main__":
    main()
