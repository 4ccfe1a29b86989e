"""The loop trains as algorithm 1 of Gulrajani et al. 2017 does, and a run outlives whatever happens to it."""

import json
import os
import random
import shutil
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch

from tests.forks import forks
from wgan.serve.base.errors import CheckpointError, ConfigError, DatasetError, OutputError, TrainingError
from wgan.serve.base.terminal import counted
from wgan.training.config import Config
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.records.history import read
from wgan.training.run import rounding
from wgan.training.run.loop import train
from wgan.training.run.session import Session
from wgan.training.step.trainer import Trainer

CPU = torch.device("cpu")
TINY = Config(
    image_size=32,
    base_channels=4,
    latent_dim=8,
    faces_count=64,
    batch_size=8,
    n_critic=2,
    steps=6,
    log_every=2,
    sample_every=3,
    validate_every=3,
    validate_images=32,
    checkpoint_every=2,
    augment_flip=0.5,
    augment_enlarge=1.125,
    augment_brightness=0.2,
    augment_contrast=0.2,
)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def tensors(value: Any, name: str = "") -> dict[str, Any]:
    """Every leaf of a checkpoint, by its path."""
    if isinstance(value, dict):
        return {key: leaf for k, v in value.items() for key, leaf in tensors(v, f"{name}/{k}").items()}
    if isinstance(value, list):
        return {key: leaf for k, v in enumerate(value) for key, leaf in tensors(v, f"{name}/{k}").items()}
    return {name: value}


def assert_same_state(found: Path, wanted: Path) -> None:
    first, second = (tensors(checkpoint.load(path)) for path in (found, wanted))
    assert first.keys() == second.keys()
    for name, value in first.items():
        same = torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name]
        assert same, name


def whole_run(path: Path, cache: Path, config: Config = TINY) -> runs.RunFolder:
    folder = runs.begin(path)
    train(folder, config, device=CPU, cache=cache)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> runs.RunFolder:
    """A run of six steps that nothing disturbed. Not to be written into."""
    return whole_run(tmp_path_factory.mktemp("runs") / "whole", cache)


def test_a_run_folder_holds_all_that_belongs_to_it(finished: runs.RunFolder) -> None:
    names = {str(path.relative_to(finished.path)) for path in finished.path.rglob("*") if path.is_file()}
    assert {"config.yaml", "run.json", "metrics.jsonl", "report.html", "timings.json"} <= names
    assert {f"samples/step-0000000{step}.png" for step in (0, 3, 6)} | {"samples/real.png"} <= names
    assert {"checkpoints/step-00000006.pt", "checkpoints/best.pt"} <= names
    assert any(name.startswith("tensorboard/events") for name in names)
    assert len(checkpoint.list_steps(finished.checkpoints)) == TINY.keep_checkpoints
    assert finished.read_config() == TINY


def test_the_records_are_what_was_asked_for(finished: runs.RunFolder) -> None:
    records = read(finished.metrics)
    assert [r["step"] for r in records if r["kind"] == "train"] == [2, 4, 6]
    assert [r["step"] for r in records if r["kind"] == "validation"] == [0, 3, 6]
    last = [record for record in records if record["kind"] == "train"][-1]
    near = [record for record in records if record["kind"] == "nearest"]
    assert [(record["step"], record["images"]) for record in near] == [(3, 64), (6, 64)]
    assert last["images"] == 6 * 2 * 8
    for name in ("wasserstein", "penalty", "grad_norm", "critic_loss", "generator_loss", "images_per_second"):
        assert np.isfinite(last[name]), name
    assert last["critic_loss"] == pytest.approx(-last["wasserstein"] + TINY.lambda_gp * last["penalty"], rel=1e-4)


def test_a_resumed_run_is_the_same_to_the_bit(finished: runs.RunFolder, tmp_path: Path, cache: Path) -> None:
    # stopped between two records, so that half-filled sums must come back too
    config = TINY.replace(steps=3)
    whole_run(tmp_path / "run", cache, config)
    folder, longer = runs.reopen(tmp_path / "run", {"steps": 6})
    assert train(folder, longer, device=CPU, cache=cache, resume=True).step == 6
    assert_same_state(folder.checkpoints / "step-00000006.pt", finished.checkpoints / "step-00000006.pt")
    for name in ("step-00000003.png", "step-00000006.png"):
        assert (folder.samples / name).read_bytes() == (finished.samples / name).read_bytes()


