"""A folder of images belongs to one artifact, and holds its images alone."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import ROOT
from tests.fakes.generator import FakeGenerator
from wgan.serve.base.errors import OutputError
from wgan.serve.latents.sources import between, from_table
from wgan.serve.latents.truncation import Truncation
from wgan.serve.outputs import manifest
from wgan.serve.outputs.folder import FolderTaken, check, claim, emptied, free_folder, page_beside
from wgan.serve.outputs.manifest import Manifest
from wgan.serve.outputs.marks import read_marks
from wgan.serve.sampling.run import Job

A, B = "ab" * 32, "cd" * 32


def job(digest: str = A, first: int = 0, count: int = 3, classes: Any = None, label: int | None = None) -> Job:
    return Job(FakeGenerator(classes, digest), from_table(192, first, count, None), label, 64)


def never(line: str) -> None:
    raise AssertionError(line)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def digests(folder: Path) -> set[str]:
    found = set()
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            found.add(str(image.info["model"]))
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_manifest_says_whose_images_they_are_and_no_folder_of_this_machine(tmp_path: Path) -> None:
    job(classes=("x", "y"), label=1).whole(tmp_path / "out")
    text = (tmp_path / "out" / "wgan.json").read_text()
    assert json.loads(text) == {
        "wgan_samples": 1, "model_sha256": A, "unit": "seed", "precision": "fp32", "label": "y",
        "classes": ["x", "y"], "model": "fake.onnx", "run": None,
    }  # fmt: skip
    assert str(tmp_path) not in text


def test_the_run_is_named_where_the_artifact_lies_in_one(tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine" / "export").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "config.yaml").write_text("steps: 1\n")
    made = job()
    made.backend.path = tmp_path / "runs" / "mine" / "export" / "generator.onnx"
    made.whole(tmp_path / "out")
    found = json.loads((tmp_path / "out" / "wgan.json").read_text())
    assert (found["model"], found["run"]) == ("generator.onnx", "mine")


def test_the_same_artifact_goes_on_in_its_folder(tmp_path: Path) -> None:
    for first in (0, 5):
        assert job(first=first).in_own_folder(tmp_path / "out", never).path == tmp_path / "out"
    seeds = (0, 1, 2, 5, 6, 7)
    assert names(tmp_path / "out") == [*(f"seed-{seed:06d}.png" for seed in seeds), "wgan.json"]
    before = contents(tmp_path / "out")
    job(first=0).whole(tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_another_name_is_no_other_artifact(tmp_path: Path) -> None:
    job().whole(tmp_path / "out")
    moved = job(first=9)
    moved.backend.path = Path("moved.onnx")
    moved.whole(tmp_path / "out")
    assert "seed-000009.png" in names(tmp_path / "out")


def test_a_named_folder_of_another_artifact_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    job().whole(tmp_path / "out")
    before = contents(tmp_path)
    with pytest.raises(OutputError) as caught:
        job(B).whole(tmp_path / "out")
    out = tmp_path / "out"
    assert str(caught.value) == (
        f"{out} holds images of fake.onnx (abababababab…), not of fake.onnx (cdcdcdcdcdcd…): "
        f"choose another --out, or remove {out}"
    )
    assert contents(tmp_path) == before


def test_where_no_folder_is_named_another_artifact_gets_the_next(tmp_path: Path) -> None:
    said: list[str] = []
    base = tmp_path / "samples"
    assert job(A).in_own_folder(base, never).path == base
    assert job(B).in_own_folder(base, said.append).path == tmp_path / "samples-2"
    assert job("ef" * 32).in_own_folder(base, said.append).path == tmp_path / "samples-3"
    again = job(B, first=7).in_own_folder(base, said.append)
    assert (again.path, again.grid) == (tmp_path / "samples-2", tmp_path / "samples-2-grid.png")
    assert [digests(tmp_path / name) for name in ("samples", "samples-2")] == [{A}, {B}]
    assert said[0] == (
        f"{base} holds images of fake.onnx (abababababab…), not of fake.onnx (cdcdcdcdcdcd…): "
        f"these images go to {tmp_path / 'samples-2'}"
    )
    assert len(said) == 3


def test_its_own_folder_comes_before_one_that_is_free(tmp_path: Path) -> None:
    for digest, name in (("ef" * 32, "samples"), (B, "samples-7"), (A, "samples-07"), (A, "samples-1")):
        claim(tmp_path / name, {"model_sha256": digest})
    for name in ("samples-3", "samples-10"):
        (tmp_path / name).mkdir()
    for digest, wanted in ((B, "samples-7"), (A, "samples-3")):
        found = free_folder(tmp_path / "samples", {"model_sha256": digest}, lambda line: None)
        assert found == tmp_path / wanted


def truncated() -> Job:
    return Job(FakeGenerator(), from_table(192, 0, 3, Truncation(0.5, "truncated")), None, 64)


def way(steps: int) -> Job:
    return Job(FakeGenerator(), between(192, 1, 2, steps, None), None, 64)


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (job, truncated, "with truncation none, not truncated 0.5"),
        (lambda: job(classes=("x", "y")), lambda: job(classes=("x", "y"), label=1), "with label none, not y"),
        (job, lambda: way(3), "with unit seed, not frame"),
        (lambda: way(3), lambda: way(4), "with frames 3, not 4"),
    ],
)
def test_other_facts_on_which_an_image_depends_are_another_folder(
    tmp_path: Path, first: Callable[[], Job], second: Callable[[], Job], says: str
) -> None:
    first().whole(tmp_path / "out")
    with pytest.raises(FolderTaken, match=says):
        second().whole(tmp_path / "out")
    with pytest.raises(FolderTaken, match="with"):  # and the other way round
        first().whole(second().in_own_folder(tmp_path / "out", lambda line: None).path)


@pytest.mark.parametrize("name", ["photo.JPG", "cat/1.png", "seed-000000.png"])
def test_images_of_which_nothing_says_whose_they_are_stay_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine" / name).parent.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "mine" / name)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=f"mine holds images, such as {name}, and no wgan.json") as caught:
        job().whole(tmp_path / "mine")
    assert "remove" not in str(caught.value)  # they may be somebody's photos
    assert contents(tmp_path) == before
    said: list[str] = []
    assert job().in_own_folder(tmp_path / "mine", said.append).path == tmp_path / "mine-2"
    assert len(said) == 1


def test_a_folder_of_a_wgan_without_manifests_names_its_generator(tmp_path: Path) -> None:
    job().whole(tmp_path / "out")
    (tmp_path / "out" / "wgan.json").unlink()
    with pytest.raises(FolderTaken, match=r"such as seed-00000\d.png of abababababab…, and no wgan.json"):
        job(B).whole(tmp_path / "out")


def test_a_folder_without_images_is_free(tmp_path: Path) -> None:
    (tmp_path / "a" / "below").mkdir(parents=True)
    (tmp_path / "a" / "notes.txt").write_text("mine")
    (tmp_path / "a" / ".hidden.png").write_text("mine")
    job(B).whole(tmp_path / "a" / "samples")  # a folder of images that has its own manifest
    (tmp_path / "a" / "samples-grid.png").unlink()
    assert job().whole(tmp_path / "a").path == tmp_path / "a"


@pytest.mark.parametrize("content", [b"", b"mine", b"[1]", b'{"wgan_shards": 1}', b'{"a": ' * 5000])
def test_a_file_of_the_manifests_name_that_is_none_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "wgan.json").write_bytes(content)
    with pytest.raises(FolderTaken, match=r"out/wgan.json is there, and it is not of wgan: choose another --out$"):
        job().whole(tmp_path / "out")
    assert (tmp_path / "out" / "wgan.json").read_bytes() == content


def test_what_a_manifest_of_anybody_says_stays_on_one_short_line(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    facts = {"wgan_samples": 1, "model": "a\nb" * 1000, "run": ["x"] * 1000, "model_sha256": {"y": "\n"}}
    (tmp_path / "out" / "wgan.json").write_text(json.dumps(facts))
    with pytest.raises(FolderTaken) as caught:
        check(tmp_path / "out", {"model_sha256": A})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 500


def test_a_manifest_of_a_later_schema_is_another(tmp_path: Path) -> None:
    job().whole(tmp_path / "out")
    path = tmp_path / "out" / "wgan.json"
    path.write_text(path.read_text().replace('"wgan_samples": 1', '"wgan_samples": 2'))
    with pytest.raises(FolderTaken, match="with wgan_samples 2, not 1"):
        job().whole(tmp_path / "out")


@pytest.mark.parametrize("place", [(Manifest, "read"), (manifest, "atomic_create")])
@pytest.mark.parametrize("digest", [A, B])
def test_of_two_that_begin_at_once_the_second_goes_by_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[Any, str], digest: str
) -> None:
    usual = getattr(*place)

    def late(*arguments: Any) -> Any:
        monkeypatch.undo()
        nothing = usual(*arguments) if place[1] == "read" else None  # read before the other one begins
        job(digest).whole(tmp_path / "out")
        return nothing if place[1] == "read" else usual(*arguments)

    monkeypatch.setattr(*place, late)
    if digest == A:
        job(A).whole(tmp_path / "out")
    else:
        with pytest.raises(FolderTaken):
            job(A).whole(tmp_path / "out")
    assert digests(tmp_path / "out") == {digest}


def test_where_no_folder_is_named_the_second_of_two_gets_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = manifest.atomic_create

    def late(*arguments: Any) -> bool:
        monkeypatch.undo()
        job(B).whole(tmp_path / "out")
        return usual(*arguments)

    monkeypatch.setattr(manifest, "atomic_create", late)
    assert job(A).in_own_folder(tmp_path / "out", lambda line: None).path == tmp_path / "out-2"
    assert digests(tmp_path / "out") == {B}
    assert digests(tmp_path / "out-2") == {A}


def _race(place: str, digest: str, begin: Any) -> None:
    begin.wait()
    try:
        job(digest, count=20).whole(Path(place))
    except FolderTaken:
        os._exit(7)
    os._exit(0)


def test_of_two_processes_at_once_one_has_the_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for number in range(3):
        begin, folder = context.Barrier(2), tmp_path / f"{number}"
        pair = [context.Process(target=_race, args=(str(folder), digest, begin)) for digest in (A, B)]
        for process in pair:
            process.start()
        for process in pair:
            process.join(60)
        assert sorted(process.exitcode or 0 for process in pair) == [0, 7]
        assert len(digests(folder)) == 1
        assert len(list(folder.glob("seed-*.png"))) == 20


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.serve.outputs.test_folder import job
from wgan.serve.outputs import pictures
usual, left = pictures.write_unsynced, int(sys.argv[2])
def write(*rest):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    usual(*rest)
pictures.write_unsynced = write
job(count=9).whole(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("written", [0, 4])
def test_after_a_kill_the_same_artifact_goes_on_and_another_does_not(tmp_path: Path, written: int) -> None:
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, str(out), str(written)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert sum(name.startswith("seed-") for name in names(out)) == written
    with pytest.raises(FolderTaken):
        job(B).whole(out)
    job(count=9).whole(out)
    assert names(out) == [*(f"seed-{seed:06d}.png" for seed in range(9)), "wgan.json"]
    assert names(tmp_path) == ["out", "out-grid.png"]


def test_what_fails_before_its_first_image_leaves_the_folder_to_others(tmp_path: Path) -> None:
    broken = job()

    def fail(*arguments: object) -> np.ndarray:
        raise KeyboardInterrupt

    broken.backend._infer = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        broken.whole(tmp_path / "out")
    assert names(tmp_path / "out") == []
    assert names(tmp_path) == ["out"]
    job().whole(tmp_path / "theirs")
    with pytest.raises(KeyboardInterrupt):
        broken.whole(tmp_path / "theirs")
    assert "wgan.json" in names(tmp_path / "theirs")


def test_a_manifest_that_another_took_back_is_written_again(tmp_path: Path) -> None:
    class Removing(FakeGenerator):
        def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
            (tmp_path / "out" / "wgan.json").unlink(missing_ok=True)
            return super()._infer(z, labels)

    Job(Removing(), from_table(192, 0, 3, None), None, 64).whole(tmp_path / "out")
    assert check(tmp_path / "out", job().facts)


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").is_dir(), reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"^cannot write /proc/x: ") as caught:
        job().in_own_folder(Path("/proc/x"), never)
    assert "\n" not in str(caught.value)


def test_a_folder_of_its_own_that_is_read_only_is_refused_before_any_image(tmp_path: Path) -> None:
    job().whole(tmp_path / "out")
    before = contents(tmp_path)
    (tmp_path / "out").chmod(0o555)
    try:
        if os.access(tmp_path / "out", os.W_OK):
            pytest.skip("this user may write anywhere")
        with pytest.raises(OutputError, match="out: Permission denied; choose another place"):
            job(first=9).whole(tmp_path / "out")
    finally:
        (tmp_path / "out").chmod(0o755)
    assert contents(tmp_path) == before


def test_the_page_lies_beside_the_folder(tmp_path: Path) -> None:
    output = job().whole(tmp_path / "step-0.5")
    assert output.grid == tmp_path / "step-0.5-grid.png"
    assert output.no_grid is None
    with Image.open(output.grid) as page:
        assert (page.info["model"], page.info["seeds"]) == (A, "0..2")
    assert names(tmp_path) == ["step-0.5", "step-0.5-grid.png"]
    again = job(first=4).whole(tmp_path / "step-0.5").grid
    assert again is not None
    with Image.open(again) as page:
        assert page.info["seeds"] == "4..6"


@pytest.mark.parametrize("kind", ["photo", "text", "folder", "link"])
def test_a_page_does_not_take_the_place_of_anything_else(tmp_path: Path, kind: str) -> None:
    page = tmp_path / "out-grid.png"
    if kind == "photo":
        Image.new("RGB", (8, 8)).save(page)
    elif kind == "text":
        page.write_text("mine")
    elif kind == "folder":
        page.mkdir()
    else:
        page.symlink_to(tmp_path / "nowhere")
    before = contents(tmp_path)
    output = job().whole(tmp_path / "out")
    assert output.grid is None
    assert output.no_grid is not None
    assert output.no_grid.startswith(f"no grid was written: {page} is there, and wgan did not make it")
    assert {name: data for name, data in contents(tmp_path).items() if "/out/" not in name} == before
    assert len(list((tmp_path / "out").glob("seed-*.png"))) == 3


@pytest.mark.parametrize("folder", [".", "..", "/", "a/.."])
def test_a_folder_without_a_name_has_no_page(folder: str) -> None:
    page, why = page_beside(Path(folder))
    assert page is None
    assert why is not None
    assert "--out grid.png" in why


def test_a_page_that_cannot_be_written_costs_no_image(tmp_path: Path) -> None:
    folder = tmp_path / "closed" / "out"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o555)
    try:
        if os.access(folder.parent, os.W_OK):
            pytest.skip("this user may write anywhere")
        output = job().whole(folder)
        assert output.no_grid is not None
        assert "Permission denied" in output.no_grid
        assert len(list(folder.glob("seed-*.png"))) == 3
    finally:
        folder.parent.chmod(0o755)


def test_tools_that_list_a_folder_find_its_images_and_no_more(tmp_path: Path) -> None:
    from torch_fidelity.utils import glob_samples_paths  # here, as the processes of other tests do without torch

    job(count=7).whole(tmp_path / "out")
    found = glob_samples_paths(str(tmp_path / "out"), True, "png,jpg,jpeg,bmp,webp,gif", "", False)
    assert [Path(path).name for path in found] == [f"seed-{seed:06d}.png" for seed in range(7)]


def test_an_owner_empties_its_folder_of_what_wgan_made_and_of_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    emptied(out)
    job().whole(out)
    (tmp_path / "out-grid.png").rename(out / "grid.png")  # as an earlier wgan wrote it
    Image.new("RGB", (8, 8)).save(out / "seed-000009.png")
    (out / "notes.txt").write_text("mine")
    emptied(out)
    assert names(out) == ["notes.txt", "seed-000009.png"]
    (out / "wgan.json").write_text("mine")
    emptied(out)
    assert (out / "wgan.json").read_text() == "mine"
    (out / "wgan.json").unlink()
    (out / "seed-000009.png").unlink()
    assert job(B).in_own_folder(out, never).path == out


def test_the_look_for_an_image_ends_at_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for number in range(500):
        (out / f"{number}.jpg").touch()
    opened: list[Any] = []
    usual = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *rest: opened.append(self) or usual(self, *rest))
    with pytest.raises(FolderTaken):
        check(out, {"model_sha256": A})
    assert len([path for path in opened if path.suffix == ".jpg"]) == 1


def test_marks_are_read_of_every_kind_of_picture(tmp_path: Path) -> None:
    for name in ("a.png", "folder"):
        job().whole(tmp_path / name)
    for name in ("a.gif", "a.webp", "strip.png"):
        way(4).whole(tmp_path / name)
    Image.new("L", (8, 8)).save(tmp_path / "plain.png")
    pictures = ["a.png", "a.gif", "a.webp", "strip.png", "folder/seed-000001.png", "folder-grid.png"]
    for name, wanted in {**dict.fromkeys(pictures, True), "plain.png": False, "folder/wgan.json": False}.items():
        with (tmp_path / name).open("rb") as file:
            assert (read_marks(file) is not None) is wanted, name
