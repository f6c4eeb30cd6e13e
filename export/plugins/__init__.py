"""CUDA kernels for pooling with indices and unpooling, and a quick deployable plugin for the full TensorRT."""
