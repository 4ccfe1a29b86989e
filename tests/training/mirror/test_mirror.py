"""A run that is mirrored into object storage goes on anywhere, and nothing that was saved is lost on the way."""

import json
import re
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wgan
from tests.fakes.full_disk import disk_full_after
from tests.fakes.object_store import Bucket, Faulty
from tests.training.records.test_faults import Killed
from tests.training.run.test_training import assert_same_state
from wgan.cli import main
from wgan.serve import stores
from wgan.serve.base.address import Address
from wgan.serve.base.errors import StoreError
from wgan.serve.storage import asking
from wgan.training.mirror.background import BucketMirror
from wgan.training.mirror.claim import Mark
from wgan.training.mirror.parts import MARK, in_order
from wgan.training.records import checkpoint
from wgan.training.records.history import read
from wgan.training.step.trainer import Trainer

TINY = ["image_size=8", "base_channels=1", "latent_dim=2", "faces_count=64", "batch_size=8", "n_critic=1",
        "validate_images=16", "log_every=1", "checkpoint_every=2", "validate_every=4", "sample_every=4",
        "keep_checkpoints=2"]  # fmt: skip
CPU = ["--device", "cpu"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage that is out of reach is not waited for."""
    monkeypatch.setattr(asking, "PATIENCE", 0.0)
    monkeypatch.setattr(asking, "PAUSES", (0.001, 0.001))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight steps without an interruption or a mirror."""
    run = tmp_path_factory.mktemp("unbroken") / "run"
    assert main(["train", "--run", str(run), *CPU, *TINY, "steps=8"]) == 0
    return run


class Machine:
    """A working folder: its own disk."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch):
        self.place, self._patch = place, monkeypatch
        self.run = place / "runs" / "photos"
        place.mkdir()

    def __call__(self, *words: str) -> int:
        self._patch.chdir(self.place)
        return main(list(words))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Machine]:
    def make(name: str) -> Machine:
        return Machine(tmp_path / name, monkeypatch)

    return make


@pytest.fixture
def address(s3: Bucket) -> str:
    return s3.address("runs/photos")


def begin(machine: Machine, address: str, *words: str) -> int:
    return machine("train", "--run", address, *CPU, *TINY, "steps=8", *words)


def go_on(machine: Machine, address: str, *words: str) -> int:
    return machine("train", "--resume", "--run", address, *CPU, *words)


def at(step: int, do: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Does something before the step after this one, once."""
    iterate, left = Trainer.iterate, [do]

    def doing(self: Trainer, reals: Any) -> None:
        if self.step == step and left:
            left.pop()()
        iterate(self, reals)

    monkeypatch.setattr(Trainer, "iterate", doing)


def ctrl_c(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends after ``step``, saved."""
    at(step - 1, lambda: signal.raise_signal(signal.SIGINT), monkeypatch)


def steps(s3: Bucket) -> list[int]:
    return [int(key.rpartition("-")[2].removesuffix(".pt")) for key in s3.keys("runs/photos/checkpoints/step-")]


def same_end(run: Path, unbroken: Path) -> None:
    for name in ("step-00000008.pt", "best.pt"):
        assert_same_state(run / "checkpoints" / name, unbroken / "checkpoints" / name)


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_a_run_goes_on_on_an_empty_disk_to_the_bit(
    machine: Callable[[str], Machine],
    s3: Bucket,
    address: str,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = machine("first"), machine("second")
    ctrl_c(5, monkeypatch)
    assert begin(first, address) == 130
    assert f"stopped, saved: runs/photos, pushed to {address}" in capsys.readouterr().out
    held = {key.removeprefix("runs/photos/") for key in s3.keys("runs/photos/")}
    here = {str(path.relative_to(first.run)) for path in first.run.rglob("*") if path.is_file()}
    assert held == here - {MARK} | {"owner.json"}
    for name in held - {"owner.json"}:
        assert s3.get(f"runs/photos/{name}") == (first.run / name).read_bytes(), name
    assert go_on(second, address) == 0
    same_end(second.run, unbroken)
    trained = [record["step"] for record in read(second.run / "metrics.jsonl") if record["kind"] == "train"]
    assert trained == [*range(1, 9)]
    assert steps(s3) == [6, 8]
    (end,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("next: wgan export"))
    assert end.endswith(f"--run {address}")


@pytest.mark.slow
def test_a_bucket_that_is_away_for_a_while_stops_nothing(
    machine: Callable[[str], Machine],
    s3: Bucket,
    faulty: Callable[..., Faulty],
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    proxy, first = faulty(), machine("first")
    pushed, failed = threading.Event(), threading.Event()
    push_once = BucketMirror._push

    def watched(self: BucketMirror, last: bool) -> None:
        push_once(self, last)
        (failed if self._failed else pushed).set()

    def away() -> None:
        assert pushed.wait(20)
        proxy.down = True

    def back() -> None:
        assert failed.wait(20)
        proxy.down = False

    monkeypatch.setattr(BucketMirror, "_push", watched)
    at(3, away, monkeypatch)
    at(7, back, monkeypatch)
    assert begin(first, address) == 0
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if line.startswith("not pushed: ")]) == 1
    assert steps(s3) == [6, 8]


@pytest.mark.slow
def test_what_could_not_be_pushed_is_said_and_pushed_later(
    machine: Callable[[str], Machine],
    s3: Bucket,
    faulty: Callable[..., Faulty],
    address: str,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    proxy, first = faulty(), machine("first")
    at(7, lambda: setattr(proxy, "down", True), monkeypatch)
    assert begin(first, address) == 2
    line = last_line(capsys)
    assert line.startswith("wgan: runs/photos is whole up to step 8 and could not be pushed: cannot ")
    assert line.endswith(f"to push it later: `wgan train --resume --run {address}`")
    same_end(first.run, unbroken)
    assert 8 not in steps(s3)
    proxy.down = False
    assert go_on(first, address) == 0
    assert f"trained: runs/photos, pushed to {address}" in capsys.readouterr().out
    assert steps(s3) == [6, 8]
    assert go_on(first, address) == 2
    assert f"`wgan train --resume --run {address} --device cpu steps=16`" in last_line(capsys)


@pytest.mark.slow
def test_the_later_of_two_starts_takes_over_and_the_earlier_one_ends_by_a_line(
    machine: Callable[[str], Machine],
    s3: Bucket,
    address: str,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = machine("first"), machine("second")

    def take_over() -> None:
        assert main_in(second, "train", "--resume", "--run", address, *CPU) == 0

    def main_in(place: Machine, *words: str) -> int:
        code = place(*words)
        monkeypatch.chdir(first.place)
        return code

    at(5, take_over, monkeypatch)
    assert begin(first, address) == 2
    assert re.fullmatch(
        rf"wgan: a later start trains {address} now: this one stopped at step \d, which is saved in runs/photos; "
        rf"to go on here, from whichever is further: `wgan train --resume --run {address}`",
        last_line(capsys),
    )
    stopped = checkpoint.load_last(first.run / "checkpoints").state["step"]
    assert stopped in (6, 7, 8)
    same_end(second.run, unbroken)
    assert json.loads(s3.get("runs/photos/owner.json"))["owner"] == Mark.of(second.run).claim.owner  # type: ignore[union-attr]
    assert steps(s3) == [6, 8]


@pytest.mark.slow
def test_a_run_killed_in_the_middle_of_a_push_goes_on_elsewhere(
    machine: Callable[[str], Machine], s3: Bucket, address: str, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = stores.write
    for count in (1, 8):
        left = [count]

        def dying(place: Any, content: Any, *, create: bool = False, left: list[int] = left) -> bool:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return write(place, content, create=create)

        monkeypatch.setattr(stores, "write", dying)
        first, second = machine(f"first-{count}"), machine(f"second-{count}")
        with pytest.raises(Killed):
            begin(first, address)
        monkeypatch.setattr(stores, "write", write)
        if s3.keys("runs/photos/config.yaml"):
            assert go_on(second, address) == 0
        else:
            assert begin(second, address) == 0
        same_end(second.run, unbroken)
        for key in s3.keys("runs/photos/"):
            s3.delete(key)


def test_pictures_are_pushed_before_the_checkpoint_that_nobody_makes_them_after() -> None:
    checkpoints = ["checkpoints/step-00000008.pt", "checkpoints/step-00000006.pt", "checkpoints/best.pt"]
    wanted = ["config.yaml", "metrics.jsonl", "samples/step-00000008.png", *checkpoints, "report.html"]
    assert in_order(reversed(wanted)) == wanted


@pytest.mark.slow
def test_a_damaged_checkpoint_in_the_bucket_is_passed_over(
    machine: Callable[[str], Machine],
    s3: Bucket,
    address: str,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = machine("first"), machine("second")
    ctrl_c(6, monkeypatch)
    assert begin(first, address) == 130
    newest = "runs/photos/checkpoints/step-00000006.pt"
    s3.put(newest, s3.get(newest)[:-1000])
    capsys.readouterr()
    assert go_on(second, address) == 0
    said = capsys.readouterr().err
    assert "step-00000006.pt is damaged: set aside, going on from runs/photos/checkpoints/step-00000004.pt" in said
    same_end(second.run, unbroken)
    assert s3.get(newest) == (second.run / "checkpoints" / "step-00000006.pt").read_bytes()


@pytest.mark.slow
def test_of_the_folder_here_and_the_bucket_the_further_one_goes_on(
    machine: Callable[[str], Machine],
    s3: Bucket,
    address: str,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = machine("first"), machine("second")
    ctrl_c(2, monkeypatch)
    assert begin(first, address) == 130
    ctrl_c(4, monkeypatch)
    assert go_on(second, address) == 130
    capsys.readouterr()
    ctrl_c(6, monkeypatch)  # the bucket is further than the first machine
    assert go_on(first, address) == 130
    assert "fetched " in capsys.readouterr().err
    assert steps(s3) == [4, 6]
    ctrl_c(7, monkeypatch)  # and now the machine is further than the bucket, as it goes on alone
    assert first("train", "--resume", "--run", "runs/photos", *CPU) == 130
    said = capsys.readouterr().err
    assert f"runs/photos was mirrored to {address} and goes on here alone; to push it too: `wgan train --resume" in said
    assert steps(s3) == [4, 6]
    assert go_on(first, address) == 0
    assert f"runs/photos is further than {address}: going on from step 7" in capsys.readouterr().err
    same_end(first.run, unbroken)
    assert steps(s3) == [7, 8]


def test_two_runs_are_never_mixed(
    machine: Callable[[str], Machine], s3: Bucket, address: str, capsys: pytest.CaptureFixture[str], unbroken: Path
) -> None:
    first, second = machine("first"), machine("second")
    assert go_on(first, address) == 2
    assert last_line(capsys) == f"wgan: there is no run at {address}: to begin one: `wgan train --run {address}`"
    s3.put("runs/photos/faces.tar", b"")
    assert begin(first, address) == 2
    assert f"{address} holds something else than a run, such as {address}/faces.tar: name another" in last_line(capsys)
    s3.delete("runs/photos/faces.tar")
    shutil.copytree(unbroken, first.run)
    assert begin(first, address) == 2
    assert "runs/photos, where the run would be trained, already holds one" in last_line(capsys)
    assert go_on(first, address, "steps=9") == 0  # a run from before it had a mirror
    assert steps(s3) == [8, 9]
    assert begin(second, address) == 2
    assert f"{address} already holds a run: to go on with it: `wgan train --resume --run {address}`" in last_line(
        capsys
    )
    shutil.copytree(unbroken, second.run)
    before = {path: path.read_bytes() for path in second.run.rglob("*.pt")}
    assert go_on(second, address, "steps=10") == 2
    assert f"runs/photos holds another run than {address}: move that folder away" in last_line(capsys)
    assert {path: path.read_bytes() for path in second.run.rglob("*.pt")} == before
    assert begin(first, s3.address()) == 2
    assert "is a whole bucket: name a prefix in it" in last_line(capsys)


@pytest.mark.slow
def test_a_bucket_without_the_right_to_remove_keeps_what_is_old(
    machine: Callable[[str], Machine],
    s3: Bucket,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(place: Address) -> None:
        raise StoreError(f"cannot remove {place}: access is denied")

    monkeypatch.setattr(stores, "remove", refuse)
    first = machine("first")
    assert begin(first, address) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("older checkpoints stay in")]
    assert len(said) == 1
    assert steps(s3)[-2:] == [6, 8]
    assert len(steps(s3)) > 2


@pytest.mark.slow
def test_a_disk_that_is_full_while_fetching_is_a_line_and_the_next_start_goes_on(
    machine: Callable[[str], Machine],
    s3: Bucket,
    address: str,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = machine("first"), machine("second")
    ctrl_c(4, monkeypatch)
    assert begin(first, address) == 130
    with disk_full_after(20_000):
        assert go_on(second, address) == 2
    assert "; free some space or choose another place" in last_line(capsys)
    assert not (second.run / "config.yaml").exists()
    assert go_on(second, address) == 0
    same_end(second.run, unbroken)


@pytest.mark.slow
def test_a_start_after_a_lost_process_goes_on_from_the_bucket_unless_a_later_start_did(
    machine: Callable[[str], Machine],
    s3: Bucket,
    address: str,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the words of the first start, as torchrun starts it again."""
    first, second, other = machine("first"), machine("second"), machine("other")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-7")
    ctrl_c(4, monkeypatch)
    assert begin(first, address) == 130
    assert "job-7" not in str([s3.get(key) for key in s3.keys("runs/photos/owner")])
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    ctrl_c(6, monkeypatch)
    assert begin(second, address) == 130  # the first process is now on another machine
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    ctrl_c(7, monkeypatch)
    assert go_on(other, address) == 130
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-7")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    capsys.readouterr()
    assert begin(second, address) == 2
    assert last_line(capsys) == f"wgan: a later start trains {address} now: this one does not go on"
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT")
    assert go_on(second, address) == 0
    same_end(second.run, unbroken)


def test_a_program_trains_a_run_that_is_mirrored(
    machine: Callable[[str], Machine], s3: Bucket, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(machine("first").place)
    settings: dict[str, Any] = dict(word.split("=") for word in TINY)
    run = wgan.train(run=address, device="cpu", progress=False, steps=2, **settings)
    assert (run.mirror, Path(run)) == (address, Path("runs/photos"))
    assert steps(s3) == [0, 2]


@pytest.mark.slow
def test_what_an_earlier_start_pushed_while_a_later_one_began_is_not_pushed_over(
    machine: Callable[[str], Machine],
    s3: Bucket,
    address: str,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = machine("first"), machine("second")
    ctrl_c(2, monkeypatch)
    assert begin(first, address) == 130
    claim, ends = BucketMirror.claim, iter([6])

    def late(self: BucketMirror, keep: int) -> None:
        for end in ends:  # the first one goes on until this one is ready
            ctrl_c(end, monkeypatch)
            assert go_on(first, address) == 130
            monkeypatch.chdir(second.place)
            ctrl_c(5, monkeypatch)
        claim(self, keep)

    monkeypatch.setattr(BucketMirror, "claim", late)
    assert go_on(second, address) == 130
    assert f"nothing was pushed over step 6, which is in {address}" in capsys.readouterr().err
    assert steps(s3) == [4, 6]
    assert s3.get("runs/photos/metrics.jsonl") == (first.run / "metrics.jsonl").read_bytes()
    assert go_on(second, address) == 0
    same_end(second.run, unbroken)
