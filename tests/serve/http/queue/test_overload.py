"""Overload, requests whose time is over and clients that left: what a server without a bounded queue fails."""

import asyncio
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fakes.generator import SlowGenerator
from tests.serve.http.clients import Connection, load, together
from tests.serve.http.serving import PATIENCE, Serving, serving
from wgan.serve.http.limits.settings import Settings

BATCH, SECONDS = 8, 0.08  # so the generator makes 100 images a second, whatever the machine does


def path(seed: int) -> str:
    """Of an image."""
    return f"/v1/images/{seed}.png"


@contextmanager
def deepest(server: Serving) -> Iterator[list[int]]:
    """The most images in the queue while it is open."""
    found, done = [0], threading.Event()

    def look() -> None:
        while not done.wait(0.005):
            found[0] = max(found[0], server.service.model.batcher.queued)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fake", "onnx"])
def test_at_four_times_its_capacity_a_server_serves_what_it_can_and_refuses_the_rest(name: str) -> None:
    settings = Settings(queue=64, batch_size=BATCH, workers=1)
    with serving(SlowGenerator(SECONDS, name), settings) as server:
        unloaded = asyncio.run(load(server.port, 64, 1.5, path))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with deepest(server) as queued:
            loaded = asyncio.run(load(server.port, 256, 3, path))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert set(unloaded) == {200}
    assert set(loaded) == {200, 429}
    assert loaded[200] / 3 >= 0.8 * unloaded[200] / 1.5
    # each was answered after a while: a refusal that comes at once is asked again at once
    assert loaded[429] <= 256 * (3 / settings.patience + 1)
    assert queued[0] <= 64
    assert grown < 64 * 1024  # KiB


def test_a_refusal_says_when_to_come_again_and_the_waiting_are_bounded() -> None:
    settings = Settings(queue=8, batch_size=BATCH, max_waiting=2, patience=0.2)
    with serving(SlowGenerator(0.6), settings) as server:
        statuses: list[tuple[int, str, float]] = []

        async def ask(connection: Connection, number: int) -> None:
            await asyncio.sleep(number / 100)  # in order
            began = time.monotonic()
            reply = await connection.get(path(number))
            statuses.append((reply.status, reply.headers.get("retry-after", ""), time.monotonic() - began))

        # one is being made, eight are in the queue, two wait for room in vain, two more may not even wait
        asyncio.run(together(server.port, 13, ask))
    assert [status for status, *_ in sorted(statuses)] == [200] * 9 + [429] * 4
    assert all(int(after) >= 1 for status, after, _ in statuses if status == 429)
    waited = sorted(seconds for status, _, seconds in statuses if status == 429)
    assert sum(seconds >= 0.2 for seconds in waited) == 2


def test_a_request_whose_time_is_over_is_answered_then_and_never_made() -> None:
    generator = SlowGenerator(0.5)
    with serving(generator, Settings(batch_size=BATCH)) as server:
        made: list[int] = []

        async def ask(connection: Connection, number: int) -> None:
            await asyncio.sleep(0.05 * bool(number))
            reply = await connection.get(path(number), X_Request_Timeout="10" if number == 0 else "0.2")
            made.append(reply.status)
            if number == 0:
                return
            assert reply.status == 504
            assert b'"deadline"' in reply.body
            assert generator.made == 1 + BATCH  # warming up, and no more: the answer does not wait for the generator

        asyncio.run(together(server.port, 4, ask))
        assert sorted(made) == [200, 504, 504, 504]
    assert generator.batches == [1, BATCH, 1]


@pytest.mark.parametrize("asked", ["0", "-1", "61", "nan", "inf", "1e1", "x", "", "٣"])
def test_a_request_timeout_that_is_none_is_refused(asked: str) -> None:
    with serving(SlowGenerator(0)) as server, server.client() as client:
        reply = client.get(path(1), headers=[(b"X-Request-Timeout", asked.encode())])
        assert reply.status_code == 400
        assert "X-Request-Timeout" in reply.json()["error"]


@pytest.mark.parametrize("name", ["fake", "onnx"])
def test_of_a_hundred_clients_that_left_nothing_is_made(name: str) -> None:
    generator = SlowGenerator(0, name)
    with serving(generator, Settings(batch_size=BATCH, workers=1)) as server:
        before = generator.made
        generator.open.clear()

        def queued() -> int:
            return server.service.model.batcher.queued

        async def until_queued(count: int) -> None:
            async with asyncio.timeout(PATIENCE):
                while queued() != count:
                    await asyncio.sleep(0.01)

        async def leave(connection: Connection, number: int) -> None:
            asking = asyncio.ensure_future(connection.get(path(number)))
            await all_are_queued.wait()
            asking.cancel()
            connection.close()

        all_are_queued = asyncio.Event()

        async def see_them() -> None:
            await until_queued(100)
            all_are_queued.set()

        async def stay_while_others_leave() -> None:
            stays = Connection(server.port)
            staying = asyncio.ensure_future(stays.get(path(1)))
            async with asyncio.timeout(PATIENCE):
                while not generator.entered.is_set():
                    await asyncio.sleep(0.01)
            await asyncio.gather(together(server.port, 100, leave), see_them())
            await until_queued(0)
            generator.open.set()
            assert (await staying).status == 200
            assert (await stays.get(path(2))).status == 200
            stays.close()

        asyncio.run(stay_while_others_leave())
    assert generator.made - before == 2
