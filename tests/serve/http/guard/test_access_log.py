"""The access log: a line a request, and no secret in it."""

import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.generator import FakeGenerator
from tests.serve.http.raw import bare, eventually, request
from tests.serve.http.serving import serving, wgan_serve
from wgan.serve.http.guard.access import WAITING, AccessLog
from wgan.serve.http.limits.settings import Settings

TOKEN = "secret-token-123456"
SCOPE: dict[str, Any] = {"client": ("127.0.0.1", 9), "method": "GET", "path": "/ok"}


def test_a_request_is_one_line_with_what_it_was_and_nothing_secret(capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(access_log=True, tokens=(TOKEN,))
    with bare(settings) as server, server.connect() as client:
        secrets = ["Cookie: session=secret-cookie", "X-Api-Key: secret-key", "Referer: http://x/?secret-referer"]
        client.get(
            "/seeds/7?label=1&key=secret-query", f"Authorization: Bearer {TOKEN}", "X-Request-Id: mine", *secrets
        )
        client.get("/ok", "Authorization: Bearer secret-wrong-token")
        client.send(
            request("/echo", f"Authorization: Bearer {TOKEN}", "Content-Length: 11", method="POST", body="secret-body")
        )
        client.reply()
        lines = logged(capfd, 3)
    assert "secret" not in json.dumps(lines)
    first, second, third = lines
    assert first.pop("time").endswith("Z")
    assert first.pop("ms") >= 0
    assert first == {
        "id": "mine",
        "client": "127.0.0.1",
        "method": "GET",
        "route": "/seeds/{seed}",
        "path": "/seeds/7",
        "code": 200,
        "bytes": 4,
        "images": 0,
    }
    assert (second["code"], second["route"]) == (401, "other")
    assert (third["method"], third["code"], third["bytes"]) == ("POST", 200, 11)


def test_the_images_of_a_request_are_in_its_line(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(FakeGenerator(), Settings(access_log=True)) as server, server.client() as client:
        client.get("/v1/images/5.png")
        (line,) = logged(capfd, 1)
    assert (line["images"], line["path"]) == (1, "/v1/images/5.png")


def test_a_path_cannot_forge_a_line_or_steer_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with bare(Settings(access_log=True)) as server, server.connect() as client:
        client.get("/%0A%7B%22code%22:200%7D%1B[2J%E2%80%AE" + "x" * 5000)
        (line,) = logged(capfd, 1)
        text = json.dumps(line)
    assert line["code"] == 404
    assert len(text) < 1000
    assert "\x1b" not in text
    assert line["path"].startswith('/\n{"code":200}\x1b[2J\u202e')


def test_without_the_option_nothing_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    with bare() as server, server.connect() as client:
        client.get()
    assert capfd.readouterr().err == ""


def test_a_log_that_nobody_reads_stops_no_request() -> None:
    class Stuck(io.StringIO):
        def __init__(self) -> None:
            super().__init__()
            self.go = threading.Event()

        def write(self, text: str) -> int:
            assert self.go.wait(60)
            return super().write(text)

    stream = Stuck()
    log = AccessLog(stream)
    for number in range(WAITING + 100):
        log.write(SCOPE, str(number), "/ok", 200, 1, 0.001, 0)
    stream.go.set()
    log.write(SCOPE, "last", "/ok", 200, 1, 0.001, 0)
    eventually(lambda: '"dropped"' in stream.getvalue())
    log.close()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    dropped = sum(line.get("dropped", 0) for line in lines)
    assert sum("id" in line for line in lines) + dropped in (WAITING + 100, WAITING + 101)
    assert dropped >= 99


def test_a_log_that_was_closed_harms_nothing(tmp_path: Path) -> None:
    stream = (tmp_path / "log").open("w")
    log = AccessLog(stream)
    stream.close()
    log.write(SCOPE, "1", "/ok", 200, 1, 0.001, 0)
    log.close()


@pytest.mark.slow
def test_the_command_says_what_is_open_and_logs_each_request(tmp_path: Path) -> None:
    options = "--access-log", "--allow-host", "*"
    with wgan_serve("faces", tmp_path, *options) as server, server.client() as client:
        client.get("/healthz?secret=1", headers={"host": "anything.example"})
        assert server.end() == 0
        said = server.log.read_text()
    assert "DNS rebinding" in said
    (line,) = (json.loads(line) for line in said.splitlines() if line.startswith("{"))
    assert (line["path"], line["code"]) == ("/healthz", 200)


def logged(capfd: pytest.CaptureFixture[str], count: int) -> list[dict[str, Any]]:
    """The lines of the log, which a thread writes."""
    text = ""

    def whole() -> bool:
        nonlocal text
        text += capfd.readouterr().err
        return text.count("\n") >= count

    eventually(whole)
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
