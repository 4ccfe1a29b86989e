"""FID and its like while a run goes on: when they are measured, of what, and what is saved of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from wgan.serve.base.progress import counter
from wgan.training.config import Config
from wgan.training.data import ImageSet, held_out
from wgan.training.measures.fidelity import Fidelity, real_side
from wgan.training.measures.inception import ProgressFn, inception_or_reason
from wgan.training.measures.validation import validation_batches
from wgan.training.networks import Generator


class Stopped(Exception):
    """A progress function raises it where what is being measured is no longer waited for."""


class Scoring:
    """Measures the deployable generator every ``inception_every`` steps, if there is an Inception to do it with.

    ``active``: of several processes only the first one measures.

    Raises:
        ConfigError, BackendUnavailable: a file of weights was named and is of no use.
    """

    def __init__(self, config: Config, device: torch.device, *, active: bool = True):
        self._config = config
        self._shares: Sequence[float] = ()
        self.notes: list[str] = []  # what a person must know
        self.last: dict[str, Any] | None = None  # the newest figures
        self.unfinished = False  # a signal came while this step was being measured
        self._fidelity: Fidelity | None = None
        self._inception = None
        if config.inception_every and active:
            with counter() as progress:
                self._inception, reason = inception_or_reason(config.inception_weights, device, progress)
            if reason:
                self.notes.append(f"{reason}; the sliced Wasserstein distance chooses the best checkpoint")

    def prepare(self, images: ImageSet, cache: Path, shares: Sequence[float] = ()) -> None:
        """Readies the real side: held-out faces, or the training images where none is held out.

        ``shares``: how much of the data each class is, of which fakes are drawn likewise.
        """
        config, self._shares = self._config, shares
        if self._inception is None:
            return
        shape: dict[str, Any] = {"image_size": config.image_size, "channels": config.channels, "cache_dir": cache}
        count = config.inception_images
        with counter() as progress:
            unseen = held_out(config.data, count=count, progress=progress, **shape)
            real = images if unseen is None else unseen
            summary = real_side(real, count, config.seed, self._inception, cache, progress)
        self._fidelity = Fidelity(self._inception, summary)
        if reason := self._fidelity.no_fid(count):
            self.notes.append(f"{reason}; it is called a Fréchet distance, and chooses the best checkpoint")

    @property
    def measure(self) -> str | None:
        """What is to choose the best checkpoint, where it can be had."""
        return None if self._fidelity is None else self._fidelity.measure(self._config.inception_images)

    @property
    def distance(self) -> float:
        """The newest value of `measure`."""
        if self._fidelity is None or self.last is None:
            raise AssertionError("nothing was measured")
        return float(self.last[self._fidelity.distance_name(self._config.inception_images)])

    def due(self, step: int) -> bool:
        """Whether to measure after ``step``: every so often, and at the end."""
        config = self._config
        return self._fidelity is not None and (step % config.inception_every == 0 or step == config.steps)

    def __call__(self, generator: Generator, progress: ProgressFn) -> dict[str, Any] | None:
        """A record for the history; None where ``progress`` raised `Stopped`: a resumed run makes up for it."""
        config, fidelity = self._config, self._fidelity
        if fidelity is None:
            raise AssertionError("nothing is ever due")
        batches = validation_batches(generator, config.inception_images, config, self._shares)
        try:
            found = fidelity(batches, config.inception_images, progress=progress)
        except Stopped:
            self.unfinished = True
            return None
        self.unfinished = False
        self.last = {name: value for name, value in found.items() if name != "seconds"}
        return found

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"last": self.last, "unfinished": self.unfinished}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up what `state` gave; what is not there begins as in a new run."""
        self.last = state.get("last")
        self.unfinished = bool(state.get("unfinished")) and self._fidelity is not None
