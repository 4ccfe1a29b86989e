"""`wgan eval`: the distances of an artifact's images from real ones, with any runtime."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wgan.serve.backends.base import Backend
from wgan.serve.base.errors import ArtifactError
from wgan.serve.base.privacy import last_name
from wgan.serve.base.terminal import counted, say_once
from wgan.serve.sampling.sampler import sample
from wgan.training.config.colour import WHITE, not_a_colour, rgb
from wgan.training.data import ImageSet, held_out, open_images
from wgan.training.data.decode import Shape
from wgan.training.data.labels import labels_at, shares_of
from wgan.training.data.pick import pick
from wgan.training.measures.feature_distances import FeatureDistances, real_features
from wgan.training.measures.inception import Inception, ProgressFn
from wgan.training.measures.transparency import said
from wgan.training.measures.validation import level_distances
from wgan.training.records.folder import RunFolder

SWD_IMAGES = 1024  # a side, as in a run's validations: the distance falls as sets grow
_NAMES = {
    "fid": "FID",
    "frechet_distance": "Fréchet distance",
    "kid": "KID × 10³",
    "kernel_distance": "kernel distance × 10³",
    "inception_score": "Inception Score",
    "classifier_score": "classifier score",
}


@dataclass(frozen=True)
class Reals:
    """The images to compare with."""

    data: str  # faces (those that no training saw), a folder, a .zip or .tar files
    fit: str = "crop"
    background: str = WHITE  # what transparent images are laid on, for a generator of 1 or 3 channels
    seed: int = 0  # draws them, where there are more than needed
    name: str | None = None  # what they are called, where the run has given them a name


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one artifact."""

    model: dict[str, Any]  # which file, with what, which seeds, against what
    swd: dict[str, float]  # by level
    swd_images: int  # a side
    feature_distances: dict[str, Any] | None  # with their names: FID and the like
    note: str | None  # why there is no FID

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        swd = {"swd": fmean(self.swd.values()), "swd_levels": self.swd, "swd_images": self.swd_images}
        return {**self.model, **(self.feature_distances or {}), **swd, "note": self.note}

    def to_text(self) -> str:
        """For people: a line a measure."""
        about, features = self.model, self.feature_distances
        last = about["first_seed"] + about["images"] - 1
        lines = [
            f"{about['model']} ({about['precision']}) with {about['backend']} on {about['device']}, "
            f"seeds {about['first_seed']} to {last}, against {about['data']}",
            "",
        ]
        levels = ", ".join(f"{size} px {value:.1f}" for size, value in self.swd.items())
        images = counted(self.swd_images, "image")
        rows = [("SWD × 10³", f"{fmean(self.swd.values()):.1f}", f"{levels}; {images} a side")]
        if features is not None:
            sides = f"{features['images']:,} generated, {features['real_images']:,} real images"
            scored = [
                (name, *_written(key, features), sides if key in ("fid", "frechet_distance") else "")
                for key, name in _NAMES.items()
                if key in features
            ]
            rows = [*scored, *rows]
        width = max(len(name) for name, *_ in rows)
        lines += [f"{name:<{width}}  {value:>14}  {rest}".rstrip() for name, value, rest in rows]
        if features is not None:
            lines.append(f"Inception weights: {features['inception_weights']}")
        lines += _alpha(about)
        return "\n".join([*lines, *([self.note] if self.note else [])])


def _alpha(about: dict[str, Any]) -> list[str]:
    """A line that says how transparency counts, where there is any."""
    ways = {"swd_alpha": "SWD of {} pixels", "features_alpha": "Inception sees them {}"}
    words = [way.format(about[key]) for key, way in ways.items() if key in about]
    return [f"transparent images: {', '.join(words)}"] if words else []


def _written(key: str, figures: dict[str, Any]) -> tuple[str]:
    scale = 1e3 if key in ("kid", "kernel_distance") else 1.0
    deviation = figures.get(f"{key}_std")
    return (f"{scale * figures[key]:.2f}" + ("" if deviation is None else f" ± {scale * deviation:.2f}"),)


def trained_on(backend: Backend, run: RunFolder) -> Reals | None:
    """The images that the generator was trained on, None if its metadata names none; ``run`` knows their path."""
    config = backend.metadata.source.get("config")
    if not isinstance(config, dict) or not isinstance(config.get("data"), str):
        return None
    fit, seed, name = config.get("fit"), config.get("seed"), config["data"]
    background = str(config.get("background", WHITE))
    place = _place(name, run)
    return Reals(
        data=place,
        fit=fit if fit in ("crop", "squash") else Reals.fit,
        background=WHITE if not_a_colour(background) else background,
        seed=seed if isinstance(seed, int) and seed >= 0 else Reals.seed,
        name=name if place not in ("", "faces") and name == config.get("data_name") else None,
    )