@pytest.mark.slow
def test_a_run_resumed_on_other_threads_says_that_its_bits_are_others(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = TINY.replace(steps=1, image_size=16, validate_images=16)
    run = whole_run(tmp_path / "run", cache, config)
    path = run.checkpoints / "step-00000001.pt"
    saved = checkpoint.load(path)
    here = {"processes": 1, "threads": torch.get_num_threads()}
    assert saved["threads"] == here

    def resumed(threads: dict[str, int] | None) -> list[str]:
        saved["threads"] = threads
        checkpoint.save(path, {name: value for name, value in saved.items() if name != "schema"})
        folder, longer = runs.reopen(run.path, {"steps": 2})
        return Session(folder, longer, CPU, cache).restore()

    line = (
        f"goes on with {counted(here['threads'], 'thread')}, was saved with 64: the same up to rounding, but not to "
        "the bit; for that start it with OMP_NUM_THREADS=64"
    )
    monkeypatch.setattr(rounding, "restricted", lambda: None)
    assert resumed(here | {"threads": 64}) == [line]
    monkeypatch.setattr(rounding, "restricted", lambda: 3)
    assert resumed(here | {"threads": 64}) == [line.replace("OMP_NUM_THREADS=64", "64 cores")]
    assert resumed(here) == []
    assert resumed({"processes": 2, "threads": 64}) == []  # of processes it is known
    with pytest.raises(CheckpointError, match="does not hold what a run goes on from"):
        resumed({"processes": 1})
    assert resumed(None) == []  # written before threads were
    resumed(here | {"threads": 64})
    capsys.readouterr()
    folder, longer = runs.reopen(run.path, {"steps": 2})
    train(folder, longer, device=CPU, cache=cache, resume=True)
    assert "but not to the bit; for that start it with 64 cores" in capsys.readouterr().err
    assert checkpoint.load(run.checkpoints / "step-00000002.pt")["threads"] == here


class Reals:
    """A stream that remembers what it gave."""

    def __init__(self) -> None:
        self.given: list[torch.Tensor] = []

    def next(self) -> tuple[torch.Tensor, None]:
        images = torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8)
        self.given.append(images)
        return images, None


def test_each_critic_step_has_a_fresh_real_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, reals = Trainer(TINY.replace(n_critic=5), CPU), Reals()
    seen: list[torch.Tensor] = []
    step = Trainer.critic_step
    monkeypatch.setattr(Trainer, "critic_step", lambda self, real, label: (seen.append(real), step(self, real)))
    trainer.iterate(reals)  # type: ignore[arg-type]
    assert len(reals.given) == len(seen) == 5
    assert not any(torch.equal(a, b) for a, b in pairwise(seen))


def test_each_step_moves_only_its_own_network() -> None:
    trainer = Trainer(TINY, CPU)

    def copy(module: torch.nn.Module) -> list[torch.Tensor]:
        return [p.detach().clone() for p in module.parameters()]

    def moved(module: torch.nn.Module, before: list[torch.Tensor]) -> bool:
        return any(not torch.equal(p, old) for p, old in zip(module.parameters(), before, strict=True))

    generator, critic = copy(trainer.generator), copy(trainer.critic)
    trainer.critic_step(torch.rand(8, 3, 32, 32) * 2 - 1)
    assert moved(trainer.critic, critic)
    assert not moved(trainer.generator, generator)
    assert all(p.grad is None for p in trainer.generator.parameters())  # fakes had no generator graph

    critic, gradients = (
        copy(trainer.critic),
        [p.grad.clone() for p in trainer.critic.parameters() if p.grad is not None],
    )
    trainer.generator_step()
    assert moved(trainer.generator, generator)
    assert not moved(trainer.critic, critic)
    after = [p.grad for p in trainer.critic.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(after, gradients, strict=True))  # the critic was frozen
    assert all(p.requires_grad for p in trainer.critic.parameters())


