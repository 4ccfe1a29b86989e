"""Two processes train as one: the same gradients as one process on the whole batch, and a run that survives a loss."""

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.training.distributed.processes import in_two_processes
from wgan.cli import main
from wgan.serve.base.errors import CheckpointError, ConfigError, TrainingError, WganError
from wgan.serve.base.files import writing
from wgan.training.config import Config, from_dict
from wgan.training.data.augment import Augmentation, prepare
from wgan.training.distributed import World, own_device, restarted
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.records.history import read
from wgan.training.run.loop import train
from wgan.training.run.session import Session
from wgan.training.step.growth import at_stage
from wgan.training.step.trainer import Trainer

CPU = torch.device("cpu")
TINY = Config(image_size=16, base_channels=4, latent_dim=8, faces_count=64, batch_size=8, n_critic=2, steps=6,
              log_every=2, sample_every=3, validate_every=3, validate_images=16, checkpoint_every=2,
              augment_flip=0.5, augment_brightness=0.2, conditional=True)  # fmt: skip
SHARES = (0.25, 0.75)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


class Reals:
    """The same batches for everyone, of which each process takes its share."""

    def __init__(self, world: World):
        self.world, self.random = world, torch.Generator().manual_seed(5)

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8, generator=self.random)
        labels = torch.randint(0, 2, (8,), generator=self.random)
        return self.world.share(images), self.world.share(labels)


def critic_gradients(world: World, config: Config) -> dict[str, torch.Tensor]:
    """Of one critic step on the batch's share, averaged over the processes."""
    trainer = Trainer(config, CPU, SHARES, world)
    trainer.generator.eval()  # on a CPU each process has BatchNorm statistics of its own
    trainer.precision_d.update = lambda optimizer: None  # type: ignore[method-assign]
    images, labels = Reals(world).next()
    real = prepare(images, trainer.augmentation, trainer.random, world)
    trainer.critic_step(at_stage(real, trainer.stage), labels)
    means = trainer.watch.drain()
    found = {name: p.grad for name, p in trainer.critic.named_parameters() if p.grad is not None}
    return found | {name: torch.tensor(value) for name, value in means.items()}


def save_gradients(world: World, config: Config, folder: Path) -> None:
    torch.save(critic_gradients(world, config), folder / f"{world.rank}.pt")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"minibatch": "stddev", "minibatch_group": 2, "accumulate": 2, "drift": 0.1},
        {"progressive": True, "critic_labels": "map", "spectral_norm": "critic", "activation_checkpointing": True},
    ],
    ids=["plain", "groups in parts", "growing"],
)
def test_the_critics_gradients_are_those_of_one_process_on_the_whole_batch(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = TINY.replace(**changes)
    assert in_two_processes(save_gradients, config, tmp_path) == [0, 0]
    alone = critic_gradients(World(), config)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert first.keys() == alone.keys()  # gradients, and the means that the first process has of all
    for name, value in alone.items():
        torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-6, msg=name)
    assert all(torch.equal(first[name], value) for name, value in second.items())
    assert {name for name, value in first.items() if value.dim()} == second.keys() > {"score.bias"}
    assert any(value.abs().max() > 1e-3 for value in alone.values())


def save_steps(world: World, folder: Path) -> None:
    trainer, reals = Trainer(TINY, CPU, SHARES, world), Reals(world)
    for _ in range(3):
        trainer.iterate(reals)  # type: ignore[arg-type]
    torch.save({"weights": trainer.critic.state_dict(), "noise": trainer.noise()}, folder / f"{world.rank}.pt")


@pytest.mark.slow
def test_the_processes_keep_the_same_weights_and_see_different_noise(tmp_path: Path) -> None:
    assert in_two_processes(save_steps, tmp_path) == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())
    assert first["noise"].shape == (4, 8)
    assert not torch.equal(first["noise"], second["noise"])


