"""What is shown of a run is what is shipped: the best and the last are told apart, wherever a generator is named."""

import json
import shutil
from pathlib import Path

import pytest

from tests.training.run.test_training import CPU, TINY, whole_run
from wgan.cli import main
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.origin import BEST, LAST, Origin
from wgan.training.networks import Generator
from wgan.training.records import checkpoint
from wgan.training.records.folder import RunFolder
from wgan.training.records.history import read
from wgan.training.records.standing import origin_of, standing
from wgan.training.run.loop import train
from wgan.training.run.session import Session


@pytest.fixture(scope="module")
def gone_bad(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of 6 steps, validated at 3 and 6, that found its best there and went on badly until step 9."""
    place = tmp_path_factory.mktemp("bad")
    run = whole_run(place / "run", place / "cache")

    def badly(
        self: Session, generator: Generator
    ) -> dict[str, float]:  # every later validation is worse than all before
        self.swd, self.swd_step = 500.0, self.step
        self.offer(generator, "swd", self.swd)
        return {"swd": self.swd}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "validate", badly)
        ended = train(run, TINY.replace(steps=9), device=CPU, cache=place / "cache", resume=True)
    assert ended.standing == standing(run.path)
    return run


def swd_at(run: RunFolder, step: int) -> float:
    return next(float(row["swd"]) for row in read(run.metrics) if row["kind"] == "validation" and row["step"] == step)


def test_the_best_is_told_from_the_last(gone_bad: RunFolder) -> None:
    found = standing(gone_bad.path)
    assert found.best is not None
    assert found.last == Origin(9, LAST, {"swd": 500.0})
    assert found.apart
    assert found.shipped == found.best
    assert found.best.scores == {"swd": swd_at(gone_bad, found.best.step)}
    assert str(found).splitlines() == [
        f"best: step {found.best.step}, SWD {found.best.scores['swd']:.1f} (export takes it)",
        "last: step 9, SWD 500.0",
    ]


@pytest.mark.slow
def test_every_command_names_the_generator_that_it_ships(
    gone_bad: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = standing(gone_bad.path).best
    run = ["--run", str(gone_bad.path)]
    assert main(["export", "--format", "onnx", *run, "--max-batch", "4"]) == 0
    assert str(best) in capsys.readouterr().out
    assert Origin.of(artifact.read(gone_bad.path / "export" / "generator.onnx").metadata.source) == best
    assert main(["verify", *run]) == 0
    assert str(best) in capsys.readouterr().out
    assert main(["verify", *run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["artifacts"][0]["origin"] == best.to_source()

    for backend in ("onnx", "torch"):
        assert main(["sample", "-n", "2", *run, "--backend", backend, "--out", str(tmp_path / "two.npy")]) == 0
        assert str(best) in capsys.readouterr().out
        assert (
            main(["sample", "-n", "2", *run, "--backend", backend, "--out", str(tmp_path / "two.npy"), "--json"]) == 0
        )
        assert json.loads(capsys.readouterr().out)["origin"] == best.to_source()

    last = ["--checkpoint", "last", "--out", str(tmp_path / "last")]
    assert main(["export", "--format", "onnx", *run, *last, "--max-batch", "4"]) == 0
    assert "last, step 9, SWD 500.0" in capsys.readouterr().out


def test_a_run_whose_last_is_its_best_says_so_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def better(self: Session, generator: Generator) -> dict[str, float]:
        self.swd, self.swd_step = 100.0 - self.step, self.step
        self.offer(generator, "swd", self.swd)
        return {"swd": self.swd}

    monkeypatch.setattr(Session, "validate", better)
    run = whole_run(tmp_path / "run", tmp_path / "cache")
    found = standing(run.path)
    assert not found.apart
    assert str(found) == "last and best: step 6, SWD 94.0"
    (run.checkpoints / "best.pt").unlink()
    found = standing(run.path)
    assert (found.best, str(found)) == (None, f"last, step 6, SWD {swd_at(run, 6):.1f}")


def test_a_score_is_named_only_beside_the_step_that_it_was_measured_at(gone_bad: RunFolder) -> None:
    state = checkpoint.load(checkpoint.list_steps(gone_bad.checkpoints)[-1])
    assert origin_of(state | {"swd_step": 8}).scores == {}
    assert origin_of({"step": 8, "best": {"measure": "fid", "value": 12.5, "step": 8}}).measured == "step 8, FID 12.5"
    # what an earlier wgan saved as its best says no step, and was measured at its own
    old = {"step": 8, "best": {"measure": "swd", "value": 30.0}}
    assert (origin_of(old, BEST).scores, origin_of(old).scores) == ({"swd": 30.0}, {})


def test_unreadable_checkpoints_are_none(gone_bad: RunFolder, tmp_path: Path) -> None:
    folder = shutil.copytree(gone_bad.path / "checkpoints", tmp_path / "checkpoints")
    for path in folder.iterdir():
        path.write_bytes(b"PK\x03\x04 no archive")
    assert str(standing(tmp_path)) == str(standing(tmp_path / "nothing there")) == "no checkpoint"
    checkpoint.save(folder / "best.pt", {"step": 3, "best": ["of", "another", "kind"]})
    assert standing(tmp_path).best is None


def test_foreign_metadata_names_nothing_but_what_it_can() -> None:
    assert Origin.of({}) is None
    assert Origin.of({"step": True}) is None
    odd = {"step": 3, "checkpoint": "\x1b[2J", "scores": {"swd": "1", "fid": -1, "other": 2.0}}
    assert Origin.of(odd) == Origin(3)
    assert Origin.of({"step": 3, "scores": [1]}) == Origin(3)
    both = Origin(1130, BEST, {"swd": 24.93, "fid": 8.0})
    assert str(both) == "best, step 1,130, SWD 24.9, FID 8.0"
    assert Origin.of(both.to_source()) == both
