"""`wgan export --pixels uint8`: the graph makes the pixels that `to_uint8` makes, and they are taken as they are."""

import json
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from tests.make import make_generator
from wgan.cli import main
from wgan.export import exporter, parity
from wgan.export.formats import triton
from wgan.export.formats.onnx import to_onnx
from wgan.export.recipe import file_name
from wgan.export.reference.fold import EightBit
from wgan.export.reference.generator import TrainedGenerator
from wgan.export.reference.torch_backend import TorchBackend
from wgan.export.verify import verify_file
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.metadata import ImageSpec, Latent, Metadata, parse
from wgan.serve.backends.open import open_backend
from wgan.serve.backends.pytorch import pieces
from wgan.serve.backends.pytorch.device import threads
from wgan.serve.backends.pytorch.pieces import PIECE
from wgan.serve.base.errors import ArtifactError, ConfigError, ParityError
from wgan.serve.bench.speed import measure_speed
from wgan.serve.outputs.pixels import to_uint8
from wgan.serve.sampling.sampler import sample

NAMES = ("generator.uint8.onnx", "generator.uint8.ts", "generator.fp16.uint8.onnx")


@pytest.fixture(scope="module")
def folder(generator: TrainedGenerator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pixels") / "export"
    list(exporter.export(generator, path, ["torchscript", "onnx", "trt"], output="uint8", max_batch=70))
    list(exporter.export(generator, path, ["onnx"], precision="fp16", output="uint8", max_batch=70))
    list(exporter.export(generator, path, ["onnx"], max_batch=70))
    return path


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_pieces_side_by_side_are_put_together_in_their_order(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    together, lanes = threading.Barrier(cores, timeout=10), set[int]()

    def generate(z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        assert len(z) == PIECE
        assert labels is not None
        if threading.get_ident() not in lanes:
            lanes.add(threading.get_ident())
            together.wait()  # as many threads as cores are here at once
        return z * 1000 + labels[:, None]

    monkeypatch.setattr(pieces, "physical_cores", lambda: cores)
    z, labels = np.arange(5 * PIECE + 3)[:, None], np.arange(5 * PIECE + 3) % 7
    with threads(cores):
        found = pieces.in_pieces(generate, z, labels)
    assert np.array_equal(found, z * 1000 + labels[:, None])
    assert len(lanes) == cores


class Values(nn.Module):
    """Gives its latents as an image of two rows and three channels."""

    def forward(self, z: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        return z.reshape(z.shape[0], 3, 2, -1)


def test_a_graph_rounds_each_float_as_to_uint8_does() -> None:
    import onnxruntime as ort

    edges = (np.arange(-2, 257, 0.5, dtype=np.float32) / np.float32(127.5) - 1).astype(np.float32)
    near = np.concatenate([edges, np.nextafter(edges, np.float32(9)), np.nextafter(edges, np.float32(-9))])
    values = np.concatenate([near, np.float32([-1.5, 3, -0.0]), np.linspace(-1.2, 1.2, 3000, dtype=np.float32)])
    z = np.resize(values, (7, 3 * 2 * 120))
    payload = to_onnx(EightBit(Values()).eval(), z.shape[1], (2, 120, 3), 11)
    (pixels,) = ort.InferenceSession(payload, providers=["CPUExecutionProvider"]).run(["image"], {"z": z})
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, to_uint8(z.reshape(7, 3, 2, 120)))
    assert np.array_equal(EightBit(Values())(torch.from_numpy(z)).numpy(), pixels)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_of_the_graph_are_those_of_pytorch(folder: Path, name: str) -> None:
    found = artifact.read(folder / name).metadata
    assert found.proven
    assert found.image == ImageSpec(32, 32, 3, (0, 255), "NHWC", "uint8")
    report = found.parity
    assert report is not None
    assert report["pixels_off"] == 0
    assert report["pixels_differ"] <= (0.05 if "fp16" in name else 1e-3)
    with open_backend(folder / name) as backend, TorchBackend(folder / exporter.REFERENCE) as reference:
        made = np.concatenate([images for _, images, _ in sample(backend, 5, 40, 16)])
        wanted = np.concatenate([images for _, images, _ in sample(reference, 5, 40, 16)])
        assert made.dtype == np.uint8
        assert made.shape == (40, 32, 32, 3)
        assert np.abs(made.astype(int) - wanted).max() <= 1
        assert measure_speed(backend, 4, 0.01)["images_per_second"] > 0


def test_the_onnx_file_says_what_it_gives_at_opset_11(folder: Path) -> None:
    model = onnx.load(folder / "generator.uint8.onnx")
    onnx.checker.check_model(model, full_check=True)
    (output,) = model.graph.output
    batch, *rest = output.type.tensor_type.shape.dim
    assert (output.name, output.type.tensor_type.elem_type) == ("image", onnx.TensorProto.UINT8)
    assert (batch.dim_param, [size.dim_value for size in rest]) == ("N", [32, 32, 3])
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 11)]
    # TensorRT takes uint8 at the very end alone
    assert model.graph.node[-1].op_type == "Cast"


def test_an_engine_gives_pixels_too(folder: Path) -> None:
    found = artifact.read(folder / "generator.uint8.plan").metadata
    assert found.engine is not None
    assert found.engine["types"]["image"] == "UINT8"
    assert found.image.dtype == "uint8"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "classes"),
    [
        ({"conditional": True, "generator_labels": "batchnorm", "attention": 8}, ("a", "b", "c")),
        ({"conditional": True, "channels": 1}, ("a", "b")),
        ({"channels": 4}, None),
        ({"attention": 16, "spectral_norm": "both", "depth": 2}, None),
    ],
)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_network_gives_pixels(
    changes: dict[str, object], classes: tuple[str, ...] | None, precision: str, tmp_path: Path
) -> None:
    generator = make_generator(classes=classes, **changes)
    (made,) = exporter.export(generator, tmp_path, ["onnx"], precision=precision, output="uint8", max_batch=20)
    assert made.passed is True, made.failures
    assert verify_file(made.path).passed is True