def test_a_share_of_a_batch_is_augmented_as_in_the_whole_batch() -> None:
    class Half(World):
        size = 2

        def __init__(self, rank: int):
            self.rank = rank

    images = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8)
    whole = prepare(images, Augmentation(), torch.Generator().manual_seed(3))
    halves = [
        prepare(Half(rank).share(images), Augmentation(), torch.Generator().manual_seed(3), Half(rank))
        for rank in (0, 1)
    ]
    torch.testing.assert_close(torch.cat(halves), whole)


def run_together(world: World, folder: Path, cache: Path) -> None:
    place = runs.RunFolder(folder) if not world.first else runs.begin(folder)
    train(place, TINY, device=CPU, cache=cache, world=world)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A run of two processes that nobody disturbed. Not to be written into."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert in_two_processes(run_together, folder, cache) == [0, 0]
    return folder


def last(run: Path) -> dict[str, Any]:
    return checkpoint.load_last(run / "checkpoints").state


def flat(state: Any, name: str = "") -> dict[str, Any]:
    """The leaves of a checkpoint by their names."""
    if not isinstance(state, dict | list):
        return {name: state}
    pairs = state.items() if isinstance(state, dict) else enumerate(state)
    return {at: leaf for key, value in pairs for at, leaf in flat(value, f"{name}.{key}").items()}


def other(one: dict[str, Any], two: dict[str, Any]) -> set[str]:
    """The names of what differs in two checkpoints, to the bit."""
    a, b = flat(one), flat(two)
    assert a.keys() == b.keys()
    return {
        name for name, value in a.items()
        if not (torch.equal(value, b[name]) if isinstance(value, torch.Tensor) else value == b[name])
    }  # fmt: skip


@pytest.mark.slow
def test_one_process_writes_the_run_and_another_number_of_them_can_go_on(
    tmp_path: Path, undisturbed: Path, cache: Path
) -> None:
    records = read(undisturbed / "metrics.jsonl")
    assert [r["step"] for r in records if r["kind"] == "train"] == [2, 4, 6]
    assert [r["step"] for r in records if r["kind"] == "validation"] == [0, 3, 6]
    assert len(list((undisturbed / "tensorboard").iterdir())) == 1
    shutil.copytree(undisturbed, tmp_path / "run")
    folder, config = runs.reopen(tmp_path / "run", {"steps": 8})
    assert train(folder, config, device=CPU, cache=cache, resume=True).step == 8


@pytest.mark.slow
def test_the_number_of_processes_changes_rounding_and_batch_statistics_and_nothing_that_is_drawn(
    tmp_path: Path, undisturbed: Path, cache: Path
) -> None:
    train(runs.begin(tmp_path / "run"), TINY, device=CPU, cache=cache)
    alone, together = last(tmp_path / "run"), last(undisturbed)
    for name in ("step", "images", "stage", "random", "stream", "data", "classes", "config"):
        assert other({name: alone[name]}, {name: together[name]}) == set(), name
    assert together["swd"] == pytest.approx(alone["swd"], rel=0.4)


def go_on_together(world: World, folder: Path, cache: Path, asked: dict[str, Any]) -> None:
    place, values = world.same(lambda: (folder, runs.reopen(folder, asked)[1].to_dict()))
    try:
        train(runs.RunFolder(place), from_dict(values), device=CPU, cache=cache, resume=True, world=world)
    except CheckpointError as error:
        (folder.parent / f"{world.rank}.txt").write_text(str(error))


