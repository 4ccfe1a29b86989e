"""The S3 endpoint and the failing proxy of the tests do what their tests rely on."""

import http.client
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest
from object_store import SIGNED

from tests import ROOT
from tests.fakes.object_store import Bucket, Faulty

BODY = bytes(range(256)) * 1024


def ask(url: str, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, body, SIGNED)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


BROKEN = (OSError, http.client.HTTPException)


@pytest.mark.parametrize(("fault", "stored"), [("before", False), ("upload", False), ("lost", True)])
def test_a_cut_put_is_stored_only_where_the_answer_alone_was_lost(s3: Bucket, faulty, fault: str, stored: bool):
    proxy = faulty()
    proxy.next(fault, method="PUT")
    with pytest.raises(BROKEN):
        ask(proxy.url, "PUT", f"/{s3.name}/a%20b%25", BODY)
    assert s3.keys() == (["a b%"] if stored else [])
    assert ask(proxy.url, "PUT", f"/{s3.name}/whole", BODY)[0] == 200
    assert s3.get("whole") == BODY
    assert proxy.counts == {fault: 1, "": 1}


def test_half_an_answer_a_delay_and_the_endpoints_own_errors(s3: Bucket, faulty):
    s3.put("key", BODY)
    proxy = faulty(delay=0.2)
    proxy.next("download", "500", "503", "delay")
    with pytest.raises(http.client.IncompleteRead) as half:
        ask(proxy.url, "GET", f"/{s3.name}/key")
    assert half.value.partial == BODY[: len(BODY) // 2]
    assert [ask(proxy.url, "GET", f"/{s3.name}/key")[0] for _ in range(2)] == [500, 503]
    begun = time.monotonic()
    assert ask(proxy.url, "GET", f"/{s3.name}/key") == (200, BODY)
    assert time.monotonic() - begun >= 0.2
    proxy.down = True
    with pytest.raises(BROKEN):
        ask(proxy.url, "GET", f"/{s3.name}/key")


def test_a_seed_is_a_plan(s3: Bucket):
    def faults(seed: int, rate: float) -> list[str]:
        with Faulty(s3.endpoint, seed=seed, rate=rate) as proxy:
            return [proxy.choose("GET", "/") for _ in range(200)]

    assert faults(1, 0.5) == faults(1, 0.5) != faults(2, 0.5)
    assert faults(1, 0.0) == [""] * 200
    assert len({*faults(1, 0.5)}) == 8


def test_keys_are_listed_over_pages_and_odd_ones_kept(s3: Bucket):
    keys = sorted([*(f"n/{number}" for number in range(10)), "a b%41", "ä#?&+/ü", "p//q"])
    for key in keys:
        s3.put(key, b"")
    assert s3.keys(page=3) == keys
    assert s3.keys("n/1") == [key for key in keys if key.startswith("n/1")]


@pytest.mark.slow
def test_the_server_ends_with_the_process_that_started_it():
    script = "from object_store import MotoServer; print(MotoServer().pid, flush=True); import time; time.sleep(60)"
    child = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT / "scripts", stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert child.stdout is not None
    with child.stdout:
        server = int(child.stdout.readline())
        os.kill(server, 0)
        child.send_signal(signal.SIGKILL)
        child.wait()
        end = time.monotonic() + 10
        while time.monotonic() < end and alive(server):
            time.sleep(0.05)
    assert not alive(server)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # one that ended, and whose parent has not asked, is no process
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
