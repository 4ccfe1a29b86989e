"""What each option does to the distance in the same training time: `python scripts/compare_options.py`.

Trains a preset on the built-in faces with one option changed at a time, three seeds each, and prints a table of means
and spreads and, as the last line, one JSON object. Equal time is counted or measured:

The preset may be followed by settings that all runs have: --preset "demo batch_size=32 steps=1900". Equal time is of
that.

--by flops     as many steps as the preset's own FLOPs pay for. The same on every machine, busy or not; what a
               precision saves is not counted.
--by seconds   as many steps as take as long as the preset's own, timed before each run. For a quiet machine.

Each run has one thread, and --jobs of them train side by side, on a CPU or, with --device cuda, a GPU: there in
bfloat16, not compiled, as compiling takes longer than such a run. What finished ones came to is kept in --results, and
they are not trained again: it can be stopped and continued, with --by flops on another machine or device too.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from bench_shared import say

from wgan.serve.base.errors import WganError
from wgan.serve.machine.cores import usable_cores

# the option, and what is changed for it: a rate that is given as 2.0 is twice the preset's, growing ends at a third of
# the images
OPTIONS: dict[str, dict[str, Any]] = {
    "the preset": {},
    "as it was before": {  # what this table found
        "n_critic": 2,
        "conditional": False,
        "critic_head": "pool",
        "upsampling": "transposed",
        "lr_schedule": "constant",
    },
    "critic_head=pool": {"critic_head": "pool"},
    "upsampling=transposed": {"upsampling": "transposed"},
    "n_critic=2": {"n_critic": 2},
    "growing": {"progressive": True},
    "labels, n_critic=1": {"conditional": True, "n_critic": 1},
    "labels, n_critic=2": {"conditional": True, "n_critic": 2},
    "no labels, n_critic=1": {"conditional": False, "n_critic": 1},
    "batch_size=16": {"batch_size": 16},
    "batch_size=64": {"batch_size": 64},
    "rates doubled": {"lr_g": 2.0, "lr_d": 2.0},
    "rates halved": {"lr_g": 0.5, "lr_d": 0.5},
    "lr_schedule=constant": {"lr_schedule": "constant"},
    "lr_schedule=cosine": {"lr_schedule": "cosine"},
    "lr_warmup=100": {"lr_warmup": 100},
    "ema_decay=0.99": {"ema_decay": 0.99},
    "ema_decay=0.998": {"ema_decay": 0.998},
    "augment_flip=0.5": {"augment_flip": 0.5},
    "minibatch=stddev": {"minibatch": "stddev"},
    "penalty_every=2": {"penalty_every": 2},
    "lambda_gp=3": {"lambda_gp": 3},
    "lambda_gp=20": {"lambda_gp": 20},
    "drift=0.001": {"drift": 0.001},
    "base_channels=32": {"base_channels": 32},
    "attention=16": {"attention": 16},
    "depth=2": {"depth": 2},
    "minibatch=discrimination": {"minibatch": "discrimination"},
    "spectral_norm=critic": {"spectral_norm": "critic"},
    "labels in batchnorm and map": {"conditional": True, "generator_labels": "batchnorm", "critic_labels": "map"},
    "precision=fp32": {"precision": "fp32"},
    "precision=bf16": {"precision": "bf16"},
}
BY = ("flops", "seconds")
DEVICES = ("cpu", "cuda")
ON_GPU = {"precision": "bf16", "compile": "off"}


def resolved(
    preset: str, changes: dict[str, Any], seed: int, by: str = "flops", times: float = 1.0, on: str = "cpu"
) -> Any:
    """The settings of one run: those of the preset, the changes, and the steps that the same time pays for.

    Raises:
        ConfigError: there is no such preset or setting.
    """
    import torch

    from wgan.training import config as settings
    from wgan.training.distributed import World
    from wgan.training.run.auto_precision import settle
    from wgan.training.run.minutes import seconds_of
    from wgan.training.step.cost import flops_of, steps_within, total

    device = torch.device(on)
    cost = flops_of if by == "flops" else (lambda config: seconds_of(config, device))
    name, *words = [preset] if Path(preset).is_file() else preset.split()
    base = settings.from_dict(settings.parse_overrides(words), base=settings.load(name))
    base = base.replace(**(ON_GPU if on == "cuda" else {}))
    base, _ = settle(base, device, None, World())
    budget = times * total(base, cost(base))
    scaled = {name: value * getattr(base, name) if name.startswith("lr_") and isinstance(value, float) else value
              for name, value in changes.items()}  # fmt: skip
    config = settings.from_dict({"seed": seed, **scaled}, base=base)
    if config.progressive:  # phases that end at a third of the images, whatever their cost
        steps = config.steps
        for _ in range(8):
            images = steps * config.reals_per_step
            config = config.replace(
                phase_images=max(1, images // 3 // (2 * ((config.image_size // 8).bit_length() - 1)))
            )
            steps = steps_within(config, budget, cost(config))
    steps = steps_within(config, budget, cost(config))
    return config.replace(
        steps=steps, sample_every=steps, validate_every=steps, checkpoint_every=max(1, steps // 4), keep_checkpoints=1
    )


def run_one(name: str, seed: int, asked: argparse.Namespace) -> int:
    """Trains one run, or goes on with it, in this process."""
    import torch

    from wgan.training.records import folder as runs
    from wgan.training.run.loop import train

    place = folder(name, seed, asked)
    if runs.RunFolder(place).config.is_file():
        there, config = runs.reopen(place, {})
        resume = True
    else:
        config = resolved(asked.preset, OPTIONS[name], seed, asked.by, asked.times, asked.device)
        there, resume = runs.begin(place), False
    say(f"{name}, seed {seed}: {config.steps} steps")
    ended = train(there, config, device=torch.device(asked.device), cache=asked.runs / ".cache", resume=resume)
    if not ended.finished:
        return 130
    keep(name, seed, asked)
    return 0


def folder(name: str, seed: int, asked: argparse.Namespace) -> Path:
    """Where a run lies."""
    words = f"{asked.preset}-{asked.device}-{asked.by}-{asked.times:g}-{name}-seed-{seed}"
    return asked.runs / "".join(c if c.isalnum() or c == "." else "-" for c in words)


def key(name: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """What a run is known by."""
    return {"preset": asked.preset, "by": asked.by, "times": asked.times, "option": name, "seed": seed}


def measured(name: str, seed: int, asked: argparse.Namespace) -> dict[str, Any] | None:
    """What a finished run came to; None where none has ended."""
    if not asked.results.is_file():
        return None
    lines = [json.loads(line) for line in asked.results.read_text("utf-8").splitlines()]
    wanted = key(name, seed, asked)
    return next((line for line in lines if all(line[word] == value for word, value in wanted.items())), None)


def keep(name: str, seed: int, asked: argparse.Namespace) -> None:
    """Adds what a run that has just ended came to."""
    from wgan.training.records.folder import RunFolder
    from wgan.training.records.history import read

    there = RunFolder(folder(name, seed, asked))
    config, records = there.read_config(), read(there.metrics)
    ended = [record for record in records if record["kind"] == "validation"][-1]
    line = {
        **key(name, seed, asked),
        "device": asked.device,
        "steps": config.steps,
        "images": config.steps * config.reals_per_step,
        "precision": config.precision,
        "swd": ended["swd"],
        "levels": ended["swd_levels"],
        "diversity": ended["diversity"],
        "seconds": max(record["seconds"] for record in records if record["kind"] == "train"),
    }
    asked.results.parent.mkdir(parents=True, exist_ok=True)
    with asked.results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def row_of(name: str, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread (the standard deviation) of the seeds of an option."""
    swd = [run["swd"] for run in runs]
    return {
        "option": name,
        "changes": OPTIONS[name],
        "swd": fmean(swd),
        "spread": stdev(swd) if len(swd) > 1 else None,
        "levels": {level: fmean(run["levels"][level] for run in runs) for level in runs[0]["levels"]},
        "runs": list(runs),
    }


