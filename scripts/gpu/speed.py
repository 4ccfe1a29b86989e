"""ms an iteration beside a plain loop, at batch 64 and 512."""

import gc
import time
from typing import Any

import torch
from bench_shared import peaks
from bench_training import BASELINE, CASES, Baseline, Case

from gpu.rows import Here
from gpu.training import BATCHES, batch, settings
from wgan.serve.bench.peak import torch_peak
from wgan.training.config import Config

MAIN = (BASELINE, "ours fp32", "ours bf16", "ours bf16 graphs", "ours bf16 compiled", "ours bf16 compiled, graphs")
KEPT = (
    "ms_iteration",
    "ms_iteration_spread",
    "ms_iteration_reason",
    "images_per_second",
    "share_of_peak",
    "peak_precision",
    "notes",
)
LONGEST, MOST, FEWEST = 2.0, 50, 5  # seconds and iterations that a way is timed for


def run(here: Here) -> None:
    """A row a way and batch, the most valuable first; then what is aimed at, which fails nothing."""
    peak = peaks(here.device, 256 if here.tiny else None)
    peak["fp16"] = torch_peak(here.device, "fp16", 256 if here.tiny else 8192)
    there = [BASELINE, *CASES]
    order = [(size, name) for size in BATCHES[: 1 if here.tiny else 2] for name in MAIN if name in there]
    order += [(BATCHES[0], name) for name in sorted((set(there) - set(MAIN)), key=lambda name: (anew(name), name))]
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for size, name in order:
        what = f"{name}, batch {size}"
        if here.short_of(what, 0 if here.tiny else 45 if anew(name) else 15):
            continue
        try:
            row = measured(here, name, settings(here.tiny, **batch(here, size)), peak)
        except (RuntimeError, MemoryError) as error:  # torch's out of memory is one
            here.tell(what, ok=False, why=" ".join(str(error).split())[:200])
            continue
        rows[size, name] = row
        first = rows.get((size, BASELINE))
        if first is not None and first["ms_iteration"] and row["ms_iteration"]:  # either may be too noisy
            row["times_baseline"] = first["ms_iteration"] / row["ms_iteration"]
        here.tell(what, ok=row["finite"] and not row["notes"], **row)
    if not here.cuda:
        here.not_run("compiled and recorded", f"for a GPU alone; batch {BATCHES[1]} and true sizes are left out too")
    if not here.tiny:
        # not those with a lazy penalty: they compute something else
        same = {key: row for key, row in rows.items() if "penalty_every" not in key[1]}
        small, large = BATCHES
        ratios = [row["times_baseline"] for key, row in same.items() if key[0] == small and "times_baseline" in row]
        aim(here, f"times the baseline, batch {small}", ratios, 8.0)
        shares = [row["share_of_peak"] for key, row in same.items() if key[0] == large and "bf16" in key[1]]
        aim(here, f"share of the bf16 peak, batch {large}", [share for share in shares if share is not None], 0.25)


def anew(name: str) -> bool:
    """Whether it is compiled for tens of seconds: what `parity` has compiled ahead is not."""
    return name not in MAIN and CASES.get(name, {}).get("compile") == "on"


def aim(here: Here, what: str, rates: list[float], wanted: float) -> None:
    """The best of these beside what is aimed at."""
    if rates:
        here.tell(f"aim: {what}", best=max(rates), aim=wanted, reached=max(rates) >= wanted)


def measured(here: Here, name: str, config: Config, peak: dict[str, float]) -> dict[str, Any]:
    """The figures of one way, after a warm-up, and how long that took."""
    if here.cuda:
        gc.collect()  # the way before is in circles of references
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    case, began = Case(name, config, here.device), time.monotonic()
    case.warm_up(config.n_critic)
    ready = time.monotonic() - began
    spans: list[float] = []
    while len(spans) < (2 if here.tiny else FEWEST) or (sum(spans) < LONGEST and len(spans) < MOST and not here.tiny):
        spans.append(case.time(config.n_critic))
    row = case.row(peak)
    finite = isinstance(case.trainer, Baseline) or case.trainer.finite()
    row = {**{key: row[key] for key in KEPT}, "ready_s": ready, "finite": finite}
    return row | ({"peak_mib": torch.cuda.max_memory_allocated() / 2**20} if here.cuda else {})
