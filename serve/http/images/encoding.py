"""From a generator's images to the body of a reply, whole or in parts: the bytes that `wgan sample` writes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType

import numpy as np
from PIL import Image, features

from wgan.serve.artifacts.metadata import ImageSpec
from wgan.serve.http.images.chosen import Chosen
from wgan.serve.outputs.encoded import npy_header, own_text, page_of, png_of, tar_end, tar_members
from wgan.serve.outputs.pixels import Pixels, as_pixels, to_pil

Bytes = Callable[[np.ndarray], bytes]  # from what the backend gave
ONE, WHOLE, STREAMED = "one", "whole", "streamed"
PART = 64  # images of a streamed body that are made at a time
_DESCRIPTION = 0x010E  # Exif's number of ImageDescription


@dataclass(frozen=True)
class Format:
    """A kind of body.

    Args:
        media: its media type.
        holds: one image, up to as many as are made whole, or up to as many as are streamed.
        about: what it is, in a few words.
    """

    media: str
    holds: str
    about: str


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "png": Format("image/png", ONE, "one image"),
        "webp": Format("image/webp", ONE, "one image, of the same pixels"),
        "grid": Format("image/png", WHOLE, "all images on one page; of an interpolation a strip"),
        "npy": Format("application/x-npy", STREAMED, "uint8 (N, H, W, C), a file of numpy's"),
        "raw": Format("application/octet-stream", STREAMED, "uint8 (N, H, W, C), the bytes alone"),
        "tar": Format("application/x-tar", STREAMED, "a WebDataset: a PNG, its class and a JSON file for each image"),
    }
)


@dataclass(frozen=True)
class Body:
    """The body in which a request's images are sent.

    Args:
        format: one of `FORMATS`.
        chosen: which images.
        image: of the generator.
        text: what the files say of their origin.
    """

    format: str
    chosen: Chosen
    image: ImageSpec
    text: Mapping[str, str]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of all images, (N, H, W, C)."""
        return self.chosen.count, self.image.height, self.image.width, self.image.channels

    @property
    def length(self) -> int | None:
        """Bytes in all, where they are known before the images are."""
        count, height, width, channels = self.shape
        return len(self.head) + count * height * width * channels if self.format in ("npy", "raw") else None

    @property
    def head(self) -> bytes:
        """What goes before the images."""
        return npy_header(np.uint8, self.shape) if self.format == "npy" else b""

    def tail(self, length: int) -> bytes:
        """What comes after ``length`` bytes, head included."""
        return tar_end(length) if self.format == "tar" else b""

    def whole(self, images: np.ndarray) -> bytes:
        """The whole body, of what the backend gave."""
        body = self.head + self.part(0, self.chosen.count)(images)
        return body + self.tail(len(body))

    def part(self, start: int, end: int) -> Bytes:
        """What makes the bytes of these images, of what the backend gave. Called on another thread."""
        chosen, text = self.chosen, {**self.text, **self.chosen.facts}

        def encode(images: np.ndarray) -> bytes:
            pixels = as_pixels(images)
            if self.format in ("npy", "raw"):
                return pixels.tobytes()
            numbers = chosen.numbers[start:end].tolist()
            labels = [None] * len(numbers) if chosen.labels is None else chosen.labels[start:end].tolist()
            match self.format:
                case "grid":
                    return page_of(pixels, chosen.unit, numbers, text)
                case "tar":
                    return tar_members(pixels, chosen.unit, numbers, labels, text)
                case "webp":
                    return webp_of(pixels[0], own_text(chosen.unit, numbers[0], labels[0], text))
            return png_of(pixels[0], chosen.unit, numbers[0], labels[0], text)

        return encode


def webp_of(image: Pixels, text: Mapping[str, str]) -> bytes:
    """The WebP file of one uint8 (H, W, C) with its exact pixels, under full transparency too.

    ``text`` is its Exif description. The method that is six times as fast as the usual one makes it no larger.
    """
    exif = Image.Exif()
    exif[_DESCRIPTION] = "; ".join(f"{key}: {value}" for key, value in text.items())
    file = BytesIO()
    to_pil(image).save(file, "WEBP", lossless=True, exact=True, method=1, quality=0, exif=exif)
    return file.getvalue()


def has_webp() -> bool:
    """Whether this Pillow writes WebP."""
    return bool(features.check("webp"))