def _place(name: str, run: RunFolder) -> str:
    """The path of the images of this name, empty if nothing tells it; `faces` stays `faces`."""
    if name == "faces":
        return name
    if run.config.is_file():
        config = run.read_config()
        if name in (config.data, last_name(config.data), config.data_name):
            return config.data
    return "" if name in (last_name(name), f"{last_name(name)}/") else name  # an earlier export has the path itself


@dataclass(frozen=True)
class Samples:
    """The generated images: those of seeds ``first`` … ``first + count - 1``."""

    first: int
    count: int  # at least 2; without Inception no more are made than SWD compares
    batch_size: int  # images at a time
    shrink: Callable[[str], object] | None = None  # as `sample` takes it


def evaluate(
    backend: Backend,
    reals: Reals,
    samples: Samples,
    *,
    inception: Inception | str,
    cache: Path,
    device: torch.device,
    progress: ProgressFn,
) -> Evaluation:
    """Measures generated images against real ones.

    Args:
        backend: makes the images.
        reals: what they are compared with.
        samples: which images, and how many at a time.
        inception: the network, or why there is none.
        cache: where decoded images and features of real ones are kept.
        device: where SWD is computed.
        progress: told how far it is.

    Raises:
        ArtifactError: its images are not square.
        DatasetError: the real images cannot be used.
        BackendError: the runtime failed.
    """
    count = min(samples.count, SWD_IMAGES) if isinstance(inception, str) else samples.count
    images = _open(backend, reals, count, cache, progress)
    say_once([images.skipped])
    compared = min(count, len(images), SWD_IMAGES)
    faces = reals.data == "faces"
    reference = images.images[np.arange(compared) if faces else pick(len(images), compared, reals.seed)]
    kept: list[np.ndarray] = []

    def batches() -> Iterator[np.ndarray]:
        labels = _labels(backend, images, count)
        for start, batch, _ in sample(backend, samples.first, count, samples.batch_size, labels, shrink=samples.shrink):
            kept.append(batch[: max(0, compared - (start - samples.first))])
            yield batch

    features: dict[str, Any] | None = None
    if isinstance(inception, str):
        note: str | None = inception
        done = 0
        for batch in batches():
            done += len(batch)
            progress(done, count, "generating images")
    else:
        real = real_features(images, count, reals.seed, inception, cache, progress)
        distances = FeatureDistances(inception, real)
        features, note = distances(batches(), count, progress=progress), distances.no_fid(count)
    levels = level_distances(np.asarray(reference), np.concatenate(kept), device)
    about = _about(backend, reals, images, samples.first, count)
    about |= said(backend.metadata.image.channels, "swd", *(["features"] if features else []))
    return Evaluation(about, levels, compared, features, note)


def _labels(backend: Backend, images: ImageSet, count: int) -> NDArray[np.int64] | None:
    """Labels (N,) with as many of each class as the real images have; None where the classes are not the same."""
    if images.classes is None or images.labels is None or backend.metadata.classes != images.classes:
        return None
    return labels_at(np.arange(count), shares_of(images.labels, len(images.classes)))


def _about(backend: Backend, reals: Reals, images: ImageSet, first: int, count: int) -> dict[str, Any]:
    return {
        "model": str(backend.path),
        "model_sha256": backend.digest,
        "precision": backend.metadata.precision,
        "backend": backend.name,
        "device": backend.device,
        "data": reals.name or images.name,
        "first_seed": first,
        "images": count,
    }


def _open(backend: Backend, reals: Reals, count: int, cache: Path, progress: ProgressFn) -> ImageSet:
    """The real images: held-out faces, or all of any other data."""
    spec = backend.metadata.image
    if spec.height != spec.width:
        shape = f"{spec.width} × {spec.height}"
        raise ArtifactError(f"{backend.path} makes images of {shape}: only square ones can be compared")
    size, channels = spec.height, spec.channels
    unseen = held_out(reals.data, image_size=size, channels=channels, cache_dir=cache, count=count, progress=progress)
    if unseen is not None:
        return unseen
    wanted = Shape(size, channels, reals.fit, rgb(reals.background))
    return open_images(reals.data, wanted, cache_dir=cache, progress=progress)
