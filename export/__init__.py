"""From a checkpoint to what the runtime reads: ONNX model bundles and TensorRT engines."""