def test_pixels_of_another_generator_are_never_written(
    generator: TrainedGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = EightBit(make_generator(seed=1).module)
    monkeypatch.setattr("wgan.export.recipe.as_deployed", lambda *_: other)
    with pytest.raises(ParityError, match=r"generator.uint8.onnx does not match PyTorch .*max_abs .*pixels_differ"):
        list(exporter.export(generator, tmp_path, ["onnx"], output="uint8", max_batch=4))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_gates_of_pixels_close(folder: Path, precision: str) -> None:
    name = file_name("onnx", precision, "uint8")
    gates = parity.gates_for(artifact.read(folder / name).metadata, "cpu")
    good = {"finite": True, "chunks_max_abs": 0.0, "max_abs": parity.LEVEL, "pixels_differ": 1e-3}
    good |= {"mean_abs": 1e-3, "worst_psnr_db": 60.0, "gates": gates}
    assert parity.failures(good) == []
    levels = 2 if precision == "fp32" else 8
    assert len(parity.failures(good | {"max_abs": levels * parity.LEVEL})) == 1
    assert parity.failures(good | {"max_abs": (levels - 1) * parity.LEVEL}) == []
    bad = {"fp32": {"pixels_differ": 2e-3}, "fp16": {"worst_psnr_db": 39.0}}[precision]
    assert len(parity.failures(good | bad)) == 1


IMAGE = {"height": 8, "width": 8, "channels": 3}
FLOAT, BYTES = {"layout": "NCHW", "range": [-1.0, 1.0]}, {"layout": "NHWC", "range": [0, 255], "dtype": "uint8"}


@pytest.mark.parametrize(
    ("image", "field"),
    [
        (FLOAT, None),  # as files from before there were pixels
        (FLOAT | {"dtype": "float32"}, None),
        (BYTES, None),
        (BYTES | {"layout": "NCHW"}, "layout"),
        (BYTES | {"range": [-1.0, 1.0]}, "range"),
        (BYTES | {"range": [False, 255]}, "range"),
        (BYTES | {"range": None}, "range"),
        (FLOAT | {"layout": "NHWC"}, "layout"),
        (FLOAT | {"range": [0, 255]}, "range"),
        (FLOAT | {"dtype": "uint8"}, "layout"),
        (FLOAT | {"dtype": "float64"}, "dtype"),
        (FLOAT | {"dtype": None}, "dtype"),
    ],
)
def test_metadata_takes_the_two_kinds_of_image_and_no_mixture(image: dict[str, object], field: str | None) -> None:
    from wgan.serve.artifacts.metadata import checksum_of

    values = json.loads(Metadata("onnx", "fp32", Latent(4), ImageSpec(8, 8, 3), "0" * 64).to_json())
    del values["checksum"]
    values["image"] = IMAGE | image
    values["checksum"] = checksum_of(values)
    if field is None:
        assert parse(json.dumps(values), "a file").image.dtype == image.get("dtype", "float32")
    else:
        with pytest.raises(ArtifactError, match=rf"metadata field image\.{field} is .*, not .*: export it again"):
            parse(json.dumps(values), "a file")


def test_triton_is_told_of_the_pixels(folder: Path, tmp_path: Path) -> None:
    model = triton.write_repository(folder / "generator.uint8.onnx", tmp_path / "t", triton.Settings(max_batch=8)).model
    text = (model / "config.pbtxt").read_text()
    assert model.name == "generator_uint8"
    assert 'name: "image"\n  data_type: TYPE_UINT8\n  dims: [ 32, 32, 3 ]' in text
    assert 'key: "wgan.image_layout"\n  value {\n    string_value: "NHWC"' in text


def test_pixels_on_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    export = ["export", "--format", "onnx", "--checkpoint", str(folder / "generator.pt"), "--out", str(out)]
    assert main([*export, "--pixels", "uint8", "--max-batch", "4"]) == 0
    assert "generator.uint8.onnx" in capsys.readouterr().out
    assert main(["verify", "--model", str(out / "generator.uint8.onnx"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["artifacts"]
    assert found["output"] == "uint8"
    images = []
    for model in (out / "generator.uint8.onnx", folder / "generator.onnx"):
        npy = tmp_path / f"{model.parent.parent.name}.npy"
        assert main(["sample", "-n", "20", "--model", str(model), "--out", str(npy), "--device", "cpu"]) == 0
        images.append(np.load(npy))
    assert np.array_equal(*images)
    assert main([*export, "--pixels", "uint16"]) == 2
    assert "--pixels uint16 is not one of float32, uint8" in capsys.readouterr().err


def test_only_the_known_outputs_are_exported(generator: TrainedGenerator, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--pixels png is not one of float32, uint8"):
        list(exporter.export(generator, tmp_path, ["onnx"], output="png"))
    assert not list(tmp_path.iterdir())


def test_sizes_follow_the_layout() -> None:
    spec = ImageSpec(height=4, width=5, channels=3)
    assert spec.shape == (3, 4, 5)
    assert spec.with_output("uint8").shape == (4, 5, 3)


@pytest.mark.gpu
@pytest.mark.parametrize("name", [*NAMES, "generator.uint8.plan"])
def test_pixels_are_proven_on_cuda(folder: Path, name: str) -> None:
    found = verify_file(folder / name, device="cuda")
    assert found.passed is True, found.failures
