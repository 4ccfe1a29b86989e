"""A small generator with weights that make pictures, and its exported artifacts, made once."""

from pathlib import Path

import pytest
import torch

from wgan.export import exporter
from wgan.training.config import Config
from wgan.training.deploy import TrainedGenerator
from wgan.training.networks import Generator, calibrate


def make_generator(seed: int = 0, **changes: object) -> TrainedGenerator:
    """Not trained, but with contrast: initial weights alone give grey images that hide differences."""
    config = Config(image_size=32, base_channels=8, latent_dim=16).replace(**changes)
    torch.manual_seed(seed)
    module = Generator(config.image_size, config.latent_dim, config.base_channels, config.channels)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5).add_(0.1 * torch.randn_like(parameter))
    calibrate(module, [torch.randn(256, config.latent_dim)])
    return TrainedGenerator(module.requires_grad_(False), config, step=7, checkpoint_sha256="0" * 64)


@pytest.fixture(scope="session")
def generator() -> TrainedGenerator:
    return make_generator()


@pytest.fixture(scope="session")
def tiny_export(generator: TrainedGenerator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder: every format that builds here, and fp16 ONNX. Not to be written into."""
    folder = tmp_path_factory.mktemp("tiny") / "export"
    list(exporter.export(generator, folder, ["torchscript", "onnx", "trt"], max_batch=96))
    list(exporter.export(generator, folder, ["onnx"], precision="fp16", max_batch=96))
    return folder
