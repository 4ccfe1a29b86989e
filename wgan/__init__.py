"""Train a WGAN-GP on a folder of images and deploy its generator anywhere, proven equal to PyTorch."""

from pathlib import Path

_here = Path(__file__).parent
if not (_here / "serve").is_dir():  # a checkout: serve, training and export lie beside this folder
    __path__.append(str(_here.parent))
