"""One worker of a fleet: opens the generator once, and makes the shards that it is handed.

It runs on another machine, which may have other packages: so it compares versions before it reads what was sent. What
a user can mend comes back as a line, not as an exception, as the fleet stops for it and tries nothing again.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from wgan.serve.backends.base import Backend, Options
from wgan.serve.backends.open import Readable, open_read
from wgan.serve.base.address import Address
from wgan.serve.base.command import called
from wgan.serve.base.errors import BackendError, ConfigError, OutputError, WganError
from wgan.serve.fleet.cluster import is_stopped
from wgan.serve.latents.sources import Source
from wgan.serve.machine.cores import take
from wgan.serve.machine.requirements import installed
from wgan.serve.outputs.manifest import Manifest
from wgan.serve.outputs.shards import KIND, ShardSet
from wgan.serve.sampling.run import Job

_ASK = 0.5  # seconds between two questions to the cluster
# packages on which an image's or a file's bytes depend, each by the first of its names that is installed
_PACKAGES: dict[str, tuple[str, ...]] = {"wgan": ("wgan",), "numpy": ("numpy",), "deflate": ("deflate",)}
_RUNTIMES: dict[str, dict[str, tuple[str, ...]]] = {
    "onnx": {"onnxruntime": ("onnxruntime-gpu", "onnxruntime")},
    "torchscript": {"torch": ("torch",)},
    "torch": {"torch": ("torch",)},
    "trt": {"tensorrt": ("tensorrt", "tensorrt-rtx")},
}


@dataclass(frozen=True)
class Setting:
    """What a worker opens, once. ``words``: the command that runs, which errors repeat."""

    model: Readable
    backend: str
    device: str
    options: Options
    words: tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """What shards are made of. ``folder``: that of the command, where a path is no whole one."""

    shards: ShardSet
    source: Source
    label: int | None
    batch_size: int
    shrinks: bool
    folder: str


@dataclass(frozen=True)
class Sent:
    """What comes with every attempt: references that a worker follows once, and the versions that it must have.

    ``key`` tells one setting from another.
    """

    key: str
    versions: Mapping[str, str]
    setting: Any
    order: Any = None


class Elsewhere(Backend):
    """A generator that is open on workers: here it is known and not run."""

    def __init__(self, opened: Backend):
        super().__init__(opened.metadata, opened.digest, opened.path)
        self.name, self.device, self.provider = opened.name, opened.device, opened.provider
        self.notice, self.assumes, self.steady_batch = opened.notice, opened.assumes, opened.steady_batch

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        raise BackendError(f"{self.path} is open on the workers of a cluster alone")

    def close(self) -> None:
        """There is nothing to free."""


@dataclass
class _Open:
    """What this process has open, and the job that it is at."""

    key: str
    setting: Setting
    backend: Backend
    notice: str | None  # that was said when it was opened
    orders: dict[str, tuple[Job, ShardSet]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


_open: _Open | None = None


class _Stopped(Exception):
    """The command that this is for has ended: what is half written is removed."""


class _Watch:
    """Is told of images that were made; raises _Stopped when they are no more wanted. It asks now and then."""

    def __init__(self, key: str):
        self._key, self._next = key, 0.0

    def __call__(self, count: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            if is_stopped(self._key):
                raise _Stopped
            self._next = now + _ASK


def versions(backend: str) -> dict[str, str]:
    """Of the packages that must be the same on all machines; those that are not installed here are left out."""
    listed = {**_PACKAGES, **_RUNTIMES.get(backend, {})}
    found = {label: next(filter(None, map(installed, names)), None) for label, names in listed.items()}
    return {label: version for label, version in found.items() if version is not None}


def answer(where: str, sent: Sent, fetch: Any, number: int | None) -> dict[str, Any]:
    """What this worker has open, for None, or the shard of this number, made.

    Args:
        where: this machine, for people.
        sent: what came with the attempt.
        fetch: follows one of its references.
        number: of the shard.

    Returns:
        ``known`` and ``versions``; or ``count``, images of a whole shard, and ``said``, lines for people; or ``error``,
        a line, and ``exit_code``.
    """
    try:
        _check_versions(where, sent.versions)
        if number is not None and is_stopped(sent.key):
            raise _Stopped
        opened = _opened(sent, fetch)
        with called(opened.setting.words):
            if number is None:
                there = versions(opened.setting.backend)
                return {"known": Elsewhere(opened.backend), "versions": there}
            return _make(where, opened, sent, fetch, number)
    except WganError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    except _Stopped:
        return {"error": "stopped", "exit_code": 130}


def _check_versions(where: str, wanted: Mapping[str, str]) -> None:
    for name, version in wanted.items():
        names = {**_PACKAGES, **{key: value for row in _RUNTIMES.values() for key, value in row.items()}}[name]
        there = next(filter(None, map(installed, names)), None)
        if there != version:
            has = f"has no {name}" if there is None else f"has {name} {there}"
            raise ConfigError(f"the node {where} {has}, and this command goes by {version}: install the same on all")


def _opened(sent: Sent, fetch: Any) -> _Open:
    global _open
    if _open is None or _open.key != sent.key:
        if _open is not None:
            _open.backend.close()
            _open = None
        take(_cores())
        setting: Setting = fetch(sent.setting)
        with called(setting.words):
            backend = open_read(setting.model, backend=setting.backend, device=setting.device, options=setting.options)
        _open = _Open(sent.key, setting, backend, backend.notice)
    return _open


def _make(where: str, opened: _Open, sent: Sent, fetch: Any, number: int) -> dict[str, Any]:
    order_key = str(sent.order)
    if order_key not in opened.orders:
        order: Order = fetch(sent.order)
        _begin(where, opened, order_key, order)
    job, shards = opened.orders[order_key]
    if not shards.has(shards[number]):  # another attempt may have made it
        job.shard(shards[number], _Watch(sent.key))
    said, opened.said[:] = [*opened.said], []
    if opened.backend.notice != opened.notice:  # known only when it had run
        opened.notice = opened.backend.notice
        said += [] if opened.notice is None else [opened.notice]
    return {"count": shards[number].count, "said": said}


def _begin(where: str, opened: _Open, key: str, order: Order) -> None:
    """Takes an order up, if this machine sees the place where its shards belong and makes the same images."""
    shards = order.shards
    missing = OutputError(
        f"the node {where} does not see {shards.manifest}, which this command wrote: --out must be in a folder that "
        "all nodes share, or in object storage, such as s3://bucket/faces.tar"
    )
    if not isinstance(shards.path, Address) and not shards.path.is_absolute():
        try:
            os.chdir(order.folder)
        except OSError:
            raise missing from None
    if Manifest(shards.manifest, KIND).read() is None:
        raise missing
    job = Job(opened.backend, order.source, order.label, order.batch_size)
    job.shrink = opened.said.append if order.shrinks else None
    try:
        shards.claim(job.shard_facts(shards))
    except OutputError as error:
        raise OutputError(f"the node {where} would make other images: {error}") from None
    opened.orders[key] = (job, shards)


def _cores() -> int:
    """The cores that are this worker's: those that Ray counts for it, or with a GPU its part of the machine's."""
    ray: Any = import_module("ray")
    context = ray.get_runtime_context()
    assigned = context.get_assigned_resources()
    if not assigned.get("GPU"):
        return max(1, int(assigned.get("CPU", 1)))
    node = [node for node in ray.nodes() if node["NodeID"] == context.get_node_id()]
    resources = node[0]["Resources"] if node else {}
    return max(1, int(resources.get("CPU", 1) // max(1, resources.get("GPU", 1))))


def folder_here() -> str:
    """The folder of the command, for `Order`."""
    return str(Path.cwd())
