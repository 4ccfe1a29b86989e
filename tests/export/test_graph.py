"""What an exported graph is made of: sizes that are known are constants in it, and N alone is open."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from tests.make import make_generator
from wgan.export.formats.onnx import OPSETS, to_onnx
from wgan.export.formats.torchscript import to_torchscript
from wgan.export.recipe import Recipe
from wgan.export.reference.fold import as_deployed
from wgan.export.reference.generator import TrainedGenerator

NAMES = ("red", "blue", "green")
NORMED = {"classes": NAMES, "conditional": True, "generator_labels": "batchnorm"}
# configuration → nodes of its float32 graph
NETWORKS: dict[str, tuple[dict[str, Any], int]] = {
    "plain": ({}, 10),
    "grey, smooth": ({"channels": 1, "upsampling": "smooth"}, 10),
    "transparent, deep": ({"channels": 4, "depth": 2}, 19),
    "labels joined": ({"classes": NAMES, "conditional": True}, 13),
    "attention": ({"attention": 8}, 29),
    "attention elsewhere": ({"attention": 16, "base_channels": 4, "spectral_norm": "both"}, 29),
    "conditional BatchNorm": (NORMED, 34),
    "all of it": ({**NORMED, "attention": 8, "depth": 2}, 86),
}
ASKED_WHILE_RUNNING = {"Shape", "Size", "NonZero", "Loop", "If", "Scan", "ConstantOfShape", "Range", "Expand", "Slice"}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> tuple[str, TrainedGenerator]:
    return request.param, make_generator(**NETWORKS[request.param][0])


def exported(generator: TrainedGenerator, precision: str, output: str, opset: int) -> onnx.ModelProto:
    recipe = Recipe(Path(), generator, "onnx", output)
    module, conditional = recipe.module(precision), generator.classes is not None
    graph = to_onnx(module, generator.config.latent_dim, recipe.image.shape, opset, conditional=conditional)
    return onnx.load_from_string(graph)


@pytest.mark.slow
@pytest.mark.parametrize("output", ["float32", "uint8"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("opset", range(OPSETS[0], OPSETS[1] + 1))
def test_no_graph_asks_for_a_size(
    network: tuple[str, TrainedGenerator], precision: str, output: str, opset: int
) -> None:
    name, generator = network
    model = exported(generator, precision, output, opset)
    kinds = Counter(node.op_type for node in model.graph.node)
    assert not ASKED_WHILE_RUNNING & kinds.keys()
    embeddings = sum(isinstance(module, torch.nn.Embedding) for module in generator.module.modules())
    assert kinds["Gather"] == embeddings
    if (precision, output) == ("fp32", "float32"):
        assert len(model.graph.node) == NETWORKS[name][1]
    for shape in shapes(model).values():  # 0: of a size that inference did not find
        assert all(isinstance(size, int) and size > 0 for size in shape[1:]), shape


def shapes(model: onnx.ModelProto) -> dict[str, list[int | str]]:
    """Of everything between the inputs and the output that belongs to a batch."""
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    constants = {node.output[0] for node in inferred.node if node.op_type == "Constant"}
    return {
        value.name: [entry.dim_param or entry.dim_value for entry in value.type.tensor_type.shape.dim]
        for value in [*inferred.input, *inferred.value_info, *inferred.output]
        if value.name not in constants
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.load")  # of another class in each torch
@pytest.mark.parametrize("output", ["float32", "uint8"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_no_trace_asks_for_a_size(network: tuple[str, TrainedGenerator], precision: str, output: str) -> None:
    _, generator = network
    module = as_deployed(generator.module, precision, output)
    payload = to_torchscript(module, generator.config.latent_dim, conditional=generator.classes is not None)
    kinds = {node.kind() for node in torch.jit.load(io.BytesIO(payload)).inlined_graph.nodes()}
    assert not kinds & {"aten::size", "aten::Int", "aten::dim", "aten::numel", "prim::NumToTensor", "prim::If"}
