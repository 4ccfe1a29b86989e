"""Training beside a plain loop: `python scripts/bench_training.py`.

The baseline is the loop of the founding document (docs/the-document.md), sections 3.1 and 4.2, as they read: eager,
float32, generator graph and all. Both train the same networks on the same batches in one process, an iteration of each
in turn. A figure is the median of its rounds, and none where they lie too far apart. Peaks of memory are each from a
process of its own. Stdout is tables and, as its last line, one JSON object.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_shared import (
    Figure,
    Row,
    cell,
    device_named,
    difference,
    exponent,
    machine,
    measured,
    noise,
    peaks,
    ratio,
    reasons,
    run,
    say,
    seconds,
    shown,
    table,
    whole,
    wholes,
)
from torch import Tensor

from wgan.serve.base.errors import WganError
from wgan.serve.bench.process import peak_memory
from wgan.training.config import Config
from wgan.training.data import open_images
from wgan.training.data.augment import normalise
from wgan.training.data.decode import Shape
from wgan.training.data.stream import BatchStream
from wgan.training.networks import Critic, Generator
from wgan.training.step.fast import WARMUP
from wgan.training.step.flops import Passes, step_flops
from wgan.training.step.kernels import choose_kernels
from wgan.training.step.trainer import Trainer

BASELINE = "baseline"
# on a CPU convolutions bound the step: compiling takes minutes and brings nothing
CUDA = torch.cuda.is_available()
BF16 = {"precision": "bf16"}
COMPILED: dict[str, dict[str, Any]] = {
    "ours fp32 compiled": {"compile": "on"},
    "ours bf16 graphs": {**BF16, "cuda_graphs": "auto"},
    "ours bf16 compiled": {**BF16, "compile": "on"},
    "ours bf16 compiled, graphs": {**BF16, "compile": "on", "cuda_graphs": "auto"},
    "ours bf16 compiled, graphs, repeatable": {
        **BF16,
        "compile": "on",
        "cuda_graphs": "auto",
        "convolutions": "repeatable",
    },
    "ours fp16 compiled, graphs": {"precision": "fp16", "compile": "on", "cuda_graphs": "auto"},
}
CASES: dict[str, dict[str, Any]] = {
    "ours fp32": {},
    "ours bf16": BF16,
    **(COMPILED if CUDA else {}),
    "accumulate=4": {"accumulate": 4},
    "activation_checkpointing": {"activation_checkpointing": True},
    "penalty_every=4": {"penalty_every": 4},
    "bf16 penalty_every=4": {**BF16, "penalty_every": 4},
}
SWEPT = ["ours fp32", "ours bf16", *(["ours bf16 compiled, graphs"] if CUDA else [])]


class Baseline:
    """The founding document's loop. Only `zero_grad` is added, without which it does not train."""

    def __init__(self, config: Config, device: torch.device):
        self.config, self.device = config, device
        self.generator, self.critic = Generator(config).to(device), Critic(config).to(device)
        betas = (config.beta1, config.beta2)
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), config.lr_g, betas)
        self.optimizer_d = torch.optim.Adam(self.critic.parameters(), config.lr_d, betas)

    def iterate(self, reals: BatchStream) -> None:
        """Section 3.1: n_critic critic steps on one real batch, then the generator."""
        config = self.config
        real_images = normalise(reals.next()[0])
        for _ in range(config.n_critic):
            z = torch.randn(config.batch_size, config.latent_dim, device=self.device)
            fake_images = self.generator(z)
            d_real = self.critic(real_images)
            d_fake = self.critic(fake_images)
            gp = self._penalty(real_images, fake_images)
            d_loss = d_fake.mean() - d_real.mean() + config.lambda_gp * gp
            self.optimizer_d.zero_grad()
            d_loss.backward()
            self.optimizer_d.step()
        z = torch.randn(config.batch_size, config.latent_dim, device=self.device)
        g_loss = -self.critic(self.generator(z)).mean()
        self.optimizer_g.zero_grad()
        g_loss.backward()
        self.optimizer_g.step()

    def _penalty(self, real_samples: Tensor, fake_samples: Tensor) -> Tensor:
        """Section 4.2."""
        alpha = torch.rand(len(real_samples), 1, 1, 1).to(self.device)
        interpolates = alpha * real_samples + (1 - alpha) * fake_samples
        interpolates.requires_grad_(True)
        d_interpolates = self.critic(interpolates)
        gradients = torch.autograd.grad(
            outputs=d_interpolates,
            inputs=interpolates,
            grad_outputs=torch.ones_like(d_interpolates),
            create_graph=True,
            retain_graph=True,
        )[0]
        gradient_norm = gradients.reshape(len(real_samples), -1).norm(2, dim=1)
        penalty: Tensor = ((gradient_norm - 1) ** 2).mean()
        return penalty


