"""Every command ends in what comes next: whole commands on stderr, which can be pasted, and `-q` silences."""

import shlex
from pathlib import Path

import pytest

from wgan.cli import main
from wgan.commands.onward import onward, tensorboard, with_model, with_run

TINY = ["image_size=16", "base_channels=4", "latent_dim=8", "faces_count=64", "batch_size=8", "n_critic=1",
        "validate_images=16", "--device", "cpu"]  # fmt: skip


def next_of(err: str) -> list[str]:
    return [line.removeprefix("next: ") for line in err.splitlines() if line.startswith("next: ")]


def test_the_newest_run_needs_no_name(run: Path, here: Path) -> None:
    assert with_run(Path("runs/one"), "export", "--format", "onnx") == "wgan export --format onnx"
    assert with_run(run, "sample") == "wgan sample"
    assert with_run(Path("my runs/b"), "sample") == "wgan sample --run 'my runs/b'"


def test_an_artifact_is_named_where_another_would_be_taken(run: Path, here: Path) -> None:
    export = Path("runs/one/export")
    assert with_model(export / "generator.onnx", "onnx", "sample", "-n", 64) == "wgan sample -n 64"
    assert with_model(export / "generator.ts", "torchscript", "bench") == "wgan bench --backend torchscript"
    other = export / "generator.fp16.onnx"
    assert with_model(other, "onnx", "sample") == f"wgan sample --model {other}"


def test_tensorboard_takes_any_folder() -> None:
    assert shlex.split(tensorboard(Path("my runs/a")))[-1] == "my runs/a/tensorboard"


def test_nothing_is_said_beside_json(capsys: pytest.CaptureFixture[str]) -> None:
    onward(True, "wgan sample")
    assert capsys.readouterr().err == ""
    onward(False, "wgan sample", "wgan bench")
    assert capsys.readouterr().err == "next: wgan sample\nnext: wgan bench\n"


def test_one_image_is_one_image_and_the_next_command_runs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-n", "1"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("1 image (seed 0) ")
    assert next_of(shown.err) == ["wgan bench"]


def test_quiet_leaves_the_result_and_errors(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["-q", "sample", "-n", "1"], ["sample", "-n", "1", "--quiet"]):
        assert main(words) == 0
        shown = capsys.readouterr()
        assert shown.out.startswith("1 image ")
        assert shown.err == ""
    assert main(["sample", "-q", "-n", "0"]) == 2
    assert capsys.readouterr().err == "wgan: -n 0 is not at least 1\n"


def test_verbose_names_the_file_the_time_and_where_an_error_comes_from(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "-n", "1", "-v"]) == 0
    err = capsys.readouterr().err
    assert "runs/one/export/generator.onnx, by the backend onnx\n" in err
    assert "took 0." in err or "took " in err
    assert main(["sample", "-n", "0"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main(["-v", "sample", "-n", "0"]) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1] == "wgan: -n 0 is not at least 1"
    assert main(["-v", "sample", "-q", "-n", "1"]) == 2
    assert "--quiet and --verbose exclude each other" in capsys.readouterr().err


def test_verify_and_doctor_lead_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    assert next_of(capsys.readouterr().err) == ["wgan sample -n 64"]
    assert main(["doctor", "--backend", "onnx"]) == 0
    assert next_of(capsys.readouterr().err) == ["wgan sample -n 64"]


@pytest.mark.slow
def test_the_road_leads_from_training_to_images_by_what_is_printed(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "steps=2", "validate_every=1", *TINY]) == 0
    shown = capfd.readouterr()
    (run,) = (here / "runs").glob("*-faces")
    first = "this run takes less than a minute on this CPU: 2 steps, estimated in float32"
    assert shown.err.splitlines()[0] == f"{first}; precision=auto is not timed yet"
    assert f"report: runs/{run.name}/report.html" in shown.out
    assert [line.partition(":")[0] for line in shown.err.splitlines() if "lower is better" in line] == ["SWD"]
    board, export = next_of(shown.err)
    assert board == f"tensorboard --logdir runs/{run.name}/tensorboard"
    assert main(shlex.split(export)[1:]) == 0
    (sample,) = next_of(capfd.readouterr().err)
    assert main(shlex.split(sample)[1:]) == 0
    shown = capfd.readouterr()
    assert shown.out.startswith("64 images (seeds 0 to 63)")
    assert len(list((here / "samples").glob("seed-*.png"))) == 64


def test_what_takes_long_says_so_first_and_what_would_be_shorter(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wgan.serve.base.errors import TrainingError
    from wgan.training.run import forecast, loop

    def begins(*_: object, **__: object) -> None:
        raise TrainingError("training begins here")

    monkeypatch.setattr(loop, "train", begins)
    monkeypatch.setattr(forecast, "best_rate", lambda work, flops, repeats: 1e11)
    words = ["train", "--config", "wgan-gp-64", "--device", "cpu", "steps=50000", "lr_g=2e-4"]
    assert main(words) == 2
    assert capsys.readouterr().err.splitlines() == [
        "this run takes about 11 d 22 h on this CPU: 50,000 steps, estimated",
        "shorter: wgan train --config wgan-gp-64 --device cpu lr_g=2e-4 minutes=30",
        "shorter: wgan train minutes=30",
        "shorter: wgan train --config demo",
        "wgan: training begins here",
    ]
    assert main(["train", "--device", "cpu", "minutes=1"]) == 2
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "this run takes about 1 min 00 s, as minutes=1 says"
    assert rest == ["wgan: training begins here"]
