"""What each training option does to the distance after the same number of images: `python scripts/compare_options.py`.

Trains the demo preset on the built-in faces with one option changed at a time, and prints a table and, as the last
line, one JSON object. Runs that are finished are not trained again, so it can be stopped and continued.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from wgan.serve.base.errors import WganError
from wgan.training import config as settings
from wgan.training.records import folder as runs
from wgan.training.records.history import read
from wgan.training.run.loop import train

# the option, and what is changed for it; the demo preset's seed 0 to 2 show how far chance alone goes
OPTIONS: dict[str, dict[str, Any]] = {
    "demo preset": {},
    "seed=1": {"seed": 1},
    "seed=2": {"seed": 2},
    "precision=bf16": {"precision": "bf16"},
    "precision=fp16": {"precision": "fp16"},
    "n_critic=5": {"n_critic": 5},
    "lambda_gp=20": {"lambda_gp": 20},
    "lr_schedule=cosine": {"lr_schedule": "cosine"},
    "spectral_norm=critic": {"spectral_norm": "critic"},
    "spectral_norm=both": {"spectral_norm": "both"},
    "minibatch=stddev": {"minibatch": "stddev"},
    "minibatch=discrimination": {"minibatch": "discrimination"},
    "depth=2": {"depth": 2},
    "attention=16": {"attention": 16},
    "base_channels=32": {"base_channels": 32},
    "conditional, projection": {"conditional": True},
    "conditional, batchnorm and map": {"conditional": True, "generator_labels": "batchnorm", "critic_labels": "map"},
    "progressive": {"progressive": True},
    "penalty_every=4": {"penalty_every": 4},
    "drift=0.001": {"drift": 0.001},
    "accumulate=2": {"accumulate": 2},
    "activation_checkpointing": {"activation_checkpointing": True},
}


def trained(name: str, changes: dict[str, Any], images: int, place: Path, device: torch.device) -> dict[str, Any]:
    """One row: distances, images a second and images of a run that is made if it is not there."""
    base = settings.from_dict(changes, base=settings.load("demo"))
    steps = max(1, images // base.reals_per_step)
    # a growing run gets its full size for the last quarter of its images
    phase = images * 3 // 4 // (2 * ((base.image_size // 8).bit_length() - 1))
    config = base.replace(
        steps=steps, phase_images=phase, sample_every=steps, validate_every=steps, checkpoint_every=max(1, steps // 4)
    )
    folder = runs.RunFolder(place / "".join(c if c.isalnum() else "-" for c in name))
    if folder.config.is_file():
        folder, config = runs.reopen(folder.path, {})
        resume = True
    else:
        folder, resume = runs.begin(folder.path), False
    done = [r for r in read(folder.metrics) if r["kind"] == "validation" and r["step"] == config.steps]
    if not done:
        print(f"{name}: {config.steps} steps", file=sys.stderr, flush=True)
        ended = train(folder, config, device=device, cache=place / ".cache", resume=resume)
        if not ended.finished:
            raise KeyboardInterrupt
        done = [r for r in read(folder.metrics) if r["kind"] == "validation" and r["step"] == config.steps]
    rates = sorted(r["images_per_second"] for r in read(folder.metrics) if r["kind"] == "train")
    return {
        "option": name,
        "images": config.steps * config.reals_per_step,
        "swd": done[0]["swd"],
        "levels": done[0]["swd_levels"],
        "images_per_second": rates[len(rates) // 2],
    }


def main() -> int:
    """Trains what is asked for, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="options to try, by the first words of their names [default: all]")
    parser.add_argument("--images", type=int, default=32_000, help="real images that each run's critic sees")
    parser.add_argument("--runs", type=Path, default=Path("runs/compare"), help="folder for the runs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    wanted = parser.parse_args()
    chosen = [n for n in OPTIONS if not wanted.names or any(n.startswith(word) for word in wanted.names)]
    if not chosen:
        print(f"no such option: there are {', '.join(OPTIONS)}", file=sys.stderr)
        return 2
    try:
        rows = [trained(n, OPTIONS[n], wanted.images, wanted.runs, torch.device(wanted.device)) for n in chosen]
    except WganError as error:
        print(f"compare_options: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    levels = list(rows[0]["levels"])
    print("| option | images | SWD | " + " | ".join(f"{level} px" for level in levels) + " | images/s |")
    print("|---" * (4 + len(levels)) + "|")
    for row in rows:
        cells = " | ".join(f"{row['levels'][level]:.1f}" for level in levels)
        print(f"| {row['option']} | {row['images']:,} | {row['swd']:.1f} | {cells} | {row['images_per_second']:,.0f} |")
    print(json.dumps({"device": wanted.device, "torch": torch.__version__, "rows": rows}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
