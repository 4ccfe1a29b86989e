"""A TensorRT engine from an ONNX file: strongly typed, so that its precision is the graph's, and checked for it.

It needs TensorRT alone, so that a deployed machine can build too.
"""

import re
from dataclasses import dataclass
from typing import Any

from wgan.serve.backends.cuda import Cuda
from wgan.serve.backends.trt.api import (
    MODULES,
    builds_for_absent_gpus,
    collecting_logger,
    compute_capabilities,
    load_tensorrt,
    progress_monitor,
    refused,
    started,
)
from wgan.serve.backends.trt.readback import network_types, read_back
from wgan.serve.backends.trt.timing_cache import TimingCache
from wgan.serve.base.errors import BackendError, BackendUnavailable, ConfigError, ExportError
from wgan.serve.base.progress import counter
from wgan.serve.machine.gpu import Gpu, first_gpu

OPTIMUM = 64  # the batch that engines are tuned for
# TensorRT-RTX builds for GPUs that are not there. Not 7.5: it has no float32 matrix product there.
RTX_TARGETS = ("8.0", "8.6", "8.9", "12.0")


@dataclass(frozen=True)
class BuildOptions:
    """What an engine may run on beside the GPU and the version that it is built with.

    Args:
        version_compatible: on later versions too (TensorRT only).
        hardware_compatible: on every GPU from compute capability 8.0 on (TensorRT only).
        compute_capabilities: on these GPUs, as in `8.6`, of which none need be there (TensorRT-RTX only);
            empty for the GPU of this machine, or where there is none for `RTX_TARGETS`.
    """

    version_compatible: bool = False
    hardware_compatible: bool = False
    compute_capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Built:
    """A serialised plan and what its metadata says of it."""

    plan: bytes
    description: dict[str, Any]


def parse_capabilities(text: str) -> tuple[str, ...]:
    """`8.6,12.0` as a tuple, without repeats.

    Raises:
        ConfigError: one is no compute capability.
    """
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not re.fullmatch(r"[1-9]\d?\.\d", word):
            raise ConfigError(f"--compute-capability {word!r} is not of the form 8.6 (or 8.6,12.0)")
    return tuple(dict.fromkeys(words))


def build_engine(
    onnx_file: bytes, precision: str, optimum: int, max_batch: int, options: BuildOptions | None = None
) -> Built:
    """Builds with `tensorrt` if it is installed, otherwise with `tensorrt_rtx`; progress goes to stderr.

    Args:
        onnx_file: z float32 (N, Z), and label int64 (N,) if conditional, → image, N dynamic.
        precision: what the graph must compute in, fp32 or fp16.
        optimum: the batch that the engine is tuned for.
        max_batch: the largest batch it takes; the smallest is 1.
        options: where else it may run.

    Raises:
        BackendUnavailable: neither is installed, TensorRT has no GPU to build on or one that it does not know, or CUDA
            does not start.
        ConfigError: an option that this TensorRT does not have.
        ExportError: the file cannot be parsed, the build failed, or the engine is not of the precision.
    """
    options = options or BuildOptions()
    api = load_tensorrt("tensorrt_rtx" if options.compute_capabilities else None)
    gpu = first_gpu()
    if not options.compute_capabilities and (why := refused(api, gpu)) is not None:
        raise BackendUnavailable(why, extra="trt")
    return _built(api, gpu, onnx_file, precision, optimum, max_batch, options)


