"""What wgan itself made is not taken for data, wherever it lies."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.fakes.generator import FakeGenerator
from tests.training.data.test_data import CLASSES, PLAIN, SMALL, Opener, png, reds, tarred, write, zipped
from wgan.serve.base.errors import DatasetError
from wgan.serve.latents.sources import between, from_table
from wgan.serve.outputs.pixels import encode_png
from wgan.serve.sampling.run import Job
from wgan.training.data.generated import RUN, Skipped
from wgan.training.data.sources import Folder, open_source
from wgan.training.recipes import look_at

Packing = Callable[[Path, dict[str, bytes]], Path]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    return Opener(tmp_path / "cache")


@pytest.fixture(params=["folder", "zip", "tar"])
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Data of these files, in a folder or in an archive with a folder around it."""

    def pack(files: dict[str, bytes]) -> Path:
        if request.param == "folder":
            return write(tmp_path / "mine", files)
        pack = zipped if request.param == "zip" else tarred
        return pack(tmp_path / f"mine.{request.param}", {f"mine/{name}": data for name, data in files.items()})

    return pack


def sample(out: Path, count: int = 3, frames: bool = False) -> Path:
    source = between(192, 1, 2, count, None) if frames else from_table(192, 0, count, None)
    return Job(FakeGenerator(), source, None, 64).whole(out).path


@pytest.fixture
def made(tmp_path: Path) -> dict[str, bytes]:
    """One of each kind of file that `wgan sample` writes for people to look at, and a folder of images."""
    there = tmp_path / "made"
    sample(there / "samples")
    for name in ("page.png", "strip.png", "film.gif", "film.webp"):
        sample(there / name, 4, frames=not name.startswith("page"))
    return {str(path.relative_to(there)): path.read_bytes() for path in there.rglob("*") if path.is_file()}


def run_folder(name: str = "runs/one") -> dict[str, bytes]:
    pictures = {f"{name}/samples/{file}": png(9) for file in ("real.png", "step-00000000.png")}
    return pictures | {f"{name}/{file}": b"{}" for file in RUN}


def test_a_folder_of_images_beside_photos_is_passed_over(
    packed: Callable[[dict[str, bytes]], Path], opened: Opener, made: dict[str, bytes]
) -> None:
    images = opened(packed(PLAIN | made))
    assert reds(images) == [10 * i for i in range(20)]
    assert images.broken == ()
    assert images.skipped is not None
    assert "1 folder (" in images.skipped
    assert "samples)" in images.skipped
    assert "and 5 images (such as " in images.skipped  # the page beside the folder is one of them
    assert "\n" not in images.skipped


def test_the_cache_says_it_again(opened: Opener, tmp_path: Path, made: dict[str, bytes]) -> None:
    root = write(tmp_path / "mine", PLAIN | made)
    first = opened(root)
    again = opened(root)
    assert opened.decoded == 0
    assert again.skipped == first.skipped is not None
    assert len(again) == 20


def test_photos_alone_say_nothing(packed: Callable[[dict[str, bytes]], Path], opened: Opener) -> None:
    assert opened(packed(CLASSES)).skipped is None
    assert opened("faces", count_faces=4).skipped is None


def test_generated_pictures_do_not_count_as_broken(opened: Opener, tmp_path: Path, made: dict[str, bytes]) -> None:
    pictures = {name: data for name, data in made.items() if "/" not in name}
    root = write(tmp_path / "mine", PLAIN | pictures | {"broken.png": b""})
    assert len(opened(root, max_broken_share=1 / 21)) == 20
    with pytest.raises(DatasetError, match="^1 of 21 images in mine cannot be read"):
        opened(root, max_broken_share=0.0)


def test_class_folders_stay_class_folders(
    packed: Callable[[dict[str, bytes]], Path], opened: Opener, made: dict[str, bytes]
) -> None:
    """Neither a folder of images, with its manifest or without, nor pictures outside make or break a class."""
    without = {name.replace("samples", "moved"): data for name, data in made.items() if "wgan.json" not in name}
    root = packed(CLASSES | made | without | {"ant/9.png": made["page.png"]} | run_folder())
    images = opened(root)
    assert images.classes == ("ant", "bee", "cat")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    look = look_at(str(root), count_faces=1)
    assert (look.classes, look.smallest) == (3, 3)
    assert images.skipped is not None
    assert "2 folders (" in images.skipped


def test_a_photo_outside_still_ends_the_classes(opened: Opener, tmp_path: Path, made: dict[str, bytes]) -> None:
    images = opened(write(tmp_path / "mine", CLASSES | {"a.png": made["page.png"], "b.png": png(1)}))
    assert images.classes is None
    assert len(images) == 10


def test_a_run_among_the_photos_is_passed_over(packed: Callable[[dict[str, bytes]], Path], opened: Opener) -> None:
    images = opened(packed(PLAIN | run_folder() | run_folder("photos/two")))
    assert len(images) == 20
    assert images.skipped is not None
    assert "2 folders (" in images.skipped


@pytest.mark.parametrize("text", [{"seeds": "0..63"}, {"shows": "8 ways of 10 images"}])
def test_a_moved_picture_of_a_run_is_known(opened: Opener, tmp_path: Path, text: dict[str, str]) -> None:
    grid = encode_png(np.zeros((20, 20, 3), np.uint8), {**text, "step": "500"})
    images = opened(write(tmp_path / "mine", PLAIN | {"step-00000500.png": grid}))
    assert images.skipped == "skipped what wgan made, as it is no data: 1 image (such as step-00000500.png)"
    assert len(images) == 20


