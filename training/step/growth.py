"""Progressive growing: which resolution a run is at, and what its real images look like there.

Images of 8 px are trained on for ``phase_images`` real images; each next resolution is faded in over as many,
and trained on for as many again (Karras et al. 2018, section 2 and appendix A.1). The last one stays.
"""

from dataclasses import dataclass

from torch import Tensor

from wgan.training.config import Config
from wgan.training.networks import LiveStage, Stage
from wgan.training.networks.layers import doubled, halved
from wgan.training.networks.sizes import resolutions
from wgan.training.networks.stage import faded


def stage_at(images: int, config: Config) -> Stage:
    """Where a run is that has seen so many real images. Without ``progressive`` it is always at the end."""
    sizes = resolutions(config)
    fades, into = divmod(images + config.phase_images, 2 * config.phase_images)
    if fades >= len(sizes):
        return Stage(sizes[-1])
    if fades == 0:
        return Stage(sizes[0])
    return Stage(sizes[fades], min(1.0, into / config.phase_images))


def grown_after(config: Config) -> int:
    """Real images after which the full resolution is there, wholly faded in."""
    return 2 * config.phase_images * (len(resolutions(config)) - 1)


@dataclass(frozen=True)
class Stretch:
    """A part of a run whose steps all cost the same: one resolution, fading or not. ``images`` None: to the end."""

    stage: Stage
    images: int | None


def stretches(config: Config) -> list[Stretch]:
    """The parts of a run, in order; one alone where it does not grow."""
    first, *others = (Stage(size) for size in resolutions(config))
    phase = config.phase_images
    parts = [Stretch(first, phase)]
    for stage in others:
        parts += [Stretch(Stage(stage.resolution, 0.5), phase), Stretch(stage, phase)]
    return [*parts[:-1], Stretch(parts[-1].stage, None)]


def at_stage(images: Tensor, stage: Stage | LiveStage) -> Tensor:
    """Real images (N, C, S, S) as the critic sees them: averaged down, and blended as the fakes are."""
    while images.shape[2] > stage.resolution:
        images = halved(images)
    if stage.fading:
        images = faded(doubled(halved(images)), images, stage)
    return images
