"""Batches of several requests: the images of each are those that it would get alone."""

import asyncio
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence

import numpy as np
import pytest

from tests.fakes.generator import FakeGenerator, SlowGenerator
from wgan.serve.backends.base import Batch
from wgan.serve.base.errors import BackendError, BackendOutOfMemory
from wgan.serve.http.limits.refusals import Refusal
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue import batcher
from wgan.serve.http.queue.batcher import Job
from wgan.serve.http.queue.metrics import Metrics
from wgan.serve.http.queue.model import Model
from wgan.serve.http.queue.wanted import Wanted
from wgan.serve.latents.table import latents, latents_of
from wgan.serve.latents.truncation import Truncation
from wgan.serve.outputs.pixels import Pixels, as_pixels

DIM = 192
NAMES = ("fake", "onnx")  # by one runner, and by several workers


class Ahead(FakeGenerator):
    """Asks for the next batch before it gives the images of the one before, as a backend on a GPU does."""

    def stream(self, batches: Iterable[Batch]) -> Generator[np.ndarray, None, None]:
        under_way: deque[np.ndarray] = deque()
        for z, labels in batches:
            under_way.append(self.run(z, labels))
            if len(under_way) > 1:
                yield under_way.popleft()
        yield from under_way


class Colours(SlowGenerator):
    """An image's first value is its label."""

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        images = super()._infer(z, labels).copy()
        assert labels is not None
        images[:, 0, 0, 0] = labels / 10
        return images


async def answers(model: Model, *wanted: Wanted, seconds: float = 30) -> list[np.ndarray | BaseException]:
    """What each request gets, all asked for before any is made."""
    deadline = time.monotonic() + seconds
    jobs = [model.batcher.put(each, np.copy, deadline, seconds) for each in wanted]
    found = await asyncio.gather(*(job.future for job in jobs), return_exceptions=True)
    await model.close()
    return found


def of(*seeds: int, truncation: Truncation | None = None, labels: list[int] | None = None) -> Wanted:
    """Images of these seeds."""
    numbers = None if labels is None else np.array(labels, np.int64)
    return Wanted(len(seeds), np.array(seeds, np.int64), labels=numbers, truncation=truncation)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_whatever_is_made_beside_it_an_image_is_the_same(name: str, batch: int) -> None:
    cut = Truncation(0.5)
    own = latents(9, 2, DIM)
    wanted = [of(3), of(2**63 - 1, 7, truncation=cut), Wanted(2, z=own), of(*range(20)), of(4, 4)]
    generator = SlowGenerator(0.001, name)

    async def ask() -> list[np.ndarray | BaseException]:
        return await answers(Model(generator, Settings(batch_size=batch, workers=3), Metrics()), *wanted)

    rows = [
        latents(3, 1, DIM),
        cut(latents_of(np.array([2**63 - 1, 7]), DIM)),
        own,
        latents(0, 20, DIM),
        latents_of(np.array([4, 4]), DIM),
    ]
    for got, z in zip(asyncio.run(ask()), rows, strict=True):
        assert isinstance(got, np.ndarray)
        np.testing.assert_array_equal(got, FakeGenerator().run(z))
    assert max(generator.batches) <= batch


@pytest.mark.parametrize("name", NAMES)
def test_each_image_has_its_own_label(name: str) -> None:
    async def ask() -> list[np.ndarray | BaseException]:
        generator = Colours(0.001, name, ("a", "b", "c"))
        model = Model(generator, Settings(batch_size=4), Metrics())
        return await answers(model, of(1, 2, labels=[2, 0]), of(*range(9), labels=[1] * 9), of(5, labels=[2]))

    found = [np.rint(images[:, 0, 0, 0] * 10).tolist() for images in asyncio.run(ask())]  # type: ignore[call-overload,index]
    assert found == [[2, 0], [1] * 9, [2]]


