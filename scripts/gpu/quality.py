"""`wgan train` as a user runs it, for the time that is left; then what it made."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from gpu.rows import CUT_OFF, FAILED, Here, Row
from gpu.training import TINY
from wgan.training.records.folder import RunFolder
from wgan.training.records.history import read

AROUND = 90.0  # seconds for faces, compiling, timing and the export
BUILT_IN = ["--config", "faces-64"]  # as scripts/train_builtin.sh trains it
LARGEST = 16 * 2**20
WGAN = [sys.executable, "-P", "-c", "import sys; from wgan.cli import main; sys.exit(main(sys.argv[1:]))"]


def run(here: Here) -> None:
    """Trains, exports, and keeps generator, ONNX file, records, settings and picture."""
    spare = max(10.0, here.left() - AROUND)
    words = [*BUILT_IN, f"minutes={spare / 60:.3f}", "precision=bf16", "keep_checkpoints=1"]
    if here.tiny:
        words += [*(f"{key}={value}" for key, value in TINY.items()), "faces_count=64", "validate_images=16"]
        words += ["steps=12", "minutes=0", "sample_every=12", "validate_every=12"]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        code, told = trained(here, words, place)
        records = read(place / "metrics.jsonl")
        swd = {record["step"]: record["swd"] for record in records if record["kind"] == "validation"}
        events = [record.get("message") for record in records if record["kind"] == "event"]
        steps = RunFolder(place).read_config().steps if (place / "config.yaml").is_file() else None
        figures: Row = {"steps": told.get("step"), "of": steps, "swd": swd, "events": events}
        figures["images_per_second"] = told.get("images_per_second")
        if code == 0 and told.get("step") == steps:
            here.tell("wgan train", ok=True, **figures)
        else:
            here.tell(
                "wgan train",
                status=CUT_OFF if code == 130 else FAILED,
                why=f"ended with {code} before its last step",
                **figures,
            )
        command = [*WGAN, "export", "--run", str(place), "--format", "onnx", "--precision", "fp16", "--device", "cpu"]
        made = subprocess.run(command, check=False, timeout=max(here.left() - 2, 1))
        here.tell("wgan export, fp16", ok=made.returncode == 0, **kept(here.out, place))


def trained(here: Here, words: list[str], place: Path) -> tuple[int, dict[str, Any]]:
    """`wgan train` with these settings, stopped as Ctrl-C does where time runs short; exit code and what it told."""
    command = [*WGAN, "train", *words, "--run", str(place), "--device", here.device.type, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        said, _ = process.communicate(timeout=max(here.left() - 25, 5))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # the step is finished and saved
        said, _ = process.communicate(timeout=max(here.left() - 10, 1))
    return process.returncode, json.loads(said.splitlines()[-1]) if said.strip() else {}


def kept(out: Path, place: Path) -> Row:
    """Copies what is worth having into the folder of the check; bytes by name."""
    pictures = sorted((place / "samples").glob("*.png"))
    sources = {
        "generator.pt": place / "export" / "generator.pt",
        "generator.fp16.onnx": place / "export" / "generator.fp16.onnx",
        "metrics.jsonl": place / "metrics.jsonl",
        "config.yaml": place / "config.yaml",
        **({"samples.png": pictures[-1]} if pictures else {}),
    }
    kept: Row = {}
    for name, source in sources.items():
        if source.is_file() and source.stat().st_size < LARGEST:
            shutil.copy(source, out / name)
            kept[name] = source.stat().st_size
    return kept
