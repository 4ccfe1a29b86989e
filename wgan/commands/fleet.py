"""`wgan sample --ray`: a generator that is open on the workers of a cluster."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wgan.models import exported
from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError

if TYPE_CHECKING:
    from wgan.serve.backends.base import Options
    from wgan.serve.fleet.run import Fleet
    from wgan.serve.sampling.request import Request


def check_fleet(ray: str | None, asked: "Request") -> None:
    """Refuses a fleet that cannot be, before anything is loaded. Raises WganError."""
    if ray is None:
        return
    from wgan.serve.fleet.cluster import need_ray
    from wgan.serve.fleet.reach import check_address

    check_address(ray)
    if asked.shard_size is None:
        way = or_again("--shard-size", 10000, of=("sample",))
        raise ConfigError(f"--ray {ray} hands out shards: say how many images one has, {way}")
    need_ray()


@contextmanager
def hired(
    ray: str, path: Path, backend: str, device: str, precision: str, options: "Options", *, changed: bool
) -> Iterator["Fleet"]:
    """The workers of the cluster at ``ray``, for the time of the block; the rest as in `open_model`, which they do.

    Nothing may be written to stdout meanwhile: Ray's threads do.

    Raises:
        WganError: the file is no exported artifact, or there is no cluster.
    """
    from wgan.serve.backends.base import check_device
    from wgan.serve.fleet.cluster import joined
    from wgan.serve.fleet.run import Fleet

    check_device(device)
    model = exported(path, backend, precision, changed=changed)
    with joined(ray, time.monotonic, put=len(model.data)) as cluster:
        yield Fleet(cluster, model, backend, device, options)