def test_a_batch_is_filled_up_to_the_size_from_which_bits_are_steady() -> None:
    generator = SlowGenerator(0)
    generator.steady_batch = 16

    async def ask() -> list[np.ndarray | BaseException]:
        return await answers(Model(generator, Settings(), Metrics()), of(1))

    (image,) = asyncio.run(ask())
    assert isinstance(image, np.ndarray)
    assert len(image) == 1
    assert generator.batches == [16]


def test_what_a_backend_holds_back_until_it_has_more_is_not_waited_for() -> None:
    async def ask() -> None:
        model = Model(Ahead(), Settings(), Metrics())
        for seed in range(3):  # one after the other: nothing more comes until it is answered
            job = model.batcher.put(of(seed), np.copy, time.monotonic() + 30, 1)
            np.testing.assert_array_equal(await asyncio.wait_for(job.future, 30), Ahead().run(latents(seed, 1, DIM)))
        await model.close()

    asyncio.run(ask())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BackendError("ONNX Runtime failed: secret"), 500, "failed"),
        (ValueError("secret"), 500, "failed"),
        (BackendOutOfMemory("for 64 images"), 503, "out_of_memory"),
        (MemoryError(), 503, "out_of_memory"),
    ],
)
def test_a_batch_that_fails_costs_its_own_requests(
    name: str, error: Exception, status: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Fails(SlowGenerator):
        def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
            if len(z) > 1:
                raise error
            return super()._infer(z, labels)

    async def ask() -> tuple[BaseException | None, np.ndarray]:
        model = Model(Fails(0, name), Settings(batch_size=4), Metrics())
        first = model.batcher.put(of(*range(40)), np.copy, time.monotonic() + 30, 1)
        failure = (await asyncio.gather(first.future, return_exceptions=True))[0]
        left = model.batcher.queued
        second = model.batcher.put(of(8), np.copy, time.monotonic() + 30, 1)
        image = await asyncio.wait_for(second.future, 30)
        assert left == 0, "the rest of a request that has failed is not made"
        await model.close()
        return failure, image

    failure, image = asyncio.run(ask())
    assert isinstance(failure, Refusal)
    assert (failure.status, failure.code) == (status, code)
    assert "secret" not in failure.message
    np.testing.assert_array_equal(image, FakeGenerator().run(latents(8, 1, DIM)))


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_that_cannot_be_encoded_costs_itself_alone(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_: np.ndarray) -> None:
        raise ValueError("secret")

    async def ask() -> list[object]:
        generator = SlowGenerator(0, name)
        generator.open.clear()
        model = Model(generator, Settings(), Metrics())
        deadline = time.monotonic() + 30
        jobs = [
            model.batcher.put(of(seed), finish, deadline, 1)
            for seed, finish in ((1, np.copy), (2, fails), (3, np.copy))
        ]
        generator.open.set()
        found = await asyncio.gather(*(job.future for job in jobs), return_exceptions=True)
        await model.close()
        return list(found)

    one, two, three = asyncio.run(ask())
    assert isinstance(one, np.ndarray)
    assert isinstance(three, np.ndarray)
    assert isinstance(two, Refusal)
    assert two.status == 500


def test_a_request_larger_than_the_queue_is_made_when_the_queue_is_empty() -> None:
    async def ask() -> list[np.ndarray | BaseException]:
        return await answers(Model(SlowGenerator(0), Settings(queue=4), Metrics()), of(*range(10)))

    (images,) = asyncio.run(ask())
    assert isinstance(images, np.ndarray)
    assert len(images) == 10


def test_after_it_is_closed_nothing_is_taken() -> None:
    async def ask() -> None:
        model = Model(SlowGenerator(0), Settings(), Metrics())
        await model.close()
        with pytest.raises(Refusal, match="shutting down"):
            model.batcher.put(of(1), np.copy, time.monotonic() + 30, 1)

    asyncio.run(ask())


class Faulty(FakeGenerator):
    """An image is of NaN where its latent begins with an infinity."""

    concurrent = True

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        images = super()._infer(z, labels).copy()
        images[np.isinf(z[:, 0])] = np.nan
        return images


def ask_for_pixels(*wanted: Wanted, batch: int = 64) -> tuple[list[type], list[Pixels | BaseException]]:
    """The types in which `finish` got its images, and the pixels of each request; all are in one batch if they fit."""
    kinds: list[type] = []

    def finish(images: np.ndarray) -> Pixels:
        kinds.append(images.dtype.type)
        return as_pixels(images)

    async def ask() -> list[Pixels | BaseException]:
        model = Model(Faulty(), Settings(batch_size=batch, workers=1), Metrics())
        deadline = time.monotonic() + 30
        jobs = [model.batcher.put(each, finish, deadline, 30) for each in wanted]
        found = await asyncio.gather(*(job.future for job in jobs), return_exceptions=True)
        await model.close()
        return found

    return kinds, asyncio.run(ask())


def drawn(*rows: np.ndarray, pixels: bool = True) -> Wanted:
    """Images of these latents."""
    return Wanted(len(rows), z=np.stack(rows), pixels=pixels)


Z = latents(0, 9, DIM)


@pytest.mark.parametrize(
    ("wanted", "batch", "kind"),
    [
        ([drawn(*Z[:2]), drawn(Z[2])], 64, np.uint8),
        ([drawn(*Z[:2]), drawn(Z[2], pixels=False)], 64, np.float32),
        ([drawn(*Z[:9])], 4, np.float32),  # in three batches, and joined
    ],
)
def test_a_batch_is_made_8_bits_at_once_where_all_of_it_wants_that(
    wanted: list[Wanted], batch: int, kind: type
) -> None:
    kinds, found = ask_for_pixels(*wanted, batch=batch)
    assert set(kinds) == {kind}
    for each, pixels in zip(wanted, found, strict=True):
        assert each.z is not None
        np.testing.assert_array_equal(pixels, as_pixels(FakeGenerator().run(each.z)))


def test_an_image_of_nan_costs_its_own_request_alone() -> None:
    broken = np.full(DIM, np.inf, np.float32)
    _, (first, second, third) = ask_for_pixels(drawn(Z[0]), drawn(broken), drawn(Z[2]))
    assert isinstance(second, Refusal)
    assert second.status == 500
    np.testing.assert_array_equal(first, as_pixels(FakeGenerator().run(Z[:1])))
    np.testing.assert_array_equal(third, as_pixels(FakeGenerator().run(Z[2:3])))


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_outlives_whatever_fails_after_the_images_are_made(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Metrics):
        def batch(self, images: int, waited: Sequence[float], inference: float, encoding: float) -> None:
            raise ValueError("no disk")

    async def ask() -> list[np.ndarray]:
        model = Model(SlowGenerator(0, name), Settings(workers=1), Broken())
        jobs = []
        for seed in range(3):
            jobs.append(model.batcher.put(of(seed), np.copy, time.monotonic() + 30, 1))
            await asyncio.wait_for(jobs[-1].future, 30)
        await model.close()
        return [job.future.result() for job in jobs]

    assert len(asyncio.run(ask())) == 3


def test_when_to_come_again_is_told_by_the_speed_of_work_not_of_an_idle_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        ahead = 0.0

        def monotonic(self) -> float:
            return time.monotonic() + self.ahead

    clock = Clock()
    monkeypatch.setattr(batcher, "time", clock)

    async def ask() -> Refusal:
        generator = SlowGenerator(0)
        model = Model(generator, Settings(queue=4, batch_size=1, max_waiting=0), Metrics())
        await model.batcher.put(of(1), np.copy, clock.monotonic() + 30, 1).future
        clock.ahead = 3600.0
        generator.open.clear()

        def put() -> Job:
            return model.batcher.put(of(2), np.copy, clock.monotonic() + 30, 1)

        jobs = [put()]
        await asyncio.to_thread(generator.entered.wait, 30)  # one is being made, four may wait
        jobs += [put() for _ in range(4)]
        with pytest.raises(Refusal) as refused:
            put()
        generator.open.set()
        await asyncio.gather(*(job.future for job in jobs))
        await model.close()
        return refused.value

    assert asyncio.run(ask()).headers["retry-after"] == "1"
