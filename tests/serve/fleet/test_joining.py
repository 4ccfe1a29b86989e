"""What is refused before a cluster is joined, and workers that have no wgan. No cluster is started."""

import io
import pickle
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest

from wgan.cli import main
from wgan.serve.base.errors import BackendError
from wgan.serve.fleet.shim import attempt_function
from wgan.serve.fleet.tally import MOST_LOST, Losses

SAMPLE = ["sample", "--model", "faces", "-n", "4", "--out", "o/a.tar"]
SHARDS = [*SAMPLE, "--shard-size", "2"]

pytestmark = pytest.mark.usefixtures("here")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of a command that makes nothing."""
    assert main([*words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert not Path("o").exists()
    return err


@pytest.fixture
def stranger() -> Iterator[int]:
    """The port of a server that speaks no Ray."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*SAMPLE, "--ray", "auto"], "--ray auto hands out shards: say how many images one has, `wgan sample"),
        ([*SHARDS, "--ray", "here"], "--ray here is none of auto, local, HOST:PORT and ray://HOST:PORT"),
        ([*SHARDS, "--ray", "10.0.0.1:99999"], "--ray 10.0.0.1:99999 is none of"),
        ([*SHARDS, "--ray", "http://a:1"], "--ray http://a:1 is none of"),
        ([*SHARDS, "--ray", "local", "--device", "tpu"], "--device tpu is not one of"),
        ([*SHARDS, "--ray", "local", "--precision", "fp16"], "--precision fp16 is for checkpoints"),
        ([*SHARDS, "--ray", "local", "--model", "a.pt"], "other machines run exported files, and a.pt"),
    ],
)
def test_what_cannot_be_is_refused_at_once(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert says in refused(capsys, *words)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_without_a_cluster_is_told_in_a_line(capsys: pytest.CaptureFixture[str], scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # nobody's by now
    assert f"--ray {scheme}127.0.0.1:{port}: no Ray cluster answers there" in refused(
        capsys, *SHARDS, "--ray", f"{scheme}127.0.0.1:{port}"
    )


def test_another_server_is_not_waited_for(capsys: pytest.CaptureFixture[str], stranger: int) -> None:
    began = time.monotonic()
    assert "no Ray cluster answers there" in refused(capsys, *SHARDS, "--ray", f"127.0.0.1:{stranger}")
    assert time.monotonic() - began < 60  # Ray itself tries for minutes


def test_auto_goes_by_the_environment(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    said = refused(capsys, *SHARDS, "--ray", "auto")
    assert "--ray auto: this machine belongs to no Ray cluster" in said
    assert "--ray local" in said


def test_without_ray_a_line_says_how_to_install_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    said = refused(capsys, *SHARDS, "--ray", "auto")
    assert "--ray needs Ray: " in said
    assert "[ray]" in said


class _NoWgan(pickle.Unpickler):
    """Reads what a worker reads that has no wgan."""

    def find_class(self, module: str, name: str) -> Any:
        assert module.split(".")[0] != "wgan", f"{module}.{name}"
        return super().find_class(module, name)


def test_a_worker_without_wgan_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    attempt = _NoWgan(io.BytesIO(cloudpickle.dumps(attempt_function()))).load()

    class Context:
        def get_node_id(self) -> str:
            return "ab"

    fake = ModuleType("ray")
    fake.__dict__["get_runtime_context"] = Context
    fake.__dict__["util"] = ModuleType("util")
    fake.__dict__["util"].get_node_ip_address = lambda: "10.0.0.7"
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "wgan.serve.fleet.worker", None)
    found = attempt([], None)
    assert found["exit_code"] == 2
    assert "(10.0.0.7) cannot import wgan" in found["error"]


def test_only_losses_without_a_whole_shard_between_them_are_too_many() -> None:
    losses = Losses()
    for _ in range(5):
        for _ in range(MOST_LOST):
            losses.add(Exception("killed"), 1)
        losses.clear()
    for _ in range(4 * MOST_LOST):
        losses.add(Exception("killed"), MOST_LOST)
    with pytest.raises(BackendError, match=r"81 attempts in a row .+ \(killed\)"):
        losses.add(Exception("killed"), MOST_LOST)
