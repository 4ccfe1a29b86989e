"""A Ray cluster as the fleet needs it. This module alone knows Ray; what Ray says of itself stays off our streams."""

import logging
import os
import re
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from wgan.serve.base.command import or_again
from wgan.serve.base.errors import BackendUnavailable, ConfigError
from wgan.serve.base.terminal import detail, short
from wgan.serve.fleet.reach import LOCAL, check_answer, no_cluster, resolved
from wgan.serve.machine.cores import usable_cores

_STORE = 2**28  # bytes of a local cluster's object store beside what is put there
_FRESH = 2.0  # seconds for which the list of nodes is taken as it was
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else the working folder, with runs and data, is sent to all nodes
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


class Lost(Exception):
    """An attempt ended with its worker or its node, not by what it did."""


@dataclass(frozen=True)
class Share:
    """What one attempt takes of a node."""

    cpus: int = 1
    gpus: int = 0

    def __str__(self) -> str:
        return "GPU" if self.gpus else "CPU" if self.cpus == 1 else f"{self.cpus} CPUs"

    def fits(self, resources: dict[str, float]) -> int:
        """How many times it fits into a node."""
        times = int(resources.get("CPU", 0) // self.cpus)
        return min(times, int(resources.get("GPU", 0) // self.gpus)) if self.gpus else times


class Cluster:
    """The cluster that this process has joined."""

    def __init__(self, ray: Any, clock: Callable[[], float]):
        self._ray = ray
        self._clock = clock
        self._nodes: list[dict[str, Any]] = []
        self._looked = float("-inf")

    def has_gpus(self) -> bool:
        """Whether a node offers one."""
        return any(Share(gpus=1).fits(node["Resources"]) for node in self._alive())

    def slots(self, share: Share) -> tuple[int, int]:
        """How many attempts can run at a time, if nobody else uses the cluster, and on how many nodes."""
        times = [share.fits(node["Resources"]) for node in self._alive()]
        return sum(times), sum(time > 0 for time in times)

    def put(self, value: object) -> Any:
        """A reference to a value, which each node fetches once, when one of its workers asks for it."""
        return self._ray.put(value)

    def task(self, function: Callable[..., Any], share: Share) -> Callable[..., Any]:
        """What hands out an attempt and returns its reference. Nothing is tried again by Ray itself."""
        # no bound on calls: for GPUs it would be one, and a new worker would open the generator for each shard
        options = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_retries": 0, "max_calls": 0}
        remote: Callable[..., Any] = self._ray.remote(**options)(function).remote
        return remote

    def ended(self, references: Sequence[Any], seconds: float) -> list[Any]:
        """Those whose attempts have ended, at once when there are some, else after ``seconds``."""
        if not references:
            return []
        some, _ = self._ray.wait(references, num_returns=1, timeout=seconds, fetch_local=False)
        if not some:
            return []
        ended, _ = self._ray.wait(references, num_returns=len(references), timeout=0, fetch_local=False)
        return list(ended)

    def result(self, reference: Any) -> Any:
        """What an ended attempt returned, or what it raised.

        Raises:
            Lost: its worker or node ended before it.
        """
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, Exception) and not isinstance(error.cause, errors.RayError):
                raise error.cause from error
            raise Lost(short(error)) from None
        except (errors.RuntimeEnvSetupError, errors.TaskUnschedulableError) as error:
            raise ConfigError(f"the cluster cannot run this: {short(error)}") from None
        except errors.RayError as error:
            raise Lost(short(error)) from None

    def stop(self, key: str) -> None:
        """Tells the workers of ``key`` to end what they are at, and to remove what they have half written.

        Not by Ray's own cancellation: where an attempt ends in the same moment, that ends this process (Ray 2.60).
        """
        from ray.experimental import internal_kv

        internal_kv._internal_kv_put(_stop_key(key), b"1")

    def forget(self, key: str) -> None:
        """Takes what `stop` said back, when nobody is left whom it is for."""
        from ray.experimental import internal_kv

        internal_kv._internal_kv_del(_stop_key(key))

    def wait_all(self, references: Sequence[Any], seconds: float) -> None:
        """Waits until all have ended, ``seconds`` at most."""
        if references:
            self._ray.wait(references, num_returns=len(references), timeout=seconds, fetch_local=False)

    def _alive(self) -> list[dict[str, Any]]:
        now = self._clock()
        if now - self._looked > _FRESH:
            self._nodes = [node for node in self._ray.nodes() if node["Alive"]]
            self._looked = now
        return self._nodes


def is_stopped(key: str) -> bool:
    """In a worker: whether it is to end what it is at."""
    from ray.experimental import internal_kv

    return internal_kv._internal_kv_get(_stop_key(key)) is not None


def _stop_key(key: str) -> bytes:
    return f"wgan-stop-{key}".encode()


def need_ray() -> None:
    """Raises BackendUnavailable where Ray is not installed."""
    from importlib.util import find_spec

    if find_spec("ray") is None:
        raise BackendUnavailable("--ray needs Ray", extra="ray")


@contextmanager
def joined(address: str, clock: Callable[[], float], put: int = 0) -> Iterator[Cluster]:
    """The cluster at ``address`` for the time of the block.

    Args:
        address: `auto`, `local`, HOST:PORT or ray://HOST:PORT.
        clock: seconds that only grow.
        put: bytes that will be put into its object store.

    Raises:
        ConfigError: nothing answers there, or not as this version of Ray does.
        BackendUnavailable: Ray is not installed.
    """
    need_ray()
    with _silent(), ExitStack() as left:
        place = resolved(address)
        if place != LOCAL:
            check_answer(address, place)
        import ray

        detail(f"joins the Ray cluster {address if address == place else f'{address}, {place}'}")
        left.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))  # Ray sets its own
        left.callback(ray.shutdown)
        _init(ray, address, place, put)
        yield Cluster(ray, clock)


def _init(ray: Any, address: str, place: str, put: int) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if place == LOCAL:
        cores, store = usable_cores(), _STORE + 2 * put
        options |= {"num_cpus": cores, "object_store_memory": store, "include_dashboard": False}
    try:
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere), warnings.catch_warnings():  # noqa: PTH123
            warnings.simplefilter("ignore")
            ray.init(address=place, **options)
    except ImportError:
        raise BackendUnavailable(f"--ray {address} needs grpcio: install ray[client]") from None
    except ConnectionError:
        raise no_cluster(address) from None
    except Exception as error:
        versions = _VERSIONS.findall(str(error))
        if len(versions) == 2:
            (there, python_there), (here, python_here) = versions
            raise ConfigError(
                f"--ray {address}: the cluster has Ray {there} on Python {python_there}, this environment Ray {here} "
                f"on Python {python_here}: install the same Ray and Python on both"
            ) from None
        if type(error).__name__ == "AuthenticationError":
            raise ConfigError(
                f"--ray {address}: the cluster takes no command without its token: set RAY_AUTH_TOKEN_PATH to its file"
            ) from None
        way = or_again("--ray", "ray://HOST:10001", of=("sample",))
        raise ConfigError(
            f"--ray {address} cannot be joined from here: {short(error)}; from a machine that is no node use {way}"
        ) from None


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps what Ray prints and logs off stdout and stderr, and its settings to the block."""
    before = {name: os.environ.get(name) for name in _SETTINGS}
    os.environ.update({name: value for name, value in _SETTINGS.items() if before[name] is None})
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        # a thread of Ray's prints lost workers on stdout; nothing of ours is written there meanwhile
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123
            yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
