"""The pictures of a run: real images class for class, few files on disk, and nothing that a training could notice."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.make import make_generator
from wgan.serve.latents.table import latents
from wgan.training.config import Config
from wgan.training.data import ImageSet
from wgan.training.measures.validation import GRID, generate
from wgan.training.networks import Generator
from wgan.training.records.folder import RunFolder
from wgan.training.run.pictures import STAGES, SUSPECTS, WAYS, Pictures, class_sizes, columns

SIZE, CLASSES = 32, ("few", "many", "more")
CONFIG = Config(image_size=SIZE, base_channels=8, latent_dim=16, conditional=True)


def data() -> ImageSet:
    """Class k is of greys near 60 k, and the first has five images alone."""
    labels = np.array([0] * 5 + [1, 2] * 60)
    noise = np.random.default_rng(0).integers(0, 20, (len(labels), SIZE, SIZE, 3))
    return ImageSet((noise + 60 * labels[:, None, None, None]).astype(np.uint8), labels, CLASSES, "greys", "0")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.create(CONFIG)
    return folder


@pytest.fixture
def generator() -> Generator:
    return make_generator(classes=CLASSES).module


def cells(path: Path, across: int) -> np.ndarray:
    """The images of a grid, uint8 (N, H, W, C)."""
    page = np.asarray(Image.open(path))
    assert page.shape[1] == 2 + across * (SIZE + 2)
    down = (page.shape[0] - 2) // (SIZE + 2)
    corners = [(2 + y * (SIZE + 2), 2 + x * (SIZE + 2)) for y in range(down) for x in range(across)]
    return np.stack([page[y : y + SIZE, x : x + SIZE] for y, x in corners])


def test_real_images_lie_class_for_class_and_a_class_that_has_no_more_leaves_white(run: RunFolder) -> None:
    Pictures(run, CONFIG, data(), 3).real()
    images = cells(run.samples / "real.png", columns(3))[:GRID]
    for i, image in enumerate(images):
        if i % 3 == 0 and i // 3 >= 5:
            assert (image == 255).all()
        else:
            assert image.max() // 60 == i % 3
    whole = {image.tobytes() for image in images if image.min() < 255}
    assert len(whole) == 5 + 21 + 21  # none twice


def test_without_classes_real_images_are_drawn_from_all(run: RunFolder) -> None:
    Pictures(run, CONFIG.replace(conditional=False), data(), 0).real()
    images = cells(run.samples / "real.png", 8)
    assert len({image.tobytes() for image in images}) == GRID


@pytest.mark.parametrize(("classes", "across"), [(0, 8), (2, 8), (3, 9), (5, 10), (6, 6), (10, 10), (16, 16), (17, 8)])
def test_each_column_is_of_one_class_where_classes_are_few(classes: int, across: int) -> None:
    assert columns(classes) == across
    assert classes in (0, 17) or across % classes == 0


def test_cell_i_is_seed_i_of_class_i_modulo_their_number(run: RunFolder, generator: Generator) -> None:
    Pictures(run, CONFIG, data(), 3).grid(generator, 7)
    wanted = generate(generator, latents(0, GRID, 16), np.arange(GRID) % 3, SIZE)
    assert (cells(run.samples / "step-00000007.png", 9)[:GRID] == wanted).all()


def test_each_way_begins_and_ends_at_its_seeds(run: RunFolder, generator: Generator) -> None:
    Pictures(run, CONFIG, data(), 3).of_validation(generator, 4, best=None)
    rows = cells(run.samples / "interpolation-00000004.png", STAGES).reshape(WAYS, STAGES, SIZE, SIZE, 3)
    for way, row in enumerate(rows):
        labels = np.full(2, way % 3)
        ends = generate(generator, latents(2 * way, 2, 16), labels, SIZE)
        assert (row[[0, -1]] == ends).all()
        assert len({image.tobytes() for image in row}) == STAGES


def test_the_samples_nearest_to_the_data_are_shown_over_their_nearest_images(
    run: RunFolder, generator: Generator
) -> None:
    made = generate(generator, latents(0, GRID, 16), np.arange(GRID) % 3, SIZE)
    images = data()
    copied = images.images.copy()
    copied[17] = made[33]
    record = Pictures(run, CONFIG, ImageSet(copied, images.labels, CLASSES, "greys", "0"), 3).of_validation(
        generator, 5, best=5
    )
    assert record is not None
    assert record["shown"][0] == [33, 0.0]
    assert record["closest"] == 0
    rows = cells(run.samples / "nearest-00000005.png", SUSPECTS).reshape(-1, SUSPECTS, SIZE, SIZE, 3)
    assert (rows[0] == made[[seed for seed, _ in record["shown"]]]).all()
    assert (rows[1, 0] == made[33]).all()
    every = {image.tobytes() for image in copied}
    assert all(image.tobytes() in every for image in rows[1:].reshape(-1, SIZE, SIZE, 3))


def test_those_of_the_best_and_of_the_last_are_kept_alone(run: RunFolder, generator: Generator) -> None:
    pictures = Pictures(run, CONFIG, data(), 3)
    assert pictures.of_validation(generator, 0, best=None) is None  # untrained
    for step, best in ((1, 1), (2, 2), (3, 2), (4, 2)):
        pictures.grid(generator, step)
        pictures.of_validation(generator, step, best)
    kept = sorted(path.name for path in run.samples.iterdir() if not path.name.startswith("step-"))
    assert kept == [f"{name}-0000000{step}.png" for name in ("interpolation", "nearest") for step in (2, 4)]
    assert len(list(run.samples.glob("step-*.png"))) == 4


def test_no_random_stream_and_no_weight_is_touched(run: RunFolder, generator: Generator) -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    weights = {name: value.clone() for name, value in generator.state_dict().items()}
    mode = generator.training
    pictures = Pictures(run, CONFIG, data(), 3)
    pictures.real()
    pictures.grid(generator, 1)
    pictures.of_validation(generator, 1, best=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert generator.training is mode
    assert all(torch.equal(value, weights[name]) for name, value in generator.state_dict().items())


def test_the_images_of_each_class_are_counted() -> None:
    assert class_sizes(data()) == [5, 60, 60]
    assert class_sizes(ImageSet(data().images, None, None, "x", "0")) is None