def _built(
    api: Any, gpu: Gpu | None, onnx_file: bytes, precision: str, optimum: int, max_batch: int, options: BuildOptions
) -> Built:
    targets = _targets(api, options, gpu)
    if not builds_for_absent_gpus(api):
        _wake_cuda(api)
    logger = collecting_logger(api)
    builder = started(api, "Builder", logger)
    network = builder.create_network(1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = api.OnnxParser(network, logger)
    if not parser.parse(onnx_file):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise ExportError(f"{api.__name__} cannot parse the ONNX file: {reasons}")
    asked = network_types(network, precision)
    config = builder.create_builder_config()
    shapes = _add_profile(builder, network, config, optimum, max_batch)
    # float32 means float32: parity is measured against it
    config.clear_flag(api.BuilderFlag.TF32)
    # the engine tells the types of its layers only so; it costs nothing when it runs
    config.profiling_verbosity = api.ProfilingVerbosity.DETAILED
    cache = None
    if builds_for_absent_gpus(api):
        config.num_compute_capabilities = len(targets)
        for index, target in enumerate(targets):
            # a GPU that is here but in no list, such as Hopper: the builder is asked for it all the same
            if not config.set_compute_capability(
                compute_capabilities(api).get(target, api.ComputeCapability.CURRENT), index
            ):
                raise ExportError(f"{api.__name__} refuses to build for compute capability {target}: {logger.reason}")
    else:
        if options.version_compatible:
            config.set_flag(api.BuilderFlag.VERSION_COMPATIBLE)
        if options.hardware_compatible:
            config.hardware_compatibility_level = api.HardwareCompatibilityLevel.AMPERE_PLUS
        cache = TimingCache(api, config, str(gpu))
    with counter("building the engine") as report:
        config.progress_monitor = monitor = progress_monitor(api, report)
        plan = builder.build_serialized_network(network, config)
    if monitor.stopped is not None:
        raise monitor.stopped
    if plan is None:
        raise ExportError(f"{api.__name__} could not build the engine: {logger.reason}")
    if cache is not None:
        cache.save()
    content = bytes(plan)
    loads_here = gpu is not None and (gpu.compute_capability in targets or options.hardware_compatible)
    return Built(
        content,
        {
            "runtime": api.__name__,
            "version": api.__version__,
            "gpu": gpu.name if gpu and loads_here else None,
            "compute_capabilities": list(targets),
            "version_compatible": options.version_compatible,
            "hardware_compatible": options.hardware_compatible,
            "profile": shapes,
            **read_back(api, content, asked, precision, loads_here, options.version_compatible),
        },
    )


def _wake_cuda(api: Any) -> None:
    """A first CUDA call, whose failure is an error code: TensorRT's own may be a segmentation fault."""
    try:
        cuda = Cuda(MODULES[api.__name__])
    except BackendUnavailable:  # no cuda-bindings: they run engines, and building needs none
        return
    try:
        cuda.stream()
    except BackendError as error:
        raise BackendUnavailable(f"{api.__name__} cannot build here: {error}; see `wgan doctor`") from None
    finally:
        cuda.close()


def _targets(api: Any, options: BuildOptions, gpu: Gpu | None) -> tuple[str, ...]:
    """The compute capabilities to build for; refuses options that this TensorRT does not have."""
    if not builds_for_absent_gpus(api):
        if gpu is None:
            raise BackendUnavailable(
                "TensorRT builds an engine on the GPU that is to run it, and this machine shows none; "
                "TensorRT-RTX needs none",
                "trt-rtx",
            )
        return (gpu.compute_capability,)
    for name in ("version_compatible", "hardware_compatible"):
        if getattr(options, name):
            instead = ": name GPUs with --compute-capability" if name == "hardware_compatible" else ""
            option = "--" + name.replace("_", "-")
            raise ConfigError(f"{option} is TensorRT's; {api.__name__}, which would build here, lacks it{instead}")
    known = compute_capabilities(api)
    for target in options.compute_capabilities:
        if target not in known:
            names = ", ".join(sorted(known, key=float))
            raise ConfigError(f"{api.__name__} {api.__version__} builds for compute capability {names}, not {target}")
    default = (gpu.compute_capability,) if gpu else tuple(name for name in RTX_TARGETS if name in known)
    return options.compute_capabilities or default


def _add_profile(builder: Any, network: Any, config: Any, optimum: int, max_batch: int) -> dict[str, Any]:
    """One profile over N from 1 to the largest batch, for every input; returns it as the metadata holds it."""
    profile = builder.create_optimization_profile()
    shapes: dict[str, Any] = {}
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        _, *rest = tensor.shape
        shapes[tensor.name] = {name: [size, *rest] for name, size in (("min", 1), ("opt", optimum), ("max", max_batch))}
        profile.set_shape(tensor.name, *map(tuple, shapes[tensor.name].values()))
    config.add_optimization_profile(profile)
    return shapes
