"""A trained generator out of a checkpoint: what export reads and `--backend torch` runs."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any

from wgan.serve.artifacts.origin import BEST, LAST, Origin
from wgan.serve.base.errors import CheckpointError
from wgan.serve.base.paths import named_path
from wgan.serve.base.privacy import public_settings
from wgan.training.config import Config, from_dict
from wgan.training.networks import Generator, Stage
from wgan.training.records import checkpoint
from wgan.training.records.standing import origin_of
from wgan.training.step.flops import generator_flops


@dataclass(frozen=True)
class TrainedGenerator:
    """The averaged generator of a checkpoint, in eval mode on the CPU, and where it came from."""

    module: Generator
    config: Config
    origin: Origin
    checkpoint_sha256: str
    classes: tuple[str, ...] | None = None

    @property
    def step(self) -> int:
        """Generator updates that it has had."""
        return self.origin.step

    @property
    def source(self) -> dict[str, Any]:
        """What the metadata of its artifacts says of it, beside what each format adds."""
        return {
            **self.origin.to_source(),
            "checkpoint_sha256": self.checkpoint_sha256,
            "weights_sha256": self.weights_sha256,
            "ema": self.config.ema_decay > 0,
            "config": public_settings(self.config.to_dict()),
            "flops": generator_flops(self.config),  # an image
        }

    def with_data_name(self, name: str | None) -> "TrainedGenerator":
        """The same generator, whose artifacts call the data by this name; None leaves it as it is.

        Raises:
            ConfigError: no such name can be given.
        """
        return self if name is None else replace(self, config=self.config.replace(data_name=name))

    @cached_property
    def weights_sha256(self) -> str:
        """Digest of all its numbers, whatever file holds them."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.module.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
        return digest.hexdigest()


def load_generator(path: Path) -> TrainedGenerator:
    """The generator in a training checkpoint, or in the `generator.pt` of an export folder.

    Raises:
        CheckpointError: missing, damaged, or not a checkpoint of wgan.
    """
    state, digest = checkpoint.load_with_sha256(path)
    try:
        config = from_dict(state["config"])
        classes = tuple(str(name) for name in state["classes"]) if state["classes"] else None
        _check_grown(path, config, state["stage"])
        module = plain(config, classes, state["ema"])
        kept = Origin.of(state["origin"]) if "origin" in state else None
        origin = kept or origin_of(state, BEST if path.name == checkpoint.BEST else None)
    except (AttributeError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        reason = shorten(str(error), 200, placeholder=" …")
        raise CheckpointError(f"{path} holds no generator that this wgan knows: {reason}") from None
    made_of = state.get("checkpoint_sha256") or digest
    return TrainedGenerator(module.eval().requires_grad_(False), config, origin, str(made_of), classes)


def find_generator(run: Path | None, which: str, say: Callable[[str], object]) -> TrainedGenerator:
    """The generator that `--checkpoint best|last|FILE` means; without a run it is a file.

    ``say`` takes a line where it is not the first choice, or has not been trained.

    Raises:
        CheckpointError: there is none, or it is no checkpoint of wgan.
    """
    if which not in (BEST, LAST):
        which = str(named_path(which, "--checkpoint", file=True))
    path = Path(which) if run is None else checkpoint.find(run, which, say)
    generator = load_generator(path)
    if generator.step == 0:
        say(f"{path} is of a generator that was not trained")
    if run is None or which not in (BEST, LAST):
        return generator
    taken = BEST if path.name == checkpoint.BEST else LAST
    return replace(generator, origin=replace(generator.origin, which=taken))


def plain(config: Config, classes: tuple[str, ...] | None, weights: Mapping[str, Any]) -> Generator:
    """A generator without what only training needs: of a grown one only the last head, spectral norms divided out."""
    normed = any(".parametrizations." in name for name in weights)
    config = config.replace(
        progressive=False, activation_checkpointing=False, spectral_norm=config.spectral_norm if normed else "none"
    )
    module = Generator(config, len(classes or ()))
    other_heads = re.compile(rf"heads\.(?!{config.image_size}\.)")
    module.load_state_dict({name: value for name, value in weights.items() if not other_heads.match(name)})
    module.settle_spectral_norms()
    return module


def _check_grown(path: Path, config: Config, stage: Mapping[str, Any]) -> None:
    if stage["resolution"] != config.image_size or stage["alpha"] < 1:
        raise CheckpointError(
            f"{path} is still growing: it has reached {stage['resolution']} of {config.image_size} px, "
            f"{stage['alpha']:.0%} faded in; train on until it is whole"
        )


def save_generator(path: Path, generator: TrainedGenerator) -> None:
    """Writes the generator alone: the reference that artifacts are measured against."""
    state: Mapping[str, Any] = {
        "config": public_settings(generator.config.to_dict()),
        "ema": generator.module.state_dict(),
        "classes": list(generator.classes) if generator.classes else None,
        "stage": vars(Stage(generator.config.image_size)),
        "step": generator.step,
        "origin": generator.origin.to_source(),
        "checkpoint_sha256": generator.checkpoint_sha256,
    }
    checkpoint.save(path, dict(state))
