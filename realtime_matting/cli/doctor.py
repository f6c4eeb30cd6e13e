"""``rtmatte doctor``: what is installed, what runs here, and what would have to be done for the rest."""

from typing import Annotated, Any

import typer

PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "av",
    "openvino",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "cuda-python",
    "pycuda",
    "pyvirtualcam",
    "torch",
)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, for programs and reports.")] = False,
) -> None:
    """Say what is installed, which engines can run here, why the others cannot, and the command that fixes each.

    Every engine is really run, on a tiny network. Leaves with 1 where none can run.
    """
    report = examine()
    if as_json:
        import json

        print(json.dumps(report, indent=2))
    else:
        print(in_words(report))
    if report["auto"] is None:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """All findings, as JSON has them.

    Keys: rtmatte, python, system, processor, cores; compiled (see `native.describe`); packages (name → version);
    engines, cameras and virtual_cameras (name, usable, detail, fix); auto, what ``--engine auto`` takes, or None.
    """
    import platform
    from dataclasses import asdict

    from realtime_matting import __version__
    from realtime_matting.cli.cameras import check_cameras, check_virtual_cameras
    from realtime_matting.engines import PREFERRED
    from realtime_matting.engines.availability import check_engines
    from realtime_matting.machine import core_count, processor_name
    from realtime_matting.native import describe

    engines = check_engines()
    usable = [engine.name for engine in engines if engine.usable]
    return {
        "rtmatte": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor_name(),
        "cores": core_count(),
        "compiled": describe(),
        "packages": _versions(),
        "engines": [asdict(engine) for engine in engines],
        "auto": next((name for name in PREFERRED if name in usable), None),
        "cameras": [asdict(camera) for camera in check_cameras()],
        "virtual_cameras": [asdict(camera) for camera in check_virtual_cameras()],
    }


def in_words(report: dict[str, Any]) -> str:
    """The findings for people."""
    packages = ", ".join(f"{name} {version}" for name, version in report["packages"].items())
    lines = [
        f"rtmatte {report['rtmatte']}, Python {report['python']}, {report['system']}",
        f"processor: {report['processor']}, {report['cores']} cores",
        f"work at full size: {report['compiled']}",
        f"packages: {packages}",
        "",
        "engines, in the order auto tries them:",
        *_findings(report["engines"]),
        f"auto takes {report['auto']}" if report["auto"] else "auto finds no engine: nothing can be matted here",
        "",
        "cameras:",
        *(_findings(report["cameras"]) or ["  none found"]),
        "",
        "virtual cameras, in the order rtmatte webcam tries them:",
        *_findings(report["virtual_cameras"]),
    ]
    return "\n".join(lines)


def _findings(findings: list[dict[str, Any]]) -> list[str]:
    lines = []
    width = max((len(finding["name"]) for finding in findings), default=0)
    for finding in findings:
        lines.append(f"  {'yes' if finding['usable'] else 'no ':3}  {finding['name']:{width}}  {finding['detail']}")
        if finding["fix"]:
            lines.append(f"       {'':{width}}  fix: {finding['fix']}")
    return lines


def _versions() -> dict[str, str]:
    import importlib.metadata

    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