class Case:
    """One way to train: its settings, and an iteration that can be timed with any n_critic."""

    def __init__(self, name: str, config: Config, device: torch.device):
        self.name, self.device = name, device
        self.config = config.replace(**{"compile": "off", "cuda_graphs": "off", **CASES.get(name, {})})
        if device.type == "cuda":
            choose_kernels(self.config)  # the baseline's too
        if name == BASELINE:
            self.trainer: Baseline | Trainer = Baseline(self.config, device)
        else:
            self.trainer = Trainer(self.config, device)
        self.reals = noise(config, device)
        self.spans: dict[int, list[float]] = {}

    def time(self, n_critic: int) -> float:
        """Seconds of an iteration: the mean of as many as it takes for a lazy penalty to come round."""
        self.trainer.config = self.config.replace(n_critic=n_critic)
        rounds = self.config.penalty_every

        def work() -> None:
            for _ in range(rounds):
                self.trainer.iterate(self.reals)

        span = seconds(work, self.device) / rounds
        self.spans.setdefault(n_critic, []).append(span)
        return span

    def warm_up(self, *n_critics: int) -> None:
        """Iterations in which all happens that happens once: compiling, recording, kernels measured. None counts."""
        for _ in range(WARMUP + 1 if self.config.cuda_graphs == "auto" else 1):
            for n in n_critics:
                self.time(n)
        self.spans.clear()

    def told(self) -> list[str]:
        """What of its settings the case could not have."""
        return [] if isinstance(self.trainer, Baseline) else self.trainer.fast.told()

    def iteration(self) -> Figure:
        """Its seconds."""
        return measured(self.spans[self.config.n_critic])

    def critic_step(self) -> Figure:
        """Its milliseconds: what an iteration of many has beyond one of one, a step of it."""
        more = self.config.n_critic - 1
        if not more or 1 not in self.spans:
            return Figure(0.0, None, "not measured")
        return difference(self.iteration().times(1e3 / more), measured(self.spans[1]).times(1e3 / more))

    def row(self, peak: dict[str, float]) -> Row:
        """The figures."""
        config, iteration = self.config, self.iteration()
        # what the algorithm needs: what a way of training computes twice or for nothing is no merit
        needed = step_flops(Passes(config.replace(activation_checkpointing=False, accumulate=1)))
        return {
            "case": self.name,
            "batch": config.batch_size,
            "base_channels": config.base_channels,
            "precision": config.precision,
            "notes": self.told(),
            "rounds": len(self.spans[config.n_critic]),
            **iteration.times(1e3).row("ms_iteration"),
            **self.critic_step().row("ms_critic_step"),
            "images_per_second": iteration.per(config.n_critic * config.batch_size).value,
            "flops_iteration": needed,
            "flops_per_second": iteration.per(needed).value,
            "share_of_peak": iteration.per(needed / peak[config.precision]).value,
            "peak_precision": config.precision,
        }


