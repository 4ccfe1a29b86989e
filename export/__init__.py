"""Turns a checkpoint into artifacts and proves that each equals PyTorch."""