def test_a_page_of_so_many_pixels_that_it_might_be_a_bomb_is_known(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample(tmp_path / "mine" / "page.png", 100)
    write(tmp_path / "mine", PLAIN)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    images = opened(tmp_path / "mine")
    assert (len(images), images.broken) == (20, ())


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ({}, True),
        ({"model": "a camera", "seed": "3"}, True),
        ({"model": "ab" * 32}, True),
        ({"seed": "3"}, True),
        ({"step": "3"}, True),
        ({"model": "ab" * 32, "seed": "three"}, True),
        ({"model": "ab" * 32, "row": "3"}, False),
        ({"model": "ab" * 32, "frames": "0..7"}, False),
    ],
)
def test_pictures_of_other_programs_with_some_text_are_data(
    opened: Opener, tmp_path: Path, text: dict[str, str], taken: bool
) -> None:
    picture = encode_png(np.zeros((9, 9, 3), np.uint8), text)
    assert len(opened(write(tmp_path / "mine", PLAIN | {"x.png": picture}))) == 20 + taken


@pytest.mark.parametrize("content", [b"", b"[]", b'{"name": "mine"}', b'{"wgan_shards": 1}'])
def test_a_file_of_the_manifests_name_alone_hides_nothing(
    packed: Callable[[dict[str, bytes]], Path], opened: Opener, content: bytes
) -> None:
    images = opened(packed({f"a/{name}": data for name, data in PLAIN.items()} | {"a/wgan.json": content}))
    assert (len(images), images.skipped) == (20, None)


def test_a_folder_of_images_as_data_is_one_line(opened: Opener, tmp_path: Path) -> None:
    folder = sample(tmp_path / "samples")
    with pytest.raises(DatasetError) as caught:
        opened(folder)
    assert str(caught.value) == (
        f"{folder} holds images that `wgan sample` made of fake.onnx (abababababab…): name the folder of the photos"
    )


@pytest.mark.parametrize("below", [".", "samples"])
def test_a_run_as_data_is_one_line(opened: Opener, tmp_path: Path, below: str) -> None:
    write(tmp_path, run_folder())
    with pytest.raises(DatasetError, match="is of a run of wgan, which writes its own pictures there"):
        opened(tmp_path / "runs" / "one" / below)


def test_nothing_but_generated_images_is_one_line(opened: Opener, tmp_path: Path, made: dict[str, bytes]) -> None:
    files = {name: data for name, data in made.items() if not name.startswith("film")}
    loose = {name: data for name, data in files.items() if "wgan.json" not in name}
    write(tmp_path / "loose", loose)
    places: list[Any] = [
        tmp_path / "made",
        tmp_path / "loose",
        zipped(tmp_path / "a.zip", files),
        zipped(tmp_path / "b.zip", {name.removeprefix("samples/"): data for name, data in files.items()}),
        zipped(tmp_path / "c.zip", loose),
    ]
    for place in places:
        for ask in (opened, lambda data: look_at(str(data), count_faces=1)):
            with pytest.raises(DatasetError, match="holds no images but those that wgan made: name the folder of"):
                ask(place)


def test_a_tar_or_an_array_is_no_data(opened: Opener, tmp_path: Path) -> None:
    for name, says in (
        ("a.tar", "no images but those that wgan made"),
        ("a.npy", "cannot be opened"),
        ("a.npz", "holds no images"),
    ):
        with pytest.raises(DatasetError, match=says):
            opened(sample(tmp_path / name))


def test_a_cache_of_before_does_not_hide_them(opened: Opener, tmp_path: Path, made: dict[str, bytes]) -> None:
    """As version 1 wrote it: the page is among its images, under the key that it had then."""
    root = write(tmp_path / "mine", PLAIN | {"page.png": made["page.png"]})
    opened(root)
    recipe = repr((1, Folder(root).key, vars(SMALL)))
    old = hashlib.sha256(recipe.encode()).hexdigest()[:32]
    for path in list(opened.cache.iterdir()):
        path.rename(path.with_name(f"{old}{path.name[32:]}"))
    (meta,) = opened.cache.glob("*.json")
    held = json.loads(meta.read_text())
    del held["generated"]
    meta.write_text(json.dumps(held))
    images = opened(root)
    assert opened.decoded == 21
    assert (len(images), images.skipped) == (
        20, "skipped what wgan made, as it is no data: 1 image (such as page.png)"
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_of_a_usual_data_set_one_file_a_class_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    files = {f"{name}/{i}.{suffix}": png(i) for name in ("ant", "bee", "cat") for i in range(30)}
    root = write(tmp_path / "mine", files)
    looked: list[Any] = []
    monkeypatch.setattr("wgan.training.data.sources.read_marks", looked.append)
    assert open_source(str(root), count_faces=1).classes == ("ant", "bee", "cat")
    assert len(looked) == (3 if suffix == "png" else 0)
    flat = write(tmp_path / "flat", {name.replace("/", "-"): data for name, data in files.items()})
    assert open_source(str(flat), count_faces=1).classes is None
    assert len(looked) == (3 if suffix == "png" else 0)


def test_what_was_skipped_in_words() -> None:
    assert Skipped().told() is None
    told = Skipped(tuple("abcd"), 1234, "x\n.png").told()
    assert told == (
        "skipped what wgan made, as it is no data: 4 folders (a, b, c, …) and 1,234 images (such as x?.png)"
    )
