"""TensorRT as far as a machine without a GPU can show it: engines really are built, and read back where that goes."""

import gc
import importlib.util
import io
import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from packaging.version import Version
from torch import nn

from tests.fakes.cuda import FakeRuntime
from tests.make import make_generator
from wgan.cli import main
from wgan.export import exporter
from wgan.export.formats.onnx import to_onnx
from wgan.export.recipe import file_name
from wgan.export.reference.fold import as_deployed
from wgan.export.reference.generator import TrainedGenerator
from wgan.export.verify import verify_file
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.artifacts.formats import FORMATS
from wgan.serve.backends.open import open_backend
from wgan.serve.backends.trt import api as tensorrt_api
from wgan.serve.backends.trt import build as tensorrt_build
from wgan.serve.backends.trt import fit as tensorrt_fit
from wgan.serve.backends.trt import readback as tensorrt_readback
from wgan.serve.backends.trt import timing_cache
from wgan.serve.backends.trt.api import collecting_logger, load_tensorrt, naming_tensorrt, progress_monitor, started
from wgan.serve.backends.trt.build import RTX_TARGETS, BuildOptions, Built, build_engine, parse_capabilities
from wgan.serve.backends.trt.fit import rebuild_if_needed
from wgan.serve.backends.trt.readback import half_layers, read_back
from wgan.serve.base.errors import ArtifactError, BackendUnavailable, ConfigError, ExportError
from wgan.serve.machine.gpu import Gpu, first_gpu

GPU = Gpu("NVIDIA GeForce RTX 3060", (8, 6), 2**33)
needs_no_gpu = pytest.mark.skipif(first_gpu() is not None, reason="shows what happens where there is no GPU")


def graph(generator: TrainedGenerator, precision: str = "fp32") -> bytes:
    module = as_deployed(generator.module, precision)
    size = generator.config.image_size
    return to_onnx(module, generator.config.latent_dim, (3, size, size), 11)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_of_each_precision_is_built(generator: TrainedGenerator, tmp_path: Path, precision: str) -> None:
    (made,) = exporter.export(generator, tmp_path, ["trt"], precision=precision, max_batch=32)
    assert made.path.name == file_name("trt", precision)
    found = artifact.read(made.path).metadata
    assert found.max_batch == 32
    assert found.engine is not None
    assert found.engine["profile"] == {"z": {"min": [1, 16], "opt": [32, 16], "max": [32, 16]}}
    assert found.engine["version"] == load_tensorrt(found.engine["runtime"]).__version__
    assert found.engine["types"] == {"z": "FLOAT", "image": "FLOAT"}
    if first_gpu() is None:
        assert found.engine["compute_capabilities"] == list(RTX_TARGETS)
        assert found.engine["types_from"] == "network"


@needs_no_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("targets", [("8.0",), ("8.6",), ("8.9", "12.0"), ("12.1",), ("8.6", "8.9", "12.0", "12.1")])
def test_engines_are_built_for_gpus_that_are_not_here(
    generator: TrainedGenerator, precision: str, targets: tuple[str, ...]
) -> None:
    options = BuildOptions(compute_capabilities=targets)
    built = build_engine(graph(generator, precision), precision, 16, 64, options)
    assert built.description["compute_capabilities"] == list(targets)
    assert built.description["gpu"] is None
    assert len(built.plan) > 10_000


@pytest.mark.slow
def test_a_float16_engine_holds_its_weights_in_float16() -> None:
    generator = make_generator(image_size=64, base_channels=64, latent_dim=128)
    fp32, fp16 = (
        len(build_engine(graph(generator, precision), precision, 16, 64).plan)
        for precision in FORMATS["trt"].precisions
    )
    count = sum(parameter.numel() for parameter in as_deployed(generator.module, "fp32").parameters())
    assert fp32 - fp16 == pytest.approx(2 * count, rel=0.1)