@pytest.mark.slow
def test_training_brings_the_fakes_towards_the_reals() -> None:
    """On images of one colour, a hundred steps must bring the generator's mean to it."""

    class Red(Reals):
        def next(self) -> tuple[torch.Tensor, None]:
            return torch.tensor([230, 20, 20], dtype=torch.uint8).expand(16, 8, 8, 3), None

    config = Config(image_size=8, base_channels=8, latent_dim=4, batch_size=16, n_critic=3, lr_g=2e-3, lr_d=2e-3,
                    ema_decay=0.5)  # fmt: skip
    trainer, reals = Trainer(config, CPU), Red()
    for _ in range(150):
        trainer.iterate(reals)  # type: ignore[arg-type]
    with torch.no_grad():
        colour = trainer.deployable()(torch.randn(64, 4)).mean((0, 2, 3))
    assert colour[0] > 0.4
    assert colour[1] < -0.4
    assert colour[2] < -0.4


def test_a_loss_that_is_not_finite_stops_with_the_last_good_checkpoint_named(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.iterate

    def poisoned(self: Trainer, reals: Any) -> None:
        step(self, reals)
        if self.step == 5:
            next(self.generator.parameters()).data.view(-1)[0] = float("nan")

    monkeypatch.setattr(Trainer, "iterate", poisoned)
    with pytest.raises(TrainingError, match=r"not finite at step 6: the last good checkpoint is .*step-00000004.pt"):
        whole_run(tmp_path / "run", cache)
    state = checkpoint.load_last(tmp_path / "run" / "checkpoints").state
    assert state["step"] == 4
    assert all(torch.isfinite(p).all() for p in state["generator"].values())


def test_what_is_no_checkpoint_is_refused_and_never_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "owned",))

    torch.save({"schema": 1, "x": Evil()}, tmp_path / "evil.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"schema": 99}, tmp_path / "newer.pt")
    torch.save({"schema": 1}, tmp_path / "older.pt")
    (tmp_path / "config.pt").write_text("batch_size: 64\nsteps: 3\n")
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "empty.pt").touch()
    for name, says in (
        ("evil", "damaged or no checkpoint"),
        ("list", "no checkpoint of wgan"),
        ("newer", "newer wgan"),
        ("older", "earlier wgan .schema 1.: train again"),
        ("config", "damaged or no checkpoint"),
        ("text", "damaged or no checkpoint"),
        ("empty", "damaged or no checkpoint"),
        ("missing", "no checkpoint .*missing.pt"),
    ):
        with pytest.raises(CheckpointError, match=says):
            checkpoint.load(tmp_path / f"{name}.pt")
    assert not (tmp_path / "owned").exists()


def test_a_checkpoint_of_other_data_is_not_gone_on_with(tmp_path: Path, cache: Path) -> None:
    folder = whole_run(tmp_path / "run", cache, TINY.replace(steps=2))
    session = Session(folder, TINY.replace(faces_count=65), CPU, cache)
    with pytest.raises(CheckpointError, match="is not the data"):
        session.restore()


