"""Makes the files of one version of wgan that later versions have to open.

Run it once a version, with the Python of the environment that this version is installed in:

    .venv/bin/python tests/data/make_old.py

It writes `tests/data/VERSION/`: one folder for each of `RUNS`, and `expected.npz` with the images of the first seeds
of every file, uint8 (N, H, W, C), under the file's path. Each run is as a process that was killed leaves it: its last
checkpoint lies between two records, so that it holds sums, and `metrics.jsonl` goes on to a step that no checkpoint
has, which shows what the resumed run is to come to. What is stored for a version is never made anew by a later one.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

SEEDS = 8
SAVED, STEPS = 38, 41  # of the stored checkpoint, and of the last record
COMMON = {
    "image_size": 16,
    "latent_dim": 8,
    "base_channels": 4,
    "batch_size": 8,
    "n_critic": 2,
    "lr_g": 0.005,
    "lr_d": 0.005,
    "ema_decay": 0.9,
    "faces_count": 64,
    "steps": STEPS,
    "log_every": 15,
    "sample_every": 1000,
    "validate_every": 25,
    "validate_images": 64,
    "checkpoint_every": SAVED,
    "keep_checkpoints": 2,
}
# the second brings what the first has no state for: labels, power iterations, a penalty that not every step measures
RUNS: dict[str, dict[str, object]] = {
    "plain": {},
    "conditional": {
        "base_channels": 2,
        "conditional": "true",
        "generator_labels": "batchnorm",
        "attention": 8,
        "spectral_norm": "both",
        "minibatch": "stddev",
        "penalty_every": 2,
    },
}
EXPORTS: list[list[str]] = [
    ["onnx"],
    ["onnx", "--precision", "fp16"],
    ["onnx", "--output", "uint8"],
    ["torchscript"],
    ["torchscript", "--precision", "bf16"],
]
KEPT = ["config.yaml", "run.json", "metrics.jsonl", "checkpoints/*.pt", "export/generator*"]


def wgan(here: Path, *words: object) -> None:
    """Runs one command of this environment in the folder ``here``, on one thread."""
    command = [str(Path(sys.executable).with_name("wgan")), *map(str, words)]
    subprocess.run(command, cwd=here, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=sys.stderr)


def train(here: Path, name: str, settings: dict[str, object]) -> None:
    """Trains with the first seed whose best checkpoint is an earlier one than its last: two different files."""
    for seed in range(100):
        run = here / name
        words = [f"{key}={value}" for key, value in {**COMMON, **settings, "seed": seed}.items()]
        wgan(here, "train", "--run", name, "--device", "cpu", *words)
        best = (run / "checkpoints" / "best.pt").read_bytes()
        steps = sorted((run / "checkpoints").glob("step-*.pt"))
        if best not in [path.read_bytes() for path in steps]:
            steps[-1].unlink()
            return
        shutil.rmtree(run)
    raise SystemExit("every run was best at its end: other settings are needed")


def images(here: Path, path: Path) -> np.ndarray:
    """Of the first `SEEDS` seeds: uint8 (N, H, W, C)."""
    out = here / "images.npz"
    wgan(here, "sample", "--model", path, "-n", SEEDS, "--device", "cpu", "--out", out)
    with np.load(out) as found:
        return np.asarray(found["images"])


def main() -> None:
    """Makes everything in a temporary folder, and then puts it into its place."""
    target = Path(__file__).parent / version("wgan")
    if target.exists():
        raise SystemExit(f"{target} is there: what a version has written stays as it is")
    expected: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        here, kept = Path(folder), Path(folder) / "kept"
        for name, settings in RUNS.items():
            train(here, name, settings)
            for words in EXPORTS:
                wgan(here, "export", "--run", name, "--max-batch", SEEDS, "--device", "cpu", "--format", *words)
            for path in sorted(path for pattern in KEPT for path in (here / name).glob(pattern)):
                place = path.relative_to(here)
                (kept / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, kept / place)
                if re.search(r"\.(pt|onnx|ts)$", path.name):
                    expected[place.as_posix()] = images(here, path)
        np.savez_compressed(kept / "expected.npz", allow_pickle=False, **expected)
        shutil.copytree(kept, target)


if __name__ == "__main__":
    main()
