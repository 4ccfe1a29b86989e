"""The generator that artifacts are measured against: PyTorch's own, out of a checkpoint."""
