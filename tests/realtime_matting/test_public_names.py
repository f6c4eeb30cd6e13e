"""``import realtime_matting``: what it offers, and that it costs nothing."""

import subprocess
import sys

import pytest

import realtime_matting


def test_every_public_name_can_be_had() -> None:
    for name in realtime_matting.__all__:
        assert getattr(realtime_matting, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Mattre'"):
        realtime_matting.Mattre  # noqa: B018


def test_importing_the_package_loads_no_other_package() -> None:
    code = "import sys, realtime_matting; print([name for name in ('numpy', 'cv2', 'av') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_runtime_never_imports_torch_train_or_export() -> None:
    code = (
        "import sys, realtime_matting\n"
        "for name in realtime_matting.__all__: getattr(realtime_matting, name)\n"
        "print([name for name in ('torch', 'train', 'export') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
