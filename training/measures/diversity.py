"""Diversity and sharpness of generated images relative to real ones: 1 where generated and real are alike.

Straight RGBA counts premultiplied, all four channels. Shapes: N images, H W C pixels.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from wgan.training.measures.sliced_wasserstein import laplacian_pyramid
from wgan.training.measures.transparency import premultiplied

MOST = 512  # images looked at: their 130,816 pairs cost milliseconds, and more would change nothing
COARSE = 16  # pixels: what an image shows is still there, its noise is not
_CHUNK = 64  # images in one piece, which bounds the memory

Images = npt.NDArray[np.uint8]


class DiversityAndSharpness:
    """Both figures of generated images, each divided by that of the real ones.

    Args:
        real: uint8 (N, H, W, C), H = W even; the first 512 are used. Where they are one image or all
            flat, there is nothing to be set beside, and the figure is 1.
        device: where to compute.
    """

    def __init__(self, real: Images, device: torch.device | str = "cpu"):
        self._device = device
        self._diversity, self._sharpness = self._figures(real)

    def __call__(self, images: Images) -> dict[str, float]:
        """``diversity`` and ``sharpness`` of generated images of the same shape; both are 0 if all are one flat colour.

        Diversity is the mean Euclidean distance of two images, both reduced to 16 × 16 pixels: it falls
        when a generator forgets modes or its latent. Sharpness is the mean absolute value of the
        finest band of the Laplacian pyramid: it falls when edges are lost, whatever the images show.
        """
        diversity, sharpness = self._figures(images)
        return {
            "diversity": diversity / self._diversity if self._diversity else 1.0,
            "sharpness": sharpness / self._sharpness if self._sharpness else 1.0,
        }

    def _figures(self, images: Images) -> tuple[float, float]:
        coarse, fine = [], 0.0
        for start in range(0, min(len(images), MOST), _CHUNK):
            chunk = torch.tensor(premultiplied(images[start : min(start + _CHUNK, MOST)]), device=self._device)
            pixels = chunk.permute(0, 3, 1, 2).float() / 255
            coarse.append(F.adaptive_avg_pool2d(pixels, min(COARSE, pixels.shape[-1])).flatten(1))
            band = next(laplacian_pyramid(pixels, 2))
            fine += band.abs().mean((1, 2, 3)).sum().item()
        points = torch.cat(coarse)  # (N, C·16·16)
        return _mean_distance(points), fine / len(points)


def _mean_distance(points: Tensor) -> float:
    # exact differences: the faster matrix product would give equal images a distance
    return F.pdist(points).mean().item() if len(points) > 1 else 0.0
