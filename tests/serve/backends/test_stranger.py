"""Generators that others exported: run where they can be, with what is assumed said in one line."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from wgan.cli import main
from wgan.serve.artifacts.artifact import read
from wgan.serve.artifacts.external_data import external_files
from wgan.serve.backends.onnxrt.stranger import Stranger
from wgan.serve.backends.open import open_any
from wgan.serve.base.errors import ArtifactError
from wgan.serve.latents.table import latents
from wgan.serve.outputs.pixels import to_uint8

Z, SIDE = 6, 8


def weights(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, (Z, channels * SIDE * SIDE)).astype(np.float32)


def make(
    path: Path,
    *,
    batch: int | str = "N",
    shape: tuple[int | str, ...] | None = (3, SIDE, SIDE),
    channels: int = 3,
    nhwc: bool = False,
    scale: float = 1.0,
    latent: tuple[int | str, ...] = (Z,),
    kind: int = TensorProto.FLOAT,
    label: bool = False,
    outputs: int = 1,
    baked: bool = False,
) -> Path:
    """An ONNX generator, image = scale · tanh(noise W), as somebody else's tool might write it."""
    layout = (SIDE, SIDE, channels) if nhwc else (channels, SIDE, SIDE)
    first = 2 if baked else -1
    constants = {
        "W": weights(channels),
        "target": np.array([first, *layout], np.int64),
        "flat": np.array([-1, Z], np.int64),
        "scale": np.float32(scale),
    }
    nodes = [
        helper.make_node("Cast", ["noise"], ["as_float"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["as_float", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "W"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["squashed"]),
        helper.make_node("Mul", ["squashed", "scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "target"], ["picture"]),
    ]
    inputs = [helper.make_tensor_value_info("noise", kind, [batch, *latent])]
    if label:
        inputs.append(helper.make_tensor_value_info("y", TensorProto.INT64, [batch]))
    stated = None if shape is None else [batch, *shape]
    made = [helper.make_tensor_value_info("picture", TensorProto.FLOAT, stated)]
    if outputs == 2:
        made.append(helper.make_tensor_value_info("hidden", TensorProto.FLOAT, None))
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "stranger", inputs, made, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("batch", ["N", 1, 5])
@pytest.mark.parametrize("shape", [(3, SIDE, SIDE), ("c", "h", "w"), None])
def test_a_strangers_generator_makes_the_images_of_its_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], batch: int | str, shape: tuple[int | str, ...] | None
) -> None:
    path = make(tmp_path / "theirs.onnx", batch=batch, shape=shape)
    out = tmp_path / "images.npy"
    assert main(["sample", "--model", str(path), "-n", "7", "--seed", "3", "--out", str(out), "--json"]) == 0
    shown = capsys.readouterr()
    wanted = np.tanh(latents(3, 7, Z) @ weights()).reshape(7, 3, SIDE, SIDE)
    assert np.abs(np.load(out).astype(int) - to_uint8(wanted)).max() <= 1
    (line,) = shown.err.splitlines()
    assert line == json.loads(shown.out)["assumes"]
    for part in ("not exported by wgan", "normal latents of 6", "NCHW", "[-1, 1]", "nothing was measured"):
        assert part in line


def test_grey_images_are_images_too(tmp_path: Path) -> None:
    path = make(tmp_path / "grey.onnx", channels=1, shape=(1, SIDE, SIDE))
    with open_any(path) as backend:
        assert isinstance(backend, Stranger)
        assert backend.run(latents(0, 3, Z)).shape == (3, 1, SIDE, SIDE)


def test_a_fourth_channel_is_taken_as_straight_alpha_and_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path / "rgba.onnx", channels=4, shape=(4, SIDE, SIDE))
    out = tmp_path / "images"
    assert main(["sample", "--model", str(path), "-n", "2", "--out", str(out)]) == 0
    assert "assuming normal latents of 6 and NCHW images in [-1, 1], RGBA with straight alpha (its" in (
        capsys.readouterr().err
    )
    wanted = to_uint8(np.tanh(latents(0, 1, Z) @ weights(4)).reshape(1, 4, SIDE, SIDE))[0]
    with Image.open(out / "seed-000000.png") as image:
        assert image.mode == "RGBA"
        assert np.abs(np.asarray(image).astype(int) - wanted).max() <= 1


def test_an_artifact_of_ours_is_no_stranger(tiny_export: Path, tmp_path: Path) -> None:
    with open_any(tiny_export / "generator.onnx") as backend:
        assert not isinstance(backend, Stranger)
    damaged = tmp_path / "generator.onnx"
    damaged.write_bytes((tiny_export / "generator.onnx").read_bytes().replace(b"Conv", b"Sonv"))
    with pytest.raises(ArtifactError, match="damaged"):
        open_any(damaged)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"latent": (Z, 1, 1)}, "takes noise: float (N, 6, 1, 1)"),
        ({"latent": ("z",)}, "takes noise: float (N, z)"),
        ({"kind": TensorProto.FLOAT16}, "takes noise: float16 (N, 6)"),
        ({"kind": TensorProto.INT64}, "takes noise: int64 (N, 6)"),
        ({"label": True}, "takes 2 inputs (noise, y)"),
        ({"outputs": 2}, "gives 2 outputs (picture, hidden)"),
        ({"nhwc": True, "shape": (SIDE, SIDE, 3)}, "gives images of shape (4, 8, 8, 3) for 4 latents"),
        ({"channels": 2, "shape": (2, SIDE, SIDE)}, "gives images of shape (4, 2, 8, 8)"),
        ({"scale": 127.5}, "not in [-1, 1]"),
        ({"scale": float("nan")}, "gives values from nan to nan"),
    ],
)
def test_what_is_no_generator_of_images_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], says: str
) -> None:
    path = make(tmp_path / "theirs.onnx", **changes)  # type: ignore[arg-type]
    assert main(["sample", "--model", str(path), "-n", "1", "--out", str(tmp_path / "o")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert line.endswith(
        "what can be run has one float32 input (N, Z) and one float32 image (N, C, H, W) with 1, 3 or 4 channels"
    )
    assert not (tmp_path / "o").exists()


def split(path: Path, location: str) -> Path:
    """Moves the weights of the generator at ``path`` into a file at ``location``, as seen from its folder."""
    path.parent.mkdir(exist_ok=True)
    model = onnx.load(make(path))
    onnx.save(model, path, save_as_external_data=True, size_threshold=1024, location="weights.data")
    written, place = path.with_name("weights.data"), path.parent / location
    place.parent.mkdir(parents=True, exist_ok=True)
    content = written.read_bytes()
    written.unlink()
    place.write_bytes(content)
    model = onnx.load(path, load_external_data=False)
    (moved,) = (tensor for tensor in model.graph.initializer if tensor.external_data)
    (entry,) = (entry for entry in moved.external_data if entry.key == "location")
    entry.value = location
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("location", ["theirs.onnx.data", "below/theirs.data"])
def test_weights_in_a_file_beside_it_are_found_wherever_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    path = split(tmp_path / "model" / "theirs.onnx", location)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["sample", "--model", "../model/theirs.onnx", "-n", "7", "--seed", "3", "--out", "o.npy"]) == 0
    wanted = np.tanh(latents(3, 7, Z) @ weights()).reshape(7, 3, SIDE, SIDE)
    assert np.abs(np.load("o.npy").astype(int) - to_uint8(wanted)).max() <= 1
    with open_any(path) as backend:
        before = backend.digest
    # shards of other weights are of another generator
    place = path.parent / location
    place.write_bytes((weights() / 2).tobytes())
    with open_any(path) as backend:
        assert backend.digest != before


@pytest.mark.parametrize("kind", ["up", "absolute", "through a folder", "link", "gone", "long"])
def test_weights_anywhere_else_are_refused_before_a_runtime_sees_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    import onnxruntime

    path = tmp_path / "model" / "theirs.onnx"
    location = {
        "up": "../outside.data",
        "absolute": str(tmp_path / "outside.data"),
        "through a folder": "below/../../outside.data",
        "link": "link.data",
        "gone": "gone.data",
        "long": "x" * 200,
    }[kind]
    (path.parent / "below").mkdir(parents=True)
    split(path, location)
    if kind == "link":
        (path.parent / location).rename(tmp_path / "outside.data")
        (path.parent / location).symlink_to("../outside.data")
    if kind in ("gone", "long"):
        (path.parent / location).unlink()
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: sys.exit("loaded"))
    assert main(["sample", "--model", str(path), "-n", "1", "--out", str(tmp_path / "o")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    says = "copy both" if kind in ("gone", "long") else "is not in its own folder: save it as one file"
    assert says in line


def test_weights_in_a_branch_of_the_graph_are_looked_for_too(tmp_path: Path) -> None:
    hidden = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    hidden.external_data.add(key="location", value="/etc/passwd")
    attribute = helper.make_node("Constant", [], ["c"], value=hidden)
    for body in (
        helper.make_graph([attribute], "body", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])]),
        helper.make_graph([], "body", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])], [hidden]),
    ):
        model = onnx.load(make(tmp_path / "theirs.onnx"))
        model.graph.node.append(helper.make_node("If", ["yes"], ["d"], then_branch=body, else_branch=body))
        with pytest.raises(ArtifactError, match="'/etc/passwd', which is not in its own folder"):
            external_files(tmp_path / "theirs.onnx", model.SerializeToString())


