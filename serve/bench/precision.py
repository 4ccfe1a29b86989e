"""Which precision is faster on a device: it is measured, as a processor's list of instructions does not tell."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from wgan.serve.backends.base import Backend
from wgan.serve.base.terminal import emit
from wgan.serve.bench.peak import NAMES, torch_product
from wgan.serve.bench.process import run_apart
from wgan.serve.latents.table import latents
from wgan.serve.sampling.sampler import batch_size_for, labels_for

MARGIN = 1.2  # times float32's speed that makes up for what a shorter type costs in accuracy
HOPELESS = 0.25  # times float32's product: nothing that is made of products gets from there to the margin
ROUNDS = 5
BUDGET = 0.25  # seconds after which no further round begins
LONG = 0.01  # seconds of a product that is not made larger
SMALLEST = 128  # rows of a product: where bfloat16 is emulated, it takes some 10 ms
LARGEST = {"cpu": 1024, "cuda": 8192}


@dataclass(frozen=True)
class Speeds:
    """What the same work took in float32 and in shorter types.

    Args:
        device: cpu or cuda.
        seconds: by precision, `fp32` among them; on a CPU of processor time.
        flops: of the work, where it is a matrix product.
    """

    device: str
    seconds: Mapping[str, float]
    flops: float | None = None

    def times(self, precision: str) -> float:
        """The speed as a multiple of float32's."""
        return self.seconds["fp32"] / self.seconds[precision]

    @property
    def fastest_short(self) -> str:
        """The fastest precision but float32."""
        return min((name for name in self.seconds if name != "fp32"), key=self.seconds.__getitem__)

    @property
    def choice(self) -> str:
        """The precision to take: a shorter one only where it is `MARGIN` times as fast as float32."""
        return self.fastest_short if self.times(self.fastest_short) >= MARGIN else "fp32"

    def line(self, option: str) -> str:
        """What was chosen and why, for ``option``, such as `precision=auto`."""
        short = self.fastest_short
        times = self.times(short)
        if self.choice == short:
            return f"{option}: {short}, {_rounded(times)} times the speed of fp32 here"
        if times > 1:
            return f"{option}: fp32, as {short} has {times:.2f} times its speed here ({MARGIN:g} are asked for)"
        return f"{option}: fp32, as {short} has {_rounded(times)} times its speed here"

    def products(self) -> str:
        """Of a matrix product: the rates, the ratios, and what to take."""
        assert self.flops is not None
        rates = {name: f"{self.flops / seconds / 1e9:,.0f}" for name, seconds in self.seconds.items()}
        others = ", ".join(
            f"in {NAMES[name]} {rates[name]} ({_rounded(self.times(name))} times)" for name in rates if name != "fp32"
        )
        per = " a core" if self.device == "cpu" else ""
        # convolutions and all else gain less than a product does
        advice = "precision=fp32" if self.choice == "fp32" else "precision=auto times whether the work gains too"
        return f"matrix products in float32 {rates['fp32']} GFLOP/s{per}, {others}: {advice}"

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        times = {name: self.times(name) for name in self.seconds}
        return {
            "device": self.device,
            "flops": self.flops,
            "seconds": dict(self.seconds),
            "times": times,
            "faster": self.choice,
        }


def short_type(device: str) -> str:
    """The shorter type that generators are run in: on a GPU float16 is as fast as bfloat16, and closer to float32."""
    return "fp16" if device == "cuda" else "bf16"


def least_seconds(
    device: str,
    works: Mapping[str, Callable[[], object]],
    rounds: int = ROUNDS,
    warm: int = 1,
    budget: float = BUDGET,
) -> dict[str, float]:
    """The least time that each work took; calls alternate, so that a busy moment does not fall on one alone.

    On a CPU in seconds of processor time: what other programs take of the cores does not count.

    Args:
        device: cpu or cuda.
        works: each returns when it is done; on a CPU no thread of it may wait by spinning.
        rounds: calls of each; fewer, but two, where ``budget`` seconds are over.
        warm: calls before that, not counted.
    """
    clock = time.process_time if device == "cpu" else time.perf_counter
    for work in works.values():
        for _ in range(warm):
            work()
    least = dict.fromkeys(works, float("inf"))
    began = time.perf_counter()
    for number in range(rounds):
        for name in sorted(works, reverse=number % 2 == 1):
            before = clock()
            works[name]()
            least[name] = min(least[name], clock() - before)
        if number > 0 and time.perf_counter() - began > budget:
            break
    return least


def product_speeds(device: str, shorts: Sequence[str] = ()) -> Speeds:
    """Speeds of a product of square matrices by torch, as large as is quick in every precision.

    On a CPU of one thread: those of one product would wait for each other by spinning.

    Args:
        device: auto, cpu or cuda.
        shorts: the types beside float32; by default bfloat16, and on CUDA float16 too.

    Raises:
        BackendUnavailable: torch is not installed, or has no such device.
    """
    from wgan.serve.backends.pytorch.device import threads, torch_device

    device = torch_device(device)
    names = ("fp32", *(shorts or (("bf16", "fp16") if device == "cuda" else ("bf16",))))
    size = SMALLEST
    with threads(1):
        while True:
            works = {name: torch_product(device, name, size) for name in names}
            if size == LARGEST[device] or max(least_seconds(device, works, 2).values()) > LONG:
                return Speeds(device, least_seconds(device, works), 2 * size**3)
            size *= 2


def hopeless(device: str, short: str = "bf16") -> Speeds | None:
    """The products' speeds where the ``short`` type is so slow that larger work is not worth timing; else None.

    On a CPU alone: one that emulates it would take minutes for what float32 does in a second.
    """
    if device != "cpu":
        return None
    speeds = product_speeds(device, (short,))
    return speeds if speeds.times(short) < HOPELESS else None


def backend_speeds(backends: Mapping[str, Backend]) -> Speeds:
    """Speeds of a batch of images by one generator, open in each precision."""
    exact = backends["fp32"]
    size = min(batch_size_for(backend, None) for backend in backends.values())
    z, labels = latents(0, size, exact.metadata.latent.dim), labels_for(exact, 0, size, None)
    works = {name: partial(backend.run, z, labels) for name, backend in backends.items()}
    return Speeds(exact.device, least_seconds(exact.device, works))


def products_apart(patience: float = 60.0) -> list[Speeds] | None:
    """`product_speeds` of each device that torch has here, in a process of its own; None without torch.

    Raises:
        BackendError: torch does not start, or takes longer than ``patience`` seconds.
    """
    if find_spec("torch") is None:
        return None
    rows = run_apart(__name__, [], patience)["products"]
    return [Speeds(row["device"], row["seconds"], row["flops"]) for row in rows]


def _rounded(times: float) -> str:
    return f"{times:.1f}" if times >= 0.1 else f"{times:.1g}"


def _main() -> None:
    from wgan.serve.backends.pytorch.device import torch_device

    devices = dict.fromkeys(["cpu", torch_device("auto")])
    emit({"products": [product_speeds(device).to_dict() for device in devices]}, "", True)


if __name__ == "__main__":
    _main()
