import subprocess
import sys

import pytest

_FAULTS_OF_MANY_PICTURES = """
import resource, sys
import numpy as np
side = int(sys.argv[2])
if sys.argv[1] != "as it is":
    from realtime_matting.allocator import keep_freed_memory
    assert keep_freed_memory(without_limit=sys.argv[1] == "without limit")
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    [np.ones((side, side, 3), np.uint8) for _ in range(5)]
before = faults()
for _ in range(20):
    [np.ones((side, side, 3), np.uint8) for _ in range(5)]
print(faults() - before)
"""


def _faults(how: str, side: int) -> int:
    command = [sys.executable, "-c", _FAULTS_OF_MANY_PICTURES, how, str(side)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc is on Linux")
def test_pictures_of_the_next_frame_take_the_place_of_the_last_without_asking_the_system() -> None:
    assert _faults("kept", 960) < 0.05 * _faults("as it is", 960)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc is on Linux")
def test_for_training_even_the_largest_blocks_are_kept() -> None:
    assert _faults("without limit", 4000) < 0.05 * _faults("kept", 4000)


_MEMORY_AFTER_PICTURES = """
import sys
import numpy as np
from realtime_matting.allocator import give_back_freed_memory, keep_freed_memory
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20
assert keep_freed_memory()
pictures = [np.ones((960, 960, 3), np.uint8) for _ in range(50)]
last = np.ones((960, 960, 3), np.uint8)
full = resident()
del pictures
kept = resident()
give_back_freed_memory()
print(full - kept, full - resident(), int(last.sum()))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc is on Linux")
def test_what_was_kept_is_given_back_when_asked_for() -> None:
    command = [sys.executable, "-c", _MEMORY_AFTER_PICTURES]
    kept, given_back, _ = map(float, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert kept < 20  # of 132 MiB
    assert given_back > 110
