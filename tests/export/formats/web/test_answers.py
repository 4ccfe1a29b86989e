"""The worker's answers, by ONNX Runtime Web in node: seed 7 in the browser is seed 7 everywhere."""

import json
import shutil
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.export.formats.web.node import Node, answers
from tests.make import make_generator
from wgan.export import exporter
from wgan.export.formats.web import ort_web
from wgan.serve.artifacts import artifact
from wgan.serve.backends.base import Backend
from wgan.serve.backends.open import open_backend
from wgan.serve.latents.sources import between, from_table
from wgan.serve.latents.table import latents
from wgan.serve.latents.truncation import Truncation
from wgan.serve.outputs.pixels import as_pixels
from wgan.serve.sampling.sampler import labels_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(ort_web.cached() is None, reason="no ONNX Runtime Web: `python scripts/web_runtime.py`"),
]

OPEN = {"kind": "open", "provider": "wasm"}
LOOK = {"label": None, "truncation": None, "truncationKind": "truncated"}
CLASSES = ("a", "b", "c")
LAST = 2**63 - 8


@dataclass
class Folder:
    """An exported folder's generator, in node and in ONNX Runtime as everybody has it."""

    node: Node
    backend: Backend

    def ask(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        opened, *others = answers(self.node, [OPEN, *messages])
        assert opened["provider"] == "wasm"
        assert opened["milliseconds"] > 0
        return others

    def pixels(self, *messages: dict[str, Any]) -> list[np.ndarray]:
        found = self.ask(*messages)
        assert [answer["error"] for answer in found if "error" in answer] == []
        return [answer["pixels"].reshape(-1, *self.shape) for answer in found]

    @property
    def shape(self) -> tuple[int, int, int]:
        image = self.backend.metadata.image
        return image.height, image.width, image.channels

    def expected(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return as_pixels(self.backend.run(z, labels))


Make = Callable[..., Folder]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory):
    opened = []

    def made(classes: tuple[str, ...] | None = None, precision: str = "fp32", output: str = "float32", **changes: Any):
        folder = tmp_path_factory.mktemp("web")
        conditional = {"conditional": True} if classes else {}
        generator = make_generator(classes=classes, **conditional, **changes)
        (exported,) = exporter.export(generator, folder / "export", ["onnx"], precision=precision, output=output)
        node = Node(folder / "web")
        shutil.copy(exported.path, node.folder / "generator.onnx")
        metadata = artifact.read(exported.path).metadata
        image = {name: getattr(metadata.image, name) for name in ("height", "width", "channels", "dtype")}
        said = {"latent": {"dim": metadata.latent.dim}, "image": image, "classes": metadata.classes}
        (node.folder / "model.json").write_text(json.dumps(said))
        (node.folder / "ort").mkdir()
        for name, content in (ort_web.cached() or {}).items():
            (node.folder / "ort" / name).write_bytes(content)
        opened.append(open_backend(exported.path, device="cpu"))
        return Folder(node, opened[-1])

    yield made
    for backend in opened:
        backend.close()


@pytest.fixture(scope="module")
def plain(make: Make) -> Folder:
    return make()


@pytest.fixture(scope="module")
def classed(make: Make) -> Folder:
    return make(CLASSES, generator_labels="batchnorm", attention=8)


def draw(first: int, count: int, **look: Any) -> dict[str, Any]:
    return {"kind": "draw", "seeds": {"$seeds": [str(first + i) for i in range(count)]}, **LOOK, **look}


def within_a_level(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01
    assert expected.std() > 10  # there is something to see


def test_seeds_are_the_images_that_they_are_everywhere(plain: Folder):
    firsts = (0, 2**53 - 4, LAST)
    kinds = ("truncated", "scaled")
    looks = [{"truncation": 0.7, "truncationKind": kind} for kind in kinds]
    found = plain.pixels(*(draw(first, 8) for first in firsts), *(draw(5, 4, **look) for look in looks))
    for first, pixels in zip(firsts, found[:3], strict=True):
        within_a_level(pixels, plain.expected(latents(first, 8, 16), None))
    for kind, pixels in zip(kinds, found[3:], strict=True):
        within_a_level(pixels, plain.expected(from_table(16, 5, 4, Truncation(0.7, kind)).rows(5, 4), None))


def test_a_seed_has_its_own_class_or_the_chosen_one(classed: Folder):
    firsts = (0, 2**53 - 4, LAST)
    *own, chosen = classed.pixels(*(draw(first, 8) for first in firsts), draw(5, 4, label=2))
    for first, pixels in zip(firsts, own, strict=True):
        expected = classed.expected(latents(first, 8, 16), labels_for(classed.backend, first, 8, None))
        within_a_level(pixels, expected)
    within_a_level(chosen, classed.expected(latents(5, 4, 16), np.full(4, 2)))


def test_a_way_has_the_class_of_its_first_seed_or_the_chosen_one(classed: Folder):
    a, b = 2**62 + 1, 7
    way = {"kind": "way", "from": {"$seed": str(a)}, "to": {"$seed": str(b)}, "steps": 5, **LOOK}
    own, other = classed.pixels(way, {**way, "label": 1, "truncation": 0.5})
    assert a % 3 == 2
    within_a_level(own, classed.expected(between(16, a, b, 5, None).rows(0, 5), np.full(5, 2)))
    within_a_level(other, classed.expected(between(16, a, b, 5, Truncation(0.5)).rows(0, 5), np.full(5, 1)))


@pytest.mark.parametrize(
    "how",
    [
        {"output": "uint8"},
        {"precision": "fp16"},
        {"precision": "fp16", "output": "uint8", "classes": CLASSES},
        {"channels": 1},
        {"channels": 4},
    ],
    ids=lambda how: "-".join(str(value) for value in how.values()),
)
def test_every_kind_of_generator_draws(make: Make, how: dict[str, Any]):
    folder = make(**how)
    expected = folder.expected(latents(7, 3, 16), labels_for(folder.backend, 7, 3, None))
    within_a_level(folder.pixels(draw(7, 3))[0], expected)


def test_run_gives_what_the_graph_gives(classed: Folder):
    z, labels = latents(3, 5, 16), np.array([0, 2, 1, 1, 0])
    message = {"kind": "run", "z": {"$floats": b64encode(z.tobytes()).decode()}, "labels": {"$labels": [0, 2, 1, 1, 0]}}
    (answer,) = classed.ask(message)
    expected = classed.backend.run(z, labels)
    assert np.abs(answer["images"].reshape(expected.shape) - expected).max() < 1e-5


def test_what_cannot_be_drawn_is_refused_in_a_line_and_the_next_is_drawn(plain: Folder, classed: Folder):
    z = {"$floats": b64encode(latents(0, 1, 16).tobytes()).decode()}
    *refused, drawn = plain.ask(
        draw(0, 1, label=0),
        draw(2**63, 1),
        draw(0, 1, truncation=11),
        draw(0, 1, truncation=1, truncationKind="other"),
        {"kind": "way", "from": {"$seed": "1"}, "to": {"$seed": "2"}, "steps": 1, **LOOK},
        {"kind": "run", "z": z, "labels": {"$labels": [0]}},
        {"kind": "dance"},
        {"kind": "open", "provider": "abacus"},
        draw(0, 2),
    )
    assert [answer["error"] for answer in refused] == [
        "this generator has no classes",
        "seeds must be from 0 to 2^63 - 1, not 9223372036854775808",
        "a truncation is a number from 0.001 to 10, not 11",
        "a truncation is truncated or scaled, not other",
        "a way has at least 2 steps, not 1",
        "this generator has no classes",
        "there is no message dance",
        "there is no provider abacus",
    ]
    assert len(drawn["pixels"]) == 2 * np.prod(plain.shape)

    refused = classed.ask(draw(0, 1, label=3), {"kind": "run", "z": z, "labels": None})
    assert [answer["error"] for answer in refused] == ["a label is from 0 to 2, not 3", "every latent needs a label"]


def test_nothing_is_drawn_before_a_generator_is_open(plain: Folder):
    assert [answer["error"] for answer in answers(plain.node, [draw(0, 1)])] == ["no generator is open"]


def test_a_file_that_is_no_generator_is_an_error_in_a_line(plain: Folder, tmp_path: Path):
    node = Node(tmp_path)
    (tmp_path / "ort").symlink_to(plain.node.folder / "ort")
    shutil.copy(plain.node.folder / "model.json", tmp_path)
    (tmp_path / "generator.onnx").write_bytes(b"not a graph")
    (answer,) = answers(node, [OPEN])
    assert answer["error"]
    assert "\n" not in answer["error"]


def test_an_image_of_nan_is_an_error(node: Node):
    script = """
        import { toBytes } from "./pixels.js";
        try { toBytes(Float32Array.of(0, %s), { height: 1, width: 2, channels: 1 }); }
        catch (error) { console.log(error.message); }
    """
    for value in ("NaN", "Infinity", "-Infinity"):
        assert node.run(script % value).decode().strip() == "the generator produced NaN or infinity"