@pytest.mark.parametrize("batch", [2**40, 2**16 + 1])
def test_a_fixed_batch_that_no_machine_runs_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], batch: int
) -> None:
    path = make(tmp_path / "theirs.onnx", batch=batch, shape=None)
    assert main(["sample", "--model", str(path), "-n", "1", "--out", str(tmp_path / "o")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"takes {batch} latents of 6 at once, which is too many" in line


def test_a_strangers_damaged_file_is_one_line_and_nothing_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = make(tmp_path / "theirs.onnx").read_bytes()
    path = tmp_path / "damaged.onnx"
    words = ["sample", "--model", str(path), "-n", "1", "--out", str(tmp_path / "o.npy")]
    # a name that is no UTF-8, an operator that there is none, half a file
    damaged = (content.replace(b"noise", b"n\xdaise"), content.replace(b"Tanh", b"Tonh"), content[: len(content) // 2])
    for spoilt in damaged:
        path.write_bytes(spoilt)
        assert main(words) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert len(shown.err.splitlines()) == 1


def test_a_batch_that_was_baked_in_unsaid_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path / "theirs.onnx", baked=True)
    assert main(["sample", "--model", str(path), "-n", "1", "--out", str(tmp_path / "o.npy")]) == 2
    (line,) = capfd.readouterr().err.splitlines()  # the runtime's own log too
    assert "does not run 4 latents at once (ONNX Runtime failed: " in line


def test_a_batch_larger_than_a_fixed_one_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path / "theirs.onnx", batch=5)
    assert main(["sample", "--model", str(path), "-n", "9", "--batch-size", "6", "--out", str(tmp_path / "o")]) == 2
    assert "takes at most 5" in capsys.readouterr().err
    # fewer are filled up to the five that it takes
    assert main(["sample", "--model", str(path), "-n", "3", "--batch-size", "2", "--out", str(tmp_path / "o.npy")]) == 0
    assert np.load(tmp_path / "o.npy").shape == (3, SIDE, SIDE, 3)


def test_a_strangers_torchscript_is_refused_and_never_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    with zipfile.ZipFile(tmp_path / "theirs.ts", "w") as archive:
        archive.writestr("theirs/data.pkl", b"x")
    monkeypatch.setattr(torch.jit, "load", lambda *_: sys.exit("loaded"))
    assert main(["sample", "--model", str(tmp_path / "theirs.ts"), "-n", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "was not exported by wgan; a TorchScript file is a program that loading runs" in line


def test_verify_still_takes_only_what_wgan_exported(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="carries no wgan metadata"):
        read(make(tmp_path / "theirs.onnx"))
