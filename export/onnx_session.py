"""ONNX Runtime as the exporter uses it: a model in memory, on the CPU."""

import onnxruntime as ort  # type: ignore[import-untyped]


def open_session(model: bytes, *, optimised: bool = True) -> ort.InferenceSession:
    """ONNX Runtime on the CPU; without optimisation, every node computes exactly what it says."""
    options = ort.SessionOptions()
    options.log_severity_level = 4  # its errors come back as exceptions
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
