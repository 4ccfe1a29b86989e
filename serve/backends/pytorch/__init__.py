"""PyTorch: its device, its threads, and TorchScript files."""
