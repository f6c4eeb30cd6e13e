import subprocess
import sys

from realtime_matting.startup import CONVERTER


def told_by(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_program_imports_openvino_without_its_converter_and_still_runs_a_network() -> None:
    code = (
        "import sys\nfrom realtime_matting.cli import main\n"
        "try:\n    main(['models'])\nexcept SystemExit:\n    pass\n"
        "import numpy as np\nfrom realtime_matting import Matter\n"
        "matte = Matter('shm-fast')(np.zeros((64, 64, 3), np.uint8))\n"
        f"print(matte.alpha.shape, bool(sys.modules[{CONVERTER!r}]), hasattr(sys.modules['openvino'], 'convert_model'))"
    )
    assert told_by(code).splitlines()[-1] == "(64, 64) False False"


def test_the_library_leaves_the_converter_alone() -> None:
    code = (
        "from realtime_matting import Matter\nMatter('shm-fast').close()\n"
        "import openvino\nprint(openvino.convert_model)"
    )
    assert told_by(code).startswith("<function convert_model")
