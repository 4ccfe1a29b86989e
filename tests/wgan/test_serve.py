"""`wgan serve`: what it refuses before it listens, and what it says when it is ready."""

import importlib.util
import json
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from tests.serve.http.serving import wgan_serve
from wgan.cli import main


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "--token-file FILE or --no-auth"),
        (["--host", "::"], "--token-file FILE or --no-auth"),
        (["--host", "no.such.host.invalid", "--no-auth"], "--host no.such.host.invalid"),
        (["--port", "65536"], "0 to 65,535"),
        (["--port", "-1"], "0 to 65,535"),
        (["--queue", "0"], "--queue 0"),
        (["--workers", "0"], "--workers 0"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["--drain-timeout", "-1"], "--drain-timeout -1"),
        (["--drain-delay", "nan"], "--drain-delay nan"),
        (["--token-file", "absent"], "--token-file absent"),
        (["--token-file", "empty"], "--token-file empty"),
        (["--token-file", "token", "--no-auth"], "exclude each other"),
        (["--backend", "torchscript"], "torchscript"),
        (["--model", "absent.onnx"], "absent.onnx"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    (here / "empty").write_text("\n# nothing\n")
    (here / "token").write_text("a-token-of-enough-characters\n")
    (here / "token").chmod(0o600)
    named = [] if "--model" in options else ["--model", "faces"]
    assert main(["serve", *named, "--port", "0", *options]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_without_its_packages_it_says_what_installs_them(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def absent(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "uvicorn" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", absent)
    assert main(["serve", "--model", "faces"]) == 2
    line = capsys.readouterr().err
    assert "`wgan serve` needs uvicorn" in line
    assert "serve" in line.split("uvicorn")[1]


def test_when_it_is_ready_it_says_where_and_what(here: Path) -> None:
    with wgan_serve("faces", here) as server, server.client() as client:
        assert server.told["backend"] == "onnx"
        assert server.told["device"] == "cpu"
        assert client.get("/readyz").status_code == 200
        assert server.end() == 0
        assert server.process.stdout is not None
        assert server.process.stdout.read() == "", "one JSON object and no more"
    assert json.dumps(server.told)


def test_without_a_model_it_is_the_newest_runs(run: Path) -> None:
    with wgan_serve(None, run.parent.parent) as server:
        assert server.told["model"] == str(Path("runs") / "one" / "export" / "generator.onnx")
