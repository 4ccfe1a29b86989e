"""From the pixels of a batch to what the networks see, on the device: values in [-1, 1], crops, flips and jitter.

Every sample of a batch gets its own random crop, flip and jitter. Of straight RGBA, crops and flips take the alpha
along, a colour counts by its alpha, and jitter changes colours alone.
"""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from wgan.training.distributed import World

FAINTEST = 0.5 / 255  # less alpha is none in 8 bits
LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601, as torchvision rounds it


@dataclass(frozen=True)
class Augmentation:
    """How strong each part is. The defaults are usual ones; `OFF` leaves images as they are."""

    enlarge: float = 1.125  # 64 → 72, then a random crop back; 1 is off
    flip: float = 0.5  # probability of a horizontal flip
    brightness: float = 0.2  # factor from 1 - v to 1 + v
    contrast: float = 0.2

    def __bool__(self) -> bool:
        return self != OFF


OFF = Augmentation(enlarge=1.0, flip=0.0, brightness=0.0, contrast=0.0)


@dataclass(frozen=True)
class Draws:
    """The random choices for one batch, each (N,)."""

    top: Tensor  # int64, of the crop
    left: Tensor
    flip: Tensor  # bool
    brightness: Tensor  # float32, a factor
    contrast: Tensor
    contrast_first: Tensor  # bool


def normalise(images: Tensor) -> Tensor:
    """uint8 (N, H, W, C) → float32 (N, C, H, W) in [-1, 1]: 0 becomes -1 and 255 becomes 1 exactly."""
    return _planes(images).div_(127.5).sub_(1)


def _planes(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)


def prepare(
    images: Tensor, augmentation: Augmentation, generator: torch.Generator, world: World | None = None
) -> Tensor:
    """uint8 (N, S, S, C) → float32 (N, C, S, S) in [-1, 1], each sample augmented by itself.

    ``world``: the images are this process's share of a batch, and get the choices that they would get in it.
    """
    if not augmentation:
        return normalise(images)
    size, world = images.shape[1], world or World()
    draws = draw(augmentation, len(images) * world.size, size, generator)
    draws = Draws(**{name: world.share(value) for name, value in vars(draws).items()})
    return augment(_planes(images).div_(255), draws, enlarged(size, augmentation)).mul_(2).sub_(1)


def enlarged(size: int, augmentation: Augmentation) -> int:
    """The side that images have before the crop."""
    return round(size * augmentation.enlarge)


def draw(augmentation: Augmentation, count: int, size: int, generator: torch.Generator) -> Draws:
    """Random choices for ``count`` images of a side of ``size`` pixels, on the generator's device."""
    u = torch.rand(6, count, generator=generator, device=generator.device)
    offsets = enlarged(size, augmentation) - size + 1
    top, left = (u[:2] * offsets).long().clamp_(max=offsets - 1)  # u * offsets can round up to offsets
    b, c = augmentation.brightness, augmentation.contrast
    return Draws(
        top=top,
        left=left,
        flip=u[2] < augmentation.flip,
        brightness=1 - b + 2 * b * u[3],
        contrast=1 - c + 2 * c * u[4],
        contrast_first=u[5] < 0.5,
    )


def augment(images: Tensor, draws: Draws, enlarge_to: int) -> Tensor:
    """float (N, C, S, S) in [0, 1] → the same shape and range, as the draws say.

    Enlarge, crop, flip, then brightness and contrast in either order: what torchvision's Resize,
    RandomCrop, RandomHorizontalFlip and ColorJitter do to each image alone. The alpha of straight RGBA (C = 4) is
    resized, cropped and flipped, and no more.
    """
    count, channels, size, _ = images.shape
    if enlarge_to != size:
        images = _resized(images, enlarge_to)
    along = torch.arange(size, device=images.device)
    draws = Draws(**{name: value.to(images.device) for name, value in vars(draws).items()})
    columns = torch.where(draws.flip[:, None], along.flip(0), along) + draws.left[:, None]  # (N, S)
    rows = along + draws.top[:, None]  # (N, S)
    sample = torch.arange(count, device=images.device)[:, None, None, None]
    plane = torch.arange(channels, device=images.device)[None, :, None, None]
    images = images[sample, plane, rows[:, None, :, None], columns[:, None, None, :]]

    one = torch.ones_like(draws.brightness)
    colour, alpha = (images[:, :3], images[:, 3:]) if channels == 4 else (images, None)
    colour = _brighten(colour, torch.where(draws.contrast_first, one, draws.brightness))
    colour = _contrast(colour, alpha, draws.contrast)
    colour = _brighten(colour, torch.where(draws.contrast_first, draws.brightness, one))
    return colour if alpha is None else torch.cat([colour, alpha], dim=1)


def _resized(images: Tensor, size: int) -> Tensor:
    """(N, C, S, S) → (N, C, size, size), bilinear; of straight RGBA a colour counts by its alpha."""
    if images.shape[1] == 4:
        images = torch.cat([images, images[:, :3] * images[:, 3:]], dim=1)
    images = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    if images.shape[1] != 7:
        return images
    straight, alpha, premultiplied = images.split((3, 1, 3), dim=1)
    # where nothing is seen there is no colour to go by but what continues the others
    seen = torch.where(alpha > FAINTEST, premultiplied / alpha.clamp_min(FAINTEST), straight)
    return torch.cat([seen.clamp(0, 1), alpha], dim=1)


def _brighten(images: Tensor, factor: Tensor) -> Tensor:
    return (images * factor[:, None, None, None]).clamp(0, 1)


@cache
def _luma(device: torch.device) -> Tensor:
    return torch.tensor(LUMA, device=device)  # once: the copy waits for all that the device has to do


def _contrast(images: Tensor, alpha: Tensor | None, factor: Tensor) -> Tensor:
    """Away from, or towards, each image's mean grey; with alpha (N, 1, S, S) that of what is seen."""
    grey = images
    if images.shape[1] == 3:
        grey = (images * _luma(images.device)[:, None, None]).sum(dim=1, keepdim=True)
    if alpha is None:
        mean = grey.mean(dim=(1, 2, 3), keepdim=True)  # (N, 1, 1, 1)
    else:
        weight = alpha.sum(dim=(1, 2, 3), keepdim=True).clamp_min(FAINTEST)
        mean = (grey * alpha).sum(dim=(1, 2, 3), keepdim=True) / weight
    return torch.lerp(mean, images, factor[:, None, None, None]).clamp(0, 1)
