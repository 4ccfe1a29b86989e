"""The command line's contract: what goes where, exit codes, and one line for every mistake."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from wgan.cli import main
from wgan.serve.artifacts import artifact
from wgan.serve.base import terminal
from wgan.serve.base.progress import counter
from wgan.serve.outputs.marks import read_marks

TINY = ["image_size=32", "base_channels=4", "latent_dim=8", "faces_count=64", "batch_size=8", "n_critic=1",
        "validate_images=32"]  # fmt: skip


@pytest.mark.parametrize("backend", ["onnx", "torchscript", "torch"])
def test_sample_writes_a_folder_of_numbered_images_and_a_grid(run: Path, here: Path, backend: str) -> None:
    assert main(["sample", "--backend", backend, "-n", "5", "--seed", "3", "--out", "o"]) == 0
    assert sorted(p.name for p in (here / "o").iterdir()) == [
        *(f"seed-{s:06d}.png" for s in range(3, 8)),
        "wgan.json",
    ]
    assert (here / "o-grid.png").is_file()
    with Image.open(here / "o" / "seed-000004.png") as picture:
        assert picture.size == (32, 32)
        assert picture.info["seed"] == "4"
        assert len(picture.info["model"]) == 64


def test_the_last_line_names_the_artifact_the_folder_and_the_grid(
    run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "-n", "1"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("1 image (seed 0) of runs/one/export/generator.onnx (step 7) with onnx on cpu, ")
    assert line.endswith(" images/s: samples, a grid of them: samples-grid.png")


def test_another_artifact_goes_to_a_folder_of_its_own(
    run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "-n", "2", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [first[key] for key in ("out", "grid", "manifest")] == ["samples", "samples-grid.png", "samples/wgan.json"]
    assert main(["sample", "-n", "2", "--backend", "torchscript", "--json"]) == 0
    shown = capsys.readouterr()
    second = json.loads(shown.out)
    assert (second["out"], second["grid"]) == ("samples-2", "samples-2-grid.png")
    (line,) = [line for line in shown.err.splitlines() if "holds images" in line]
    assert line.startswith("samples holds images of generator.onnx of the run one (")
    assert line.endswith("): these images go to samples-2")
    before = {path: path.read_bytes() for path in here.rglob("samples*/*")}
    assert main(["sample", "-n", "2", "--backend", "torchscript", "--out", "samples"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1].endswith("): choose another --out, or remove samples")
    assert {path: path.read_bytes() for path in here.rglob("samples*/*")} == before


def test_latents_of_ones_own_go_to_a_folder_of_their_own(
    run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("z.npy", np.ones((2, 16), np.float32))
    for words in (["-n", "2"], ["--latents", "z.npy"], ["--interpolate", "1", "2", "--steps", "2"], ["-n", "3"]):
        assert main(["sample", *words]) == 0
    held = {path.name: sorted(file.name for file in path.iterdir()) for path in here.glob("samples*/")}
    assert {name: files[0] for name, files in held.items() if not name.endswith(".png")} == {
        "samples": "seed-000000.png", "samples-2": "row-000000.png", "samples-3": "frame-000000.png",
    }  # fmt: skip


def test_training_says_once_what_it_passes_over(run: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-n", "9", "--out", "photos/samples"]) == 0
    for number in range(8):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(here / "photos" / f"{number}.png")
    settings = ["steps=2", "image_size=16", "batch_size=4", "validate_images=16", "base_channels=4", "n_critic=1"]
    assert main(["train", "--data", "photos", "--run", "runs/new", "--config", "wgan-gp-64", *settings]) == 0
    lines = capsys.readouterr().err.splitlines()
    said = "skipped what wgan made, as it is no data: 1 folder (samples) and 1 image (such as samples-grid.png)"
    assert sum(said in line for line in lines) == 1
    assert json.loads((here / "runs/new/run.json").read_text())["images"] == 8
    for picture in (here / "runs/new/samples").glob("*.png"):  # each kind that a run writes
        with picture.open("rb") as file:
            assert read_marks(file) is not None, picture
    for place in ("photos/samples", "runs/new", "runs/new/samples"):
        assert main(["train", "--data", place, "--run", "runs/no"]) == 2
        assert capsys.readouterr().err.splitlines()[-1].endswith(": name the folder of the photos")
        assert not (here / "runs" / "no").exists()


@pytest.mark.parametrize(("out", "keys"), [("a.npy", None), ("a.npz", {"images", "seeds"})])
def test_sample_writes_arrays(run: Path, here: Path, out: str, keys: set[str] | None) -> None:
    assert main(["sample", "-n", "7", "--out", out]) == 0
    found = np.load(here / out)
    images = found if keys is None else found["images"]
    assert (images.shape, images.dtype) == ((7, 32, 32, 3), np.uint8)
    assert keys is None or set(found) == keys


def test_the_json_is_one_object_and_all_there_is_on_stdout(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-n", "2", "--json", "--out", "a.npy"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["count"], found["backend"], found["device"], found["out"]) == (2, "onnx", "cpu", "a.npy")
    assert main(["verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is all_measured(found)
    assert {entry["file"] for entry in found["artifacts"]} == {
        "generator.onnx",
        "generator.ts",
        "generator.plan",
        "generator.safetensors",
        "generator.fp16.onnx",
    }
    assert main(["sample", "-n", "0", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


def all_measured(found: dict[str, Any]) -> bool | None:
    """What `passed` is of a folder where all hold that could be run: without a GPU an engine cannot."""
    return None if any(entry["parity"]["passed"] is None for entry in found["artifacts"]) else True


@pytest.mark.skipif(torch.cuda.is_available(), reason="the engine runs here")
def test_verify_passes_nothing_that_it_did_not_measure(
    run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--json"]) == 0  # the others hold
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is None
    (plan,) = (entry for entry in found["artifacts"] if entry["file"] == "generator.plan")
    assert "GPU" in plan["parity"]["reason"]

    for name in ("generator.onnx", "generator.fp16.onnx", "generator.ts", "generator.safetensors"):
        (run / "export" / name).unlink()
    assert main(["verify", "--json"]) == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out)["passed"] is None
    (line,) = shown.err.splitlines()
    assert line.startswith("wgan: nothing could be measured here: runs/one/export/generator.plan")


def test_verify_takes_a_folder(run: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "export").rename(here / "out")
    assert main(["verify", "--model", "out", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["artifacts"]) == 5
    (here / "empty").mkdir()
    assert main(["verify", "--model", "empty"]) == 2
    assert "nothing exported in empty" in capsys.readouterr().err


def without_metadata(data: bytes) -> bytes:
    """The payload of an ONNX artifact."""
    model = onnx.load_from_string(data)
    del model.metadata_props[:]
    return model.SerializeToString()


def test_sample_refuses_what_was_measured_and_does_not_match(
    run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "export" / "generator.onnx"
    report = {**(artifact.read(path).metadata.parity or {}), "passed": False, "max_abs": 0.25}
    payload = without_metadata(path.read_bytes())
    found = artifact.read(path).metadata.replace(payload_sha256=artifact.payload_digest("onnx", payload))
    artifact.write(path, payload, found.replace(parity=report))
    assert main(["sample", "-n", "1", "--out", "a.npy"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "does NOT match PyTorch (max error 2.5e-01 on cpu)" in line
    assert "not measured" not in line
    assert not (here / "a.npy").exists()

    artifact.write(path, payload, found.replace(parity={"passed": False}))  # no figures
    assert main(["sample", "-n", "1", "--out", "a.npy"]) == 1
    artifact.write(path, payload, found.replace(parity=None))
    assert main(["sample", "-n", "1", "--out", "a.npy"]) == 0
    assert "was not measured against PyTorch" in capsys.readouterr().err


def reclassed(path: Path, classes: tuple[str, ...]) -> None:
    """Gives an ONNX artifact these classes, sealed as its exporter would."""
    payload = without_metadata(path.read_bytes())
    found = artifact.read(path).metadata.replace(payload_sha256=artifact.payload_digest("onnx", payload))
    artifact.write(path, payload, found.replace(classes=classes))


def test_names_of_classes_neither_steer_the_terminal_nor_fill_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "export" / "generator.onnx"
    reclassed(path, ("red\x1b[31m", "\x07bell", "\u202eleft", "\ud800", "blue\x9b2J", "w" * 5000, "ähre 葱"))
    assert main(["sample", "-n", "1", "--label", "no\x1bne"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not set(line) & set("\x1b\x07\x9b\u202e\ud800")
    assert "red\ufffd[31m, \ufffdbell" in line
    assert "ähre 葱" in line
    assert len(line) < 500

    reclassed(path, tuple(map(str, range(100_000))))
    assert main(["sample", "-n", "1", "--label", "none"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("18, 19, ... and 99,980 more")


def test_results_and_progress_are_plain_too(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.emit({"file": "a\x1b[2J"}, "a\x1b[2J\tb\nc", False)
    terminal.emit({"file": "a\x1b[2J"}, "", True)
    assert capsys.readouterr().out == 'a\ufffd[2J\tb\nc\n{"file": "a\\u001b[2J"}\n'
    with counter(quiet=0.0) as progress:
        progress(1, 1, "a\x1b[2J.onnx")
    assert capsys.readouterr().err == "a\ufffd[2J.onnx: 1 of 1\n"


def test_a_line_of_error_ends(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-n", "1", "--backend", "x" * 100_000]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 2100


def test_files_that_are_named_like_markup_are_rows_of_verify(
    run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "out").mkdir()
    shutil.copy(run / "export" / "generator.pt", here / "out")
    shutil.copy(run / "export" / "generator.onnx", here / "out" / "generator.[ts][red].onnx")
    assert main(["verify", "--model", "out"]) == 0
    assert "generator.[ts][red].onnx" in capsys.readouterr().out


def test_the_table_of_verify_fits_a_terminal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if "not measured:" not in line]
    assert max(map(len, table)) <= 80
    assert sum("holds" in line for line in table) == 4


def test_verify_of_a_damaged_artifact_exits_1(run: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.export.test_parity import reweighted

    shutil.move(reweighted(run / "export", here, 1.01), run / "export" / "generator.onnx")
    assert main(["verify"]) == 1
    shown = capsys.readouterr().out
    assert "FAILS" in shown
    assert "max_abs" in shown


def test_verify_finishes_its_table_whatever_is_wrong_with_a_file(
    run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.export.test_parity import reweighted

    export = run / "export"
    export.joinpath("generator.fp16.onnx").write_bytes(b"half a file")
    export.joinpath("generator.old.ts").mkdir()
    assert main(["verify"]) == 2
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[-1] for line in lines[1:7]}
    assert rows.pop("generator.plan") in ("run", "holds")  # "not run" without a GPU
    assert rows == {
        "generator.fp16.onnx": "refused",
        "generator.old.ts": "refused",
        "generator.onnx": "holds",
        "generator.safetensors": "holds",
        "generator.ts": "holds",
    }
    assert any("fp16.onnx is damaged or no ONNX file" in line for line in lines[7:])
    assert any("old.ts cannot be read" in line for line in lines[7:])

    assert main(["verify", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is False
    assert [entry["file"] for entry in found["artifacts"]] == sorted(entry["file"] for entry in found["artifacts"])
    assert {entry["file"] for entry in found["artifacts"] if "error" in entry} == {
        "generator.fp16.onnx",
        "generator.old.ts",
    }

    # an artifact that is measured and found wrong outweighs one that could not be measured
    shutil.move(reweighted(export, here, 1.01), export / "generator.onnx")
    assert main(["verify"]) == 1
    assert "FAILS" in capsys.readouterr().out

    export.joinpath("generator.pt").unlink()
    assert main(["verify"]) == 2
    assert capsys.readouterr().out.count("no checkpoint") == 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sample", "-n", "0"], "-n 0 is not at least 1"),
        (["sample", "-n", "many"], "-n"),
        (["sample"], "-n"),
        (["sample", "-n", "1", "--seed", "-1"], "--seed -1 is outside its range"),
        (["sample", "-n", "1", "--seed", str(2**63)], "outside its range"),
        (["sample", "-n", "1", "--batch-size", "0"], "--batch-size 0 is not at least 1"),
        (["sample", "-n", "1", "--backend", "tflite"], "not one of onnx, torchscript, trt, torch"),
        (["sample", "-n", "1", "--backend", "trt", "--model", "runs/one/export/generator.onnx"], "cannot run"),
        (["sample", "-n", "1", "--model", "no.onnx"], "no file no.onnx"),
        (["sample", "-n", "1", "--model", "no.txt"], "the endings are"),
        (["sample", "-n", "1", "--run", "nowhere"], "no run nowhere"),
        (["sample", "-n", "1", "--device", "tpu"], "not one of auto, cpu, cuda"),
        (["sample", "-n", "1", "--out", "a.jpg"], ".png"),
        (["train", "batchsize=3"], "did you mean batch_size?"),
        (["train", "batch_size"], "is not key=value"),
        (["train", "--config", "huge"], "presets are demo, faces-64, wgan-gp-64"),
        (["train", "--data", "no/such/folder"], "no/such/folder"),
        (["train", "--device", "tpu"], "not one of auto, cpu, cuda"),
        (["train", "--resume", "--config", "demo"], "--resume goes on with"),
        (["train", "--resume", "--run", "nowhere"], "is no run folder"),
        (["export"], "--format"),
        (["export", "--format", "tflite"], "no whole checkpoint"),
        (["export", "--format", "onnx", "--checkpoint", "no.pt"], "no checkpoint"),
        (["verify", "--model", "no.onnx"], "no file no.onnx"),
        (["verify", "--run", "nowhere"], "nothing exported"),
        (["smaple"], "smaple"),
        (["sample", "--colour"], "--colour"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_2(
    run: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("wgan: ")
    assert says in line


def test_an_export_that_does_not_match_exits_1(
    here: Path, tiny_export: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wgan.export import parity

    monkeypatch.setitem(parity.GATES, ("fp32", "cpu"), {"max_abs": 0.0})
    source = str(tiny_export / "generator.pt")
    assert main(["export", "--format", "onnx", "--checkpoint", source, "--out", "o", "--json"]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out)["exit_code"] == 1
    assert "generator.onnx does not match PyTorch and was not written: max_abs" in shown.err
    assert [path.name for path in (here / "o").iterdir()] == ["generator.pt"]


def test_the_very_last_seed_can_be_had(run: Path, here: Path) -> None:
    for backend in ("onnx", "torch"):
        assert (
            main(["sample", "--backend", backend, "-n", "1", "--seed", str(2**63 - 1), "--out", f"{backend}.npy"]) == 0
        )
    difference = np.load(here / "onnx.npy").astype(int) - np.load(here / "torch.npy")
    assert np.abs(difference).max() <= 1


def test_an_artifact_that_was_not_measured_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import onnx

    from wgan.serve.artifacts import artifact

    path = run / "export" / "generator.onnx"
    metadata = artifact.read(path).metadata.replace(parity=None)
    model = onnx.load(path)
    del model.metadata_props[:]
    artifact.write(path, model.SerializeToString(), metadata)
    assert main(["sample", "-n", "1", "--out", "a.npy"]) == 0
    assert "was not measured against PyTorch" in capsys.readouterr().err


def test_without_any_run_the_line_says_how_to_make_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs_one = ["sample", "-n", "1", "--backend", "torch"]
    for words in (needs_one, ["export", "--format", "onnx"], ["verify"], ["train", "--resume"]):
        assert main(words) == 2
        assert "`wgan train`" in capsys.readouterr().err


def test_asking_for_cuda_where_there_is_none_never_falls_back(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wgan.serve.machine.gpu import gpu_count

    if gpu_count():
        pytest.skip("this machine has a GPU")
    for backend in ("onnx", "torchscript", "torch", "trt"):
        assert main(["sample", "-n", "1", "--backend", backend, "--device", "cuda"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "CUDA" in line or "GPU" in line
    for words in (["sample", "-n", "1"], ["eval", "--inception-weights", "none"]):
        assert main([*words, "--backend", "trt"]) == 2
        assert "NVIDIA GPU" in capsys.readouterr().err


def test_help_fits_80_columns_and_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("train", "export", "verify", "sample", "eval", "doctor", "demo"))
    assert "..." not in shown.partition("Commands:")[2]
    for command in ("train", "export", "verify", "sample", "eval", "doctor", "demo"):
        assert main([command, "--help"]) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.slow
def test_dry_run_shows_the_cost_and_makes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", "wgan-gp-64", "--dry-run", "--json", "--device", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"]["batch_size"] == 64
    assert found["generator_parameters"] == 3_821_443
    # 2 FLOP a multiply-add: 128·8192 + 16·(4²·512·256 + 8²·256·128 + 16²·128·64 + 32²·64·3)
    assert found["generator_flops"] == 2 * (128 * 8192 + 16 * (16 * 512 * 256 * 3 + 1024 * 64 * 3))
    assert found["seconds"] > 0
    assert not (here / "runs").exists()
    assert main(["train", "--dry-run", "--device", "cpu", "minutes=0.01", *TINY]) == 0
    said = capsys.readouterr()
    assert "parameters" in said.out
    assert said.err.startswith("recipe: 64 colour images of 64 px, 8 class folders, 0.01 minutes on ")


@pytest.mark.slow
def test_ctrl_c_saves_first_and_the_run_goes_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "wgan", "train", "--run", "runs/a", "steps=100000", "log_every=1", *TINY]
    for number in (signal.SIGINT, signal.SIGTERM):
        resume = [*command[:6], "--resume"] if number == signal.SIGTERM else command
        child = subprocess.Popen(resume, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
        assert child.stderr is not None
        deadline = time.monotonic() + 120
        for line in child.stderr:
            if line.startswith("step "):
                break
            assert time.monotonic() < deadline
        time.sleep(0.5)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
        assert child.returncode == 130, err
        assert "saved runs/a/checkpoints/step-" in err
        assert out.startswith("stopped, saved: runs/a")
        assert "Traceback" not in err


@pytest.mark.slow
def test_train_without_options_takes_a_recipe_and_keeps_its_line(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--device", "cpu", "steps=1", *TINY]) == 0
    (run,) = (here / "runs").glob("*-faces")
    found = (run / "config.yaml").read_text()
    assert "data: faces" in found
    assert "critic_head: flatten" in found
    said = capfd.readouterr()
    assert said.out.startswith(f"trained: runs/{run.name}\nlast and best: step 1, SWD ")
    (line,) = (line for line in said.err.splitlines() if line.startswith("recipe: "))
    assert "8 class folders, 1 step on" in line
    assert line.replace("'", "&#x27;") in (run / "report.html").read_text()
    assert main(["train", "--config", "wgan-gp-64", "--device", "cpu", "--run", "b", "steps=1", *TINY]) == 0
    assert "recipe: " not in capfd.readouterr().err
    documents = (here / "b" / "config.yaml").read_text()
    assert "lr_d: 0.0001" in documents
    assert "critic_head: pool" in documents


def test_export_writes_beside_the_run(here: Path, tiny_export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wgan.training.records import checkpoint

    run = here / "runs" / "one"
    state = checkpoint.load(tiny_export / "generator.pt")
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("steps: 1\n")
    checkpoint.save(run / "checkpoints" / "step-00000007.pt", state)
    assert main(["export", "--format", "onnx"]) == 0
    assert main(["export", "--format", "onnx", "--precision", "fp16"]) == 0
    assert {p.name for p in (run / "export").iterdir()} == {"generator.pt", "generator.onnx", "generator.fp16.onnx"}
    assert "generator.fp16.onnx" in (run / "report.html").read_text()
    capsys.readouterr()
    assert main(["export", "--format", "onnx", "--checkpoint", str(tiny_export / "generator.pt"), "--out", "o"]) == 0
    assert "holds" in capsys.readouterr().out
    there, alone = (artifact.read(folder / "generator.onnx").metadata for folder in (run / "export", here / "o"))
    assert alone.payload_sha256 == there.payload_sha256
    assert dict(there.source) == {**alone.source, "checkpoint": "last"}  # a file alone is not known to be that


@pytest.mark.slow
def test_ctrl_c_before_there_is_anything_to_save_is_one_line(here: Path) -> None:
    command = [sys.executable, "-m", "wgan", "train", "--run", "runs/a", "faces_count=1000000"]
    # a program that was started in the background has Ctrl-C turned off, and hands that on
    listening = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=listening)
    assert child.stderr is not None
    assert child.stderr.readline().startswith("this run takes about 30 min")
    assert "drawing faces" in child.stderr.readline()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "wgan: interrupted"
    assert "Traceback" not in err
    assert not (here / "runs" / "a").exists()
    assert not list((here / "runs").rglob("*.tmp"))


@pytest.mark.slow
def test_options_are_words(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["progressive=true", "attention=16", "conditional=yes", "spectral_norm=both"]
    command = ["train", "--config", "demo", "--device", "cpu", "--run", "a", "steps=3", *TINY, *options]
    assert main([*command, "phase_images=5000"]) == 2
    assert "32 px are reached after 20,000 real images" in capsys.readouterr().err
    assert not (here / "a").exists()
    assert main([*command, "phase_images=4"]) == 0
    saved = (here / "a" / "config.yaml").read_text()
    assert all(line in saved for line in ("progressive: true", "attention: 16", "conditional: true"))
    assert main(["train", "--dry-run", "--run", "b", "--device", "cpu", *TINY, *options]) == 0
    assert "GFLOP" in capsys.readouterr().out
    assert main(["train", "--resume", "--run", "a", "attention=8"]) == 2
    assert "attention was 16 in this run and cannot become 8: start a new run" in capsys.readouterr().err
    assert main(["train", "conditional=maybe"]) == 2
    assert "conditional='maybe' is not true or false" in capsys.readouterr().err
