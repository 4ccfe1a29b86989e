"""`metrics.jsonl` through kills and resumes, and its mirror in TensorBoard."""

import json
import math
import sys

import numpy as np
import pytest

from wgan.serve.base.errors import BackendUnavailable
from wgan.training.records.history import History, read
from wgan.training.records.tensorboard import TensorBoard


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def steps(path):
    return [record["step"] for record in read(path)]


def write(path, *steps):
    with History(path) as history:
        for step in steps:
            history.append({"kind": "train", "step": step, "wasserstein": step / 2})


def test_a_record_can_be_read_before_the_file_is_closed(path):
    history = History(path)
    history.append({"kind": "train", "step": 1, "wasserstein": 0.5})
    assert read(path) == [{"kind": "train", "step": 1, "wasserstein": 0.5}]
    history.close()


def test_every_line_is_strict_json_even_when_training_diverges(path):
    def no_constant(name):
        raise AssertionError(name)

    with History(path) as history:
        history.append({"kind": "train", "step": 1, "penalty": math.nan, "grad_norm": math.inf})
        history.append({"kind": "validation", "step": 1, "swd_levels": {"64": -math.inf, "32": 2.0}})
    lines = [json.loads(line, parse_constant=no_constant) for line in path.read_text().splitlines()]
    assert lines[0] == {"kind": "train", "step": 1, "penalty": None, "grad_norm": None}
    assert lines[1]["swd_levels"] == {"64": None, "32": 2.0}


def test_reopening_adds_to_what_is_there(path):
    write(path, 1, 2)
    write(path, 3)
    assert steps(path) == [1, 2, 3]


@pytest.mark.parametrize("half", [b'{"kind": "train", "st', b"{", '{"a": "é'.encode()[:-1]])
def test_a_half_written_last_line_is_dropped_and_does_not_spoil_the_next(path, half):
    write(path, 1, 2)
    path.write_bytes(path.read_bytes() + half)
    assert steps(path) == [1, 2]
    write(path, 3)
    assert steps(path) == [1, 2, 3]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_rewinding_drops_what_lies_beyond_the_step_and_goes_on(path):
    write(path, 10, 20, 30)
    with History(path) as history:
        history.append({"kind": "event", "step": 25, "message": "saved"})
        history.rewind(20)
        history.append({"kind": "train", "step": 21})
    assert steps(path) == [10, 20, 21]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_an_event_says_what_and_when(path):
    with History(path) as history:
        history.append({"kind": "event", "step": 7, "message": "größer\nals zuvor"})
    assert read(path) == [{"kind": "event", "step": 7, "message": "größer\nals zuvor"}]


def test_no_file_and_foreign_lines_hold_no_records(path):
    assert read(path) == []
    path.write_text('[1]\nnonsense\n{"step": 4}\n')
    assert read(path) == [{"step": 4}]


def test_tensorboard_gets_curves_pictures_and_events_and_forgets_what_was_undone(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TensorBoard(tmp_path, say=print) as board:
        for step in (1, 2, 3):
            board.record({"kind": "train", "step": step, "wasserstein": float(step), "penalty": None})
        board.record({"kind": "validation", "step": 3, "swd": 9.0, "swd_levels": {"16": 5.0}})
        board.image("samples", np.zeros((8, 8, 3), np.uint8), 3)
        board.record({"kind": "event", "step": 3, "message": "saved"})
        board.record({"kind": "event", "step": 3, "rule": "gradient", "message": "try lambda_gp=10"})
    with TensorBoard(tmp_path, purge_step=3, say=print) as board:
        board.record({"kind": "train", "step": 3, "wasserstein": 30.0})
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in found.Scalars("train/wasserstein")] == [(1, 1.0), (2, 2.0), (3, 30.0)]
    assert "train/penalty" not in found.Tags()["scalars"]
    assert set(found.Tags()["scalars"]) >= {"validation/swd", "validation/swd_levels/16"}
    assert found.Tags()["images"] == ["samples"]
    for tag, said in (("event", b"saved"), ("advice", b"try lambda_gp=10")):
        assert [e.tensor_proto.string_val for e in found.Tensors(f"{tag}/text_summary")] == [[said]]


def test_a_missing_tensorboard_is_one_line_that_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(BackendUnavailable, match=r"pip install .*\[train\]"):
        TensorBoard(tmp_path, say=print)
