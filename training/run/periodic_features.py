"""Feature distances while a run goes on: when they are measured, of what, and what of them is saved."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from wgan.serve.base.progress import counter
from wgan.training.config import Config
from wgan.training.data import ImageSet, held_out
from wgan.training.measures.feature_distances import FeatureDistances, real_features
from wgan.training.measures.inception import Inception, ProgressFn, inception_or_reason
from wgan.training.measures.transparency import said
from wgan.training.measures.validation import validation_batches
from wgan.training.networks import Generator


class MeasurementStopped(Exception):
    """A progress function raises it to end a measurement before it is complete."""


class PeriodicFeatureDistances:
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
        self._distances: FeatureDistances | None = None
        self._inception: Inception | None = None
        if config.inception_every and active:
            with counter() as progress:
                inception = inception_or_reason(config.inception_weights, device, progress)
            if isinstance(inception, Inception):
                self._inception = inception
            else:
                self.notes.append(f"{inception}; the sliced Wasserstein distance chooses the best checkpoint")

    def prepare(self, images: ImageSet, cache: Path, shares: Sequence[float] = ()) -> None:
        """Computes the features of real images: of held-out faces, or of the training images where none is held out.

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
            features = real_features(real, count, config.seed, self._inception, cache, progress)
        self._distances = FeatureDistances(self._inception, features)
        if reason := self._distances.no_fid(count):
            self.notes.append(f"{reason}; it is called a Fréchet distance, and chooses the best checkpoint")

    @property
    def measure(self) -> str | None:
        """The distance that is to choose the best checkpoint, named as `Best` compares it; None if none is measured."""
        return None if self._distances is None else self._distances.comparable_name(self._config.inception_images)

    @property
    def distance(self) -> float:
        """The newest value of `measure`."""
        if self.last is None:
            raise AssertionError("nothing was measured")
        return self._chosen(self.last)

    def due(self, step: int) -> bool:
        """Whether to measure after ``step``: every so often, and at the end."""
        config = self._config
        return self._distances is not None and (step % config.inception_every == 0 or step == config.steps)

    def __call__(self, generator: Generator, progress: ProgressFn) -> dict[str, Any] | None:
        """A record for the history; None if ``progress`` raised `MeasurementStopped`: a resumed run makes up for it."""
        record = self._measure(generator, progress)
        self.unfinished = record is None
        if record is not None:
            self.last = {name: value for name, value in record.items() if name != "seconds"}
        return record

    def measured(self, generator: Generator, progress: ProgressFn) -> float | None:
        """The value of `measure` of another generator than the run's own; None if ``progress`` stopped it."""
        record = self._measure(generator, progress)
        return None if record is None else self._chosen(record)

    def _measure(self, generator: Generator, progress: ProgressFn) -> dict[str, Any] | None:
        config, distances = self._config, self._distances
        if distances is None:
            raise AssertionError("nothing is ever due")
        batches = validation_batches(generator, config.inception_images, config, self._shares)
        try:
            record = distances(batches, config.inception_images, progress=progress)
            return record | said(config.channels, "features")
        except MeasurementStopped:
            return None

    def _chosen(self, record: dict[str, Any]) -> float:
        """The distance that `measure` is of."""
        if self._distances is None:
            raise AssertionError("nothing was measured")
        return float(record[self._distances.distance_name(self._config.inception_images)])

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"last": self.last, "unfinished": self.unfinished}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up what `state` gave; what is not there begins as in a new run."""
        self.last = state.get("last")
        self.unfinished = bool(state.get("unfinished")) and self._distances is not None
