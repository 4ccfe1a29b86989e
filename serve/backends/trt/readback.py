"""Does an engine hold what was asked for? Its types read back: of the network, and of the engine where it loads."""

import re
from collections import Counter
from typing import Any

from wgan.serve.backends.trt.api import collecting_logger, open_engine, started
from wgan.serve.base.errors import ExportError
from wgan.serve.base.foreign_json import parse_json

HALF = re.compile(r"half|fp16|float16", re.IGNORECASE)
SINGLE = re.compile(r"float(?!16)|fp32", re.IGNORECASE)
WEIGHTED = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")  # the layers that precision is about
ASKED = {"fp32": "FLOAT", "fp16": "HALF"}


def network_types(network: Any, precision: str) -> dict[str, str]:
    """The types of a parsed network's inputs and outputs, as TensorRT names them.

    Raises:
        ExportError: a layer with weights computes in another type than ``precision``: TensorRT has no
            switch for it any more, so the graph itself would be wrong.
    """
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    types = Counter(layer.get_output(0).dtype.name for layer in layers if layer.type.name in WEIGHTED)
    if set(types) != {ASKED[precision]}:
        names = ", ".join(f"{count} {name}" for name, count in sorted(types.items())) or "none"
        raise ExportError(f"asked for {precision}, but the graph's layers with weights are: {names}")
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    return {tensor.name: tensor.dtype.name for tensor in [*inputs, *outputs]}


def read_back(
    api: Any, plan: bytes, asked: dict[str, str], precision: str, loads_here: bool, host_code: bool
) -> dict[str, Any]:
    """Compares a built engine with the network it was built from.

    Args:
        api: the TensorRT that built it.
        plan: the engine.
        asked: the types of the network's inputs and outputs.
        precision: fp32 or fp16.
        loads_here: whether this machine's GPU is one that it was built for.
        host_code: whether it was built version-compatible.

    Returns:
        For the metadata: ``types`` of inputs and outputs, ``half_layers`` (how many of the engine's layers
        touch float16; None if it does not tell), and ``types_from``: engine, or network where no GPU here
        can load the engine.

    Raises:
        ExportError: it is not what was asked for.
    """
    if not loads_here:
        _check_header(api, plan)
        return {"types": asked, "half_layers": None, "types_from": "network"}
    logger = collecting_logger(api)
    _runtime, engine = open_engine(api, logger, plan, host_code)
    if engine is None:
        raise ExportError(f"{api.__name__} does not load the engine that it has just built: {logger.reason}")
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    types = {name: engine.get_tensor_dtype(name).name for name in names}
    if types != asked:
        raise ExportError(f"the engine's inputs and outputs are {types}, asked for were {asked}")
    information = engine.create_engine_inspector().get_engine_information(api.LayerInformationFormat.JSON)
    half = half_layers(information)
    if half is not None and (half > 0) != (precision == "fp16"):
        raise ExportError(f"asked for {precision}, but {half} of the engine's layers touch float16")
    return {"types": types, "half_layers": half, "types_from": "engine"}


def half_layers(information: str) -> int | None:
    """How many layers of an engine's description (JSON) have a float16 tensor; None if it names no types.

    The words differ between versions: `Half`, `FP16`, `Row major linear FP16 format`.
    """
    try:
        layers = parse_json(information)["Layers"]
    except (ValueError, KeyError, TypeError):
        return None
    formats = [
        [
            str(tensor.get("Format/Datatype", tensor.get("Datatype", "")))
            for kind in ("Inputs", "Outputs")
            for tensor in layer.get(kind) or []
        ]
        for layer in layers
        if isinstance(layer, dict)
    ]
    every = [text for layer in formats for text in layer]
    if not any(HALF.search(text) or SINGLE.search(text) for text in every):
        return None
    return sum(any(HALF.search(text) for text in layer) for layer in formats)


def _check_header(api: Any, plan: bytes) -> None:
    """Checks an engine's header, which needs no GPU, where the runtime has a call for it."""
    if not hasattr(api.Runtime, "get_engine_validity"):
        return
    _, diagnostics = started(api, "Runtime", collecting_logger(api)).get_engine_validity(plan)
    known = api.EngineInvalidityDiagnostics
    for fault in (known.MALFORMED_ENGINE, known.VERSION_MISMATCH):
        if int(diagnostics) & int(fault):
            raise ExportError(f"{api.__name__} calls the engine that it has just built {fault.name}")
