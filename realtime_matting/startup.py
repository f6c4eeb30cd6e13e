"""What a program does before it imports much, so that it starts sooner."""

import sys

CONVERTER = "openvino.tools.ovc"


def leave_out_converter() -> None:
    """Have OpenVINO be imported without the converter, for the whole process.

    That takes 0.16 of the 0.21 s of its import, and only ``openvino.convert_model`` needs it, which rtmatte does not.
    OpenVINO itself goes without where the converter is not installed. To be called before the first import, by programs
    alone: who uses rtmatte as a library may well convert models.
    """
    sys.modules.setdefault(CONVERTER, None)  # type: ignore[arg-type]  # None: as if it were not installed