@pytest.mark.slow
def test_all_processes_decide_alike_on_images_that_have_changed(tmp_path: Path) -> None:
    photos, run, cache = (tmp_path / name for name in ("photos", "run", "cache"))
    photos.mkdir()
    for number in range(17):
        Image.new("RGB", (16, 16), (10 * number, 0, 99)).save(photos / f"{number}.png")
    train(runs.begin(run), TINY.replace(data=str(photos), conditional=False), device=CPU, cache=cache)
    (photos / "3.png").unlink()
    assert in_two_processes(go_on_together, run, cache, {"steps": 8}) == [0, 0]
    assert all("1 removed (3.png)" in (tmp_path / f"{rank}.txt").read_text() for rank in (0, 1))
    assert checkpoint.load_last(run / "checkpoints").state["step"] == 6
    assert in_two_processes(go_on_together, run, cache, {"steps": 8, "data_changed": "accept"}) == [0, 0]
    state = checkpoint.load_last(run / "checkpoints").state
    assert (state["step"], state["stream"]) == (8, {"cursor": 2 * 2 * 8, "seed": 0, "count": 16})
    (event,) = (record for record in read(run / "metrics.jsonl") if "data" in record)
    assert (event["step"], event["data"]["removed"]) == (6, 1)


def lose_the_second(world: World, folder: Path, cache: Path) -> None:
    iterate = Trainer.iterate

    def lost(self: Trainer, reals: Any) -> None:
        if self.step == 3 and self.world.rank == 1:
            os._exit(9)
        iterate(self, reals)

    Trainer.iterate = lost  # type: ignore[method-assign]
    place = runs.RunFolder(folder) if not world.first else runs.begin(folder)
    try:
        train(place, TINY, device=CPU, cache=cache, world=world)
    except TrainingError as error:
        (folder / "error.txt").write_text(str(error))
        os._exit(7)


@pytest.mark.slow
def test_a_lost_process_ends_the_run_with_one_clear_line_and_as_many_go_on_to_the_very_same_end(
    tmp_path: Path, undisturbed: Path, cache: Path
) -> None:
    run = tmp_path / "run"
    assert in_two_processes(lose_the_second, run, cache) == [7, 9]
    said = (run / "error.txt").read_text()
    assert said.startswith("another process of this run was lost: start torchrun again with --resume")
    assert "\n" not in said
    assert last(run)["step"] == 3  # the first that was validated
    assert in_two_processes(go_on_together, run, cache, {}) == [0, 0]
    assert other(last(run), last(undisturbed)) == set()


def fill_the_disk(world: World, folder: Path, cache: Path) -> None:
    save = checkpoint.save

    def full(path: Path, state: dict[str, Any]) -> None:
        if state["step"] < 4:
            save(path, state)
            return
        with Path("/dev/full").open("wb") as disk, writing(path):
            disk.write(bytes(10))
            disk.flush()

    checkpoint.save = full
    place = runs.RunFolder(folder) if not world.first else runs.begin(folder)
    try:
        with world:
            train(place, TINY, device=CPU, cache=cache, world=world)
    except WganError as error:
        (folder.parent / f"{world.rank}.txt").write_text(f"{type(error).__name__}: {error}")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_of_the_first_ends_all_with_one_line_and_leaves_earlier_checkpoints_whole(
    tmp_path: Path, undisturbed: Path, cache: Path
) -> None:
    run = tmp_path / "run"
    assert in_two_processes(fill_the_disk, run, cache) == [0, 0]
    first, second = ((tmp_path / f"{rank}.txt").read_text() for rank in (0, 1))
    assert first.startswith(f"OutputError: cannot write {run}")
    assert "No space left" in first
    assert second == f"TrainingError: process 0 on {platform.node()} ended: {first.removeprefix('OutputError: ')}"
    assert last(run)["step"] == 3
    assert in_two_processes(go_on_together, run, cache, {}) == [0, 0]  # some space was freed
    assert other(last(run), last(undisturbed)) == set()


