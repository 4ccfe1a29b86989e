"""What earlier versions wrote opens today: each folder of `tests/data` is a version's, made by its `make_old.py`."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import ROOT
from wgan.cli import main
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.metadata import SCHEMA
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.records.history import read
from wgan.training.run.session import Session
from wgan.training.step.watch import UNNAMED

DATA = ROOT / "tests" / "data"
VERSIONS = sorted(path.name for path in DATA.iterdir() if (path / "expected.npz").is_file())
RUNS = sorted(str(path.parent.relative_to(DATA)) for path in DATA.glob("*/*/config.yaml"))
FILES = sorted(str(path.relative_to(DATA)) for kind in ("pt", "onnx", "ts") for path in DATA.glob(f"*/*/*/*.{kind}"))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def copied(name: str, place: Path) -> Path:
    """A copy of a stored run, to be written into."""
    return Path(shutil.copytree(DATA / name, place / "run"))


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    *before, line = capsys.readouterr().err.splitlines()
    assert all(other.startswith("the rest of this run takes ") for other in before), before
    return line


def test_there_are_files_and_each_has_its_images() -> None:
    assert "0.1.0" in VERSIONS
    expected = []
    for version in VERSIONS:
        with np.load(DATA / version / "expected.npz") as images:
            expected += [f"{version}/{name}" for name in images]
    assert sorted(expected) == FILES
    for ending in ("best.pt", "generator.pt", "generator.onnx", "generator.fp16.onnx", "generator.ts"):
        assert len([name for name in FILES if name.endswith(f"/{ending}")]) == len(RUNS) > 1


@pytest.mark.parametrize("name", FILES)
def test_an_old_file_makes_the_images_that_it_made(name: str, tmp_path: Path) -> None:
    version, _, within = name.partition("/")
    with np.load(DATA / version / "expected.npz") as images:
        expected = images[within]
    path = shutil.copy(DATA / name, tmp_path)
    out = tmp_path / "found.npz"
    count = str(len(expected))
    assert main(["sample", "--model", str(path), "-n", count, "--device", "cpu", "--out", str(out)]) == 0
    with np.load(out) as npz:
        found = npz["images"]
    # another version of a runtime, or another processor, may round the other way; another generator is far off
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert np.abs(np.roll(found, 1, axis=0).astype(int) - expected).max() > 10


@pytest.mark.parametrize("name", RUNS)
def test_old_artifacts_still_equal_pytorch(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = copied(name, tmp_path) / "export"
    assert main(["verify", "--model", str(export), "--device", "cpu", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is True
    assert sorted(row["file"] for row in report["artifacts"]) == sorted(
        path.name for path in export.iterdir() if path.suffix in (".onnx", ".ts")
    )


@pytest.mark.parametrize("name", RUNS)
def test_an_old_run_is_gone_on_with_as_if_nothing_had_happened(name: str, tmp_path: Path) -> None:
    """It was cut off between two records: the next one has what the checkpoint's sums say of the steps before."""
    run = copied(name, tmp_path)
    best = (run / "checkpoints" / "best.pt").read_bytes()
    kept = {(record["kind"], record["step"]): record for record in read(run / "metrics.jsonl")}
    assert main(["train", "--resume", "--run", str(run), "--device", "cpu"]) == 0
    made = {(record["kind"], record["step"]): record for record in read(run / "metrics.jsonl")}
    last = max(step for _, step in kept)
    assert checkpoint.load_last(run / "checkpoints").path.name == f"step-{last:08d}.pt"
    assert {key for key in made if key[0] not in ("event", "nearest")} == kept.keys()  # not measured then
    expected, found = kept["train", last], made["train", last]
    for value in ("wasserstein", "penalty", "grad_norm", "critic_loss", "generator_loss"):
        assert found[value] == pytest.approx(expected[value], rel=1e-3, abs=1e-4), value
    assert found["images"] == expected["images"]
    assert made["validation", last]["swd"] == pytest.approx(kept["validation", last]["swd"], rel=1e-2)
    assert (run / "checkpoints" / "best.pt").read_bytes() == best


@pytest.mark.parametrize("name", RUNS)
def test_an_old_run_goes_on_for_longer_than_it_was_to(name: str, tmp_path: Path) -> None:
    run = copied(name, tmp_path)
    steps = stored_in(run)["step"] + 2
    assert main(["train", "--resume", "--run", str(run), "--device", "cpu", f"steps={steps}"]) == 0
    assert stored_in(run)["step"] == steps
    assert main(["export", "--run", str(run), "--format", "onnx", "--max-batch", "8", "--device", "cpu"]) == 0


