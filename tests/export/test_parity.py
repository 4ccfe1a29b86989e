"""Parity is measured on what would show a difference, and its gates really close."""

import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.make import make_generator
from wgan.cli import main
from wgan.export import exporter, parity
from wgan.export.parity.figures import Figures, Largest
from wgan.export.reference.generator import TrainedGenerator
from wgan.export.reference.torch_backend import TorchBackend
from wgan.export.verify import verify_file
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.metadata import OUTPUTS, ImageSpec, Latent, Metadata
from wgan.serve.backends.base import Backend
from wgan.serve.backends.memory import runtime_failure
from wgan.serve.backends.onnxrt.backend import OnnxBackend
from wgan.serve.backends.open import open_backend
from wgan.serve.base.errors import (
    ArtifactError,
    BackendError,
    BackendOutOfMemory,
    BackendUnavailable,
    ConfigError,
    ExportError,
    ParityError,
)
from wgan.serve.latents.table import latents
from wgan.serve.outputs.pixels import to_uint8

MEASURED = ("generator.onnx", "generator.ts", "generator.safetensors", "generator.fp16.onnx")


@pytest.mark.parametrize("name", MEASURED)
def test_every_artifact_that_runs_here_is_proven(tiny_export: Path, name: str) -> None:
    report = artifact.read(tiny_export / name).metadata.parity
    assert report is not None
    assert report["passed"] is True
    assert {1, 2, 3, 64, 96} <= set(report["batches"])
    assert any(n % 64 and n > 3 for n in report["batches"])
    assert 0 < report["mean_abs"] <= report["p999_abs"] <= report["max_abs"]
    assert report["pixels_off"] < 0.001
    assert (report["max_abs"] < 1e-4) == ("fp16" not in name)


def test_the_engine_is_built_and_says_why_it_is_not_measured(tiny_export: Path) -> None:
    found = artifact.read(tiny_export / "generator.plan").metadata
    assert found.parity is not None
    assert found.engine is not None
    if found.parity["passed"] is None:
        assert "GPU" in found.parity["reason"]
        assert not found.proven
        with pytest.raises(BackendUnavailable, match="GPU"):
            open_backend(tiny_export / "generator.plan")


def test_the_probes_hold_the_zero_latent_and_four_sigma_both_ways() -> None:
    seen = np.concatenate(list(parity.probes(16, 96)))
    for value in (0, 4, -4):
        assert (seen == value).all(axis=1).any()
    assert ((np.abs(seen) == 4).all(axis=1) & (seen.std(axis=1) > 0)).any()


@pytest.mark.parametrize(
    ("most", "batches"),
    [
        (1, [1] * 64),
        (2, [1, 2] + [2] * 31),
        (8, [1, 2, 3, 8] + [8] * 7),
        (96, [1, 2, 3, 57, 64, 96]),
        (10, [1, 2, 3, 10] + [10] * 5),
    ],
)
def test_the_batches_that_are_tried_are_small_and_large_and_never_above_the_most(most: int, batches: list[int]) -> None:
    assert [len(z) for z in parity.probes(16, most)] == [*batches, 1, 1, 1]


def test_the_probes_are_rows_of_the_table_that_no_user_draws() -> None:
    _, pair, *_ = parity.probes(16, 96)
    assert np.array_equal(pair, latents(2**42 + 1, 2, 16))


def reweighted(folder: Path, to: Path, scale: float) -> Path:
    """The ONNX artifact with one weight tensor scaled, dressed up as if it had been exported so."""
    model = onnx.load(folder / "generator.onnx")
    del model.metadata_props[:]
    tensor = max(model.graph.initializer, key=lambda entry: len(entry.raw_data))
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * np.float32(scale), tensor.name))
    payload = model.SerializeToString()
    found = artifact.read(folder / "generator.onnx").metadata
    path = to / "generator.onnx"
    artifact.write(path, payload, found.replace(payload_sha256=artifact.payload_digest("onnx", payload)))
    shutil.copy(folder / exporter.REFERENCE, to)
    return path


