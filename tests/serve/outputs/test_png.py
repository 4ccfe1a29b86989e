"""The PNG writer: any image and any text come back, and an image is the same file on every CPU."""

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from wgan.serve.latents.table import latents
from wgan.serve.outputs import png as writer
from wgan.serve.outputs.png import png

GOLDEN = (
    "196624e2f0058fe1d4bec093137f92fa83725a754a7c2f2a6e2182a08ef1b461"  # of the files of `images`, by libdeflate 1.25
)
bounded = settings(max_examples=60, deadline=None, derandomize=True, database=None)
shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4]))
keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=79)
values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)


def images():
    """Noise, flat areas, slopes and rows that repeat, of every number of channels."""
    words = latents(0, 300, 1600).view(np.uint8)  # the same on every machine
    yield from (words[:64, :64, None], words[:64, : 64 * 3].reshape(64, 64, 3), words[:1, :4].reshape(1, 1, 4))
    for channels in (1, 3, 4):
        yield np.full((64, 64, channels), 200, np.uint8)
        y, x, c = np.ogrid[:300, :200, :channels]
        yield ((y * y // 90 + x * (c + 2) // 3) % 256).astype(np.uint8)
        yield words[:300, : 200 * channels].reshape(300, 200, channels) & 7
        yield np.tile(words[:9, : 40 * channels].reshape(9, 40, channels), (20, 5, 1))


def chunks(data):
    """The (kind, content) of a file, whose checksums are right."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, found = 8, []
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(body),)
        found.append((body[:4], body[4:]))
        at += 12 + length
    return found


def decoded(data):
    with Image.open(io.BytesIO(data)) as image:
        return image.mode, np.asarray(image), dict(image.text)


@bounded
@given(shapes.flatmap(lambda shape: arrays.arrays(np.uint8, shape)))
def test_any_image_comes_back(image):
    mode, pixels, text = decoded(png(image, {}))
    assert mode == {1: "L", 3: "RGB", 4: "RGBA"}[image.shape[2]]
    assert np.array_equal(pixels.reshape(image.shape), image)
    assert text == {}


@bounded
@given(st.dictionaries(keys, values, max_size=4))
def test_any_text_comes_back(text):
    file = png(np.zeros((2, 3, 1), np.uint8), text)
    assert decoded(file)[2] == text
    kinds = [kind for kind, _ in chunks(file)]
    plain = [all(ord(letter) < 256 for letter in value) for value in text.values()]
    assert kinds == [b"IHDR", *(b"tEXt" if latin else b"iTXt" for latin in plain), b"IDAT", b"IEND"]


def test_an_image_is_the_same_file_on_every_cpu():
    files = b"".join(png(image, {"label": "青", "seed": "7"}) for image in images())
    assert hashlib.sha256(files).hexdigest() == GOLDEN


def test_the_pixels_of_a_large_file_are_in_several_chunks(monkeypatch):
    image = latents(0, 100, 75).view(np.uint8).reshape(100, 100, 3)
    whole = png(image, {})
    monkeypatch.setattr(writer, "_LONGEST", 1000)
    parts = png(image, {})
    data = [content for kind, content in chunks(parts) if kind == b"IDAT"]
    assert len(data) > 20
    assert [len(part) for part in data[:-1]] == [1000] * (len(data) - 1)
    assert b"".join(data) == dict(chunks(whole))[b"IDAT"]
    assert np.array_equal(decoded(parts)[1], image)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 4, 0), (4, 4, 2), (4, 4), (1, 4, 4, 3)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="is not a uint8 image"):
        png(np.zeros(shape, np.uint8), {})
    with pytest.raises(ValueError, match="float32"):
        png(np.zeros((1, 2, 3), np.float32), {})
