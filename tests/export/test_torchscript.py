"""TorchScript files compute exact float32 on CUDA, whatever torch's switches were where they were traced."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.make import make_generator
from wgan.export import exporter
from wgan.export.formats import torchscript
from wgan.serve.backends.open import open_backend

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.load")  # of another class in each torch
EXACT = [False, False, True, False]  # benchmark, deterministic, cudnn_enabled, allow_tf32
NETWORKS = [({}, None), ({"attention": 8, "depth": 2, "conditional": True}, ("a", "b"))]


@pytest.fixture(autouse=True)
def inexact() -> Iterator[None]:
    """Torch's switches as training leaves them; TF32 as a new process has it."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = True, True, True
    yield
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = before


def switches(module: Any) -> list[list[bool]]:
    """Of every convolution, as the file holds them."""
    nodes = module.graph.findAllNodes("aten::_convolution")
    return [[value.toIValue() for value in list(node.inputs())[9:13]] for node in nodes]


@pytest.mark.parametrize(("changes", "classes"), NETWORKS)
def test_no_switch_of_the_process_gets_into_a_file(
    changes: dict[str, Any], classes: tuple[str, ...] | None, tmp_path: Path
) -> None:
    generator = make_generator(classes=classes, **changes)
    (made,) = exporter.export(generator, tmp_path, ["torchscript"], max_batch=8, device="cpu")
    found = switches(torch.jit.load(made.path))
    assert len(found) >= 3
    assert found == [EXACT] * len(found)


def test_a_file_of_an_earlier_wgan_is_exact_once_it_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchscript, "exact_convolutions", lambda graph: None)
    generator = make_generator()
    (made,) = exporter.export(generator, tmp_path, ["torchscript"], max_batch=8, device="cpu")
    old = torch.jit.load(made.path)
    assert [True, True, True, True] in switches(old)
    opened: list[Any] = []
    load = torch.jit.load

    def kept(*arguments: Any, **named: Any) -> Any:
        opened.append(load(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(torch.jit, "load", kept)
    open_backend(made.path, device="cpu").close()
    (module,) = opened
    assert switches(module) == [EXACT] * len(switches(old))