def test_slightly_damaged_weights_fail_verify(tiny_export: Path, tmp_path: Path) -> None:
    assert verify_file(reweighted(tiny_export, tmp_path, 1.0)).passed is True
    found = verify_file(reweighted(tiny_export, tmp_path, 1.002))
    assert found.passed is False
    assert "max_abs" in found.failures[0]


def test_an_artifact_that_does_not_match_is_never_written(
    generator: TrainedGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_generator(seed=1)
    monkeypatch.setattr("wgan.export.recipe.as_deployed", lambda *_: other.module)
    with pytest.raises(ParityError, match=r"generator.onnx does not match PyTorch and was not written: max_abs"):
        list(exporter.export(generator, tmp_path, ["onnx"]))
    assert [path.name for path in tmp_path.iterdir()] == [exporter.REFERENCE]


def test_verify_wants_the_generator_that_was_exported(tiny_export: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_export / "generator.onnx", tmp_path)
    list(exporter.export(make_generator(seed=1), tmp_path / "other", ["onnx"]))
    with pytest.raises(ArtifactError, match="was not exported from"):
        verify_file(tmp_path / "generator.onnx", tmp_path / "other" / exporter.REFERENCE)


@pytest.mark.parametrize("report", [{"passed": None, "reason": "no GPU"}, {"passed": False, "max_abs": 1.0}])
def test_an_engine_that_is_not_proven_yet_gets_the_new_report(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: dict[str, object]
) -> None:
    for name in ("generator.plan", "generator.plan.json", "generator.pt"):
        shutil.copy(tiny_export / name, tmp_path)
    path = tmp_path / "generator.plan"
    artifact.write_sidecar(path, artifact.read(path).metadata.replace(parity=report))
    monkeypatch.setattr(
        "wgan.export.verify.open_artifact", lambda *_, **__: open_backend(tiny_export / "generator.onnx")
    )
    assert verify_file(path).passed is True
    assert artifact.read(path).metadata.proven


class Broken(Backend):
    """A backend that computes right, but for what `spoil` does to its images."""

    name, device = "broken", "cpu"

    def __init__(self, inner: Backend, spoil: str):
        super().__init__(inner.metadata, inner.digest, inner.path)
        self.inner, self.spoil = inner, spoil

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        images = self.inner.run(z, labels).copy()
        if self.spoil == "nan":
            images[0, 0, 0, 0] = np.nan
        if self.spoil == "batch" and len(z) > 90:
            images = images[::-1].copy()
        if self.spoil == "one pixel":
            images[-1, 0, 0, 0] += 2e-4
        return images

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize(
    ("spoil", "says"), [("nan", "NaN or Inf"), ("batch", "in chunks differs"), ("one pixel", "max_abs")]
)
def test_each_fault_is_found(tiny_export: Path, generator: TrainedGenerator, spoil: str, says: str) -> None:
    with Broken(open_backend(tiny_export / "generator.onnx"), spoil) as backend:
        report = parity.measure(backend, generator.module, 96)
    assert report["passed"] is False
    assert any(says in failure for failure in parity.failures(report))


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_figures_gathered_in_pieces_are_those_of_the_whole(dtype: type) -> None:
    dice = np.random.default_rng(0)
    wanted = np.tanh(dice.standard_normal((61, 3, 8, 8))).astype(np.float32)
    found = np.clip(wanted + dice.laplace(0, 0.02, wanted.shape).astype(np.float32), -1, 1)
    if dtype is np.uint8:
        found = to_uint8(found)
        error = np.abs(found.astype(float) - to_uint8(wanted)) * 2 / 255
    else:
        error = np.abs(found.astype(float) - wanted)
    seen = found if dtype is np.uint8 else to_uint8(found)
    levels = np.abs(seen.astype(int) - to_uint8(wanted))
    figures = Figures(error.size)
    for first, last in ((0, 1), (1, 30), (30, 33), (33, 61)):
        figures.add(found[first:last], wanted[first:last])
    report = figures.report()
    psnr = 10 * np.log10(4 / np.square(error).mean(axis=(1, 2, 3)))
    for name, value in (
        ("max_abs", error.max()),
        ("mean_abs", error.mean()),
        ("p999_abs", np.quantile(error, 0.999)),
        ("worst_psnr_db", psnr.min()),
        ("pixels_differ", (levels >= 1).mean()),
        ("pixels_off", (levels >= 2).mean()),
        ("finite", True),
    ):
        assert report[name] == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("count", [1, 2, 999, 1001, 1002, 10_000])
def test_the_percentile_is_exact_for_any_number_of_errors(count: int) -> None:
    errors = np.random.default_rng(count).exponential(size=count).astype(np.float32)
    errors[errors > 3] = 3  # many that are equal
    figures, zero = Figures(count), np.zeros((count, 1, 1, 1), np.float32)
    for first in range(0, count, 700):
        part = slice(first, first + 700)
        figures.add(errors[part].reshape(-1, 1, 1, 1), zero[part])
    assert figures.report()["p999_abs"] == pytest.approx(np.quantile(errors.astype(float), 0.999), rel=1e-12)


def test_of_many_values_only_the_largest_are_kept() -> None:
    assert Largest(3).values().tolist() == []
    largest, values = Largest(3), np.random.default_rng(0).standard_normal((500, 200))
    tracemalloc.start()
    try:
        for piece in values:
            largest.add(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sorted(largest.values()) == sorted(values.ravel())[-3:]
    assert peak < 5 * values[0].nbytes


class Constant(Backend):
    """Grey images, and so many bytes of memory for them."""

    name, device = "constant", "cpu"
    room = 2**40

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        if len(z) * 4 * np.prod(self.metadata.image.shape) > self.room:
            raise MemoryError
        return np.zeros((len(z), *self.metadata.image.shape), np.float32)

    def close(self) -> None:
        pass


class Grey(torch.nn.Module):
    """As `Constant`."""

    def forward(self, z: torch.Tensor, label: None) -> torch.Tensor:
        return torch.zeros(len(z), 3, 32, 32)


class Uneven(Constant):
    """Its largest batch is brighter than the others, by 0.25 or by three levels."""

    def __init__(self, metadata: Metadata, most: int, dtype: type):
        layout, values = OUTPUTS[dtype.__name__]
        image = ImageSpec(32, 32, 3, values, layout, dtype.__name__)
        super().__init__(metadata.replace(image=image), "", Path("generator.onnx"))
        self.most, self.dtype, self.batches = most, dtype, list[int]()

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        self.batches.append(len(z))
        low, high = (127, 130) if self.dtype is np.uint8 else (0, 0.25)
        shape = (32, 32, 3) if self.dtype is np.uint8 else (3, 32, 32)
        return np.full((len(z), *shape), high if len(z) == self.most else low, self.dtype)


@pytest.mark.parametrize(("dtype", "apart"), [(np.float32, 0.25), (np.uint8, 3 * 2 / 255)])
def test_how_far_chunks_are_from_the_whole_is_told_in_the_units_of_images(
    tiny_export: Path, dtype: type, apart: float
) -> None:
    backend = Uneven(artifact.read(tiny_export / "generator.onnx").metadata, 12, dtype)
    report = parity.measure(backend, Grey(), 12)
    assert report["chunks_max_abs"] == pytest.approx(apart, rel=1e-12)
    assert backend.batches[-5:] == [12, 1, 3, 2, 6]
    assert [failure for failure in parity.failures(report) if "in chunks" in failure]


@pytest.mark.slow
def test_measuring_takes_the_memory_of_the_largest_batch_and_little_more(tiny_export: Path) -> None:
    found = artifact.read(tiny_export / "generator.onnx")
    backend, most = Constant(found.metadata, "", found.path), 4096
    tracemalloc.start()
    try:
        report = parity.measure(backend, Grey(), most)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report["passed"] is True
    assert most in report["batches"]
    # a half beside it, as chunks are compared with the whole
    assert peak < 2 * most * 3 * 32 * 32 * 4


def test_memory_that_runs_out_is_one_line_that_names_the_batch(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = artifact.read(tiny_export / "generator.onnx")
    backend = Constant(found.metadata, "", found.path)
    backend.room = 2**20
    says = r"measured in batches of up to 256: free some, or export with a smaller --max-batch$"
    with pytest.raises(ExportError, match=says):
        parity.measure(backend, Grey(), 256)

    def cramped(self: OnnxBackend, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        raise runtime_failure("ONNX Runtime", MemoryError(), len(z))

    monkeypatch.setattr(OnnxBackend, "_infer", cramped)
    reference = str(tiny_export / exporter.REFERENCE)
    assert main(["export", "--format", "onnx", "--checkpoint", reference, "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "memory ran out when" in line
    assert f"{tmp_path / 'generator.onnx'} was measured in batches of up to 256: free some, or export with" in line
    assert not (tmp_path / "generator.onnx").exists()
    assert main(["verify", "--model", str(tiny_export / "generator.onnx")]) == 2
    assert "memory ran out when" in capsys.readouterr().err


def test_torch_that_runs_out_of_memory_is_told_from_torch_that_fails() -> None:
    class Failing(torch.nn.Module):
        def __init__(self, text: str):
            super().__init__()
            self.text = text

        def forward(self, z: torch.Tensor, label: None) -> torch.Tensor:
            raise RuntimeError(self.text)

    z = np.zeros((2, 4), np.float32)
    with pytest.raises(BackendOutOfMemory):
        parity.reference_of(Failing("DefaultCPUAllocator: can't allocate memory"))(z, None)
    with pytest.raises(BackendError, match="PyTorch failed: shapes"):
        parity.reference_of(Failing("shapes\ndiffer"))(z, None)


def test_gates_close_on_each_figure() -> None:
    good = {"finite": True, "chunks_max_abs": 0.0, "max_abs": 1e-2, "mean_abs": 1e-4, "worst_psnr_db": 60.0}
    gates = {"gates": parity.GATES["fp16", "cpu"]}
    assert parity.failures(good | gates) == []
    for change in ({"max_abs": 6e-2}, {"mean_abs": 3e-3}, {"worst_psnr_db": 39.0}, {"chunks_max_abs": 1.0}):
        assert len(parity.failures(good | gates | change)) == 1


def test_a_figure_on_its_gate_holds_it_and_what_does_not_is_told_with_both() -> None:
    gates = {"max_abs": 0.25, "worst_psnr_db": 40.0}
    good = {"finite": True, "chunks_max_abs": 0.25, "max_abs": 0.25, "worst_psnr_db": 40.0, "gates": gates}
    assert parity.failures(good) == []
    assert parity.failures(
        good | {"finite": False, "chunks_max_abs": 0.5, "max_abs": 0.375, "worst_psnr_db": 30.0}
    ) == [
        "NaN or Inf in the images",
        "max_abs 0.375 (gate 0.25)",
        "worst_psnr_db 30 (gate 40)",
        "a batch in chunks differs from the whole by 0.5",
    ]


def test_the_gates_are_the_published_ones() -> None:
    image, level = ImageSpec(8, 8, 3), 2 / 255
    reduced = {
        "fp16": {"max_abs": 0.05, "mean_abs": 0.002, "worst_psnr_db": 40.0},
        "bf16": {"max_abs": 0.4, "mean_abs": 0.016, "worst_psnr_db": 30.0},
    }
    for device, largest in (("cpu", 1e-4), ("cuda", 1e-3)):
        floats = Metadata("onnx", "fp32", Latent(4), image, "0" * 64)
        pixels = floats.replace(image=image.with_output("uint8"))
        assert parity.gates_for(floats, device) == {"max_abs": largest}
        assert parity.gates_for(pixels, device) == {"max_abs": level, "pixels_differ": 0.001}
        for precision, gates in reduced.items():
            assert parity.gates_for(floats.replace(precision=precision), device) == gates
            wider = gates | {"max_abs": gates["max_abs"] + level}
            assert parity.gates_for(pixels.replace(precision=precision), device) == wider


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_said_and_counted_as_far_off(bad: float) -> None:
    figures, found = Figures(12), np.full((1, 3, 2, 2), 0.5, np.float32)
    found[0, 1, 1, 0] = bad
    figures.add(found, np.zeros_like(found))
    report = figures.report()
    assert report["finite"] is False
    assert report["max_abs"] == 2.0
    assert report["mean_abs"] == pytest.approx((11 * 0.5 + 2.0) / 12)


def test_what_is_not_measured_is_neither_passed_nor_failed() -> None:
    assert parity.not_measured("no GPU") == {"passed": None, "reason": "no GPU"}


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_the_file_has_the_opset_that_was_asked_for(generator: TrainedGenerator, tmp_path: Path, opset: int) -> None:
    list(exporter.export(generator, tmp_path, ["onnx"], opset=opset, max_batch=4))
    model = onnx.load(tmp_path / "generator.onnx")
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    assert model.ir_version <= 10
    onnx.checker.check_model(model, full_check=True)
    (output,) = model.graph.output
    batch, *rest = output.type.tensor_type.shape.dim
    assert batch.dim_param == "N"
    assert [dimension.dim_value for dimension in rest] == [3, 32, 32]
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_what_cannot_be_exported_is_said(generator: TrainedGenerator, tmp_path: Path) -> None:
    for arguments, says in (
        ({"opset": 7}, "outside its range"),
        ({"precision": "int8"}, "not one of fp32, bf16, fp16"),
        ({"max_batch": 0}, "outside its range"),
    ):
        with pytest.raises((ConfigError, ExportError), match=says):
            list(exporter.export(generator, tmp_path, ["onnx"], **arguments))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not one of onnx, torchscript, trt, safetensors, all"):
        list(exporter.export(generator, tmp_path, ["tflite"]))


@pytest.mark.parametrize("name", ["generator.onnx", "generator.ts", "generator.pt"])
def test_the_same_seed_is_the_same_image_on_every_backend(tiny_export: Path, name: str) -> None:
    from wgan.serve.sampling.sampler import sample

    def pixels(path: Path) -> np.ndarray:
        with TorchBackend(path) if path.suffix == ".pt" else open_backend(path) as backend:
            return np.concatenate([images for _, images, _ in sample(backend, 5, 100, 64)]).astype(np.int16)

    difference = np.abs(pixels(tiny_export / name) - pixels(tiny_export / "generator.onnx"))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 0.001


@pytest.mark.parametrize("name", ["generator.onnx", "generator.ts", "generator.pt", "generator.fp16.onnx"])
def test_an_images_bits_do_not_depend_on_its_batch(tiny_export: Path, name: str) -> None:
    from wgan.serve.sampling.sampler import sample

    path = tiny_export / name
    with TorchBackend(path) if path.suffix == ".pt" else open_backend(path) as backend:
        rows = latents(3, 70, 16)
        # the runtime itself, from the size on that it promises
        whole = backend.run(rows)
        for size in sorted({backend.steady_batch, 17, 31, 64}):
            assert np.array_equal(backend.run(rows[:size]), whole[:size]), size
        # and the sampler for any size
        wanted = np.concatenate([images for _, images, _ in sample(backend, 3, 70, 70)])
        for batch_size in (1, 2, 7, 33):
            found = np.concatenate([images for _, images, _ in sample(backend, 3, 70, batch_size)])
            assert np.array_equal(found, wanted), batch_size


@pytest.mark.gpu
@pytest.mark.parametrize("name", [*MEASURED, "generator.plan"])
def test_every_artifact_is_proven_on_cuda(tiny_export: Path, name: str) -> None:
    found = verify_file(tiny_export / name, device="cuda")
    assert found.metadata.parity is not None
    assert found.metadata.parity["device"] == "cuda"
    assert found.passed is True, found.failures
