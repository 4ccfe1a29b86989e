"""The clients of `bench_serving.py`, in a process of their own: `python scripts/bench_client.py LOAD.json` prints JSON.

Each connection asks, waits for the reply and asks again. wrk is used where it is installed, as it takes least of the
cores that the server shares; else plain sockets and one thread.
"""

import json
import os
import random
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wgan.serve.latents.table import SEEDS, latents

SLOW = 20.0  # seconds after which a reply is given up
WAIT = 60.0  # for the process beyond its time

_LUA = """
local kind, count, seeds = "%s", %d, %d
function init() math.randomseed(%d) end
function request()
  local seed = math.random(0, seeds)
  if kind == "png" then return wrk.format("GET", string.format("/v1/images/%%d.png", seed)) end
  local body = string.format('{"seed":%%d,"n":%%d,"format":"raw"}', seed, count)
  return wrk.format("POST", "/v1/images", {["Content-Type"] = "application/json"}, body)
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"done":%%d,"failed":%%d,"seconds":%%f,"p50_ms":%%f,"p99_ms":%%f}\\n',
    summary.requests - e.status, e.status + e.connect + e.read + e.write + e.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True)
class Load:
    """What is asked of a server, by how many at a time and for how long.

    Args:
        kind: "png": one image by its seed; "raw": ``count`` images by their first seed, uint8; "infer": latents, by the
            Open Inference Protocol.
        host: of the server; so is ``port``.
        clients: connections.
        seconds: for which they ask.
        count: images of a request.
        dim: entries of a latent.
        model: the generator's name under the Open Inference Protocol.
        classes: whether it takes labels.
    """

    kind: str
    host: str
    port: int
    clients: int
    seconds: float
    count: int = 1
    dim: int = 128
    model: str = "generator"
    classes: bool = False


def drive(load: Load, wrk: bool) -> dict[str, Any]:
    """Asks, in another process: replies of status 200 (``done``), others and broken connections, seconds, p50, p99.

    Raises:
        RuntimeError: the clients failed, and not the server.
    """
    if wrk and load.kind != "infer":
        return _wrk(load)
    command = [sys.executable, str(Path(__file__)), json.dumps(asdict(load))]
    return _told(command, load.seconds)


def has_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def _wrk(load: Load) -> dict[str, Any]:
    # Lua's numbers are exact up to 2^53
    text = _LUA % (load.kind, load.count, 2**50, time.monotonic_ns() % 2**31)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(text)
        seconds = max(1, round(load.seconds))
        words = ["-t1", f"-c{load.clients}", f"-d{seconds}s", f"--timeout={SLOW:.0f}s", "-s", str(script)]
        return _told(["wrk", *words, f"http://{load.host}:{load.port}"], seconds)


def _told(command: list[str], seconds: float) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + WAIT)
    if done.returncode != 0:
        raise RuntimeError(f"the clients failed: {done.stderr.strip()[-300:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


class Connection:
    """One client's socket, and what has come of the reply that it waits for."""

    def __init__(self, load: Load):
        self.socket = socket.create_connection((load.host, load.port), timeout=SLOW)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked = 0.0
        self._buffer, self._length = bytearray(), 0  # length: of the whole reply, 0 where it is not known yet

    def ask(self, request: bytes) -> None:
        """Sends a request."""
        self._buffer, self._length = bytearray(), 0
        self.asked = time.perf_counter()
        self.socket.sendall(request)

    @property
    def reply(self) -> str:
        """What has come, for people."""
        return self._buffer[-200:].decode(errors="replace")

    def read(self) -> int | None:
        """The status of the reply once it is whole. Raises OSError where the connection ends before that."""
        if not (data := self.socket.recv(1 << 18)):
            raise ConnectionError("closed")
        self._buffer += data
        if not self._length:
            if (end := self._buffer.find(b"\r\n\r\n")) < 0:
                return None
            head = bytes(self._buffer[:end]).lower()
            at = head.index(b"\r\ncontent-length:") + 17
            self._length = end + 4 + int(head[at:].split(b"\r", 1)[0])
        return int(self._buffer[9:12]) if len(self._buffer) >= self._length else None


def ask_for(load: Load) -> dict[str, Any]:
    """The load, from this process."""
    requests, taken, failed = _requests(load), list[float](), 0
    said = ""  # by the first reply that failed
    selector = selectors.DefaultSelector()
    for _ in range(load.clients):
        connection = Connection(load)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.ask(next(requests))
    began = time.perf_counter()
    end = began + load.seconds
    while (now := time.perf_counter()) < end:
        for key, _ in selector.select(end - now):
            connection = key.data
            try:
                status = connection.read()
            except OSError:
                failed += 1
                selector.unregister(connection.socket)
                connection.socket.close()
                connection = Connection(load)
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                status = 0
            if status == 200:
                taken.append(time.perf_counter() - connection.asked)
            elif status:
                failed += 1
                said = said or connection.reply
            if status is not None:
                connection.ask(next(requests))
    seconds = time.perf_counter() - began
    cuts = statistics.quantiles(taken, n=100, method="inclusive") if len(taken) > 1 else [SLOW] * 99
    return {
        "done": len(taken), "failed": failed, "seconds": seconds, "p50_ms": 1e3 * cuts[49], "p99_ms": 1e3 * cuts[98],
        "said": said,
    }  # fmt: skip


def _requests(load: Load) -> Iterator[bytes]:
    """Endless requests, each for other images."""
    number = random.Random(os.getpid())
    host = f"Host: {load.host}:{load.port}\r\n"
    ready = [_infer(load, host, number) for _ in range(64)] if load.kind == "infer" else []
    make: dict[str, Callable[[int], bytes]] = {
        "png": lambda seed: f"GET /v1/images/{seed}.png HTTP/1.1\r\n{host}\r\n".encode(),
        "raw": lambda seed: _post("/v1/images", host, json.dumps({"seed": seed, "n": load.count, "format": "raw"})),
        "infer": lambda seed: ready[seed % len(ready)],
    }
    while True:
        yield make[load.kind](number.randrange(SEEDS - load.count))


def _post(path: str, host: str, head: str, tensors: bytes = b"") -> bytes:
    """A request of JSON; where tensors follow it, as the binary extension of the Open Inference Protocol has it."""
    more = f"Inference-Header-Content-Length: {len(head)}\r\n" if tensors else "Content-Type: application/json\r\n"
    length = f"Content-Length: {len(head) + len(tensors)}\r\n"
    return f"POST {path} HTTP/1.1\r\n{host}{more}{length}\r\n{head}".encode() + tensors


def _infer(load: Load, host: str, number: random.Random) -> bytes:
    z = latents(number.randrange(SEEDS - load.count), load.count, load.dim)
    tensors = [("z", "FP32", z.astype("<f4"))]
    if load.classes:
        tensors.append(("label", "INT64", np.zeros((load.count, 1), "<i8")))
    inputs = [
        {"name": name, "datatype": kind, "shape": value.shape, "parameters": {"binary_data_size": value.nbytes}}
        for name, kind, value in tensors
    ]
    head = {"inputs": inputs, "outputs": [{"name": "image", "parameters": {"binary_data": True}}]}
    data = b"".join(value.tobytes() for _, _, value in tensors)
    return _post(f"/v2/models/{load.model}/infer", host, json.dumps(head), data)


if __name__ == "__main__":
    print(json.dumps(ask_for(Load(**json.loads(sys.argv[1])))))
