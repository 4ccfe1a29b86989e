"""The webdataset package reads what `wgan sample` writes as .tar."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.interop.cases import NAMES
from tests.make import make_generator
from wgan.cli import main
from wgan.export import exporter

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = make_generator(image_size=16, conditional=True, classes=NAMES)
    (made,) = exporter.export(generator, tmp_path_factory.mktemp("model"), ["onnx"], max_batch=8, device="cpu")
    return made.path


def drawn(model: Path, out: Path, *words: str) -> np.ndarray:
    """Seven images from seed 5 on, as an array and into ``out``."""
    base = ["sample", "--backend", "onnx", "--model", str(model), "-n", "7", "--seed", "5"]
    assert main([*base, "--out", str(out), *words]) == 0
    assert main([*base, "--out", str(out.with_name("all.npy"))]) == 0
    return np.load(out.with_name("all.npy"))


# in a process of its own: it leaves its files to the collector to close
READ = """
import json, sys
import webdataset
url, *members = sys.argv[1:]
for sample in webdataset.WebDataset(url, shardshuffle=False, empty_check=False).decode("rgb8").to_tuple(*members):
    print(json.dumps([value.tolist() if hasattr(value, "tolist") else value for value in sample]))
"""


def read(url: str, *members: str) -> list[list[Any]]:
    """The samples; an image as numbers (H, W, C)."""
    command = [sys.executable, "-c", READ, url, *members]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_archive_is_a_dataset_of_images_and_what_they_are(model: Path, tmp_path: Path) -> None:
    images = drawn(model, tmp_path / "a.tar")
    found = read(str(tmp_path / "a.tar"), "__key__", "png", "json")
    assert [key for key, *_ in found] == [f"seed-{seed:06d}" for seed in range(5, 12)]
    for (_, image, facts), wanted, seed in zip(found, images, range(5, 12), strict=True):
        np.testing.assert_array_equal(image, wanted)
        assert facts == {"seed": seed, "label": seed % 3}


def test_its_users_ask_for_image_and_class(model: Path, tmp_path: Path) -> None:
    drawn(model, tmp_path / "a.tar")
    assert [label for _, label in read(str(tmp_path / "a.tar"), "png", "cls")] == [s % 3 for s in range(5, 12)]


def test_shards_are_named_by_one_pattern(model: Path, tmp_path: Path) -> None:
    images = drawn(model, tmp_path / "a.tar", "--shard-size", "3")
    found = read(str(tmp_path / "a-{000000..000002}.tar"), "png", "json")
    np.testing.assert_array_equal(np.stack([image for image, _ in found]), images)
    assert json.loads((tmp_path / "a.json").read_text())
