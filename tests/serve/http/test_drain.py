"""The end of a server, and a new artifact in the old one's place: nothing that was asked is lost."""

import asyncio
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.fakes.generator import SlowGenerator
from tests.make import make_generator
from tests.serve.http.clients import Connection, together
from tests.serve.http.serving import PATIENCE, Process, serving, wgan_serve
from wgan.export import exporter
from wgan.serve.artifacts import artifact
from wgan.serve.http.limits.settings import Settings

pytestmark = pytest.mark.slow


async def ask_until(port: int, clients: int, ended: Callable[[], bool], then: Callable[[], None]) -> Counter[str]:
    """What came of the requests of closed-loop clients. ``then`` is called when all have been served once."""
    counts: Counter[str] = Counter()
    served = 0

    async def ask(connection: Connection, number: int) -> None:
        nonlocal served
        seed = number * 10**6
        first = True
        while not ended():
            seed += 1
            try:
                reply = await connection.get(f"/v1/images/{seed}.png")
            except ConnectionRefusedError:  # it does not listen any more: nothing was asked
                return
            except (EOFError, ConnectionError):
                counts["lost"] += 1
                continue
            whole = reply.status == 200 and reply.body[-8:-4] == b"IEND"
            counts["whole" if whole else str(reply.status)] += 1
            if first:
                first, served = False, served + 1
                if served == clients:
                    then()

    await together(port, clients, ask)
    return counts


@pytest.mark.parametrize("delay", ["0", "0.4"])
def test_sixty_four_clients_in_flight_lose_nothing_when_the_server_is_told_to_end(
    tiny_export: Path, tmp_path: Path, delay: str
) -> None:
    with wgan_serve(tiny_export / "generator.onnx", tmp_path, "--drain-delay", delay) as server:
        end = time.monotonic() + PATIENCE
        counts = asyncio.run(
            ask_until(
                server.port,
                64,
                lambda: time.monotonic() > end,
                lambda: server.process.send_signal(signal.SIGTERM),
            )
        )
        assert server.process.wait(PATIENCE) == 0
    assert set(counts) == {"whole"}, counts
    assert counts["whole"] >= 64
    assert "Traceback" not in server.log.read_text()


def test_while_it_drains_it_is_not_ready_and_still_answers(tiny_export: Path, tmp_path: Path) -> None:
    with (
        wgan_serve(tiny_export / "generator.onnx", tmp_path, "--drain-delay", "60") as server,
        server.client() as client,
    ):
        assert client.get("/readyz").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while (ready := client.get("/readyz")).status_code != 503 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ready.status_code == 503
        image = client.get("/v1/images/1.png")
        assert (image.status_code, image.headers["connection"]) == (200, "close")
        assert client.get("/healthz").status_code == 200
        # the second signal does not wait for the sixty seconds
        assert server.end() == 128 + signal.SIGTERM


def test_ctrl_c_ends_it_as_it_ends_every_command(tiny_export: Path, tmp_path: Path) -> None:
    with wgan_serve(tiny_export / "generator.onnx", tmp_path, "--drain-delay", "60") as server:
        assert server.end(signal.SIGINT) == 130


def test_requests_under_way_have_drain_timeout_and_no_more() -> None:
    generator = SlowGenerator(0)
    with serving(generator, Settings(drain_timeout=1)) as server:
        generator.open.clear()

        async def ask() -> None:
            connection = Connection(server.port)
            asking = asyncio.ensure_future(connection.get("/v1/images/1.png"))
            await asyncio.to_thread(generator.entered.wait, PATIENCE)
            server.loop.call_soon_threadsafe(server.life.end)
            reply = await asyncio.wait_for(asking, PATIENCE)
            assert (reply.status, b'"draining"' in reply.body) == (503, True)

        asyncio.run(ask())
        generator.open.set()


def wait_for(server: Process, text: str) -> None:
    """Until the log says it."""
    deadline = time.monotonic() + PATIENCE
    while text not in server.log.read_text():
        assert time.monotonic() < deadline, server.log.read_text()
        time.sleep(0.02)


def put(new: Path, place: Path) -> None:
    """As a deployment does it: a whole file takes the old one's name."""
    beside = place.with_name("new.onnx")
    shutil.copyfile(new, beside)
    beside.replace(place)


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of other weights."""
    folder = tmp_path_factory.mktemp("another") / "export"
    (made,) = exporter.export(make_generator(seed=7), folder, ["onnx"], max_batch=64)
    return made.path


@pytest.mark.parametrize("how", ["--watch", "SIGHUP"])
def test_a_new_artifact_is_taken_up_without_a_lost_request(
    tiny_export: Path, another: Path, tmp_path: Path, how: str
) -> None:
    place = tmp_path / "generator.onnx"
    put(tiny_export / "generator.onnx", place)
    with wgan_serve(place, tmp_path, *["--watch"] * (how == "--watch")) as server, server.client() as client:
        before = client.get("/v1/images/1.png").content
        swapped: list[float] = []

        def swap() -> None:
            put(another, place)
            if how == "SIGHUP":
                server.process.send_signal(signal.SIGHUP)

        def ended() -> bool:
            if not swapped and "serving the new artifact" in server.log.read_text():
                swapped.append(time.monotonic())
            return bool(swapped) and time.monotonic() > swapped[0] + 0.5

        counts = asyncio.run(asyncio.wait_for(ask_until(server.port, 16, ended, swap), PATIENCE))
        assert set(counts) == {"whole"}, counts
        after = client.get("/v1/images/1.png").content
        assert server.end() == 0
    assert artifact.read(another).metadata.payload_sha256.encode() in after
    assert before != after


@pytest.mark.parametrize("fault", ["damaged", "disproven", "gone"])
def test_an_artifact_that_may_not_be_served_is_refused_and_the_old_one_stays(
    tiny_export: Path, another: Path, tmp_path: Path, fault: str
) -> None:
    place = tmp_path / "generator.onnx"
    put(tiny_export / "generator.onnx", place)
    with wgan_serve(place, tmp_path) as server, server.client() as client:
        before = client.get("/v1/images/1.png").content
        if fault == "damaged":
            data = bytearray(another.read_bytes())
            data[len(data) // 2] ^= 1
            place.write_bytes(data)
        elif fault == "disproven":
            found = artifact.read(another)
            report = {**(found.metadata.parity or {}), "passed": False}
            artifact.write(place, found.data, found.metadata.replace(parity=report))
        else:
            place.unlink()
        server.process.send_signal(signal.SIGHUP)
        wait_for(server, "the new artifact is not served, the old one stays")
        assert client.get("/v1/images/1.png").content == before
        assert client.get("/readyz").status_code == 200
        assert server.end() == 0


def test_where_the_first_artifact_may_not_be_served_nothing_is(tmp_path: Path) -> None:
    bad = tmp_path / "generator.onnx"
    bad.write_bytes(b"no model")
    with pytest.raises(AssertionError, match="generator.onnx is damaged"), wgan_serve(bad, tmp_path):
        pass


def test_a_port_that_is_taken_is_one_line(tiny_export: Path, tmp_path: Path) -> None:
    with wgan_serve(tiny_export / "generator.onnx", tmp_path) as server:
        taken = str(server.port)
        other = tmp_path / "other"
        other.mkdir()
        with (
            pytest.raises(AssertionError, match=f"cannot listen on 127.0.0.1 port {taken}"),
            wgan_serve(tiny_export / "generator.onnx", other, "--port", taken),
        ):
            pass
        assert httpx.get(server.url + "/readyz", trust_env=False).status_code == 200
