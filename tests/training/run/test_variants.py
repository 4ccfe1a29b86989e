"""Every combination of the networks' options trains, stops, resumes to the bit, exports and is proven."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.run.test_training import assert_same_state
from wgan.export import exporter
from wgan.export.reference.generator import load_generator
from wgan.export.verify import verify_file
from wgan.serve.artifacts import artifact
from wgan.serve.backends.open import open_backend
from wgan.serve.machine.gpu import gpu_count
from wgan.training.config import Config
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.records.history import read
from wgan.training.run.loop import train
from wgan.training.step.trainer import Trainer

CPU = torch.device("cpu")
STEPS, STOPPED_AFTER = 6, 3
# 16 real images a step: 2 steps at 8 px, 2 that fade in 16 px, and 2 at 16 px
SMALL = Config(image_size=16, base_channels=4, latent_dim=6, faces_count=64, batch_size=8, n_critic=2, steps=STEPS,
               log_every=2, sample_every=3, validate_every=3, validate_images=16, checkpoint_every=STOPPED_AFTER,
               phase_images=32, augment_flip=0.5, lr_warmup=2, lr_schedule="cosine")  # fmt: skip

VARIANTS = {
    "labels joined to z, projection": {"conditional": True},
    "conditional BatchNorm, label map, bf16": {
        "conditional": True, "generator_labels": "batchnorm", "critic_labels": "map", "precision": "bf16"},
    "smooth, a critic that sees the layout, labels": {
        "upsampling": "smooth", "critic_head": "flatten", "conditional": True, "lr_schedule": "cooldown"},
    "smooth, growing, a critic that sees the layout, discrimination, spectral norms, bf16": {
        "upsampling": "smooth", "critic_head": "flatten", "progressive": True, "minibatch": "discrimination",
        "spectral_norm": "both", "precision": "bf16"},
    "attention, fp16": {"attention": 8, "precision": "fp16"},
    "growing": {"progressive": True, "drift": 1e-3},
    "growing with labels, attention and bf16": {
        "progressive": True, "conditional": True, "attention": 8, "precision": "bf16"},
    "growing with conditional BatchNorm, label map and fp16": {
        "progressive": True, "conditional": True, "generator_labels": "batchnorm", "critic_labels": "map",
        "precision": "fp16"},
    "growing with attention, spectral norms and deeper": {
        "progressive": True, "attention": 8, "spectral_norm": "both", "depth": 2},
    "labels, attention and fp16": {"conditional": True, "attention": 4 * 2, "precision": "fp16", "depth": 2},
    "growing with attention and bf16": {"progressive": True, "attention": 8, "precision": "bf16"},
    "growing with attention, minibatch discrimination and fp16": {
        "progressive": True, "attention": 8, "precision": "fp16", "minibatch": "discrimination"},
    "growing with labels, attention, minibatch deviation and fp16": {
        "progressive": True, "conditional": True, "attention": 8, "precision": "fp16", "minibatch": "stddev",
        "minibatch_group": 2},
    "growing, bf16": {"progressive": True, "precision": "bf16"},
    "growing, fp16": {"progressive": True, "precision": "fp16"},
    "spectral norm, minibatch deviation, lazy penalty": {
        "spectral_norm": "critic", "minibatch": "stddev", "penalty_every": 3},
    "spectral norms and conditional BatchNorm": {
        "spectral_norm": "both", "conditional": True, "generator_labels": "batchnorm"},
    "minibatch discrimination in two parts, activations recomputed": {
        "minibatch": "discrimination", "accumulate": 2, "activation_checkpointing": True},
    "all at once": {
        "progressive": True, "conditional": True, "generator_labels": "batchnorm", "critic_labels": "map",
        "attention": 8, "spectral_norm": "both", "minibatch": "stddev", "depth": 2, "accumulate": 2,
        "activation_checkpointing": True, "precision": "bf16", "penalty_every": 2, "drift": 1e-3},
}  # fmt: skip
QUICK = "labels joined to z, projection"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def train_and_interrupt(path: Path, config: Config, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of a step."""
    iterate = Trainer.iterate

    def interrupted(self: Trainer, reals: object) -> None:
        if self.step == STOPPED_AFTER - 1:
            os.kill(os.getpid(), signal.SIGINT)
        iterate(self, reals)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "iterate", interrupted)
        ended = train(runs.begin(path), config, device=CPU, cache=cache)
    assert (ended.finished, ended.step) == (False, STOPPED_AFTER)


