"""A bucket of an S3 endpoint on this machine, and a proxy that fails before it; both for scripts too, in `scripts/`."""

import itertools
import os
from collections.abc import Callable, Iterator

import pytest
from faulty_proxy import FAULTS, Faulty
from object_store import SECRETS, Bucket, MotoServer, environment

__all__ = ["FAULTS", "SECRETS", "Bucket", "Faulty", "MotoServer", "environment", "faulty", "s3", "s3_server"]

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[MotoServer]:
    """One server for all tests of this process; it ends with the process, too."""
    with MotoServer() as server:
        yield server


@pytest.fixture
def s3(s3_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A fresh bucket, which the environment's variables lead to."""
    _lead(s3_server.url, monkeypatch)
    return s3_server.bucket(f"bucket-{next(_numbers)}")


@pytest.fixture
def faulty(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Faulty]]:
    """Makes a `Faulty` before the bucket's server, by its arguments, and has the environment lead to it.

    The bucket itself (`s3.get` …) is still seen past it.
    """
    made: list[Faulty] = []

    def make(*, seed: int = 0, rate: float = 0.0, kinds: tuple[str, ...] = FAULTS, delay: float = 0.05) -> Faulty:
        made.append(Faulty(s3.endpoint, seed=seed, rate=rate, kinds=kinds, delay=delay))
        monkeypatch.setenv("AWS_ENDPOINT_URL", made[-1].url)
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


def _lead(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("AWS_"):  # a developer's own
            monkeypatch.delenv(name)
    for name, value in environment(url).items():
        monkeypatch.setenv(name, value)