def compare(names: list[str], config: Config, device: torch.device, rounds: int, peak: dict[str, float]) -> list[Row]:
    """A row a case; in every round each case has its turn."""
    cases = [Case(name, config, device) for name in names]  # before any warm-up: a new trainer drops what is compiled
    for case in cases:
        say(f"bench_training: {case.name}: warm-up")
        case.warm_up(1, config.n_critic)
    for i in range(rounds):
        say(f"bench_training: round {i + 1} of {rounds}")
        for case in cases:
            for n in {1, config.n_critic}:
                case.time(n)
    first = cases[0].iteration() if names[0] == BASELINE else None
    return [
        case.row(peak) | {"times_baseline": None if first is None else ratio(first, case.iteration()).value}
        for case in cases
    ]


def memory_of(name: str, config: Config, device: torch.device) -> int | None:
    """The peak of an iteration, bytes: what torch allocated on a GPU; on a CPU what the process grew by."""
    before = peak_memory()
    case = Case(name, config, device)
    for _ in range(2):
        case.warm_up(1)
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    after = peak_memory()
    return None if before is None or after is None else after - before


def memory_apart(name: str, config: Config, device: torch.device) -> int | None:
    """`memory_of` in a process of its own; None where it does not fit."""
    say(f"bench_training: peak memory of {name}, batch {config.batch_size}")
    asked = {"name": name, "config": config.to_dict(), "device": device.type}
    command = [sys.executable, __file__, "--memory-of", json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode != 0:
        say(
            f"bench_training: {name}: {done.stderr.strip().splitlines()[-1][:200] if done.stderr.strip() else 'killed'}"
        )
        return None
    peak: int | None = json.loads(done.stdout.splitlines()[-1])["peak_memory"]
    return peak


def sweep(
    sizes: list[tuple[int, int]],
    config: Config,
    device: torch.device,
    peak: dict[str, float],
    most: float,
    rounds: int = 1,
) -> list[Row]:
    """A row a way and (base channels, batch); what would take longer than ``most`` seconds an iteration is left out."""
    rows: list[Row] = []
    for name in SWEPT:
        rate: float | None = None  # FLOP/s of the case before
        for base, batch in sizes:
            here = config.replace(base_channels=base, batch_size=batch)
            row: Row = {"case": name, "base_channels": base, "batch": batch}
            expected = step_flops(Passes(here)) / rate if rate else 0.0
            if expected > most:
                rows.append(row | {"left_out": f"about {expected:.0f} s an iteration"})
                continue
            say(f"bench_training: {name}, {base} channels, batch {batch}")
            try:
                case = Case(name, here, device)
                case.warm_up(1)
                for _ in range(rounds):
                    case.time(here.n_critic)
                row = case.row(peak)
            except (RuntimeError, MemoryError) as error:  # torch's out of memory is one
                rows.append(row | {"left_out": " ".join(str(error).split())[:100]})
                continue
            rate = row["flops_iteration"] / case.iteration().median
            rows.append(row)
    return rows


def track(config: Config, device: torch.device, cache: Path) -> Row:
    """Do bf16's losses follow float32's? Mean absolute differences a step, beside those of another float32 seed."""
    images = open_images("faces", Shape(config.image_size, 3, "crop"), cache_dir=cache, count_faces=config.faces_count)

    def losses(**changes: Any) -> np.ndarray:
        here = config.replace(**changes)
        say(f"bench_training: {here.steps} steps, {here.precision}, seed {here.seed}")
        trainer, reals = Trainer(here, device), BatchStream(images, here.batch_size, here.seed, device)
        curves = []
        for _ in range(here.steps):
            trainer.iterate(reals)
            watched = trainer.watch.drain()
            curves.append([watched["wasserstein"], watched["penalty"]])
        return np.array(curves)

    exact, half, other = losses(), losses(precision="bf16"), losses(seed=config.seed + 1)
    result: Row = {"steps": config.steps}
    for i, name in enumerate(("wasserstein", "penalty")):
        result[name] = {
            "mean_fp32": float(exact[:, i].mean()),
            "bf16_from_fp32": float(np.abs(half - exact)[:, i].mean()),
            "fp32_seeds_apart": float(np.abs(other - exact)[:, i].mean()),
        }
        result[name]["within_noise"] = result[name]["bf16_from_fp32"] <= result[name]["fp32_seeds_apart"]
    return result


def show(result: Row) -> str:
    """All tables."""
    peak = ", ".join(f"{name} {value / 1e9:,.0f} GFLOP/s" for name, value in result["peaks"].items())
    parts = [f"matrix product: {peak}"]
    heads: tuple[str, ...] = (
        "case",
        "ms iteration",
        "spread",
        "ms critic step",
        "images/s",
        "GFLOP/s",
        "of peak",
        "× baseline",
        "MiB",
    )
    rows: list[Sequence[object]] = [
        (
            row["case"],
            cell(row, "ms_iteration"),
            shown(row["ms_iteration_spread"], ".0%"),
            cell(row, "ms_critic_step"),
            shown(row["images_per_second"], ",.0f"),
            shown(None if row["flops_per_second"] is None else row["flops_per_second"] / 1e9, ",.0f"),
            shown(row["share_of_peak"], ".1%"),
            shown(row["times_baseline"], ".2f"),
            shown(None if row["peak_memory"] is None else row["peak_memory"] / 2**20, ",.0f"),
        )
        for row in result["cases"]
    ]
    parts.append(table(heads, rows, f"batch {result['batch']}, {result['base_channels']} channels"))
    parts += reasons(result["cases"], ("ms_iteration", "ms_critic_step"), lambda row: str(row["case"]))
    parts += [f"{row['case']}: {line}" for row in result["cases"] for line in row["notes"]]
    if result["sweep"]:
        heads = ("case", "channels", "batch", "GFLOP", "ms iteration", "ms/GFLOP", "images/s", "of peak")
        rows = []
        for row in result["sweep"]:
            begin = (row["case"], row["base_channels"], row["batch"])
            if "left_out" in row:
                rows.append((*begin, "-", row["left_out"], "-", "-", "-"))
                continue
            giga, ms = row["flops_iteration"] / 1e9, row["ms_iteration"]
            figures = (shown(giga), cell(row, "ms_iteration"), shown(None if ms is None else ms / giga, ".2f"))
            rows.append((*begin, *figures, shown(row["images_per_second"], ",.0f"), shown(row["share_of_peak"], ".1%")))
        parts.append(table(heads, rows, "cost against size"))
        parts += reasons(result["sweep"], ["ms_iteration"], size_of)
        grows = "time grows as FLOPs to the power of" if result["growth"] else ""
        parts += [f"{name}: {grows} {shown(power, '.2f')} (1: linear)" for name, power in result["growth"].items()]
    if result["track"]:
        track = result["track"]
        heads = ("loss", "mean, fp32", "bf16 - fp32", "seed 1 - seed 0", "within noise")
        keys = ("mean_fp32", "bf16_from_fp32", "fp32_seeds_apart")
        rows = [
            (name, *(shown(track[name][key], ".4f") for key in keys), "yes" if track[name]["within_noise"] else "NO")
            for name in ("wasserstein", "penalty")
        ]
        parts.append(table(heads, rows, f"mean absolute differences over {track['steps']} steps on faces"))
    return "\n".join(parts)


def size_of(row: Row) -> str:
    """What a row of the sweep is called."""
    return f"{row['case']}, {row['base_channels']} channels, batch {row['batch']}"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="small networks, few rounds: a minute or two")
    parser.add_argument("--batch-size", type=whole(8), help="of the comparison [default: 64; quick 16]")
    parser.add_argument("--base-channels", type=whole(1), help="of the comparison [default: 64; quick 16]")
    parser.add_argument("--image-size", type=int, default=64, choices=(8, 16, 32, 64, 128, 256))
    parser.add_argument("--rounds", type=whole(1), help="[default: 20 on a GPU, 3 on a CPU]")
    parser.add_argument("--batches", type=wholes, help="of the sweep [default: 16 to 1024 in doublings; quick 8,16,32]")
    parser.add_argument("--sweep-channels", type=whole(1), help="base channels of the batches [as compared; CPU 16]")
    parser.add_argument("--widths", type=wholes, help="base channels of the sweep [default: 16,32,64,128; quick 8,16]")
    parser.add_argument("--longest", type=float, default=40.0, help="seconds an iteration of the sweep may take")
    parser.add_argument("--only", action="append", choices=("compare", "memory", "sweep", "track"), help="repeatable")
    parser.add_argument("--track-steps", type=whole(1), help="[default: 200; quick 20]")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache"), help="where drawn faces are kept")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Measures, prints."""
    wanted = arguments()
    if wanted.memory_of:
        asked = json.loads(wanted.memory_of)
        config = Config().replace(**asked["config"])
        print(json.dumps({"peak_memory": memory_of(asked["name"], config, torch.device(asked["device"]))}))
        return 0
    return run("bench_training", lambda: measure(wanted), show)


