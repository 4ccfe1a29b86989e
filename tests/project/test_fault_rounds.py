"""`scripts/faults.py`, in short: nothing is lost in a few of its rounds, and where something is, it says so."""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import faults
import pytest
from fault_rounds import blow, tally
from fault_rounds.bench import Bench, files
from fault_rounds.blow import Blow
from fault_rounds.sampling import Sampling
from fault_rounds.store import Store
from fault_rounds.training import Check, Training, write_images

from tests.fakes.broken_writer import in_place
from tests.forks import forks


def bench(root: Path, before: Callable[[], object] | None = None) -> Bench:
    return Bench(forks(), root, before)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "number"), [(Sampling, 10), (Training, 9), (Store, 6)])
def test_a_round_finds_kills_and_no_fault(tmp_path: Path, kind: type[faults.Rounds], number: int) -> None:
    here = bench(tmp_path)
    with here.held:
        total = faults.play([kind(here)], here, number, 1, 5.0)
    assert total.kills.total() > 0
    assert total.faults == []
    assert total.clean
    assert total.counts["shards"] + total.counts["checkpoints"] > 0


def gone() -> None:
    os._exit(3)


@pytest.mark.slow
def test_a_process_that_ends_before_its_command_begins_is_not_waited_for(tmp_path: Path) -> None:
    here = bench(tmp_path, gone)
    (ended,) = here.run([here.order(["sample", "-n", "1"], tmp_path)])
    assert ended.code == 3


@pytest.mark.slow
def test_shards_that_are_not_written_whole_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = bench(tmp_path, in_place)
    total = faults.play([Sampling(here)], here, 2, 1, 5.0)
    assert not total.clean
    assert total.counts[tally.LOST] + total.counts[tally.WRONG] > 0
    assert total.counts[tally.DIFFERING] > 0
    assert "again: python scripts/faults.py --only sampling --seed 2 --rounds 1" in capsys.readouterr().err
    table = faults.show(total)
    assert f"bytes differing  {total.counts[tally.DIFFERING]:>12,}".split() == next(
        line.split() for line in table.splitlines() if line.startswith("bytes differing")
    )


@pytest.mark.slow
def test_a_checkpoint_that_is_not_written_whole_is_lost(tmp_path: Path) -> None:
    lost = []
    write_images(tmp_path / "images")
    for name, before in (("whole", None), ("in place", in_place)):
        training, folder = Training(bench(tmp_path, before)), tmp_path / name
        folder.mkdir()
        check = Check({}, partial(files, folder / "run"), 2)
        training.go(folder, 2, Blow(blow.IN_WRITE, 1, 16_000), check)  # the first file so long is a checkpoint
        assert check.tally.kills == {blow.IN_WRITE: 1}
        lost.append(check.tally.counts[tally.CHECKPOINTS_LOST])
    assert lost == [0, 1]


def test_what_differs_is_counted_byte_by_byte() -> None:
    assert tally.differing(b"abcd", b"abcd") == 0
    assert tally.differing(b"abcd", b"xbc") == 2
    assert tally.differing(b"", b"abc") == 3
    assert tally.lines_differing(["ab", "c"], ["ab"]) == 1


def test_a_run_that_lost_a_checkpoint_or_went_on_to_other_weights_is_told(tmp_path: Path) -> None:
    import torch

    from wgan.training.records import checkpoint

    def saved(value: float) -> bytes:
        checkpoint.save(tmp_path / "a.pt", {"step": 2, "w": torch.tensor([value, 1.0])})
        return (tmp_path / "a.pt").read_bytes()

    first, second = "checkpoints/step-00000002.pt", "checkpoints/step-00000004.pt"
    there = {first: saved(1.0), second: saved(2.0)}
    check = Check(dict(there), lambda: there, 2)
    check.look()
    there = {first: saved(1.0)}
    check.look()
    assert check.tally.counts[tally.CHECKPOINTS_LOST] == 1
    there = {first: saved(1.0), second: saved(3.0)}
    assert check.end().counts[tally.DIFFERING] > 0
    there = {first: saved(1.0)[:-50], second: saved(2.0)}
    check.look()
    assert check.tally.counts[tally.CHECKPOINTS_LOST] == 2


def test_a_checkpoint_that_newer_ones_supersede_is_not_lost() -> None:
    there: dict[str, bytes] = {}
    check = Check({}, lambda: there, 1)
    for step in (2, 4):
        there = {f"checkpoints/step-{step:08d}.pt": b""}
        check.wanted = there
        check.look()
    assert check.tally.faults == []


def test_the_script_ends_with_1_where_a_number_must_be_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Lossy:
        name = "sampling"

        def __init__(self, bench: Bench):
            pass

        def round(self, random: object, folder: Path) -> tally.Tally:
            found = tally.Tally()
            if folder.name.endswith("-6"):
                found.fault(tally.LOST, "a-000000.tar was there")
            return found

    monkeypatch.setattr(faults, "KINDS", {"sampling": Lossy})
    monkeypatch.setattr(faults, "may_mount", lambda: False)
    for rounds, code in (("1", 0), ("2", 1)):
        monkeypatch.setattr(sys, "argv", ["faults.py", "--seed", "5", "--rounds", rounds])
        assert faults.main() == code
        said = capsys.readouterr()
        last = json.loads(said.out.splitlines()[-1])
        assert (last["rounds"], last["shards_lost"]) == ({"sampling": int(rounds)}, code)
        assert ("shards lost: a-000000.tar was there" in said.err) == bool(code)
    monkeypatch.setattr(sys, "argv", ["faults.py", "--only", "training"])
    with pytest.raises(SystemExit, match="2"):
        faults.main()
