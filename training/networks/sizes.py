"""How wide the networks are, and which resolutions they pass through."""

from wgan.training.config import Config

FIRST = 4  # both networks meet the image at 4x4
WIDEST = 8  # times base_channels: 512 at 64, as in DCGAN


def widths(image_size: int, base_channels: int) -> dict[int, int]:
    """Channels of the features at 4x4, 8x8, ... up to half the image: 512 256 128 64 for 64 px, as in DCGAN."""
    levels = (image_size // FIRST).bit_length() - 1
    return {FIRST * 2**i: base_channels * min(2 ** (levels - 1 - i), WIDEST) for i in range(levels)}


def resolutions(config: Config) -> list[int]:
    """Image sizes that the networks have a head for, smallest first: all from 8 on if they grow, else one."""
    if not config.progressive:
        return [config.image_size]
    return [2 * size for size in widths(config.image_size, config.base_channels)]