class Conditional(nn.Module):
    """Labels in, and pixels out as bytes if asked for."""

    def __init__(self, pixels: bool):
        super().__init__()
        self.pixels = pixels
        self.embed, self.project = nn.Embedding(5, 8), nn.Linear(16 + 8, 32 * 4 * 4)
        self.upsample = nn.ConvTranspose2d(32, 3, 4, 2, 1)

    def forward(self, z: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        x = self.project(torch.cat([z, self.embed(label)], 1)).reshape(-1, 32, 4, 4)
        image = torch.tanh(self.upsample(x))
        return ((image + 1) * 127.5).permute(0, 2, 3, 1).to(torch.uint8) if self.pixels else image


@pytest.mark.filterwarnings("ignore")  # torch's, about its older exporter
@pytest.mark.parametrize(("pixels", "type_of_image"), [(False, "FLOAT"), (True, "UINT8")])
def test_a_conditional_graph_is_built_with_a_profile_for_both_inputs(pixels: bool, type_of_image: str) -> None:
    file, names = io.BytesIO(), ["z", "label", "image"]
    example = (torch.zeros(2, 16), torch.zeros(2, dtype=torch.int64))
    torch.onnx.export(
        Conditional(pixels).eval(),
        example,
        file,
        dynamo=False,
        opset_version=11,
        input_names=names[:2],
        output_names=names[2:],
        dynamic_axes={name: {0: "N"} for name in names},
    )
    built = build_engine(file.getvalue(), "fp32", 16, 64).description
    assert built["types"] == {"z": "FLOAT", "label": "INT64", "image": type_of_image}
    assert built["profile"]["label"] == {"min": [1], "opt": [16], "max": [64]}
    assert built["profile"]["z"] == {"min": [1, 16], "opt": [16, 16], "max": [64, 16]}


def test_a_gpu_that_the_builder_does_not_know_is_said(generator: TrainedGenerator) -> None:
    with pytest.raises(ConfigError, match=r"builds for compute capability 7\.5, .*12\.\d.*, not 9\.9$"):
        build_engine(b"", "fp32", 16, 64, BuildOptions(compute_capabilities=("9.9",)))
    if Version(version("tensorrt-rtx")) >= Version("1.7"):  # earlier ones build it
        with pytest.raises(ExportError, match="FP32 GEMM is not supported"):
            build_engine(graph(generator), "fp32", 16, 64, BuildOptions(compute_capabilities=("7.5",)))
    fp16 = build_engine(graph(generator, "fp16"), "fp16", 16, 64, BuildOptions(compute_capabilities=("7.5",)))
    assert fp16.description["compute_capabilities"] == ["7.5"]


def test_compute_capabilities_are_read_from_the_command_line() -> None:
    assert parse_capabilities("8.6, 12.0,8.6") == ("8.6", "12.0")
    for bad in ("", "86", "sm_86", "8.6,", "8.66", "0.1"):
        with pytest.raises(ConfigError, match="is not of the form 8.6"):
            parse_capabilities(bad)


def test_a_graph_of_another_precision_than_asked_for_is_refused(generator: TrainedGenerator) -> None:
    for precision, other, has in (("fp32", "fp16", "HALF"), ("fp16", "fp32", "FLOAT")):
        with pytest.raises(ExportError, match=rf"asked for {precision}, but .* are: \d+ {has}$"):
            build_engine(graph(generator, other), precision, 16, 64)


def test_a_file_that_is_no_onnx_is_one_line() -> None:
    with pytest.raises(ExportError, match="cannot parse the ONNX file") as caught:
        build_engine(b"nonsense", "fp32", 8, 8)
    assert "\n" not in str(caught.value)


def test_what_tensorrt_rtx_lacks_is_refused() -> None:
    if load_tensorrt().__name__ != "tensorrt_rtx":
        pytest.skip("TensorRT is installed, which has both")
    with pytest.raises(ConfigError, match="^--version-compatible is TensorRT's; tensorrt_rtx"):
        build_engine(b"", "fp32", 8, 8, BuildOptions(version_compatible=True))
    with pytest.raises(ConfigError, match="^--hardware-compatible is .*: name GPUs with --compute-capability"):
        build_engine(b"", "fp32", 8, 8, BuildOptions(hardware_compatible=True))


# The other branch of the builder: TensorRT-RTX without what tells it apart is TensorRT as far as the calls go.


class LikeTensorrt:
    """The module tensorrt_rtx without the names that TensorRT lacks."""

    def __init__(self) -> None:
        self._real = load_tensorrt("tensorrt_rtx")

    def __getattr__(self, name: str) -> Any:
        if name in ("ComputeCapability", "CudaGraphStrategy"):
            raise AttributeError(name)
        return getattr(self._real, name)


@pytest.fixture
def like_tensorrt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LikeTensorrt:
    api = LikeTensorrt()
    monkeypatch.setattr(tensorrt_build, "load_tensorrt", lambda name=None: api)
    monkeypatch.setattr(tensorrt_build, "first_gpu", lambda: GPU)
    monkeypatch.setattr(tensorrt_build, "_wake_cuda", lambda api: None)
    monkeypatch.setattr(tensorrt_build, "TimingCache", lambda *_: SimpleNamespace(save=lambda: None))
    monkeypatch.setattr(tensorrt_build, "read_back", lambda *arguments: {"loads_here": arguments[4]})
    return api


@needs_no_gpu
def test_tensorrt_builds_for_the_gpu_that_is_here(generator: TrainedGenerator, like_tensorrt: LikeTensorrt) -> None:
    built = build_engine(graph(generator), "fp32", 16, 64, BuildOptions(hardware_compatible=True)).description
    assert built["compute_capabilities"] == ["8.6"]
    assert built["gpu"] == GPU.name
    assert built["hardware_compatible"] is True
    assert built["loads_here"] is True


@needs_no_gpu
def test_a_version_compatible_engine_wants_the_lean_runtime(
    generator: TrainedGenerator, like_tensorrt: LikeTensorrt
) -> None:
    # TensorRT-RTX has none, and says so only when the flag has reached it
    with pytest.raises(ExportError, match="libnvinfer_lean"):
        build_engine(graph(generator), "fp32", 16, 64, BuildOptions(version_compatible=True))


def test_tensorrt_without_a_gpu_names_what_builds_without(
    like_tensorrt: LikeTensorrt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_build, "first_gpu", lambda: None)
    with pytest.raises(BackendUnavailable, match=r"builds an engine on the GPU .*pip install .*\[trt-rtx\]"):
        build_engine(b"", "fp32", 8, 8)


LOGS = ["Error Code 6: CUDA initialization failure with error: 35", "CUDA driver version is insufficient"]
DESTROYED: list[str] = []


class Halves:
    """A TensorRT whose builder and runtime log errors and are returned all the same."""

    __name__ = "tensorrt"
    errors = tuple(LOGS)

    class ILogger:
        """Takes what is logged."""

    def __getattr__(self, name: str) -> Any:
        def make(logger: Any) -> Any:
            if not self.errors:
                raise TypeError("factory function returned nullptr")
            for line in self.errors:
                logger.log(1, line)
            return Half()

        return make


class Half:
    """What TensorRT returns where CUDA does not start: its end would be the process's."""

    def __del__(self) -> None:
        DESTROYED.append("a segmentation fault")


@pytest.mark.parametrize("kind", ["Builder", "Runtime"])
def test_a_tensorrt_that_does_not_start_is_one_line_and_is_left_alone(kind: str) -> None:
    api = Halves()
    with pytest.raises(
        BackendUnavailable, match="^tensorrt does not start here: CUDA driver version is insufficient; see"
    ):
        started(api, kind, collecting_logger(api))
    gc.collect()
    assert DESTROYED == []
    api.errors = ()
    with pytest.raises(BackendUnavailable, match="does not start here: factory function returned nullptr"):
        started(api, kind, collecting_logger(api))


def test_rtx_builds_nothing_for_a_gpu_here_that_it_does_not_list(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(tensorrt_build, "first_gpu", lambda: Gpu("NVIDIA H200", (9, 0), 2**37))
    says = r"^tensorrt_rtx \S+ lists no compute capability 9\.0, TensorRT may run on it: .*pip install"
    with pytest.raises(BackendUnavailable, match=says):
        build_engine(b"is not read", "fp32", 16, 64)


def test_a_refusal_of_a_gpu_that_rtx_does_not_list_names_tensorrt() -> None:
    api = pytest.importorskip("tensorrt_rtx")
    hopper, ada = (Gpu(name, capability, 2**36) for name, capability in (("H100", (9, 0)), ("L40", (8, 9))))
    says = r"^refused; tensorrt_rtx \S+ lists no compute capability 9\.0, TensorRT may run on it: .*pip install"
    with pytest.raises(ExportError, match=says), naming_tensorrt(api, hopper):
        raise ExportError("refused")
    for gpu in (ada, None):
        with pytest.raises(ExportError, match="^refused$"), naming_tensorrt(api, gpu):
            raise ExportError("refused")


def test_a_build_asks_whether_cuda_and_tensorrt_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_build, "load_tensorrt", lambda name=None: Halves())
    for module in (tensorrt_api, tensorrt_build):
        monkeypatch.setattr(module, "builds_for_absent_gpus", lambda api: False)
    monkeypatch.setattr(tensorrt_build, "first_gpu", lambda: GPU)
    # a driver without a GPU that it can use: the first CUDA call says so
    runtime = FakeRuntime("late", fail_at=1)
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(runtime=runtime))
    with pytest.raises(BackendUnavailable, match="^tensorrt cannot build here: CUDA: cudaStreamCreateWithFlags failed"):
        build_engine(b"", "fp32", 8, 8)
    # CUDA starts, TensorRT's own does not; with cuda-bindings and without
    runtime.fail_at = 0
    for found in (SimpleNamespace(runtime=runtime), None):
        monkeypatch.setitem(sys.modules, "cuda.bindings", found)
        with pytest.raises(BackendUnavailable, match="^tensorrt does not start here: CUDA driver"):
            build_engine(b"", "fp32", 8, 8)
    assert runtime.held() == {}