@pytest.mark.parametrize(
    "changes",
    [pytest.param(c, id=n, marks=[] if n == QUICK else [pytest.mark.slow]) for n, c in VARIANTS.items()],
)
def test_a_variant_goes_the_whole_way(
    changes: dict[str, object], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SMALL.replace(**changes)
    whole = runs.begin(tmp_path / "whole")
    train(whole, config, device=CPU, cache=cache)

    train_and_interrupt(tmp_path / "parts", config, cache, monkeypatch)
    parts, again = runs.reopen(tmp_path / "parts", {})
    train(parts, again, device=CPU, cache=cache, resume=True)
    last = f"step-{STEPS:08d}"
    assert_same_state(parts.checkpoints / f"{last}.pt", whole.checkpoints / f"{last}.pt")
    assert (parts.samples / f"{last}.png").read_bytes() == (whole.samples / f"{last}.png").read_bytes()

    timed = ("seconds", "images_per_second")
    measured = [
        [{k: v for k, v in r.items() if k not in timed} for r in read(folder.metrics) if r["kind"] != "event"]
        for folder in (whole, parts)
    ]
    assert measured[0] == measured[1]

    generator = load_generator(checkpoint.find(whole.path, "last", print))
    folder = whole.path / "export"
    every = ["onnx", "torchscript", "trt"] if find_spec("tensorrt_rtx") else ["onnx", "torchscript"]
    exported = {"fp32": every, "fp16": every} | ({"bf16": ["torchscript"]} if config.precision == "bf16" else {})
    for precision, kinds in exported.items():
        for made in exporter.export(generator, folder, kinds, precision=precision, max_batch=20):
            runs_here = made.path.suffix != ".plan" or gpu_count() > 0  # an engine is built, but has no GPU to run on
            assert made.passed is (True if runs_here else None), (made.path.name, made.failures)
            if runs_here:
                assert verify_file(made.path).passed is True
            metadata = artifact.read(made.path).metadata
            assert (metadata.classes is not None) == config.conditional
            assert (metadata.image.height, metadata.image.width) == (16, 16)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["growing", "growing with attention, spectral norms and deeper"])
def test_an_exported_graph_has_no_trace_of_the_growth(name: str, tmp_path: Path) -> None:
    import onnx

    from tests.make import make_generator

    def operations(**changes: object) -> tuple[list[str], list[tuple[int, ...]]]:
        generator = make_generator(**{**vars(SMALL), **VARIANTS[name], **changes})
        (made,) = exporter.export(generator, tmp_path / str(len(changes)), ["onnx"], max_batch=4)
        graph = onnx.load(made.path).graph
        return [node.op_type for node in graph.node], sorted(tuple(entry.dims) for entry in graph.initializer)

    assert operations() == operations(progressive=False)
    assert not {"BatchNormalization", "Resize", "Upsample", "Identity"} & set(operations()[0])


def test_a_label_moves_the_image_and_the_seed_moves_it_too(tmp_path: Path) -> None:
    from tests.make import make_generator

    generator = make_generator(classes=("red", "green", "blue"), conditional=True)
    (made,) = exporter.export(generator, tmp_path, ["onnx"], max_batch=8)
    z = np.random.default_rng(0).standard_normal((2, 16), np.float32)
    with open_backend(made.path) as backend:
        images = [backend.run(z, np.full(2, label, np.int64)) for label in range(3)]
    assert not np.allclose(images[0], images[1], atol=1e-3)
    assert not np.allclose(images[1], images[2], atol=1e-3)
    assert not np.allclose(images[0][0], images[0][1], atol=1e-3)
