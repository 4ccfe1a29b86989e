"""Where an iteration's time goes on a CPU: `python scripts/profile_training.py`.

One thread and the rows of one lane, as training computes them. Every operator is timed where it stands; every
convolution and matrix product again alone, on tensors of the same shapes, as they lie there and channels last: what the
library's kernels can give at best. Stdout is a table and, as its last line, one JSON object.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from bench_shared import Row, machine, noise, run, say, shown, table, whole
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import flop_registry

from wgan.serve.bench.peak import best_rate, torch_peak
from wgan.training import config as configs
from wgan.training.step.lanes import Lanes
from wgan.training.step.trainer import Trainer

SHOWN = 12  # operators; the rest are one row


class Call:
    """One operator on tensors of given shapes: how long each call took, and the operations of one."""

    def __init__(self, name: str, flops: int, alone: Callable[[bool], Callable[[], object]]):
        self.name, self.flops, self.alone = name, flops, alone
        self.spans: list[float] = []


class Timed(TorchDispatchMode):
    """Times every operator that runs under it, by name and shapes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: dict[str, Call] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        began = time.perf_counter()
        out = func(*args, **kwargs)
        span = time.perf_counter() - began
        like = tree_map(_like, (args, kwargs))
        key = f"{func} {like}"
        if key not in self.calls:
            formula = flop_registry.get(func._overloadpacket)
            flops = int(formula(*args, **kwargs, out_val=out)) if formula is not None else 0
            self.calls[key] = Call(func._overloadpacket.__name__, flops, _alone(func, like))
        self.calls[key].spans.append(span)
        return out


class Like:
    """A tensor's shape, strides and type, without its numbers."""

    def __init__(self, tensor: Tensor):
        self.shape, self.strides, self.dtype = tuple(tensor.shape), tensor.stride(), tensor.dtype

    def __repr__(self) -> str:
        return f"{self.dtype}{self.shape}{self.strides}"

    def made(self, channels_last: bool) -> Tensor:
        """Random numbers of this shape, as the tensor lay or channels last."""
        numbers = torch.randn(self.shape).to(self.dtype)
        if channels_last and len(self.shape) == 4:
            return numbers.contiguous(memory_format=torch.channels_last)
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype).copy_(numbers)


def _like(value: object) -> object:
    return Like(value) if isinstance(value, Tensor) else value


def _alone(func: Any, like: Any) -> Callable[[bool], Callable[[], object]]:
    def prepared(channels_last: bool) -> Callable[[], object]:
        args, kwargs = tree_map(lambda x: x.made(channels_last) if isinstance(x, Like) else x, like)
        return lambda: func(*args, **kwargs)

    return prepared


def profile(settings: configs.Config, rows: int, rounds: int, size: int) -> Row:
    """Times the operators of ``rounds`` iterations on ``rows`` images, then the products alone.

    Args:
        settings: of the run whose iteration it is.
        rows: images of one lane.
        rounds: iterations; the quickest span of each call counts, for other programs only add to it.
        size: of the square matrices whose product is the peak.
    """
    device = torch.device("cpu")
    torch.set_num_threads(1)
    settings = settings.replace(batch_size=rows)
    trainer, reals = Trainer(settings, device), noise(settings, device)
    trainer.compute_in(Lanes(1, 1))
    peak = torch_peak(device, settings.precision, size)
    trainer.iterate(reals)
    timed, spans = Timed(), []
    for number in range(rounds):
        say(f"profile_training: iteration {number + 1} of {rounds}")
        began = time.perf_counter()
        trainer.iterate(reals)
        spans.append(time.perf_counter() - began)
        with timed:
            trainer.iterate(reals)
    operators: dict[str, Row] = {}
    for call in timed.calls.values():
        calls = len(call.spans) // rounds
        row = operators.setdefault(call.name, {"calls": 0, "ms": 0.0, "flops": 0, "ms_alone": 0.0})
        row["calls"] += calls
        row["ms"] += calls * min(call.spans) * 1e3
        row["flops"] += calls * call.flops
        if call.flops:
            rate = max(best_rate(call.alone(channels_last), call.flops) for channels_last in (False, True))
            row["ms_alone"] += calls * call.flops / rate * 1e3
    peak = max(peak, torch_peak(device, settings.precision, size))
    costs: list[Row] = []
    for name, row in sorted(operators.items(), key=lambda item: -item[1]["ms"]):
        of_peak = {k: row["flops"] / (row[k] * 1e-3) / peak if row["flops"] else None for k in ("ms", "ms_alone")}
        costs.append({"operator": name, **row, "of_peak": of_peak["ms"], "of_peak_alone": of_peak["ms_alone"]})
    step, products = statistics.median(spans) * 1e3, [row for row in costs if row["flops"]]
    whole_flops = sum(row["flops"] for row in products)
    limit = sum(row["ms_alone"] if row["flops"] else row["ms"] for row in costs)
    return {
        "benchmark": "profile_training",
        "machine": machine(device) | {"threads_used": 1},
        "rows": rows,
        "precision": settings.precision,
        "peak": peak,
        "ms_iteration": step,
        "ms_iteration_least": min(spans) * 1e3,
        "of_peak": whole_flops / min(spans) / peak,
        "of_peak_products_alone": whole_flops / (sum(row["ms_alone"] for row in products) * 1e-3) / peak,
        "of_peak_at_best": whole_flops / (limit * 1e-3) / peak,
        "operators": costs,
    }


def show(result: Row) -> str:
    """The table, and what it comes to."""
    step = result["ms_iteration_least"]
    rows = [
        [row["operator"], row["calls"], shown(row["ms"]), f"{row['ms'] / step:.1%}", shown(row["of_peak"], ".0%"),
         shown(row["of_peak_alone"], ".0%")]
        for row in result["operators"][:SHOWN]
    ]  # fmt: skip
    rest = result["operators"][SHOWN:]
    spent = sum(row["ms"] for row in rest)
    rows.append(["all others", sum(row["calls"] for row in rest), shown(spent), f"{spent / step:.1%}", "-", "-"])
    heads = ["operator", "calls", "ms", "of all", "of peak", "alone"]
    lines = [
        table(heads, rows, f"iteration, {result['rows']} images, one thread, {result['precision']}: {step:,.0f} ms"),
        f"\nmatrix product {result['peak'] / 1e9:,.0f} GFLOP/s; the iteration has {result['of_peak']:.0%} of it,",
        f"its products one by one {result['of_peak_products_alone']:.0%},",
        f"the iteration with them at that rate {result['of_peak_at_best']:.0%}",
    ]
    return "\n".join(lines)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="wgan-gp-64", help="whose networks [wgan-gp-64]")
    parser.add_argument("--rows", type=whole(1), default=32, help="images of a lane [32]")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--rounds", type=whole(1), default=3)
    parser.add_argument("--size", type=whole(1), default=2048, help="of the product that is the peak [2048]")
    options = parser.parse_args()
    settings = configs.load(options.preset).replace(precision=options.precision)
    return run("profile_training", lambda: profile(settings, options.rows, options.rounds, options.size), show)


if __name__ == "__main__":
    raise SystemExit(main())
