"""Whatever happens to a run's files, no good checkpoint is lost, and one line says what happened."""

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fakes.full_disk import disk_full_after
from tests.training.run.test_training import CPU, TINY, whole_run
from wgan.cli import main
from wgan.export.reference.generator import load_generator
from wgan.serve.base.errors import CheckpointError, ConfigError, OutputError
from wgan.serve.base.privacy import without_paths
from wgan.serve.base.temporary import create
from wgan.training.config import Config
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.records.folder import RunFolder
from wgan.training.records.history import read
from wgan.training.records.tensorboard import TensorBoard
from wgan.training.run import loop
from wgan.training.run.loop import train
from wgan.training.run.session import Session
from wgan.training.step.trainer import Trainer


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunFolder:
    """Steps 2, 4 and 6 saved; validated at 3 and 6."""
    return whole_run(tmp_path_factory.mktemp("trained") / "run", cache)


@pytest.fixture
def run(trained: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(trained.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)


def go_on(run: RunFolder, cache: Path, **changes: Any) -> None:
    folder, config = runs.reopen(run.path, changes)
    train(folder, config, device=CPU, cache=cache, resume=True)


def names(run: RunFolder) -> list[str]:
    return [path.name for path in checkpoint.list_steps(run.checkpoints)]


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    iterate = Trainer.iterate

    def dying(self: Trainer, reals: Any) -> None:
        if self.step == step:
            raise Killed
        iterate(self, reals)

    monkeypatch.setattr(Trainer, "iterate", dying)


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_a_flipped_bit_is_damage_not_another_generator(run: RunFolder, place: float) -> None:
    path = run.checkpoints / "step-00000006.pt"
    flip(path, place)
    with pytest.raises(CheckpointError, match="step-00000006.pt is damaged or no checkpoint of wgan: use another one"):
        checkpoint.load(path)


def test_a_damaged_checkpoint_is_passed_over_and_said(
    run: RunFolder, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truncate(run.checkpoints / "step-00000006.pt")
    found = checkpoint.load_last(run.checkpoints)
    assert (found.path.name, found.state["step"]) == ("step-00000004.pt", 4)
    go_on(run, cache, steps=8)
    line = f"{run.checkpoints}/step-00000006.pt is damaged: set aside, going on from {run.checkpoints}/step-00000004.pt"
    assert line in capsys.readouterr().err.splitlines()
    assert without_paths(line, run.path) in [record.get("message") for record in read(run.metrics)]
    assert checkpoint.load(run.checkpoints / "step-00000006.pt")["step"] == 6  # written anew on the way


def test_a_damaged_file_of_a_later_step_never_takes_the_place_of_a_good_one(
    run: RunFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truncate(run.checkpoints / "step-00000006.pt")
    killed_at(5, monkeypatch)
    with pytest.raises(Killed):
        go_on(run, cache, keep_checkpoints=1, checkpoint_every=1)
    assert names(run) == ["step-00000005.pt"]
    assert checkpoint.load(run.checkpoints / "step-00000005.pt")["step"] == 5
    assert (run.checkpoints / "step-00000006.pt.damaged").is_file()


def test_a_damaged_file_is_none_of_those_that_are_kept(run: RunFolder, cache: Path) -> None:
    truncate(run.checkpoints / "step-00000006.pt")
    go_on(run, cache, steps=7, keep_checkpoints=2, checkpoint_every=1000, validate_every=1000)
    assert names(run) == ["step-00000004.pt", "step-00000007.pt"]
    assert checkpoint.load(run.checkpoints / "step-00000004.pt")["step"] == 4


def test_pruning_counts_what_is_not_newer_than_the_step_just_written(tmp_path: Path) -> None:
    for step in (98, 99, 99_999_999, 100_000_000, 100_000_001):  # a ninth digit too
        checkpoint.step_path(tmp_path, step).touch()
    checkpoint.prune(tmp_path, 2, checkpoint.step_path(tmp_path, 100_000_000))
    assert [int(path.stem[5:]) for path in checkpoint.list_steps(tmp_path)] == [99_999_999, 100_000_000, 100_000_001]


@pytest.mark.slow
def test_the_best_is_gone_on_from_where_nothing_else_is_whole(
    run: RunFolder, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = checkpoint.load(run.checkpoints / "best.pt")["step"]
    for path in checkpoint.list_steps(run.checkpoints):
        path.write_bytes(b"")  # not the linked best
        path.unlink()
        path.write_bytes(b"gone")
    shutil.copyfile(run.checkpoints / "best.pt", run.path / "kept.pt")
    assert checkpoint.load_last(run.checkpoints).state["step"] == step
    (run.checkpoints / "best.pt").unlink()
    with pytest.raises(
        CheckpointError,
        match=r"\(all 3 are damaged\): `wgan train --config .*/config.yaml` is a new run",
    ):
        go_on(run, cache)
    shutil.copyfile(run.path / "kept.pt", run.checkpoints / "best.pt")
    go_on(run, cache, steps=8)
    assert capsys.readouterr().err.count("is damaged: set aside, going on from") == 3


@pytest.mark.slow
def test_a_best_that_is_all_that_is_left_is_gone_on_from_not_begun_over(
    run: RunFolder, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = run.checkpoints / "best.pt"
    step = checkpoint.load(best)["step"]
    for path in checkpoint.list_steps(run.checkpoints):
        path.unlink()
    before = [record for record in read(run.metrics) if record["step"] <= step]
    go_on(run, cache, steps=8)
    line = f"{run.checkpoints} has no step-*.pt: going on from {best}"
    assert line in capsys.readouterr().err.splitlines()
    after = read(run.metrics)
    assert after[: len(before)] == before
    assert without_paths(line, run.path) in [record.get("message") for record in after]


def test_the_digest_is_of_the_generator_that_was_read_whatever_has_its_name_by_then(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = run.checkpoints / "best.pt"
    wanted = checkpoint.sha256(best)
    other = next(path for path in checkpoint.list_steps(run.checkpoints) if checkpoint.sha256(path) != wanted)
    shutil.copyfile(best, run.checkpoints / "kept.pt")
    read = torch.load

    def replaced(*arguments: Any, **options: Any) -> Any:
        state = read(*arguments, **options)
        checkpoint.mark_best(other)
        return state

    monkeypatch.setattr(torch, "load", replaced)
    found = load_generator(best)
    monkeypatch.undo()
    assert (found.checkpoint_sha256, found.step) == (wanted, load_generator(run.checkpoints / "kept.pt").step)
    assert checkpoint.sha256(best) == checkpoint.sha256(other)


def test_a_newer_schema_is_not_passed_over(run: RunFolder, cache: Path) -> None:
    torch.save({"schema": 99}, run.checkpoints / "step-00000006.pt")
    with pytest.raises(CheckpointError, match="newer wgan"):
        go_on(run, cache, steps=8)


def test_a_checkpoint_that_cannot_be_read_now_is_not_called_damaged(run: RunFolder) -> None:
    path = run.checkpoints / "step-00000006.pt"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(CheckpointError, match=r"cannot read .*step-00000006.pt: Too many open files"):
            checkpoint.load(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert checkpoint.load_last(run.checkpoints).path == path


@pytest.mark.slow
def test_memory_that_runs_out_while_reading_is_not_called_damage(run: RunFolder) -> None:
    path = run.checkpoints / "step-00000006.pt"
    torch.save({"schema": checkpoint.SCHEMA, "large": torch.zeros(2**26)}, path)  # 256 MiB
    found = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, str(path)], capture_output=True, text=True, check=False
    )
    assert found.stdout == f"cannot read {path}: not enough memory; mend that and try again\n", found.stderr


@pytest.mark.slow
def test_a_best_that_was_saved_but_not_marked_is_marked_by_the_next_start(
    run: RunFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "mark_best", killed)
        patch.setattr(Session, "validate", lambda self, generator: self.offer(generator, "swd", 0.0) or {"swd": 0.0})
        with pytest.raises(Killed):
            go_on(run, cache, steps=9, keep_checkpoints=1)
    saved = checkpoint.load_last(run.checkpoints).state
    assert saved["best"] == {"measure": "swd", "value": 0.0, "step": 9, "data": saved["data"]}
    assert checkpoint.load(run.checkpoints / "best.pt")["step"] < 9
    go_on(run, cache, steps=12, keep_checkpoints=1)
    assert checkpoint.load(run.checkpoints / "best.pt")["step"] == 9


@pytest.mark.parametrize("spoil", [truncate, Path.unlink])
def test_a_best_that_is_gone_is_marked_again_from_its_step_before_that_is_pruned(
    run: RunFolder, cache: Path, spoil: Callable[[Path], object]
) -> None:
    best, step = run.checkpoints / "best.pt", checkpoint.load(run.checkpoints / "best.pt")["step"]
    path, newest = checkpoint.step_path(run.checkpoints, step), checkpoint.step_path(run.checkpoints, 6)
    if path == newest:  # one that is not gone on from
        go_on(run, cache, steps=7, validate_every=1000)
    best.unlink()
    shutil.copyfile(path, best)  # as where there are no links
    spoil(best)
    go_on(run, cache, steps=8, keep_checkpoints=1, validate_every=1000)
    assert not path.exists()
    assert checkpoint.load(best)["step"] == checkpoint.load_last(run.checkpoints).state["best"]["step"]


@pytest.mark.slow
def test_a_best_beyond_the_step_that_is_gone_on_from_stays_the_best(run: RunFolder, cache: Path) -> None:
    newest, best = run.checkpoints / "step-00000006.pt", run.checkpoints / "best.pt"
    checkpoint.save(best, checkpoint.load(newest) | {"best": {"measure": "swd", "value": 0.0, "step": 6}})
    newest.write_bytes(b"gone")
    go_on(run, cache, steps=8)
    assert checkpoint.load(best)["best"] == {"measure": "swd", "value": 0.0, "step": 6}
    assert checkpoint.load_last(run.checkpoints).state["best"]["value"] == 0.0


def test_a_whole_best_is_not_replaced_by_its_damaged_step(run: RunFolder, cache: Path) -> None:
    best, step = run.checkpoints / "best.pt", checkpoint.load(run.checkpoints / "best.pt")["step"]
    path = checkpoint.step_path(run.checkpoints, step)
    path.unlink()
    path.write_bytes(b"gone")
    go_on(run, cache, steps=7, validate_every=1000)
    assert checkpoint.load(best)["step"] == checkpoint.load_last(run.checkpoints).state["best"]["step"]


def test_a_checkpoint_of_before_the_best_had_a_step_is_gone_on_from(run: RunFolder, cache: Path) -> None:
    path = run.checkpoints / "step-00000006.pt"
    state = checkpoint.load(path)
    del state["best"]["step"]
    checkpoint.save(path, state)
    go_on(run, cache, steps=7, validate_every=1000)
    assert checkpoint.load_last(run.checkpoints).state["step"] == 7


@pytest.mark.slow
def test_the_untrained_generator_is_never_the_best(tmp_path: Path, cache: Path) -> None:
    folder = whole_run(tmp_path / "run", cache, TINY.replace(steps=1, validate_every=100))
    assert checkpoint.load(folder.checkpoints / "best.pt")["step"] == 1
    first = next(record for record in read(folder.metrics) if record["kind"] == "validation")
    assert first["step"] == 0  # measured all the same


@pytest.mark.slow
def test_export_says_which_generator_it_takes_where_there_is_no_best(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.checkpoints / "best.pt").unlink()
    words = ["export", "--format", "onnx", "--run", str(run.path), "--max-batch", "4"]
    assert main(words) == 0
    assert f"{run.path} has no best.pt: taking step-00000006.pt" in capsys.readouterr().err.splitlines()
    untrained = whole_run(tmp_path / "none", tmp_path / "cache", TINY.replace(steps=1))
    first = untrained.checkpoints / "step-00000000.pt"
    assert main([*words[:3], "--checkpoint", str(first), "--out", str(tmp_path / "o"), "--max-batch", "4"]) == 0
    assert f"{first} is of a generator that was not trained" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_taken_for_a_damaged_last_or_a_missing_best_is_said(
    run: RunFolder, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truncate(run.checkpoints / "step-00000006.pt")
    (run.checkpoints / "best.pt").unlink()
    taken = f"{run.checkpoints}/step-00000006.pt is damaged: taking {run.checkpoints}/step-00000004.pt"
    missing = f"{run.path} has no best.pt: taking step-00000004.pt"
    assert main(["export", "--format", "onnx", "--run", str(run.path), "--checkpoint", "last", "--max-batch", "4"]) == 0
    assert capsys.readouterr().err.splitlines()[0] == taken
    for name in ("init_critic", "init_generator"):
        begun = whole_run(tmp_path / name, cache, TINY.replace(steps=1, **{name: str(run.path)}))
        said, kept = capsys.readouterr().err.splitlines(), [record.get("message") for record in read(begun.metrics)]
        assert all(line in said and without_paths(line, run.path) in kept for line in (taken, missing))


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"steps": 5}, "has done its 6 steps"), ({"inception_every": 1, "inception_weights": "/nope.pth"}, "nope.pth")],
)
def test_a_resume_that_is_refused_changes_nothing(
    run: RunFolder, cache: Path, changes: dict[str, Any], error: str
) -> None:
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(Exception, match=error):
        go_on(run, cache, **changes)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    go_on(run, cache, steps=7)
    assert runs.reopen(run.path, {})[1].steps == 7


def test_a_run_that_cannot_begin_leaves_no_folder(tmp_path: Path, cache: Path) -> None:
    for name in ("init_critic", "init_generator"):
        with pytest.raises(CheckpointError, match="nowhere.pt"):
            whole_run(tmp_path / "run", cache, TINY.replace(**{name: "nowhere.pt"}))
        assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_configuration_is_named_by_the_weight_that_differs(run: RunFolder, cache: Path) -> None:
    wider = TINY.replace(base_channels=8)
    session = Session(run, wider, CPU, cache)
    with pytest.raises(CheckpointError) as caught:
        session.restore()
    text = str(caught.value)
    assert text.startswith("the checkpoint's generator is of another configuration: project.change.weight is 256×8 in")
    assert text.endswith("512×8 in this run: go on with the settings that it was trained with")
    deeper = Session(run, TINY.replace(depth=2), CPU, cache)
    with pytest.raises(CheckpointError, match=r"is not there in it and [\d×]+ in this run"):
        deeper.restore()


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from wgan.serve.base.errors import CheckpointError
from wgan.training.records import checkpoint
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, resource.RLIM_INFINITY))
try:
    checkpoint.load(Path(sys.argv[1]))
