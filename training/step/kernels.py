"""Which kernels CUDA convolves and multiplies with: how they are chosen, and how float32 is rounded in them."""

import torch

from wgan.training.config import Config


def choose_kernels(config: Config) -> None:
    """Sets both for this process, for whatever trains in it; torch's own default is TF32 for convolutions alone."""
    fastest = config.convolutions == "fastest"
    torch.backends.cudnn.benchmark = fastest  # shapes are static: each is measured once
    torch.backends.cudnn.deterministic = not fastest
    torch.backends.cudnn.allow_tf32 = config.tf32
    torch.backends.cuda.matmul.allow_tf32 = config.tf32
