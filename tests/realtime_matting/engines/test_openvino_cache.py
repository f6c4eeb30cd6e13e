"""What was compiled once is taken from disk, bit for bit, and whatever is wrong with the disk is never in the way."""

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import onnx
import openvino as ov
import pytest

from realtime_matting.engines import FloatArray, open_engine, openvino_cache
from realtime_matting.engines.openvino_cache import LARGEST, compiled_cache
from realtime_matting.models.registry import find_bundle


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rtmatte" / "openvino"


class Compilations:
    """Counts what OpenVINO compiles and takes up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.compiled = self.imported = 0
        compile_model, import_model = ov.Core.compile_model, ov.Core.import_model

        def compiling(core: ov.Core, *arguments: object) -> ov.CompiledModel:
            self.compiled += 1
            return compile_model(core, *arguments)

        def importing(core: ov.Core, *arguments: object) -> ov.CompiledModel:
            self.imported += 1
            return import_model(core, *arguments)

        monkeypatch.setattr(ov.Core, "compile_model", compiling)
        monkeypatch.setattr(ov.Core, "import_model", importing)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Compilations:
    return Compilations(monkeypatch)


@pytest.fixture
def network(green_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(green_bundle / "trimap.onnx", tmp_path))


def run(network: Path, *sizes: tuple[int, int], **options: object) -> list[FloatArray]:
    """Answers of a newly opened engine; what it keeps is on disk afterwards."""
    engine = open_engine(network, engine="openvino", **options)
    answers = []
    for height, width in sizes:
        picture = np.random.default_rng(height * width).random((1, 3, height, width), np.float32)
        (answer,) = engine({"rgb": picture}).values()
        answers.append(answer.copy())
    engine.close()
    for thread in threading.enumerate():
        if thread.name == "rtmatte cache":
            thread.join()
    return answers


def test_an_engine_takes_what_an_earlier_one_compiled_and_answers_alike(network, counted, cache):
    assert compiled_cache() == cache
    first = run(network, (8, 16), (24, 8))
    assert (counted.compiled, counted.imported) == (2, 0)
    again = run(network, (24, 8), (8, 16))
    assert (counted.compiled, counted.imported) == (2, 2)
    assert np.array_equal(first[0], again[1])
    assert np.array_equal(first[1], again[0])


def test_the_shipped_trimap_network_in_int8_answers_the_same_from_disk(counted):
    shipped = find_bundle("shm-balanced").path("trimap")
    answers = [run(shipped, (96, 160))[0] for _ in range(2)]
    assert (counted.compiled, counted.imported) == (1, 1)
    assert np.array_equal(*answers)


@pytest.mark.parametrize("change", ["size", "precision", "threads", "network", "version", "code"])
def test_another_network_size_precision_or_version_is_compiled_anew(change, network, counted, monkeypatch):
    size, options = (8, 16), {"precision": "f32", "threads": 1}
    run(network, size, **options)
    if change == "size":
        size = (16, 8)
    elif change == "precision":
        del options["precision"]
    elif change == "threads":
        options["threads"] = 2
    elif change == "network":
        other = onnx.load(network)
        other.doc_string = "another"
        onnx.save(other, network)
    elif change == "version":
        monkeypatch.setattr(ov, "get_version", lambda: "another")
    else:
        monkeypatch.setattr(openvino_cache, "_rewriting", lambda: b"other code")
    run(network, size, **options)
    assert (counted.compiled, counted.imported) == (2, 0)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "another network's"])
def test_a_damaged_file_is_compiled_over(damage, network, counted, cache):
    (right,) = run(network, (8, 16))
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    if damage == "another network's":  # whole, but OpenVINO cannot read it
        rubbish = b"no network at all"
        damaged = openvino_cache.digest_of(rubbish) + rubbish
    else:
        damaged = {"cut": whole[:-100], "changed": whole[:-1] + bytes([whole[-1] ^ 1]), "empty": b""}[damage]
    file.write_bytes(damaged)
    (answer,) = run(network, (8, 16))
    assert counted.compiled == 2
    assert np.array_equal(answer, right)
    assert list(cache.iterdir()) == [file]
    run(network, (8, 16))
    assert counted.compiled == 2


def test_a_cache_that_cannot_be_written_or_read_is_gone_without(network, counted, cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    for _ in range(2):
        (answer,) = run(network, (8, 16))
        assert answer.shape == (1, 3, 8, 16)
    assert (counted.compiled, counted.imported) == (2, 0)
    assert cache.read_text() == "a file where the folder should be"


def test_what_was_not_used_for_longest_makes_room(network, cache):
    run(network, (8, 16))
    (used,) = cache.iterdir()
    large, larger = cache / "large.blob", cache / "left by a program that was killed.part"
    for number, (path, size) in enumerate(((larger, 30), (used, 0), (large, LARGEST // 2**20 - 20))):
        with path.open("ab") as file:
            file.truncate(max(file.tell(), size * 2**20))
        os.utime(path, (number, number))
    run(network, (8, 16))  # now it is the newest
    run(network, (16, 16))
    assert used.exists()
    assert large.exists()
    assert not larger.exists()
    with large.open("ab") as file:
        file.truncate(LARGEST)
    os.utime(large, (5, 5))
    run(network, (16, 8))
    assert not large.exists()
    assert len(list(cache.iterdir())) == 3
