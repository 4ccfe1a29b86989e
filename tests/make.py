"""A generator and a run to test with. Without pytest, so that scripts/gpu can use it too."""

import shutil
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from wgan.export.reference.generator import TrainedGenerator
from wgan.serve.artifacts.origin import Origin
from wgan.training.config import Config
from wgan.training.networks import Generator, calibrate
from wgan.training.step.losses import CriticFn, CriticLoss, critic_loss, gradient_penalty, score_pair


def make_generator(seed: int = 0, classes: tuple[str, ...] | None = None, **changes: object) -> TrainedGenerator:
    """Not trained, but with contrast: initial weights alone give grey images that hide differences."""
    config = Config(image_size=32, base_channels=8, latent_dim=16).replace(**changes)
    torch.manual_seed(seed)
    module = Generator(config, len(classes or ()))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5).add_(0.1 * torch.randn_like(parameter))
    labels = torch.arange(256) % len(classes) if classes else None
    module.iterate_spectral_norms(20)
    module.settle_spectral_norms()
    calibrate(module, [(torch.randn(256, config.latent_dim), labels)])
    return TrainedGenerator(module.requires_grad_(False), config, Origin(7), "0" * 64, classes)


def make_run(folder: Path, export: Path) -> Path:
    """A run folder whose export folder is a copy of ``export``."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("steps: 1\n")
    shutil.copytree(export, folder / "export")
    return folder


def save_inception_weights(path: Path, seed: int = 0) -> None:
    """A file of the right names and shapes, with random weights under which images differ."""
    from torch_fidelity import feature_extractor_inceptionv3 as library

    network = library.FeatureExtractorInceptionV3
    with (
        patch.object(library, "load_state_dict_from_url", lambda *_, **__: {}),
        patch.object(network, "load_state_dict", lambda *_: None),
    ):
        made = network("any", ["2048"])
    torch.manual_seed(seed)
    for name, parameter in made.named_parameters():
        if name.endswith("conv.weight"):
            torch.nn.init.kaiming_normal_(parameter)
    torch.save(made.state_dict(), path)


def loss_of(
    critic: CriticFn, real: Tensor, fake: Tensor, epsilon: Tensor, lambda_gp: float, scale: Tensor | float = 1.0
) -> CriticLoss:
    """L_D of a batch, as a critic step puts it together."""
    scores = score_pair(critic, real, fake)
    return critic_loss(*scores, gradient_penalty(critic, real, fake, epsilon, scale), lambda_gp)
