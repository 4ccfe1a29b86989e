"""`/v2`, the Open Inference Protocol: tensors in, tensors out."""
