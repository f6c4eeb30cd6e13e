"""What ``rtmatte webcam`` does, from its settings to the report on exit."""

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NoReturn

import typer

from realtime_matting.backdrop import Backdrop
from realtime_matting.cli import options
from realtime_matting.cli.choice import reuse_of
from realtime_matting.cli.report import say
from realtime_matting.cli.signals import StopRequest, stop_on_signal
from realtime_matting.control import Controls, ControlServer, socket_path
from realtime_matting.defaults import DEFAULT_PRESET, PRESETS
from realtime_matting.errors import MattingError
from realtime_matting.live import LiveRun
from realtime_matting.live_matting import LiveOptions
from realtime_matting.live_presets import LivePreset, StreamMatter, live_presets, steps
from realtime_matting.presets import Preset, load_preset, load_presets
from realtime_matting.presets.auto import auto_preset
from realtime_matting.presets.opening import open_matter
from realtime_matting.profiling import Profile
from realtime_matting.settings import LiveSettings, load_settings
from realtime_matting.sinks.destination import refuse_inputs
from realtime_matting.sinks.live_base import LiveSink
from realtime_matting.sinks.live_file import NoSink, RecordingSink
from realtime_matting.sources.camera import list_cameras, open_camera
from realtime_matting.sources.live_base import Camera

_LARGEST_FILE = 1920
_POLL = 0.05
"""Seconds between two looks for a signal while the networks are opened."""


def print_cameras() -> None:
    """The cameras on stdout, a line each, their modes below."""
    cameras = list_cameras()
    if not cameras:
        say("no camera was found; --camera also takes a video file, an rtsp:// or http:// address, or screen")
    for camera in cameras:
        print(f"{camera.spec}  {camera.name}")
        for mode in camera.modes:
            print(f"    {mode}")


def run_webcam(
    given: Mapping[str, object],
    *,
    profile: str | None,
    config: str | None,
    seconds: float | None,
    engine: options.EngineChoice,
    threads: int | None,
) -> None:
    """Run until a signal comes, the window is closed, or the time is over; then print the report.

    Raises:
        MattingError: see ``realtime_matting.errors``.
        typer.Exit: a signal ended it.
    """
    settings = load_settings(given, profile=profile, path=None if config is None else Path(config))
    with ExitStack() as stack:
        presets = _presets(settings)
        backdrop = stack.enter_context(closing(Backdrop(settings.bg, say)))
        start = _start(settings, engine, threads)
        request = stack.enter_context(stop_on_signal())
        times = Profile()
        live = live_presets(
            presets, lambda preset: open_matter(preset, live=True, engine=engine, threads=threads, profile=times)
        )
        for preset in live.values():
            stack.callback(_close, preset, request)
        # Cameras and networks take their time to open: both at once.
        loading = live[start].open()
        camera = open_camera(settings.camera, size=settings.size, fps=settings.fps)
        try:
            size, fps = _format(camera, settings)
            sinks = _open_sinks(settings, size, fps, camera, stack)
            engines = _engines(loading, request)
        except BaseException:
            camera.close()
            raise
        run = LiveRun(
            camera,
            lambda: open_camera(settings.camera, size=settings.size, fps=settings.fps),
            live,
            backdrop,
            sinks,
            LiveOptions(
                size=size,
                fps=fps,
                mirror=settings.mirror,
                framing=settings.frame == "auto",
                preset=settings.preset,
                steps=steps({name: presets[name] for name in PRESETS}),
                start=start,
                rest=settings.rest,
                pause=settings.pause,
                seconds=seconds,
            ),
            profile=times,
            say=say,
        )
        outputs = ", ".join(sink.name for sink in sinks)
        say(f"{camera.name} → {outputs}, {size[0]}x{size[1]}, {engines}, preset {settings.preset}")
        controls = stack.enter_context(closing(Controls(run, backdrop, say)))
        for sink in sinks:
            if hasattr(sink, "on_command"):
                sink.on_command = controls.execute_soon
        _serve(controls, stack)
        report = run.run(request)
    for line in report.lines():
        print(line)
    if request.is_set():
        _leave(request)