REAL = """
import tensorrt_lean_bindings as api
from wgan.serve.base.errors import BackendUnavailable
from wgan.serve.backends.trt.api import collecting_logger, open_engine

try:
    open_engine(api, collecting_logger(api), b"x" * 100, False)
except BackendUnavailable as error:
    print(error)
"""


@needs_no_gpu
def test_the_real_tensorrt_without_cuda_is_one_line_and_no_segmentation_fault() -> None:
    pytest.importorskip("tensorrt_lean_bindings", reason="tensorrt-lean is for Linux on x86-64 alone")
    done = subprocess.run([sys.executable, "-c", REAL], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tensorrt_lean_bindings does not start here: ")
    assert len(done.stdout.splitlines()) == 1


@needs_no_gpu
def test_tensorrt_rtx_starts_without_cuda() -> None:
    api = load_tensorrt("tensorrt_rtx")
    for kind in ("Builder", "Runtime"):
        logger = collecting_logger(api)
        assert started(api, kind, logger) is not None
        assert logger.errors == []


def test_a_compute_capability_that_the_builder_refuses_is_not_passed_over(
    generator: TrainedGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = load_tensorrt("tensorrt_rtx")
    monkeypatch.setattr(api.IBuilderConfig, "set_compute_capability", lambda *_: False)
    with pytest.raises(ExportError, match=r"^tensorrt_rtx refuses to build for compute capability 8\.6: no reason"):
        build_engine(graph(generator), "fp32", 16, 64, BuildOptions(compute_capabilities=("8.6",)))


class FakeConfig:
    """The three calls of a builder's configuration that a timing cache needs."""

    def __init__(self, accepts: bytes):
        self.accepts = accepts

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        return SimpleNamespace(content=serialized_timing_cache, serialize=lambda: b"measured")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        assert ignore_mismatch is False
        self.cache = cache
        return cache.content in (b"", self.accepts)

    def get_timing_cache(self) -> Any:
        return self.cache


def test_a_timing_cache_is_kept_for_each_gpu_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    api = SimpleNamespace(__name__="tensorrt", __version__="10.9.0.34")
    first = timing_cache.TimingCache(api, config := FakeConfig(b"measured"), str(GPU))
    assert config.cache.content == b""
    first.save()
    kept = tmp_path / "wgan" / "timing-tensorrt-10.9.0.34-nvidia-geforce-rtx-3060-8.6.cache"
    assert kept.read_bytes() == b"measured"
    timing_cache.TimingCache(api, config := FakeConfig(b"measured"), str(GPU))
    assert config.cache.content == b"measured"
    kept.write_bytes(b"of another GPU")
    timing_cache.TimingCache(api, config := FakeConfig(b"measured"), str(GPU))
    assert config.cache.content == b""
    shutil.rmtree(tmp_path / "wgan")
    (tmp_path / "wgan").touch()  # no place to keep one: the build goes on
    timing_cache.TimingCache(api, FakeConfig(b""), str(GPU)).save()
    monkeypatch.setattr(timing_cache, "cache_folder", lambda: None)  # a user without a home
    timing_cache.TimingCache(api, config := FakeConfig(b""), str(GPU)).save()
    assert config.cache.content == b""


def test_the_builder_has_all_that_only_tensorrt_is_asked_for() -> None:
    api = load_tensorrt()
    assert {"create_timing_cache", "set_timing_cache", "get_timing_cache"} <= set(dir(api.IBuilderConfig))
    assert "serialize" in dir(api.ITimingCache)
    assert "VERSION_COMPATIBLE" in dir(api.BuilderFlag)
    assert "AMPERE_PLUS" in dir(api.HardwareCompatibilityLevel)
    assert {"create_engine_inspector", "get_tensor_dtype", "num_io_tensors"} <= set(dir(api.ICudaEngine))
    assert "get_engine_information" in dir(api.EngineInspector)
    assert "JSON" in dir(api.LayerInformationFormat)
    assert "engine_host_code_allowed" in dir(api.Runtime)


# Progress


def test_a_build_tells_how_far_it_is(generator: TrainedGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, str]] = []
    monkeypatch.setattr(
        tensorrt_build, "progress_monitor", lambda api, _: progress_monitor(api, lambda *step: seen.append(step))
    )
    build_engine(graph(generator), "fp32", 16, 64)
    percents = [done for done, _, _ in seen]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert len(set(percents)) > 5
    assert {total for _, total, _ in seen} == {100}


def test_ctrl_c_stops_a_build(generator: TrainedGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def interrupt(done: int, total: int, what: str) -> None:
        calls.append(done)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(tensorrt_build, "progress_monitor", lambda api, _: progress_monitor(api, interrupt))
    with pytest.raises(KeyboardInterrupt):
        build_engine(graph(generator), "fp32", 16, 64)
    assert len(calls) < 10


# Reading back


LAYERS = {"Inputs": [{"Name": "z", "Format/Datatype": "Float"}], "Outputs": [{"Name": "a", "Format/Datatype": "Half"}]}
ROW_MAJOR = {"Inputs": [], "Outputs": [{"Format/Datatype": "Row major linear FP16 format"}]}
SINGLE = {"Outputs": [{"Format/Datatype": "Row major linear FP32"}]}


@pytest.mark.parametrize(
    ("layers", "count"),
    [([LAYERS, ROW_MAJOR, SINGLE], 2), ([SINGLE], 0), (["names", "alone"], None), ([{"Outputs": [{}]}], None)],
)
def test_float16_layers_are_counted_whatever_a_version_calls_them(layers: list[Any], count: int | None) -> None:
    assert half_layers(json.dumps({"Layers": layers})) == count
    assert half_layers("no JSON") is None


class LoadedEngine:
    """What `read_back` asks of an engine."""

    num_io_tensors = 2

    def __init__(self, layers: list[Any], image: str = "FLOAT"):
        self.information, self.types = json.dumps({"Layers": layers}), {"z": "FLOAT", "image": image}

    def get_tensor_name(self, index: int) -> str:
        return ("z", "image")[index]

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name=self.types[name])

    def create_engine_inspector(self) -> Any:
        return SimpleNamespace(get_engine_information=lambda kind: self.information)


def test_an_engine_that_loads_is_compared_with_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    api, asked = load_tensorrt(), {"z": "FLOAT", "image": "FLOAT"}

    def reads(engine: LoadedEngine | None, precision: str) -> dict[str, Any]:
        monkeypatch.setattr(tensorrt_readback, "open_engine", lambda *_: (None, engine))
        return read_back(api, b"", asked, precision, True, False)

    wanted = {"types": asked, "half_layers": 1, "types_from": "engine"}
    assert reads(LoadedEngine([LAYERS, SINGLE]), "fp16") == wanted
    assert reads(LoadedEngine(["unnamed"]), "fp16") == wanted | {"half_layers": None}
    for engine, precision, says in (
        (LoadedEngine([SINGLE]), "fp16", "asked for fp16, but 0 of"),
        (LoadedEngine([LAYERS]), "fp32", "asked for fp32, but 1 of"),
        (LoadedEngine([LAYERS], "HALF"), "fp16", "'image': 'HALF'"),
        (None, "fp16", "does not load the engine that it has just built"),
    ):
        with pytest.raises(ExportError, match=says):
            reads(engine, precision)


def test_a_header_that_is_none_is_found_without_a_gpu() -> None:
    with pytest.raises(ExportError, match="MALFORMED_ENGINE"):
        read_back(load_tensorrt("tensorrt_rtx"), b"x" * 100, {}, "fp32", False, False)


# Rebuilding


@pytest.fixture
def here(tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An export folder on a machine that seems to have a GPU; only the engine's load is left out."""
    for path in tiny_export.glob("generator*"):
        shutil.copy(path, tmp_path)
    for module in (tensorrt_fit, tensorrt_build):
        monkeypatch.setattr(module, "first_gpu", lambda: GPU)
    monkeypatch.setattr(tensorrt_build, "read_back", lambda *_: {})
    return tmp_path


def from_elsewhere(plan: Path) -> Artifact:
    """Makes an engine one of another version."""
    found = artifact.read(plan)
    artifact.write_sidecar(plan, found.metadata.replace(engine={**(found.metadata.engine or {}), "version": "1.0"}))
    return found


@needs_no_gpu
def test_an_engine_that_does_not_fit_is_rebuilt_from_the_onnx_beside_it(here: Path) -> None:
    plan = here / "generator.plan"
    old = from_elsewhere(plan).metadata
    assert rebuild_if_needed(plan, print) is True
    new = artifact.read(plan).metadata
    assert (new.engine or {})["version"] == load_tensorrt().__version__
    assert (new.engine or {})["compute_capabilities"] == ["8.6"]
    assert (new.max_batch, new.source, new.latent, new.image) == (old.max_batch, old.source, old.latent, old.image)
    # it says that nobody has measured it, and nothing else
    assert new.proven is False
    assert new.parity is not None
    assert new.parity["passed"] is None
    assert "rebuilt where it runs from generator.onnx, whose own largest error is" in new.parity["reason"]


@needs_no_gpu
def test_an_engine_that_is_not_there_is_built(here: Path) -> None:
    (here / "generator.plan").unlink()
    (here / "generator.plan.json").unlink()
    assert rebuild_if_needed(here / "generator.plan", print) is True
    found = artifact.read(here / "generator.plan").metadata
    assert found.max_batch == tensorrt_fit.MAX_BATCH
    assert rebuild_if_needed(here / "generator.fp16.plan", print) is True
    assert artifact.read(here / "generator.fp16.plan").metadata.precision == "fp16"


@needs_no_gpu
def test_an_engine_that_fits_stays(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (here / "generator.plan").read_bytes()
    monkeypatch.setattr(tensorrt_fit, "misfit", lambda *_: None)
    monkeypatch.setattr(tensorrt_fit, "build_engine", lambda *_: Built(b"", {}))
    assert rebuild_if_needed(here / "generator.plan", print) is False
    assert (here / "generator.plan").read_bytes() == before


@needs_no_gpu
def test_what_cannot_be_rebuilt_is_said(here: Path, generator: TrainedGenerator) -> None:
    plan, onnx = here / "generator.plan", here / "generator.onnx"
    found = from_elsewhere(plan).metadata
    other = found.replace(source={**found.source, "weights_sha256": "0" * 64}, engine={"version": "1.0"})
    artifact.write_sidecar(plan, other)
    with pytest.raises(ArtifactError, match=r"generator.onnx beside it are of different generators"):
        rebuild_if_needed(plan, print)
    onnx.unlink()
    with pytest.raises(ArtifactError, match=r"--rebuild needs \S+generator.onnx: copy it there"):
        rebuild_if_needed(plan, print)


@needs_no_gpu
def test_rebuild_on_the_command_line(
    tiny_export: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from_elsewhere(here / "generator.plan")
    monkeypatch.chdir(here)
    assert main(["sample", "--backend", "trt", "--model", "generator.plan", "-n", "64", "--rebuild"]) == 2
    built, line = capsys.readouterr().err.splitlines()
    assert built == "built generator.plan for this machine"
    assert "needs an NVIDIA GPU and its driver" in line
    assert main(["sample", "-n", "1", "--model", "generator.onnx", "--rebuild"]) == 2
    assert "--rebuild is for TensorRT engines" in capsys.readouterr().err
    monkeypatch.setattr(tensorrt_fit, "first_gpu", lambda: None)
    assert main(["sample", "-n", "1", "--model", "generator.plan", "--rebuild"]) == 2
    assert "--rebuild builds for this machine's GPU and it shows none" in capsys.readouterr().err


@needs_no_gpu
def test_export_for_gpus_that_are_not_here_on_the_command_line(
    tiny_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ["--checkpoint", str(tiny_export / exporter.REFERENCE), "--out", str(tmp_path)]
    assert main(["export", "--format", "trt", "--compute-capability", "8.6,12.0", *source]) == 0
    assert "not measured" in capsys.readouterr().out
    found = artifact.read(tmp_path / "generator.plan").metadata
    assert (found.engine or {})["compute_capabilities"] == ["8.6", "12.0"]
    assert main(["export", "--format", "trt", "--version-compatible", *source]) == 2
    assert "--version-compatible is TensorRT's" in capsys.readouterr().err
    assert main(["export", "--format", "onnx", "--hardware-compatible", *source]) == 2
    assert "--format onnx has no options of an engine" in capsys.readouterr().err


# The runtime


def test_without_tensorrt_the_line_says_what_to_install(
    generator: TrainedGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match=r"pip install .*\[trt-rtx\]"):
        list(exporter.export(generator, tmp_path, ["trt"]))
    with pytest.raises(BackendUnavailable, match=r"pip install .*\[trt-rtx\]"):
        load_tensorrt("tensorrt_rtx")
    with pytest.raises(BackendUnavailable, match="unknown TensorRT runtime 'os'"):
        load_tensorrt("os")  # metadata may name anything: it is never imported
    assert tensorrt_api.MODULES == {"tensorrt": "trt", "tensorrt_rtx": "trt-rtx"}


def test_an_engine_of_the_other_tensorrt_can_be_rebuilt_with_this_one(here: Path) -> None:
    if importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("both are installed")
    plan = here / "generator.plan"
    found = artifact.read(plan).metadata
    artifact.write_sidecar(plan, found.replace(engine={"runtime": "tensorrt"}))
    with pytest.raises(BackendUnavailable, match=r"\[trt\].*; or, with tensorrt_rtx, `wgan sample .* --rebuild`"):
        open_backend(plan)


def test_an_engine_never_runs_on_the_cpu(tiny_export: Path) -> None:
    with pytest.raises(BackendUnavailable, match="runs on CUDA only"):
        open_backend(tiny_export / "generator.plan", device="cpu")


def test_an_engine_gets_its_proof_where_it_can_run(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the ONNX artifact stands in for the engine's run, which needs a GPU
    for path in tiny_export.glob("generator*"):
        shutil.copy(path, tmp_path)
    plan = tmp_path / "generator.plan"
    monkeypatch.setattr("wgan.export.verify.open_artifact", lambda *_, **__: open_backend(tmp_path / "generator.onnx"))
    assert verify_file(plan).passed is True
    assert artifact.read(plan).metadata.proven
