"""Milliseconds a frame on one core of what follows the networks: guided filter, foreground colours, blur, composite.

    python benchmarks/compositing.py

The person is drawn: a disc on shoulders with a crown of strands, as in a picture of a curly-haired person at a
desk. Each number is the shortest of many runs, and so hardly depends on what else runs.
"""

import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.compositing.backgrounds import open_background
from realtime_matting.compositing.blend import composite
from realtime_matting.matting.foreground import blur_fusion
from realtime_matting.matting.refine import fast_guided_filter

RUNS = 100


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


def stages(width: int, height: int) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    alpha = person(height, width)
    noise = np.random.default_rng(1).normal(128, 60, (2, height // 8, width // 8, 3))
    inside, outside = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC) for plane in noise)
    frame = np.clip(alpha[..., None] * (inside - outside) + outside, 0, 255).astype(np.uint8)
    small = cv2.resize(alpha, (width // 2, height // 2), interpolation=cv2.INTER_AREA).astype(np.float32)
    blur, foreground = open_background("blur"), blur_fusion(frame, alpha)
    room, out = blur.at(0, frame, alpha), np.empty_like(frame)
    print(f"{width}x{height}, {100 * np.mean((alpha > 0) & (alpha < 1)):.1f} % of the pixels soft, ms a frame:")
    return {
        f"guided filter from {width // 2}x{height // 2}": lambda: fast_guided_filter(frame, small),
        "foreground colours": lambda: blur_fusion(frame, alpha),
        "blur background": lambda: blur.at(0, frame, alpha),
        "composite": lambda: composite(foreground, alpha, room, out=out),
    }


def main() -> None:
    cv2.setNumThreads(1)
    for width, height in ((1280, 720), (640, 480)):
        for name, run in stages(width, height).items():
            print(f"  {name:30s} {milliseconds(run):6.2f}")


if __name__ == "__main__":
    main()