def _engines(loading: "Future[StreamMatter]", request: StopRequest) -> str:
    """What the networks that are being opened run on; what is known of it when a signal comes meanwhile."""
    while not request.is_set():
        if wait([loading], timeout=_POLL).done:
            return loading.result().describe()
    return "nothing opened yet"


def _close(preset: LivePreset, request: StopRequest) -> None:
    """Free a preset; networks that are just being opened must not keep a run that was told to end."""
    preset.close(wait=not request.is_set())


def _leave(request: StopRequest) -> NoReturn:
    """End the command after a signal, all being closed; a thread that is in a driver or a compiler is not waited for.

    Raises:
        typer.Exit: there is none.
    """
    sys.stdout.flush()
    if any(thread.name.startswith("rtmatte") for thread in threading.enumerate()):
        os._exit(request.exit_code)
    raise typer.Exit(request.exit_code)


def _presets(settings: LiveSettings) -> dict[str, Preset]:
    """All that the run may take, by name: the built-in ones, and the file that was asked for."""
    presets = load_presets()
    if settings.preset not in ("auto", *presets):
        presets = {settings.preset: load_preset(settings.preset), **presets}
    return {
        name: preset.overridden(
            model=settings.model,
            reuse=reuse_of(settings.reuse),
            light_wrap=settings.light_wrap,
            match_colours=settings.match_colours,
        )
        for name, preset in presets.items()
    }


def _start(settings: LiveSettings, engine: options.EngineChoice, threads: int | None) -> str:
    """The preset to begin with."""
    if settings.preset != "auto":
        return settings.preset
    if settings.model is not None:
        return DEFAULT_PRESET  # nothing is known of another model; stepping will find out
    return auto_preset(engine=engine, threads=threads, say=say)


def _format(camera: Camera, settings: LiveSettings) -> tuple[tuple[int, int], float]:
    """Size and rate of what goes out."""
    width, height = settings.size or camera.size
    if settings.size is None and max(width, height) > _LARGEST_FILE:
        shrink = _LARGEST_FILE / max(width, height)
        width, height = round(width * shrink), round(height * shrink)
    return (width + width % 2, height + height % 2), min(settings.fps or camera.fps, camera.fps)


def _open_sinks(
    settings: LiveSettings, size: tuple[int, int], fps: float, camera: Camera, stack: ExitStack
) -> Sequence[LiveSink]:
    sinks: list[LiveSink] = []
    inputs = [name for name in (settings.camera, *settings.bg) if name]
    for name in (*settings.output, *([settings.record] if settings.record else [])):
        sink = _open_live_sink(name, size, fps, inputs)
        stack.callback(sink.close)
        sinks.append(sink)
    return sinks


def _open_live_sink(name: str, size: tuple[int, int], fps: float, inputs: Sequence[str]) -> LiveSink:
    from realtime_matting.sinks.virtual_camera import BACK_ENDS, open_virtual_camera

    width, height = size
    if name == "none":
        return NoSink()
    if name == "window":
        from realtime_matting.sinks.window import WindowSink

        return WindowSink(width, height)
    if name == "virtual" or name in BACK_ENDS or name.startswith("/dev/video"):
        return open_virtual_camera(name, width=width, height=height, fps=fps)
    refuse_inputs(name, inputs)
    return RecordingSink(name, width=width, height=height, fps=fps, camera=inputs[0] if inputs else "")


def _serve(controls: Controls, stack: ExitStack) -> None:
    """Listen for ``rtmatte ctl``, where that is possible; a call must not fail for want of it."""
    try:
        stack.enter_context(closing(ControlServer(controls, socket_path())))
    except MattingError as error:
        say(f"rtmatte ctl will not reach this run: {error}")
