"""A TensorRT engine from the ONNX file: strongly typed, so its precision is the graph's."""

from dataclasses import dataclass
from typing import Any

from wgan.serve.errors import ExportError
from wgan.serve.gpu import gpu_count
from wgan.serve.tensorrt_api import collecting_logger, load_tensorrt

# TensorRT-RTX builds for GPUs that are not there. Not SM75: it has no float32 matrix product there.
RTX_TARGETS = ("SM80", "SM86", "SM89", "SM120")


@dataclass(frozen=True)
class Engine:
    """A serialised plan and what its metadata says of it."""

    plan: bytes
    description: dict[str, Any]


def build_engine(onnx_file: bytes, latent_dim: int, optimum: int, max_batch: int) -> Engine:
    """Builds with `tensorrt` if it is installed, otherwise with `tensorrt_rtx`.

    Args:
        onnx_file: z float32 (N, Z) → image, N dynamic.
        latent_dim: Z.
        optimum: the batch that the engine is tuned for.
        max_batch: the largest batch it takes; the smallest is 1.

    Raises:
        BackendUnavailable: neither is installed.
        ExportError: the file cannot be parsed, no GPU for TensorRT, or the build failed.
    """
    api = load_tensorrt()
    for_absent_gpus = hasattr(api, "ComputeCapability")
    if not for_absent_gpus and not gpu_count():
        raise ExportError("TensorRT builds on the GPU it is for and this machine shows none: install wgan[trt-rtx]")
    logger = collecting_logger(api)
    builder = api.Builder(logger)
    flag = api.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    network = builder.create_network(1 << int(flag))
    parser = api.OnnxParser(network, logger)
    if not parser.parse(onnx_file):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise ExportError(f"{api.__name__} cannot parse the ONNX file: {reasons}")
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    shapes = {"min": [1, latent_dim], "opt": [optimum, latent_dim], "max": [max_batch, latent_dim]}
    profile.set_shape("z", *(tuple(shape) for shape in shapes.values()))
    if network.num_inputs == 2:
        profile.set_shape("label", *((shape[0],) for shape in shapes.values()))
    config.add_optimization_profile(profile)
    # float32 means float32: parity is measured against it
    config.clear_flag(api.BuilderFlag.TF32)
    targets: list[str] = []
    if for_absent_gpus:
        targets = ["CURRENT"] if gpu_count() else [name for name in RTX_TARGETS if hasattr(api.ComputeCapability, name)]
        config.num_compute_capabilities = len(targets)
        for index, name in enumerate(targets):
            config.set_compute_capability(getattr(api.ComputeCapability, name), index)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        reason = logger.errors[-1] if logger.errors else "no reason given"
        raise ExportError(f"{api.__name__} could not build the engine: {reason}")
    description = {
        "runtime": api.__name__,
        "version": api.__version__,
        "profile": shapes,
        "compute_capabilities": targets,
    }
    return Engine(bytes(plan), description)