def text(rows: Iterable[dict[str, Any]]) -> str:
    """The table, best first."""
    rows = sorted(rows, key=lambda row: float(row["swd"]))
    levels = list(rows[0]["levels"])
    lines = [
        "| option | steps | images | SWD | " + " | ".join(f"{level} px" for level in levels) + " |",
        "|---" * (4 + len(levels)) + "|",
    ]
    for row in rows:
        cells = " | ".join(f"{row['levels'][level]:.1f}" for level in levels)
        spread = ", one seed" if row["spread"] is None else f" ± {row['spread']:.1f}"
        first = row["runs"][0]
        lines.append(
            f"| {row['option']} | {first['steps']:,} | {first['images']:,} | {row['swd']:.1f}{spread} | {cells} |"
        )
    return "\n".join(lines)


def apart(name: str, seed: int, asked: argparse.Namespace) -> int:
    """Trains one run in a process of its own, in one thread; its exit code."""
    if measured(name, seed, asked) is not None:
        return 0
    words = [f"--{word}={getattr(asked, word)}" for word in ("preset", "by", "times", "device", "runs", "results")]
    command = [sys.executable, __file__, *words, "--one", name, str(seed)]
    return subprocess.run(command, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode


def asked_for() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="options to try, by the first words of their names [default: all]")
    parser.add_argument("--preset", default="demo", help="what is changed, and whose time each gets [demo]")
    parser.add_argument("--by", choices=BY, default="flops", help="what equal time is")
    parser.add_argument("--times", type=float, default=1.0, help="times the preset's own time")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where it trains")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, … of each option")
    parser.add_argument("--runs", type=Path, default=Path("runs/compare"), help="folder for the runs")
    parser.add_argument(
        "--results", type=Path, help="what finished runs came to, a line each [default: results.jsonl in --runs]"
    )
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="runs side by side [default: one a core]")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.results = asked.results or asked.runs / "results.jsonl"
    return asked


def main() -> int:
    """Trains what is asked for, prints the table."""
    asked = asked_for()
    try:
        if asked.one is not None:
            return run_one(asked.one[0], int(asked.one[1]), asked)
        chosen = [n for n in OPTIONS if not asked.names or any(n.startswith(word) for word in asked.names)]
        if not chosen:
            say(f"no such option: there are {', '.join(OPTIONS)}")
            return 2
        # all options once, then all again: what is stopped early has a row for each
        runs = [(name, seed) for seed in range(asked.seeds) for name in chosen]
        with ThreadPoolExecutor(asked.jobs) as pool:
            codes = list(pool.map(lambda run: apart(*run, asked), runs))
        done = {name: [run for seed in range(asked.seeds) if (run := measured(name, seed, asked))] for name in chosen}
    except WganError as error:
        say(f"compare_options: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    rows = [row_of(name, runs) for name, runs in done.items() if runs]
    if rows:
        print(text(rows))
        print(json.dumps({"preset": asked.preset, "by": asked.by, "times": asked.times, "rows": rows}), flush=True)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