class Three(World):
    size = 3

    def agreed(self, flag: bool) -> bool:
        return flag


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "batch_size=8 cannot be cut into equal parts, 3 processes of 1: choose a multiple"),
        ({"batch_size": 12, "minibatch": "stddev", "minibatch_group": 3}, "minibatch_group=3 does not divide the 4 im"),
    ],
)  # fmt: skip
def test_a_batch_that_cannot_be_shared_is_refused(
    tmp_path: Path, cache: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        Session(runs.RunFolder(tmp_path), TINY.replace(**changes), CPU, cache, Three())


def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert own_device(torch.device("cuda")) == torch.device("cuda")  # alone
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device(torch.device("cuda")) == torch.device("cuda", 1)
    assert chosen == [1]
    assert own_device(CPU) == CPU
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ConfigError, match="shows 2 GPUs, too few for process 2"):
        own_device(torch.device("cuda"))
    assert not restarted()


PLACE = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": "1234", "MASTER_ADDR": "127.0.0.1"}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("WORLD_SIZE", "x", "WORLD_SIZE is 'x', not a whole number from 1 on"),
        ("WORLD_SIZE", "0", "WORLD_SIZE is '0', not a whole number from 1 on"),
        ("WORLD_SIZE", "", "WORLD_SIZE is '', not a whole number from 1 on"),
        ("WORLD_SIZE", "9" * 5000, "WORLD_SIZE is '999"),
        ("LOCAL_RANK", "x", "LOCAL_RANK is 'x', not a whole number from 0 on"),
        ("RANK", "-1", "RANK is '-1', not a whole number from 0 on"),
        ("RANK", None, "RANK is not set"),
        ("MASTER_PORT", "http", "MASTER_PORT is 'http', not a whole number from 0 on"),
        ("TORCHELASTIC_RESTART_COUNT", "1.5", "TORCHELASTIC_RESTART_COUNT is '1.5', not a whole number from 0 on"),
    ],
)
def test_an_environment_that_is_not_torchruns_is_one_line(
    name: str, text: str | None, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, value in PLACE.items():
        monkeypatch.setenv(variable, value)
    if text is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, text)
    assert main(["train", "--device", "cpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"wgan: the environment's {says}")
    others = "" if name == "WORLD_SIZE" else f" and {name}"
    assert line.endswith(f": start with torchrun, or alone without WORLD_SIZE{others}")


def test_each_process_has_a_gpu_by_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (PLACE | {"LOCAL_RANK": "first"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="LOCAL_RANK is 'first'"):
        own_device(torch.device("cuda"))


def torchrun(*words: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", *words]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment}
    )


@pytest.mark.slow
def test_torchrun_starts_a_lost_run_again_from_its_last_checkpoint(tmp_path: Path) -> None:
    settings = ["image_size=16", "base_channels=4", "faces_count=64", "batch_size=8", "n_critic=2", "log_every=2"]
    settings += ["steps=4000", "checkpoint_every=5", "validate_every=4000", "validate_images=16", "sample_every=4000"]
    run = tmp_path / "run"
    words = ["-m", "wgan", "--", "train", "--run", str(run), "--device", "cpu", *settings]
    started = torchrun("--max-restarts", "1", *words)
    try:
        deadline = time.monotonic() + 100
        while len(checkpoint.list_steps(run / "checkpoints")) < 3:
            assert time.monotonic() < deadline, "no progress"
            assert started.poll() is None
            time.sleep(0.1)
        # the second process: the one that does not hold the run's records
        pids = [int(p) for p in Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()]
        ranks = {Path(f"/proc/{pid}/environ").read_bytes().split(b"\0RANK=")[1][:1]: pid for pid in pids}
        os.kill(ranks[b"1"], signal.SIGKILL)
        while not any(record.get("message") == "resumed" for record in read(run / "metrics.jsonl")):
            assert time.monotonic() < deadline, "not started again"
            assert started.poll() is None
            time.sleep(0.1)
        resumed = next(r["step"] for r in read(run / "metrics.jsonl") if r.get("message") == "resumed")
        assert resumed % 5 == 0
        assert resumed >= 5
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=100)
    finally:
        started.kill()
    assert "stopping: this step is finished and saved first" in said
    assert checkpoint.load_last(run / "checkpoints").state["step"] >= resumed