except CheckpointError as error:
    print(error)
"""


def test_a_reason_is_not_cut_off_within_a_word(run: RunFolder, cache: Path) -> None:
    path = run.checkpoints / "step-00000006.pt"
    state = checkpoint.load(path)
    state["ema"] = {f"{name}.of_another": value for name, value in state["ema"].items()}
    checkpoint.save(path, state)
    with pytest.raises(CheckpointError, match=r"does not fit this configuration or device: .* …$") as raised:
        Session(run, TINY, CPU, cache).restore()
    with pytest.raises(CheckpointError, match=r"holds no generator that this wgan knows: .* …$"):
        load_generator(path)
    assert "\n" not in str(raised.value)


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from wgan.cli import main
sys.exit(main(sys.argv[2:]))
"""


def limited(size: int, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`wgan` where no file may grow beyond ``size`` bytes."""
    command = [sys.executable, "-c", FULL, str(size), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=dict(os.environ))


@pytest.mark.slow
def test_a_disk_that_fills_up_while_saving_is_one_line_and_loses_nothing(run: RunFolder, cache: Path) -> None:
    shutil.copytree(cache, run.path.parent / ".cache")
    before = names(run)
    words = ("train", "--resume", "--run", str(run.path), "--device", "cpu", "steps=8")
    size = (run.checkpoints / "step-00000006.pt").stat().st_size  # larger than any picture
    found = limited(size - 1000, *words, cwd=run.path.parent)
    assert found.returncode == 2, found.stderr
    assert "Traceback" not in found.stderr
    assert found.stderr.splitlines()[-1].startswith(f"wgan: cannot write {run.checkpoints}/step-00000008.pt")
    assert names(run) == before
    assert {path.suffix for path in run.checkpoints.iterdir()} == {".pt"}
    go_on(run, cache, steps=8)


def test_a_disk_too_full_for_curves_costs_the_curves_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    board = TensorBoard(tmp_path, say=said.append)
    with disk_full_after(2000):
        for step in range(400):
            board.record({"kind": "train", "step": step, "wasserstein": float(step)})
        board.close()
    assert said == [f"cannot write {tmp_path}: File too large; going on without TensorBoard"]
    assert capfd.readouterr().err == ""


def test_config_errors_come_before_anything_is_written(tmp_path: Path, cache: Path) -> None:
    config: Config = TINY.replace(progressive=True, phase_images=1000)
    with pytest.raises(ConfigError, match="lower phase_images or raise steps"):
        whole_run(tmp_path / "run", cache, config)
    assert not (tmp_path / "run").exists()


def test_a_copy_that_fails_where_there_are_no_links_leaves_the_old_best(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*paths: Any) -> None:
        raise OSError("no hard links here")

    before = (run.checkpoints / "best.pt").read_bytes()
    monkeypatch.setattr(os, "link", no_links)
    with disk_full_after(1000), pytest.raises(OutputError, match="best.pt"):
        checkpoint.mark_best(run.checkpoints / "step-00000002.pt")
    assert (run.checkpoints / "best.pt").read_bytes() == before


def test_a_run_killed_before_it_had_settings_leaves_its_folder_to_the_same_command(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(path: Path, content: bytes) -> None:
        os.close(create(str(path))[1])  # the temporary file of a process that is no more
        raise Killed

    path = tmp_path / "run"
    path.mkdir()  # as its owner has
    with monkeypatch.context() as patch:
        patch.setattr(runs, "atomic_write", dying)
        with pytest.raises(Killed):
            whole_run(path, cache)
    assert [entry.name for entry in path.iterdir() if not entry.name.startswith(".config.yaml.")] == []
    assert whole_run(path, cache, TINY.replace(steps=1)).ended
    assert list(path.glob(".*")) == []


def test_a_run_killed_after_its_last_save_is_ended_by_the_same_command(
    run: RunFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop, "atomic_write", killed)
        with pytest.raises(Killed):
            go_on(run, cache, steps=7)
    assert names(run)[-1] == "step-00000007.pt"
    assert not run.ended
    weights = checkpoint.sha256(run.checkpoints / "step-00000007.pt")
    go_on(run, cache)
    assert run.ended
    assert checkpoint.sha256(run.checkpoints / "step-00000007.pt") == weights
    with pytest.raises(ConfigError, match="has done its 7 steps"):
        go_on(run, cache)


def test_a_run_killed_before_its_first_save_has_each_record_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", killed)
        with pytest.raises(Killed):
            whole_run(tmp_path / "run", cache, TINY.replace(steps=1))
    run = RunFolder(tmp_path / "run")
    assert [record["step"] for record in read(run.metrics) if record["kind"] == "validation"] == [0]
    go_on(run, cache)
    assert [record["step"] for record in read(run.metrics) if record["kind"] == "validation"] == [0, 1]


def saved(path: Path, **state: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(path, state)
    return path


def test_a_checkpoint_holds_what_was_saved_and_its_schema(tmp_path: Path) -> None:
    path = saved(tmp_path / "step-00000003.pt", step=3, weights={"w": torch.arange(3.0)})
    state, digest = checkpoint.load_with_sha256(path)
    assert (state["schema"], state["step"], state["weights"]["w"].tolist()) == (2, 3, [0, 1, 2])
    assert digest == checkpoint.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert checkpoint.load(path).keys() == state.keys()
    last = checkpoint.load_last(tmp_path)
    assert (last.path, last.damaged, last.told("taking")) == (path, (), [])
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint.load(tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"schema": 1}, "earlier wgan"),
        ({"schema": 3}, "newer wgan"),
        ({"schema": 10**500}, "newer wgan"),
        ({}, "no checkpoint"),
        ([2], "no checkpoint"),
    ],
)
def test_what_is_no_checkpoint_of_this_schema_is_refused(tmp_path: Path, content: object, says: str) -> None:
    torch.save(content, tmp_path / "best.pt")
    with pytest.raises(CheckpointError, match=says) as caught:
        checkpoint.load(tmp_path / "best.pt")
    assert len(str(caught.value)) < len(str(tmp_path)) + 100


def test_the_last_whole_checkpoint_is_found_and_the_damaged_ones_told(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    with pytest.raises(CheckpointError, match="there is none"):
        checkpoint.load_last(folder)
    older, newer = (saved(checkpoint.step_path(folder, step), step=step) for step in (9, 10))
    truncate(newer)
    found = checkpoint.load_last(folder)
    assert (found.path, found.state["step"], found.damaged) == (older, 9, (newer,))
    assert found.told("taking", "kept: ") == [f"{newer} is damaged: kept: taking {older}"]
    assert checkpoint.load_best(folder) is None
    said: list[str] = []
    assert checkpoint.find(tmp_path, "best", said.append) == older
    assert said == [f"{newer} is damaged: taking {older}", f"{tmp_path} has no best.pt: taking {older.name}"]
    truncate(older)
    with pytest.raises(CheckpointError, match="all 2 are damaged"):
        checkpoint.load_last(folder)
    best = saved(folder / "best.pt", step=7)
    assert checkpoint.load_best(folder) == {"schema": 2, "step": 7}
    said.clear()
    assert checkpoint.find(tmp_path, "best", said.append) == best
    assert checkpoint.find(tmp_path, str(older), said.append) == older
    assert said == []
    last = checkpoint.load_last(folder)
    assert last.told("taking") == [f"{path} is damaged: taking {best}" for path in (newer, older)]
    for path in (newer, older):
        path.unlink()
    assert checkpoint.load_last(folder).told("taking") == [f"{folder} has no step-*.pt: taking {best}"]
    truncate(best)
    assert checkpoint.load_best(folder) is None
    with pytest.raises(CheckpointError, match="say best, last or a file"):
        checkpoint.find(tmp_path, "first", said.append)


def test_the_best_is_marked_again_only_where_it_is_another_or_gone(tmp_path: Path) -> None:
    step, best = saved(tmp_path / "step-00000001.pt", step=1), tmp_path / "best.pt"
    checkpoint.mark_missed(step)
    assert best.read_bytes() == step.read_bytes()
    saved(best, step=5)
    checkpoint.mark_missed(step)
    assert checkpoint.load(best)["step"] == 1
    best.unlink()
    shutil.copyfile(step, best)  # the same bytes in another file stay as they are
    before = best.stat().st_ino
    checkpoint.mark_missed(step)
    assert best.stat().st_ino == before
    checkpoint.mark_missed(tmp_path / "step-00000002.pt")
    assert checkpoint.load(best)["step"] == 1
    checkpoint.set_aside(step)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["best.pt", "step-00000001.pt.damaged"]
    checkpoint.set_aside(step)  # gone already


def test_the_first_weight_that_differs_is_named(tmp_path: Path) -> None:
    module = torch.nn.Linear(3, 2)
    assert checkpoint.difference(module, module.state_dict()) is None
    checkpoint.check_fits("critic", module, module.state_dict())
    other = {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}
    assert checkpoint.difference(module, other) == "weight is 2×4 in it and 2×3 in this run"
    assert checkpoint.difference(module, {"weight": torch.zeros(2, 3)}) == "bias is not there in it and 2 in this run"
    more = {**module.state_dict(), "scale": torch.tensor(1.0)}
    assert checkpoint.difference(module, more) == "scale is () in it and not there in this run"
    with pytest.raises(CheckpointError, match="the checkpoint's critic is of another configuration: weight is 2×4"):
        checkpoint.check_fits("critic", module, other)
