"""`wgan sample` with truncation, latents of one's own, interpolation and shards, on exported generators."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.make import make_generator
from wgan.cli import main
from wgan.export import exporter
from wgan.serve.base import progress
from wgan.serve.latents.table import latents
from wgan.serve.latents.truncation import Truncation

COLOURS = ("red", "green", "blue")

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    list(exporter.export(make_generator(conditional=True, classes=COLOURS), folder, ["onnx"], max_batch=8))
    return folder / "generator.onnx"


def made(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    """`wgan sample --json`, and its object."""
    capsys.readouterr()
    assert main(["sample", "--json", *words]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnx", "torchscript", "torch"])
@pytest.mark.parametrize("kind", ["truncated", "scaled"])
def test_truncated_images_are_those_of_truncated_latents(
    run: Path, here: Path, capsys: pytest.CaptureFixture[str], backend: str, kind: str
) -> None:
    words = ["--truncation", "0.7", "--truncation-kind", kind, "--backend", backend]
    found = made(capsys, *words, "-n", "5", "--seed", "9", "--out", "a.npy")
    assert found["truncation"] == f"{kind} 0.7"
    np.save("z.npy", Truncation(0.7, kind)(latents(9, 5, 16)))
    found = made(capsys, "--latents", "z.npy", "--backend", backend, "--out", "b.npy")
    assert (found["count"], found["first_seed"], found["latents"]) == (5, None, "z.npy")
    assert np.array_equal(np.load("a.npy"), np.load("b.npy"))
    made(capsys, "-n", "5", "--seed", "9", "--backend", backend, "--out", "c.npy")
    assert not np.array_equal(np.load("a.npy"), np.load("c.npy"))


def test_a_png_says_how_it_was_truncated(run: Path) -> None:
    assert main(["sample", "-n", "1", "--truncation", "0.7", "--out", "o"]) == 0
    with Image.open("o/seed-000000.png") as picture:
        assert picture.info["truncation"] == "truncated 0.7"


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_latents_of_ones_own_make_images_numbered_from_0(run: Path, dtype: str, order: str) -> None:
    z = latents(0, 6, 16).astype(dtype)
    np.save("z.npy", np.asarray(z, order=order))  # type: ignore[call-overload]
    assert main(["sample", "--latents", "z.npy", "-n", "4", "--out", "own"]) == 0
    assert sorted(p.name for p in Path("own").iterdir()) == [*(f"row-{i:06d}.png" for i in range(4)), "wgan.json"]
    assert main(["sample", "-n", "4", "--out", "table.npy"]) == 0
    images = []
    for i in range(4):
        with Image.open(f"own/row-{i:06d}.png") as picture:
            images.append(np.asarray(picture).astype(int))
            assert picture.info["row"] == str(i)
            assert len(picture.info["latents"]) == 64
    assert np.abs(images - np.load("table.npy")).max() <= (2 if dtype == "<f2" else 0)


def test_the_ends_of_an_interpolation_are_the_images_of_the_seeds(run: Path) -> None:
    for truncated in ([], ["--truncation", "0.5"]):
        assert main(["sample", "--interpolate", "7", "3", "--steps", "5", "--out", "way.npz", *truncated]) == 0
        with np.load("way.npz") as way:
            images = way["images"]
            assert list(way["frames"]) == [0, 1, 2, 3, 4]
        for seed, image in ((7, images[0]), (3, images[-1])):
            assert main(["sample", "-n", "1", "--seed", str(seed), "--out", "end.npy", *truncated]) == 0
            assert np.array_equal(np.load("end.npy")[0], image)


def test_an_interpolation_is_a_strip_a_film_or_a_folder(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert made(capsys, "--interpolate", "0", "1", "--steps", "4", "--out", "way.npy")["interpolate"] == [0, 1]
    images = np.load("way.npy")
    there_and_back = [0, 1, 2, 3, 2, 1]
    for name in ("way.png", "way.gif", "way.webp", "way"):
        made(capsys, "--interpolate", "0", "1", "--steps", "4", "--out", name)
    with Image.open("way.png") as strip:
        assert strip.size == (4 * 34 + 2, 36)
        assert (strip.info["interpolate"], strip.info["frames"]) == ("0 1", "0..3")
    for name, most in (("way.webp", 0), ("way.gif", 10)):  # noise in 256 colours
        with Image.open(name) as film:
            assert film.n_frames == len(there_and_back)  # type: ignore[attr-defined]
            assert film.info["loop"] == 0
            for i, step in enumerate(there_and_back):
                film.seek(i)
                errors = np.abs(np.asarray(film.convert("RGB")).astype(int) - images).mean(axis=(1, 2, 3))
                assert errors.argmin() == step
                assert errors.min() <= most
            said = film.getexif()[0x010E] if name == "way.webp" else film.info["comment"].decode()
            assert "interpolate: 0 1" in said
    assert sorted(p.name for p in Path("way").iterdir()) == [*(f"frame-{i:06d}.png" for i in range(4)), "wgan.json"]


def test_an_interpolation_has_one_class(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, number in (([], 4 % 3), (["--label", "blue"], 2)):
        made(capsys, "--model", str(labelled), "--interpolate", "4", "9", "--steps", "3", "--out", "way.npz", *words)
        with np.load("way.npz") as way:
            assert list(way["labels"]) == [number] * 3


@pytest.mark.parametrize("backend", ["onnx", "torchscript", "torch"])
def test_shards_on_every_backend(run: Path, here: Path, capsys: pytest.CaptureFixture[str], backend: str) -> None:
    words = ["--backend", backend, "-n", "20", "--shard-size", "6"]
    found = made(capsys, *words, "--out", "one/a.tar", "--batch-size", "16")
    assert (found["count"], found["shards"], found["made"], found["skipped"]) == (20, 4, 4, 0)
    for i in (1, 2):
        made(capsys, *words, "--out", "many/a.tar", "--shard", f"{i}/2", "--batch-size", "4")
    one, many = ({p.name: p.read_bytes() for p in Path(name).iterdir()} for name in ("one", "many"))
    assert one == many
    found = made(capsys, *words, "--out", "one/a.tar")
    assert (found["count"], found["made"], found["skipped"]) == (0, 0, 4)


def test_latents_of_ones_own_in_shards(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("z.npy", latents(0, 5, 16))
    made(capsys, "--latents", "z.npy", "--shard-size", "3", "--out", "a.tar")
    with tarfile.open("a-000001.tar") as archive:
        assert archive.getnames() == [f"row-{i:06d}.{e}" for i in (3, 4) for e in ("png", "json")]
    np.save("z.npy", latents(1, 5, 16))
    assert main(["sample", "--latents", "z.npy", "--shard-size", "3", "--out", "a.tar"]) == 2
    assert "latents" in capsys.readouterr().err


def test_progress_says_how_fast_and_how_long(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    assert main(["sample", "-n", "4", "--batch-size", "1", "--out", "a.npy"]) == 0
    shown = capsys.readouterr().err.splitlines()
    assert shown[0].startswith("sampling: 1 of 4, ")
    assert "/s, " in shown[0]
    assert shown[0].endswith(" left")
    assert shown[-2].startswith("sampling: 4 of 4")


def save(path: str, array: object) -> None:
    np.save(path, np.asarray(array), allow_pickle=True)


@pytest.fixture
def files(run: Path) -> None:
    """Latents of which none can be taken."""
    z = latents(0, 3, 16)
    broken = z.copy()
    broken[1, 2] = np.nan
    save("nan.npy", broken)
    save("big.npy", z.astype(np.float64) * 1e300)
    save("wide.npy", latents(0, 3, 17))
    save("flat.npy", z[0])
    save("none.npy", z[:0])
    save("int.npy", np.ones((3, 16), np.int64))
    save("objects.npy", np.array([[{}]], dtype=object))
    save("z.npy", z)
    Path("cut.npy").write_bytes(Path("z.npy").read_bytes()[:-4])
    Path("text.npy").write_text("1 2 3")
    shutil.copyfile("z.npy", "z.txt")
    np.savez("z.npz", z)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("-n 1 --truncation 0", "--truncation 0 is outside its range"),
        ("-n 1 --truncation nan", "--truncation nan is outside its range"),
        ("-n 1 --truncation 0.5 --truncation-kind hard", "not one of truncated, scaled"),
        ("-n 1 --truncation-kind scaled", "needs --truncation"),
        ("--latents nan.npy", "row 1 has a value that is NaN"),
        ("--latents big.npy", "infinite in float32"),
        ("--latents wide.npy", "its rows have 17 values, this generator takes 16"),
        ("--latents flat.npy", "is not a filled array (N, Z) of float16, float32 or float64"),
        ("--latents none.npy", "is not a filled array"),
        ("--latents int.npy", "int64 (3, 16) is not"),
        ("--latents objects.npy", "cannot be read"),
        ("--latents cut.npy", "cannot be read"),
        ("--latents text.npy", "is not a .npy file"),
        ("--latents z.npz", "is not a .npy file"),
        ("--latents no.npy", "No such file"),
        ("--latents runs", "name a .npy file"),
        ("--latents z.npy -n 4", "-n 4 is more than the 3 rows"),
        ("--latents z.npy --seed 0", "--latents excludes --seed"),
        ("--latents z.npy --truncation 1", "--latents excludes --truncation"),
        ("--latents z.npy --interpolate 1 2", "--latents excludes --interpolate"),
        ("--interpolate 1 2 -n 3", "--interpolate excludes -n"),
        ("--interpolate 1 2 --seed 0", "--interpolate excludes --seed"),
        ("--interpolate 1 2 --shard-size 3", "--interpolate excludes --shard-size"),
        ("--interpolate 1 2 --steps 1", "--steps 1 is outside its range, 2 to"),
        ("--interpolate 1 -2", "--interpolate -2 is outside its range"),
        (f"--interpolate 1 {2**63}", "is outside its range"),
        ("--interpolate 1 2 --steps 5000 --out a.gif", "at most 4096"),
        ("-n 3 --steps 3", "--steps needs --interpolate A B"),
        ("-n 3 --out a.gif", "films are made by --interpolate"),
        ("-n 3 --shard 1/2 --out a.tar", "needs --shard-size S"),
        ("-n 3 --shard 3/2 --shard-size 1 --out a.tar", "--shard 3/2 is not i/k"),
        ("-n 3 --shard-size 0 --out a.tar", "--shard-size 0 is not at least 1"),
        ("-n 3 --shard-size 2", "--out samples: shards are .tar, .npy, .npz files"),
        ("-n 9000000000000000000 --shard-size 1 --out a.tar", "more than 1,000,000 shards"),
        ("-n 3 --shard-size 2 --out z.npy/a.tar", "cannot write"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    files: None, here: Path, capsys: pytest.CaptureFixture[str], words: str, says: str
) -> None:
    before = sorted(path.name for path in here.iterdir())
    assert main(["sample", *words.split()]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert says in line
    assert sorted(path.name for path in here.iterdir()) == before
