"""ms an iteration beside the seed document's own loop, at batch 64 and 512."""

import time
from typing import Any

import torch
from bench_training import BASELINE, CASES, Baseline, Case
from benching import peaks

from gpu.rows import Here
from gpu.training import BATCHES, batch, settings
from wgan.serve.bench_peak import torch_peak
from wgan.training.config import Config

AIMS = {"times_baseline": (64, 8.0), "share_of_peak": (512, 0.25)}
KEPT = ("ms_iteration", "images_per_second", "share_of_peak", "peak_precision", "notes")


def run(here: Here) -> None:
    """A row a batch and way, the most valuable first; then what is aimed at, which fails nothing."""
    peak = peaks(here.device, 256 if here.tiny else None)
    peak["fp16"] = torch_peak(here.device, "fp16", 256 if here.tiny else 8192)
    found: dict[int, list[dict[str, Any]]] = {size: [] for size in BATCHES}
    # the lazy penalty last: it computes something else
    cases = sorted(CASES, key=lambda name: ("penalty_every" in name, not name.startswith("ours")))
    for size in BATCHES[:1] if here.tiny else BATCHES:
        baseline = None
        for name in (BASELINE, *cases):
            what = f"{name}, batch {size}"
            if size != BATCHES[0] and not name.startswith(("ours", BASELINE)):
                continue
            if here.short_of(what, 0 if here.tiny else 20):
                continue
            try:
                row = measured(here, name, settings(here.tiny, **batch(here, size)), peak)
            except (RuntimeError, MemoryError) as error:  # torch's out of memory is one
                here.tell(what, ok=False, why=" ".join(str(error).split())[:200])
                continue
            baseline = baseline or row["ms_iteration"]
            row["times_baseline"] = baseline / row["ms_iteration"]
            found[size].append({"case": name, **row})
            here.tell(what, ok=row["finite"] and not row["notes"], **row)
    if not here.cuda:
        here.not_run("compiled and recorded", f"for a GPU alone; batch {BATCHES[1]} and true sizes are left out too")
    for key, (size, aim) in AIMS.items():
        same = [row[key] for row in found[size] if "penalty_every" not in row["case"] and row["case"] != BASELINE]
        if key == "share_of_peak":
            same = [row[key] for row in found[size] if row["case"].startswith("ours bf16")]
        if same and not here.tiny:
            here.tell(f"aim: {key.replace('_', ' ')}, batch {size}", best=max(same), aim=aim, reached=max(same) >= aim)


def measured(here: Here, name: str, config: Config, peak: dict[str, float]) -> dict[str, Any]:
    """The figures of one way, after a warm-up, and how long that took."""
    if here.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    case, began = Case(name, config, here.device), time.monotonic()
    case.warm_up(config.n_critic)
    ready = time.monotonic() - began
    for _ in range(2 if here.tiny else 20):
        case.time(config.n_critic)
    row = case.row(peak)
    finite = isinstance(case.trainer, Baseline) or case.trainer.finite()
    found = {**{key: row[key] for key in KEPT}, "ready_s": ready, "finite": finite}
    return found | ({"peak_mib": torch.cuda.max_memory_allocated() / 2**20} if here.cuda else {})