def measure(wanted: argparse.Namespace) -> Row:
    """Everything that was asked for."""
    device = device_named(wanted.device)
    quick = wanted.quick
    batch, base = wanted.batch_size or (16 if quick else 64), wanted.base_channels or (16 if quick else 64)
    config = Config(image_size=wanted.image_size, batch_size=batch, base_channels=base)
    if batch % CASES["accumulate=4"]["accumulate"]:
        raise WganError(f"--batch-size {batch} is no multiple of 4, the parts of the case accumulate=4")
    only = wanted.only or ("compare", "memory", "sweep", "track")
    rounds = wanted.rounds or (20 if device.type == "cuda" else 3)
    say("bench_training: matrix products")
    peak = peaks(device, 512 if quick and device.type == "cpu" else None)
    result: Row = {
        "benchmark": "training",
        "machine": machine(device),
        "batch": config.batch_size,
        "base_channels": config.base_channels,
        "image_size": config.image_size,
        "peaks": peak,
        "cases": [],
        "sweep": [],
        "growth": {},
        "track": None,
    }
    names = [BASELINE, *CASES]
    if "compare" in only:
        result["cases"] = compare(names, config, device, rounds, peak)
        for row in result["cases"]:
            row["peak_memory"] = memory_apart(row["case"], config, device) if "memory" in only else None
    if "sweep" in only:
        batches = wanted.batches or ([8, 16, 32] if quick else [16, 32, 64, 128, 256, 512, 1024])
        widths = wanted.widths or ([8, 16] if quick else [16, 32, 64, 128])
        # on a CPU narrow ones: an iteration of 1,024 images through wide networks takes minutes
        swept = wanted.sweep_channels or (base if device.type == "cuda" else min(base, 16))
        pairs = [(swept, batch) for batch in batches]
        pairs += [(base, config.batch_size) for base in widths if (base, config.batch_size) not in pairs]
        pairs = sorted(pairs, key=lambda p: p[0] ** 2 * p[1])
        result["sweep"] = sweep(pairs, config, device, peak, wanted.longest, min(rounds, 5))
        for name in SWEPT:
            own = [row for row in result["sweep"] if row["case"] == name and row.get("ms_iteration") is not None]
            result["growth"][name] = exponent([r["flops_iteration"] for r in own], [r["ms_iteration"] for r in own])
    if "track" in only:
        small = {"base_channels": 8 if quick else 16, "image_size": min(32 if quick else 64, config.image_size)}
        steps = wanted.track_steps or (20 if quick else 200)
        tracked = config.replace(**small, steps=steps, batch_size=32, n_critic=2 if quick else 5, faces_count=1024)
        result["track"] = track(tracked, device, wanted.cache)
    return result


if __name__ == "__main__":
    sys.exit(main())