def resumed(name: str, place: Path, cache: Path, state: dict[str, Any]) -> Session:
    """The run gone on with from ``state``, after one more step."""
    run = copied(name, place)
    path = checkpoint.load_last(run / "checkpoints").path
    checkpoint.save(path, state)
    folder, config = runs.reopen(run, {})
    session = Session(folder, config, CPU, cache)
    session.restore()
    assert session.step == state["step"]
    session.iterate()
    session.save()
    return session


def stored_in(run: Path) -> dict[str, Any]:
    return checkpoint.load_last(run / "checkpoints").state


@pytest.mark.parametrize("name", RUNS)
def test_a_checkpoint_without_the_keys_that_have_a_default_goes_on(name: str, tmp_path: Path, cache: Path) -> None:
    without = {"threads", "images", "scoring", "swd", "watch", "precision_g", "precision_d"}
    state = stored_in(DATA / name)
    session = resumed(name, tmp_path, cache, {key: value for key, value in state.items() if key not in without})
    assert session.trainer.images == state["images"] + session.config.reals_per_step
    assert without <= stored_in(tmp_path / "run").keys()


@pytest.mark.parametrize("key", ["generator", "optimizer_d", "random", "stream", "data"])
def test_a_checkpoint_without_what_a_run_is_made_of_is_refused_in_a_line(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(RUNS[0], tmp_path)
    found = checkpoint.load_last(run / "checkpoints")
    del found.state[key]
    checkpoint.save(found.path, found.state)
    assert main(["train", "--resume", "--run", str(run), "--device", "cpu"]) == 2
    assert key in one_line(capsys)


@pytest.mark.parametrize("name", RUNS)
def test_a_quantity_more_or_less_does_not_end_a_run(name: str, tmp_path: Path, cache: Path) -> None:
    state = stored_in(DATA / name)
    sums, counts = state["watch"]["sums"].tolist(), state["watch"]["counts"].tolist()
    names = state["watch"].get("names", list(UNNAMED))
    assert all(counts)
    whole = resumed(name, tmp_path / "whole", cache, state).trainer.watch.drain()
    lost = names.index("penalty")
    del names[lost], sums[lost], counts[lost]
    watch = {
        "names": ["of_another_version", *names],
        "sums": torch.tensor([1e6, *sums]),
        "counts": torch.tensor([1.0, *counts]),
    }
    found = resumed(name, tmp_path / "other", cache, {**state, "watch": watch}).trainer.watch.drain()
    assert found.keys() == whole.keys()
    # of the one that was not known before, the mean is over the one step since; the others are as they were
    assert found.pop("penalty") != pytest.approx(whole.pop("penalty"), rel=1e-3)
    assert found == whole


def of_schema(schema: int, path: Path) -> None:
    """Makes the artifact one of this schema, and changes nothing else of it."""
    was, now = (f'"schema": {number}'.encode() for number in (artifact.read(path).metadata.schema, schema))
    if path.suffix != ".ts":
        data = path.read_bytes()
        assert data.count(was) == 1
        path.write_bytes(data.replace(was, now))
        return
    with zipfile.ZipFile(path) as archive:
        members = [(member, archive.read(member)) for member in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members:
            archive.writestr(member, data.replace(was, now) if member.filename.endswith("/wgan.json") else data)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(("/generator.onnx", "/generator.ts"))])
def test_an_artifact_of_a_newer_schema_is_refused_in_a_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(shutil.copy(DATA / name, tmp_path))
    of_schema(SCHEMA + 1, path)
    assert main(["sample", "--model", str(path), "-n", "1", "--out", str(tmp_path / "x.png")]) == 2
    says = f"written by a newer wgan (schema {SCHEMA + 1}, this one reads {SCHEMA}): update wgan"
    assert one_line(capsys).endswith(says)


@pytest.mark.parametrize("name", RUNS)
def test_a_checkpoint_of_a_newer_schema_is_refused_in_a_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(name, tmp_path)
    found = checkpoint.load_last(run / "checkpoints")
    checkpoint.save(found.path, {**found.state, "schema": checkpoint.SCHEMA + 1})
    assert main(["train", "--resume", "--run", str(run), "--device", "cpu"]) == 2
    assert one_line(capsys).endswith(f"newer wgan (schema {checkpoint.SCHEMA + 1}): update wgan")


def test_the_stored_files_say_nothing_of_the_machine_that_made_them() -> None:
    folders = ("home", "root", "tmp", "usr", "work", "Users")
    signs = [f"{slash}{name}{slash}".encode() for name in folders for slash in "/\\"] + [b"site-packages"]
    for path in (path for path in DATA.rglob("*") if path.is_file() and path.suffix != ".py"):
        held = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                held += [archive.read(name) for name in archive.namelist()]
        assert [sign for sign in signs for data in held if sign in data] == [], path
