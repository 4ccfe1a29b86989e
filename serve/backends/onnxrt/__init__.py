"""ONNX Runtime: on the CPU, on CUDA, and on CUDA through TensorRT."""
