"""TensorRT and TensorRT-RTX: engines built, checked and run without torch."""
