"""Feature distances: FID, KID and Inception Score of generated images; real features are computed once and kept.

The official Inception weights give `fid`, `kid` and `inception_score`; any others give `frechet_distance`,
`kernel_distance` and `classifier_score`. A `fid` also needs 2,048 real and as many generated images: of fewer the
covariance is singular.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wgan.serve.base.errors import DatasetError
from wgan.serve.base.files import atomic_write
from wgan.serve.base.foreign_array import reading_array
from wgan.training.data import ImageSet
from wgan.training.data.pick import pick
from wgan.training.measures.feature_formulas import (
    ClassifierScore,
    Gaussian,
    Moments,
    frechet_distance,
    kernel_distance,
)
from wgan.training.measures.inception import BATCH, Inception, ProgressFn

VERSION = 1  # of the files that keep real features
ENOUGH = 2048  # images: as many as there are features
KEPT = 10_000  # images whose features are kept for the kernel distance: 80 MB
DOING = "Inception, {} images"


@dataclass(frozen=True)
class FeatureSummary:
    """What is kept of the features of real images, or of generated ones."""

    gaussian: Gaussian
    features: Tensor  # (at most KEPT, F) float32, evenly spread over the images
    count: int


class FeatureDistances:
    """Fréchet distance, kernel distance and classifier score of generated images, each under the name it has earned."""

    def __init__(self, inception: Inception, real: FeatureSummary):
        self.inception, self.real = inception, real

    def distance_name(self, count: int) -> str:
        """What the Fréchet distance of ``count`` generated images is: `fid` or `frechet_distance`."""
        return "fid" if self.inception.official and min(count, self.real.count) >= ENOUGH else "frechet_distance"

    def comparable_name(self, count: int) -> str:
        """The distance, the weights and the numbers of images: only values with the same name may be compared."""
        return f"{self.distance_name(count)} {self.inception.sha256[:8]} {count}:{self.real.count}"

    def __call__(
        self, batches: Iterable[np.ndarray], count: int, *, progress: ProgressFn | None = None
    ) -> dict[str, Any]:
        """A record for the history.

        Args:
            batches: uint8 (n, H, W, C) each, ``count`` images in all, in no order of theirs.
            count: at least 2.
            progress: told how many are done.
        """
        began = time.monotonic()
        score = ClassifierScore(count)
        fake = summarise(batches, count, self.inception, DOING.format("generated"), progress, score)
        distance = frechet_distance(self.real.gaussian, fake.gaussian)
        kernel, kernel_deviation = kernel_distance(self.real.features, fake.features)
        mean, deviation = score.result()
        kernel_name, score_name = (
            ("kid", "inception_score") if self.inception.official else ("kernel_distance", "classifier_score")
        )
        return {
            self.distance_name(count): distance,
            kernel_name: kernel,
            f"{kernel_name}_std": kernel_deviation,
            score_name: mean,
            f"{score_name}_std": deviation,
            "images": count,
            "real_images": self.real.count,
            "inception_weights": self.inception.sha256,
            "seconds": time.monotonic() - began,
        }

    def no_fid(self, count: int) -> str | None:
        """A line that says why the distance of ``count`` images is no FID; None if it is one."""
        if self.distance_name(count) == "fid":
            return None
        if not self.inception.official:
            return f"no FID: the Inception weights ({self.inception.sha256[:8]}…) are not the official ones"
        side, few = ("real", self.real.count) if self.real.count < ENOUGH else ("generated", count)
        return f"no FID: {few:,} {side} images leave the covariance singular, {ENOUGH:,} are needed"


def summarise(
    batches: Iterable[np.ndarray],
    count: int,
    inception: Callable[[np.ndarray], tuple[Tensor, Tensor]],
    doing: str,
    progress: ProgressFn | None = None,
    score: ClassifierScore | None = None,
) -> FeatureSummary:
    """Runs the network over ``count`` images, in memory that does not grow with them beyond the kept features."""
    moments, kept, done = Moments(), [], 0
    chosen = torch.linspace(0, count - 1, min(count, KEPT), dtype=torch.float64).round().long()
    for batch in batches:
        for start in range(0, len(batch), BATCH):
            features, logits = inception(batch[start : start + BATCH])
            moments.add(features)
            here = chosen[(chosen >= done) & (chosen < done + len(features))] - done
            kept.append(features[here.to(features.device)])
            if score is not None:
                score.add(logits)
            done += len(features)
            if progress is not None:
                progress(done, count, doing)
    return FeatureSummary(moments.gaussian(), torch.cat(kept), done)


def real_features(
    images: ImageSet, count: int, seed: int, inception: Inception, cache: Path, progress: ProgressFn | None = None
) -> FeatureSummary:
    """The summary of at most ``count`` of the images, drawn by ``seed``: from ``cache``, or computed into it.

    Raises:
        DatasetError: one image alone has no covariance.
        OutputError: the cache cannot be written.
    """
    chosen = pick(len(images), count, seed)
    if len(chosen) < 2:
        raise DatasetError(f"{images.name} has {len(chosen)} usable image: Inception features need at least 2")
    recipe = (VERSION, images.digest, images.images.shape[1:], len(chosen), seed, inception.sha256, KEPT)
    path = cache / f"inception-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:32]}.npz"
    kept = _load(path, len(chosen), inception.device)
    if kept is not None:
        return kept

    def batches() -> Iterator[np.ndarray]:
        for start in range(0, len(chosen), BATCH):
            yield images.images[chosen[start : start + BATCH]]

    summary = summarise(batches(), len(chosen), inception, DOING.format("real"), progress)
    arrays = {
        "mean": summary.gaussian.mean.numpy(),
        "covariance": summary.gaussian.covariance.numpy(),
        "features": summary.features.cpu().numpy(),
        "count": np.array(summary.count),
    }
    atomic_write(path, lambda file: np.savez(file, allow_pickle=False, **arrays))
    return summary


def _load(path: Path, count: int, device: torch.device) -> FeatureSummary | None:
    """A whole file of this many images, or None."""
    try:
        # numpy leaves a file that is no archive open
        with reading_array(), path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            mean, covariance, features = (torch.from_numpy(kept[key]) for key in ("mean", "covariance", "features"))
            whole = int(kept["count"]) == count and covariance.shape == (len(mean), features.shape[1])
            return FeatureSummary(Gaussian(mean, covariance), features.to(device), count) if whole else None
    except (OSError, ValueError):
        return None
