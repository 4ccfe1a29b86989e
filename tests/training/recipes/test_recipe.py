"""What a run starts from without a preset: found in the images, said in a line, and overruled by any word."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wgan.serve.base.errors import ConfigError, DatasetError
from wgan.training.config import load
from wgan.training.recipes import MINUTES, Look, look_at, recipe_for, recipe_for_data

PHOTOS = Look(images=5000, side=300)


def picture(kind: str, size: tuple[int, int], seed: int) -> Image.Image:
    """Noise: in colour, grey, grey as RGB, or with a transparent corner."""
    levels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    if kind == "colour":
        return Image.fromarray(levels)
    if kind == "grey":
        return Image.fromarray(levels[..., 0])
    if kind == "grey as RGB":
        return Image.fromarray(levels[..., :1].repeat(3, axis=2))
    image = Image.fromarray(levels).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, size[0] // 2, size[1] // 2))
    return image


def folder_of(place: Path, kind: str, count: int = 6, size: tuple[int, int] = (40, 50)) -> Path:
    place.mkdir(parents=True)
    for number in range(count):
        picture(kind, size, number).save(place / f"{number}.png")
    return place


@pytest.mark.parametrize(
    ("kind", "grey", "transparent"),
    [("colour", 0, 0), ("grey", 1, 0), ("grey as RGB", 1, 0), ("transparent", 0, 1)],
)
def test_a_look_tells_grey_and_transparent_images(tmp_path: Path, kind: str, grey: float, transparent: float) -> None:
    folder = folder_of(tmp_path / "photos", kind)
    assert look_at(str(folder), count_faces=64) == Look(6, 40, grey, transparent)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    assert look_at(str(tmp_path / "photos.zip"), count_faces=64) == Look(6, 40, grey, transparent)


def test_a_look_counts_the_classes(tmp_path: Path) -> None:
    folder_of(tmp_path / "photos" / "cats", "colour", 5)
    folder_of(tmp_path / "photos" / "dogs", "colour", 3)
    look = look_at(str(tmp_path / "photos"), count_faces=64)
    assert (look.images, look.classes, look.smallest) == (8, 2, 3)


def test_broken_images_are_passed_over_unless_all_are(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", "colour", 3)
    (folder / "0.png").write_bytes(b"no image")
    assert look_at(str(folder), count_faces=64).side == 40
    for file in folder.iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(
        DatasetError, match=r"none of 3 images in photos can be read, the first is 0\.png: not an image"
    ):
        look_at(str(folder), count_faces=64)


def test_the_built_in_faces_are_looked_at_too() -> None:
    look = look_at("faces", count_faces=100)
    assert (look.images, look.side, look.classes, look.smallest) == (100, 64, 8, 12)
    assert (look.grey, look.transparent) == (0, 0)


@pytest.mark.parametrize(
    ("look", "wanted"),
    [
        (PHOTOS, {"image_size": 64, "channels": 3, "conditional": False, "base_channels": 16, "batch_size": 32}),
        (Look(1797, 8, grey=1.0), {"image_size": 8, "channels": 1, "base_channels": 128}),
        (Look(3786, 64, transparent=0.9), {"image_size": 64, "channels": 4}),
        (Look(500, 33), {"image_size": 32, "base_channels": 32}),
        (Look(20, 5), {"image_size": 8, "batch_size": 16}),
        (Look(1, 64), {"batch_size": 1}),
        (Look(400, 64, classes=4, smallest=50), {"conditional": True, "n_critic": 2}),
        (Look(400, 64, classes=4, smallest=3), {"conditional": False, "n_critic": 1}),
    ],
)
def test_the_shape_follows_the_images(look: Look, wanted: dict[str, Any]) -> None:
    config = recipe_for(look, "cpu", 1, {}).config
    assert {name: getattr(config, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("device", "cores", "given", "preset"),
    [
        ("cpu", 1, {}, "demo"),
        ("cpu", 2, {}, "faces-64"),
        ("cpu", 2, {"minutes": 5}, "demo"),
        ("cpu", 1, {"minutes": 60}, "faces-64"),
        ("cuda", 1, {"minutes": 5}, "faces-64"),
    ],
)
def test_more_time_gives_wider_networks(device: str, cores: int, given: dict[str, Any], preset: str) -> None:
    recipe = recipe_for(PHOTOS, device, cores, given)
    base = load(preset)
    for name in ("base_channels", "lr_g", "lr_d", "ema_decay", "critic_head", "upsampling"):
        assert getattr(recipe.config, name) == getattr(base, name)
    assert recipe.config.minutes == given.get("minutes", MINUTES)
    assert f"the preset {preset}" in recipe.line


def test_what_is_given_stands() -> None:
    given = {"steps": 200, "channels": 3, "batch_size": 8, "sample_every": 7}
    config = recipe_for(Look(500, 64, transparent=1.0), "cpu", 1, given).config
    assert {name: getattr(config, name) for name in given} == given
    assert (config.minutes, config.validate_every, config.checkpoint_every) == (0, 20, 10)
    assert recipe_for(PHOTOS, "cpu", 1, {"minutes": 0}).config.steps == load("demo").steps
    with pytest.raises(ConfigError, match="minutes='soon' is not a number"):
        recipe_for(PHOTOS, "cpu", 1, {"minutes": "soon"})


def test_a_background_is_asked_for_to_be_seen() -> None:
    config = recipe_for(Look(500, 64, transparent=1.0), "cpu", 1, {"background": "black"}).config
    assert (config.channels, config.background) == (3, "black")


def test_the_line_says_what_was_found_and_what_was_made_of_it() -> None:
    assert recipe_for(Look(3786, 72, transparent=0.9), "cpu", 2, {"minutes": 10}).line == (
        "recipe: 3,786 transparent images of 72 px, no class folders, 10 minutes on 2 cores: the preset demo with "
        "image_size=64 channels=4 conditional=false n_critic=1 base_channels=16 batch_size=32; set others by "
        "key=value; --config wgan-gp-64 takes those that WGAN-GP was published with"
    )


def test_a_recipe_is_the_same_each_time(tmp_path: Path) -> None:
    """A process of several that is started again finds its run by it."""
    folder = folder_of(tmp_path / "photos", "colour")
    first = recipe_for_data({"data": str(folder)}, "cpu")
    shutil.copytree(folder, tmp_path / "copy")
    assert recipe_for_data({"data": str(folder)}, "cpu") == first
    with pytest.raises(DatasetError, match="no folder, .zip or .tar file"):
        recipe_for_data({"data": str(tmp_path / "nowhere")}, "cpu")