def test_a_full_disk_leaves_the_earlier_checkpoints(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(state: dict[str, Any], file: BinaryIO) -> None:
        file.write(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 128 vs 22")

    folder = whole_run(tmp_path / "run", cache, TINY.replace(steps=2))
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match="what was saved before is whole") as caught:
        checkpoint.save(folder.checkpoints / "step-00000003.pt", {})
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert checkpoint.load_last(folder.checkpoints).state["step"] == 2
    assert {path.suffix for path in folder.checkpoints.iterdir()} == {".pt"}


def test_folders_that_cannot_be_a_new_run_are_refused(tmp_path: Path, cache: Path) -> None:
    whole_run(tmp_path / "run", cache, TINY.replace(steps=1))
    with pytest.raises(ConfigError, match="already holds a run: to go on with it: `wgan train --resume --run "):
        runs.begin(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").touch()
    with pytest.raises(ConfigError, match="not an empty folder"):
        runs.begin(tmp_path / "other")
    with pytest.raises(ConfigError, match="is no run folder"):
        runs.reopen(tmp_path / "other", {})
    folder, config = runs.reopen(tmp_path / "run", {})
    with pytest.raises(ConfigError, match="has done its 1 step: to train longer: `wgan train .* steps=2`"):
        train(folder, config, device=CPU, cache=cache, resume=True)


def test_fewer_images_than_a_batch_is_an_error(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DatasetError, match="has 64 usable images, fewer than one batch of 100"):
        whole_run(tmp_path / "run", cache, TINY.replace(batch_size=100))
    assert not (tmp_path / "run").exists()  # nothing that would pass for the newest run


def go_on(path: Path, cache: Path) -> None:
    """A process that trains until it is killed, saving at every step."""
    torch.set_num_threads(1)
    config = TINY.replace(steps=400, checkpoint_every=1, keep_checkpoints=2, sample_every=50, validate_every=10_000)
    if started := runs.RunFolder(path).config.exists():
        folder, config = runs.reopen(path, {})
    else:
        folder = runs.begin(path)
    train(folder, config, device=CPU, cache=cache, resume=started)


@pytest.mark.slow
def test_a_run_killed_ten_times_always_resumes_from_a_whole_checkpoint(tmp_path: Path, cache: Path) -> None:
    context = forks()
    dice, reached = random.Random(0), []
    for _ in range(10):
        child = context.Process(target=go_on, args=(tmp_path / "run", cache))
        child.start()
        folder = tmp_path / "run" / "checkpoints"
        begun = len(reached) and reached[-1]
        deadline = time.monotonic() + 60
        while not any(p.name > f"step-{begun:08d}.pt" for p in checkpoint.list_steps(folder)) and child.is_alive():
            assert time.monotonic() < deadline, "no progress"
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.25))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        found = checkpoint.load_last(folder)
        path, state = found.path, found.state
        # the newest file itself is whole: none is ever seen half-written
        assert path == checkpoint.list_steps(folder)[-1]
        assert state["step"] >= begun
        reached.append(state["step"])
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[:-1]:
            json.loads(line)
    assert reached == sorted(reached)
    assert reached[-1] > reached[0]


@pytest.mark.gpu
def test_a_run_on_cuda_saves_and_resumes(tmp_path: Path, cache: Path) -> None:
    cuda = torch.device("cuda")
    folder = runs.begin(tmp_path / "run")
    train(folder, TINY, device=cuda, cache=cache)
    folder, longer = runs.reopen(tmp_path / "run", {"steps": 8})
    assert train(folder, longer, device=cuda, cache=cache, resume=True).step == 8


@pytest.mark.slow
def test_a_dataset_that_vanishes_stops_no_run_and_loses_none(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    photos = tmp_path / "photos"

    def take() -> None:
        photos.mkdir()
        for i in range(16):
            Image.new("RGB", (40, 32), (16 * i, 0, 99)).save(photos / f"{i}.png")

    take()
    step = Trainer.iterate

    def vanishing(self: Trainer, reals: Any) -> None:
        shutil.rmtree(photos, ignore_errors=True)
        step(self, reals)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "iterate", vanishing)
        config = TINY.replace(data=str(photos), steps=2)
        folder = whole_run(tmp_path / "run", cache, config)  # its images are decoded, the files no longer needed
    before = sorted(path.name for path in folder.checkpoints.iterdir())
    folder, longer = runs.reopen(folder.path, {"steps": 4})
    with pytest.raises(DatasetError, match=r"photos is not there|no such|photos") as caught:
        train(folder, longer, device=CPU, cache=cache, resume=True)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == before
    take()
    for path in photos.iterdir():  # the same files: their times tell them apart from others
        os.utime(path, (1, 1))
    assert train(folder, longer, device=CPU, cache=cache, resume=True).step == 4


def test_the_report_is_there_before_the_first_step_and_new_at_every_validation(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: dict[int, str] = {}  # step that is done → the page then
    iterate = Session.iterate

    def looking(session: Session) -> None:
        pages[session.step] = (session.run.path / "report.html").read_text()
        iterate(session)

    monkeypatch.setattr(Session, "iterate", looking)
    train(runs.begin(tmp_path / "run"), TINY, device=CPU, cache=cache)
    assert pages[0] == pages[2]  # nothing was measured in between
    assert pages[3] != pages[2]
    assert "step 3" in pages[3]
