"""How measures see straight RGBA images: the colour of what is not seen must not count.

`premultiplied` for what looks at pixels (SWD, diversity, sharpness): all four channels count, a colour as much as it
is seen. `on_white` for Inception, which knows three channels: FID, KID and Inception Score are those of the images on
white, as `channels=3` would train on them. Images of 1 or 3 channels stay as they are.

Shapes: uint8 (N, H, W, C).
"""

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]


def premultiplied(images: Images) -> Images:
    """Straight RGBA with each colour times its alpha; other images as they are."""
    if images.shape[-1] != 4:
        return images
    return np.concatenate([_times(images[..., :3], images[..., 3:]), images[..., 3:]], axis=-1)


def on_white(images: Images) -> Images:
    """Straight RGBA laid on white, (N, H, W, 3); other images as they are."""
    if images.shape[-1] != 4:
        return images
    # white shows through as much as is missing of the alpha, and no sum is above 255
    return _times(images[..., :3], images[..., 3:]) + (255 - images[..., 3:])


def said(channels: int, *measures: str) -> dict[str, str]:
    """What a record says of the alpha, for `swd` and `features`; nothing where there is none."""
    ways = {"swd": "premultiplied", "features": "on white"}
    return {f"{name}_alpha": ways[name] for name in measures} if channels == 4 else {}


def _times(colour: Images, alpha: Images) -> Images:
    """Their product as a share of 255, rounded."""
    product: Images = ((colour.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)
    return product
