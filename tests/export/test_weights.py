"""Weights as a safetensors file: plain names, nothing executed, and run again as the network that they are of."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests import ROOT
from tests.make import make_generator
from wgan.cli import main
from wgan.export import exporter, verify
from wgan.export.reference.fold import as_deployed
from wgan.export.reference.weights import named_tensors, rebuilt
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.metadata import ImageSpec
from wgan.serve.backends.open import open_any, open_backend
from wgan.serve.base.errors import ArtifactError, BackendError, BackendUnavailable, ConfigError

NAME = "generator.safetensors"
NETWORKS: list[tuple[dict[str, Any], tuple[str, ...] | None]] = [
    ({}, None),
    ({"attention": 16, "depth": 2, "upsampling": "smooth", "channels": 4}, None),
    ({"conditional": True, "spectral_norm": "both", "channels": 1}, ("a", "b")),
    ({"conditional": True, "generator_labels": "batchnorm", "attention": 8}, ("a", "b", "c")),
]


@pytest.mark.parametrize(("changes", "classes"), NETWORKS)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_every_network_comes_back_as_the_one_that_was_deployed(
    changes: dict[str, Any], classes: tuple[str, ...] | None, precision: str, tmp_path: Path
) -> None:
    generator = make_generator(classes=classes, **changes)
    (made,) = exporter.export(generator, tmp_path, ["safetensors"], precision=precision, max_batch=2, device="cpu")
    assert made.path.name == ("generator.safetensors" if precision == "fp32" else f"generator.{precision}.safetensors")
    assert made.passed is True
    z = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(16) % len(classes) if classes else None
    with torch.inference_mode():
        wanted = as_deployed(generator.module, precision)(z, labels).numpy()
    with open_backend(made.path, device="cpu") as backend:
        assert (backend.name, backend.metadata.precision) == ("torch", precision)
        found = backend.run(z.numpy(), None if labels is None else labels.numpy())
    assert np.abs(found - wanted).max() <= (1e-6 if precision == "fp32" else 1e-2)
    assert {tensor.dtype for tensor in load_file(made.path).values()} == {
        {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    }
    assert verify.verify_file(made.path, device="cpu").passed is True


def test_names_are_those_that_the_documents_give() -> None:
    def names(changes: dict[str, Any], classes: tuple[str, ...] | None) -> dict[str, tuple[int, ...]]:
        module = as_deployed(make_generator(classes=classes, **changes).module, "fp32")
        return {name: tuple(tensor.shape) for name, tensor in named_tensors(module).items()}

    assert names({}, None) == {
        "project.weight": (32 * 16, 16),
        "project.bias": (32 * 16,),
        "up.8.weight": (32, 16, 4, 4),
        "up.8.bias": (16,),
        "up.16.weight": (16, 8, 4, 4),
        "up.16.bias": (8,),
        "image.weight": (8, 3, 4, 4),
        "image.bias": (3,),
    }
    assert names({"upsampling": "smooth"}, None) == names({}, None)
    joined = names({"conditional": True}, ("a", "b"))
    assert (joined["embedding.weight"], joined["project.weight"]) == ((2, 32), (32 * 16, 16 + 32))
    normed = names({"conditional": True, "generator_labels": "batchnorm"}, ("a", "b"))
    assert {name: shape for name, shape in normed.items() if name not in names({}, None)} == {
        "project.scale.weight": (2, 32 * 16),
        "project.shift.weight": (2, 32 * 16),
        "up.8.scale.weight": (2, 16),
        "up.8.shift.weight": (2, 16),
        "up.16.scale.weight": (2, 8),
        "up.16.shift.weight": (2, 8),
    }
    more = names({"depth": 2, "attention": 8}, None)
    assert {name: shape for name, shape in more.items() if name not in names({}, None)} == {
        "refine.4.0.weight": (32, 32, 3, 3),
        "refine.4.0.bias": (32,),
        "refine.8.0.weight": (16, 16, 3, 3),
        "refine.8.0.bias": (16,),
        "refine.16.0.weight": (8, 8, 3, 3),
        "refine.16.0.bias": (8,),
        "attention.8.key.weight": (2, 16, 1, 1),
        "attention.8.query.weight": (2, 16, 1, 1),
        "attention.8.value.weight": (2, 16, 1, 1),
        "attention.8.out.weight": (16, 2, 1, 1),
        "attention.8.gamma": (1,),
    }


def rewritten(folder: Path, to: Path, of_tensors: Callable[[dict[str, torch.Tensor]], object], **changes: Any) -> Path:
    """The artifact with other tensors or metadata, sealed as by somebody who wants it to be believed."""
    from safetensors.torch import save

    tensors = load_file(folder / NAME)
    of_tensors(tensors)
    payload = save(tensors)
    metadata = artifact.read(folder / NAME).metadata
    changes = {key: value(getattr(metadata, key)) if callable(value) else value for key, value in changes.items()}
    digest = artifact.payload_digest("safetensors", payload)
    artifact.write(to / NAME, payload, metadata.replace(payload_sha256=digest, **changes))
    return to / NAME


def config(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda source: {**source, "config": {**source["config"], **changes}}


def nothing(tensors: dict[str, torch.Tensor]) -> None:
    pass


MISFITS: list[tuple[Callable[[dict[str, torch.Tensor]], object], dict[str, Any], str]] = [
    (lambda tensors: tensors.pop("up.8.bias"), {}, "tensor 'up.8.bias' is missing in the network of its metadata"),
    (lambda tensors: tensors.update(more=torch.zeros(1)), {}, "tensor 'more' has no place in the network"),
    (
        lambda tensors: tensors.update({"image.bias": torch.zeros(4)}),
        {},
        r"'image.bias' is float32 \(4,\), and the network of its metadata has float32 \(3,\) there",
    ),
    (lambda tensors: tensors.update({"image.bias": torch.zeros(3).half()}), {}, r"is float16 \(3,\)"),
    (nothing, {"precision": "fp16"}, "the network of its metadata has float16"),
    (nothing, {"source": config(base_channels=1024)}, "the network of its metadata has"),
    (nothing, {"source": config(latent_dim=8)}, "latent.dim is 16, its network has 8"),
    (nothing, {"source": config(channels=1)}, r"image is \(32, 32, 3\), its network has \(32, 32, 1\)"),
    (nothing, {"source": config(layers="os.system")}, "source.config is of no network that is known: unknown setting"),
    (nothing, {"source": config(depth=10**9)}, "source.config is of no network that is known: depth"),
    (nothing, {"source": lambda source: {**source, "config": None}}, "source.config is missing"),
    (nothing, {"classes": ("a", "b")}, "is missing in the network|network of its metadata has"),
]


@pytest.mark.parametrize(("of_tensors", "changes", "says"), MISFITS)
def test_tensors_that_do_not_fit_are_one_clear_line(
    tiny_export: Path,
    tmp_path: Path,
    of_tensors: Callable[[dict[str, torch.Tensor]], object],
    changes: dict[str, Any],
    says: str,
) -> None:
    path = rewritten(tiny_export, tmp_path, of_tensors, **changes)
    with pytest.raises(BackendError, match=says) as caught:
        open_backend(path, device="cpu")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_network_of_any_size_is_compared_before_memory_is_taken_for_it(tiny_export: Path) -> None:
    metadata = artifact.read(tiny_export / NAME).metadata
    settings = dict(metadata.source["config"]) | {"image_size": 256, "base_channels": 1024, "depth": 8}
    huge = metadata.replace(source={"config": settings}, image=ImageSpec(256, 256, 3))
    with pytest.raises(BackendError, match="the network of its metadata has float32"):
        rebuilt(huge, load_file(tiny_export / NAME), "x")  # its weights would be hundreds of gigabytes


def test_weights_are_no_pixels(tiny_export: Path, tmp_path: Path, generator: Any) -> None:
    with pytest.raises(ConfigError, match="--pixels uint8 is not for safetensors, which holds weights alone: use"):
        list(exporter.export(generator, tmp_path, ["safetensors"], output="uint8"))
    path = rewritten(tiny_export, tmp_path, nothing, image=lambda image: image.with_output("uint8"))
    with pytest.raises(ArtifactError, match="image.dtype is 'uint8', not one of float32"):
        artifact.read(path)


def test_foreign_weights_are_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "foreign.safetensors"
    save_file({"layer.weight": torch.zeros(2, 2)}, path, {"format": "pt"})
    with pytest.raises(ArtifactError, match="carries no wgan metadata: .*; it holds numbers alone, and which network"):
        open_any(path)
    assert main(["sample", "--model", str(path), "-n", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "it was not exported by wgan" in line


def test_without_the_library_the_extra_is_named(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(BackendUnavailable, match=r"safetensors is not installed.*\[train\]"):
        open_backend(tiny_export / NAME, device="cpu")
    with pytest.raises(BackendUnavailable, match=r"safetensors is not installed.*\[train\]"):
        list(exporter.export(make_generator(), tmp_path, ["safetensors"]))


def test_what_only_the_library_refuses_is_one_line(tiny_export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch

    def refuse(data: bytes) -> Any:
        raise safetensors.SafetensorError("no\nway")

    monkeypatch.setattr(safetensors.torch, "load", refuse)
    with pytest.raises(BackendError, match="safetensors cannot load .*: no way") as caught:
        open_backend(tiny_export / NAME, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_run_without_its_checkpoint_is_sampled_by_torch_from_the_weights(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sample", "--backend", "torch", "-n", "3", "--out", "a.npy", "--json"]
    (run / "export" / "generator.pt").unlink()
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["model"].endswith(NAME)
    weights = np.load("a.npy").astype(int)
    assert main(["sample", "-n", "3", "--out", "b.npy"]) == 0
    assert np.abs(weights - np.load("b.npy")).max() <= 1


def test_a_precision_is_for_checkpoints_not_for_weights(tiny_export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--model", str(tiny_export / NAME), "-n", "1", "--precision", "bf16"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "wgan export --format safetensors --precision bf16" in line


def test_all_formats_as_pixels_leave_the_weights_out_aloud(
    run: Path, tiny_export: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr("wgan.export.from_run.export_source", lambda source, kinds, **_: asked.append(kinds) or [])
    for words, last in ((["--pixels", "uint8"], "trt"), ([], "safetensors"), (["--pixels", "int3"], "safetensors")):
        assert main(["export", "--format", "all", *words]) == 0
        assert asked[-1][-1] == last
        told = "no safetensors: it holds weights alone, and --pixels uint8 is not for them"
        assert (told in capsys.readouterr().err) == (last == "trt")


def documented(nth: int) -> str:
    """A program of the page, up to where it names its files."""
    page = (ROOT / "docs" / "deploy" / "safetensors.md").read_text("utf-8")
    block: str = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[nth]
    return block.split("\n\n\nweights = ")[0].split("\n\n\ngenerator = ")[0]


@pytest.mark.parametrize(
    ("changes", "classes"), [*NETWORKS, ({"image_size": 8}, None), ({"image_size": 64, "base_channels": 2}, None)]
)
def test_the_pages_programs_draw_every_network(
    changes: dict[str, Any], classes: tuple[str, ...] | None, tmp_path: Path
) -> None:
    generator = make_generator(classes=classes, **changes)
    (made,) = exporter.export(generator, tmp_path, ["safetensors"], max_batch=2, device="cpu")
    z = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    label = torch.arange(4) % len(classes) if classes else None
    plain: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    exec(documented(0), plain)
    exec(documented(2), whole)
    with torch.inference_mode():
        wanted = generator.module(z, label)
        found = [whole["generate"](load_file(made.path), z, label)]
        if classes is None and "depth" not in changes:
            found.append(plain["Generator"](load_file(made.path))(z))
        else:
            with pytest.raises(RuntimeError, match="Unexpected key|size mismatch"):
                plain["Generator"](load_file(made.path))
    assert all((images - wanted).abs().max() <= 1e-4 for images in found)


def test_the_pages_program_needs_torch_and_safetensors_alone(tiny_export: Path) -> None:
    program = documented(0).replace("import numpy as np\n", "") + (
        f"\n\nprint(Generator(load_file({str(tiny_export / NAME)!r}))(torch.zeros(2, 16)).shape)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('wgan', 'onnx', 'yaml')])\n"
    )
    command = [sys.executable, "-c", "import sys\n" + program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["torch.Size([2, 3, 32, 32])", "[]"]
