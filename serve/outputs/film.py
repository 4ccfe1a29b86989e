"""An output that moves: the way from one image to another and back, as GIF or WebP."""

from collections.abc import Mapping
from io import BytesIO

import numpy as np
from PIL import Image, features

from wgan.serve.base.address import Place
from wgan.serve.base.errors import OutputError
from wgan.serve.outputs.base import Labels, Output
from wgan.serve.outputs.pixels import Pixels, to_pil
from wgan.serve.stores import opened

LONGEST = 4096  # frames of one way
_DESCRIPTION = 0x010E  # Exif's number of ImageDescription
_GONE = 255  # the colour of a transparent GIF that is not seen
_HALF = 128  # alpha
_FRAME = 50  # milliseconds; GIF counts in hundredths of a second


class FilmOutput(Output):
    """An endless loop of 20 images a second, there and back: 0 … K-1, K-2 … 1.

    WebP holds the exact pixels, alpha among them, GIF the nearest of 256 colours for each image. GIF has no half
    transparency: there a pixel is gone whose alpha is below 128, and opaque otherwise. ``text`` is a GIF's comment and
    a WebP's Exif description. ``kind`` is gif or webp.
    """

    def __init__(self, path: Place, count: int, first: int, text: Mapping[str, str], kind: str):
        super().__init__(path, count, first)
        if count > LONGEST:
            raise OutputError(f"cannot write {path}: a film has at most {LONGEST} images each way, not {count}")
        if kind == "webp" and not features.check("webp"):
            raise OutputError(f"cannot write {path}: this Pillow was built without WebP; use .gif or .png")
        self._text = "; ".join(f"{key}: {value}" for key, value in text.items())
        self._kind = kind
        self._place = opened(path)
        self._kept: list[Pixels] = []

    def _add(self, first: int, images: Pixels, labels: Labels | None) -> None:
        self._kept.append(images.copy())

    def _finish(self) -> None:
        frames = [to_pil(image) for image in np.concatenate(self._kept)]
        frames += frames[-2:0:-1]
        with BytesIO() as file:  # Pillow goes back in it, which a pipe does not
            if self._kind == "gif":
                shown: dict[str, int] = {"transparency": _GONE, "disposal": 2} if frames[0].mode == "RGBA" else {}
                frames = [_few_colours(frame) for frame in frames]
                frames[0].save(
                    file, "GIF", save_all=True, append_images=frames[1:], duration=_FRAME, loop=0,
                    comment=self._text.encode(), **shown,
                )  # fmt: skip
            else:
                exif = Image.Exif()
                exif[_DESCRIPTION] = self._text
                frames[0].save(
                    file, "WEBP", save_all=True, append_images=frames[1:], duration=_FRAME, loop=0,
                    lossless=True, exif=exif,
                )  # fmt: skip
            with self._place.open() as out:
                out.write(file.getbuffer())
        self._place.commit()

    def _discard(self) -> None:
        self._place.discard()


def _few_colours(frame: Image.Image) -> Image.Image:
    """A frame in 256 colours; of RGBA in 255, and `_GONE` where less than half of it is seen."""
    if frame.mode != "RGBA":
        return frame.quantize(256)
    gone = frame.getchannel("A").point(lambda alpha: 255 * (alpha < _HALF), "L")
    colours = frame.convert("RGB")
    colours.paste((0, 0, 0), mask=gone)  # what is not seen takes no colour from what is
    few = colours.quantize(_GONE)
    few.paste(_GONE, mask=gone)
    return few
