"""Commands use a run at an address as they use one in a folder, and speak of it by its address."""

import json
from collections.abc import Callable

import pytest

from tests.fakes.object_store import Bucket
from tests.training.mirror.test_mirror import CPU, Machine, address, begin, go_on, impatient, last_line, machine

__all__ = ["address", "impatient", "machine"]  # fixtures


@pytest.mark.slow
def test_commands_use_a_run_at_an_address(
    machine: Callable[[str], Machine], s3: Bucket, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, other = machine("trained"), machine("other")
    assert begin(trained, address) == 0
    capsys.readouterr()
    assert other("sample", "-n", "2", "--run", address) == 2
    assert last_line(capsys) == (
        f"wgan: no {address}/export/generator.onnx: run `wgan export --format onnx --run {address}` first, or name a "
        "file with --model"
    )
    assert other("export", "--format", "onnx", "--max-batch", "4", "--run", address) == 0
    said = capsys.readouterr().err.splitlines()
    assert f"wrote {address}/export/generator.onnx" in said
    assert said[-1] == f"next: wgan sample -n 64 --model {address}/export/generator.onnx"
    assert s3.keys("runs/photos/export/") == [f"runs/photos/export/generator.{ending}" for ending in ("onnx", "pt")]
    (folder,) = (other.place / "runs" / ".cache" / "mirrors").glob("*/photos")
    assert s3.get("runs/photos/report.html") == (folder / "report.html").read_bytes()
    third = machine("third")
    assert third("sample", "-n", "2", "--run", address, "--out", "two.npy", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["model"] == f"{address}/export/generator.onnx"
    (folder,) = (third.place / "runs" / ".cache" / "mirrors").glob("*/photos")
    assert not (folder / "checkpoints").exists()  # that it has no need of
    assert third("verify", "--run", address, *CPU, "--json") == 0
    assert [row["path"] for row in json.loads(capsys.readouterr().out)["artifacts"]] == [made["model"]]
    assert third("report", "--run", address, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["report"], told["runs"][0]["run"]) == (f"{address}/report.html", address)
    assert s3.get("runs/photos/report.html") == (folder / "report.html").read_bytes()
    assert str(other.place) not in (folder / "report.html").read_text()


@pytest.mark.slow
def test_what_a_visit_has_fetched_is_fetched_again_only_where_it_changed(
    machine: Callable[[str], Machine], s3: Bucket, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, other = machine("trained"), machine("other")
    assert begin(trained, address, "steps=2") == 0
    assert other("report", "--run", address) == 0
    assert (trained.run / "export").exists() is False
    capsys.readouterr()
    assert other("report", "-v", "--run", address) == 0
    assert f"fetched 1 file of {address}, which lies below runs/.cache/mirrors/" in capsys.readouterr().err
    assert go_on(trained, address, "steps=4") == 0
    capsys.readouterr()
    assert other("report", "-v", "--json", "--run", address) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["last"]["step"] == 4


def test_a_run_that_is_not_there_is_a_line(
    machine: Callable[[str], Machine], address: str, s3: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    other = machine("other")
    assert other("sample", "-n", "2", "--run", address) == 2
    assert last_line(capsys) == f"wgan: there is no run at {address}: name another one with --run"
    assert other("serve", "--watch", "--run", address) == 2
    assert "`wgan serve --watch --model" in last_line(capsys)
    assert other("report", address, f"{address}-2") == 2
    assert "--out names the page that compares runs at addresses" in last_line(capsys)
    assert not (other.place / "runs").exists()
