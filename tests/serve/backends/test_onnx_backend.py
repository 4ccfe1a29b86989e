"""ONNX Runtime with the provider that was asked for, and with buffers of its own on the device."""

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from tests.make import make_generator
from wgan.cli import main
from wgan.export import exporter
from wgan.serve.artifacts import artifact
from wgan.serve.backends import gaps
from wgan.serve.backends.base import Options
from wgan.serve.backends.onnxrt import backend as onnx_backend
from wgan.serve.backends.onnxrt import engine_cache
from wgan.serve.backends.onnxrt import providers as onnx_providers
from wgan.serve.backends.onnxrt import verdict as onnx_verdict
from wgan.serve.backends.onnxrt.backend import CPU, CUDA, MOST, PROVIDERS, OnnxBackend
from wgan.serve.backends.onnxrt.binding import BoundSession
from wgan.serve.backends.onnxrt.cpu import CpuSession
from wgan.serve.backends.onnxrt.engine_cache import EngineCache
from wgan.serve.backends.open import open_backend
from wgan.serve.base.command import command
from wgan.serve.base.errors import BackendError, BackendUnavailable, ConfigError
from wgan.serve.latents.table import latents
from wgan.serve.machine.gpu import Driver, Gpu, gpu_count
from wgan.serve.machine.installer import installer

H100 = Gpu("NVIDIA H100", (9, 0), 80 * 2**30)
SIZES = (3, 8, 3, 1, 5, 7, 3, 8, 1)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = make_generator(classes=("a", "b", "c"), conditional=True)
    (made,) = exporter.export(generator, tmp_path_factory.mktemp("conditional"), ["onnx"], max_batch=4)
    return made.path


class FakeValue:
    """An OrtValue on a GPU: counts what goes to and fro."""

    def __init__(self, log: list[str], shape: list[int], dtype: Any, device: str, number: int):
        self.log, self.held = log, np.full(shape, 1 if dtype is np.int64 else np.nan, dtype)
        assert (device, number) == ("cuda", 0)
        log.append(f"take {tuple(shape)}")

    def update_inplace(self, data: np.ndarray, /) -> None:  # its name differs between versions
        assert data.flags.c_contiguous
        assert (data.shape, data.dtype) == (self.held.shape, self.held.dtype)
        self.held[...] = data
        self.log.append("in")

    def numpy(self) -> np.ndarray:
        self.log.append("out")
        return self.held.copy()


class FakeBinding:
    def __init__(self) -> None:
        self.inputs: dict[str, FakeValue] = {}
        self.output: FakeValue | None = None

    def bind_ortvalue_input(self, name: str, ortvalue: FakeValue) -> None:
        self.inputs[name] = ortvalue

    def bind_ortvalue_output(self, name: str, ortvalue: FakeValue) -> None:
        assert name == "image"
        self.output = ortvalue


class FakeSession:
    """A CUDA session whose arithmetic a real one does on the CPU."""

    log: list[str]
    last: "FakeSession"  # that was made
    starts = (CUDA, CPU)  # the providers that do not fail to load

    def __init__(
        self,
        data: bytes,
        options: ort.SessionOptions | None = None,
        providers: list[Any] | None = None,
        enable_fallback: bool = False,
    ):
        assert providers is not None
        assert enable_fallback is False
        self.log.append(f"session with TF32 override {os.environ.get('NVIDIA_TF32_OVERRIDE')}")
        self.asked = {entry[0]: entry[1] for entry in providers if isinstance(entry, tuple)}
        self.names = [entry[0] if isinstance(entry, tuple) else entry for entry in providers]
        self.real = ort.InferenceSession(data, options, providers=[CPU])
        FakeSession.last = self

    def get_providers(self) -> list[str]:
        return [name for name in self.names if name in self.starts] or [CPU]

    def run(self, output_names: list[str], input_feed: dict[str, np.ndarray]) -> Any:
        return self.real.run(output_names, input_feed)

    def io_binding(self) -> FakeBinding:
        self.log.append("bind")
        return FakeBinding()

    def run_with_iobinding(self, iobinding: FakeBinding) -> None:
        assert iobinding.output is not None
        values = {name: value.held for name, value in iobinding.inputs.items()}
        iobinding.output.held[...] = self.real.run(["image"], values)[0]
        self.log.append("run")


Pretend = Callable[..., list[str]]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pretend:
    """Puts a GPU and an ONNX Runtime on it in the place of the real one; returns what is called."""

    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def make(starts: tuple[str, ...] = tuple(PROVIDERS.values())) -> list[str]:
        log: list[str] = []
        session = type("Session", (FakeSession,), {"log": log, "starts": starts})
        values = SimpleNamespace(ortvalue_from_shape_and_type=lambda *given: FakeValue(log, *given))
        fake = SimpleNamespace(
            __version__="1.31.1",
            cuda_version="13.0",
            __file__=ort.__file__,
            __spec__=ort.__spec__,
            set_default_logger_severity=lambda level: None,
            SessionOptions=ort.SessionOptions,
            InferenceSession=session,
            OrtValue=values,
            get_available_providers=lambda: list(PROVIDERS.values()),
            preload_dlls=lambda: print("on stdout"),
        )
        monkeypatch.setitem(sys.modules, "onnxruntime", fake)
        monkeypatch.setattr(onnx_backend, "gpu_count", lambda: 1)
        monkeypatch.setattr(onnx_backend, "first_gpu", lambda: H100)
        monkeypatch.setattr(onnx_backend, "tensorrt_version", lambda ort: "101303")
        monkeypatch.setattr(onnx_verdict, "query_driver", lambda: Driver("580.82.07", (13, 0), (H100,)))
        return log

    return make


def test_what_the_fake_has_the_real_one_has_too() -> None:
    for fake, real in ((FakeValue, ort.OrtValue), (FakeBinding, ort.IOBinding), (FakeSession, ort.InferenceSession)):
        for name, method in vars(fake).items():
            if not name.startswith("_") and inspect.isfunction(method):
                mine, theirs = (list(inspect.signature(f).parameters.values()) for f in (method, getattr(real, name)))
                assert len(theirs) >= len(mine), name
                for own, other in zip(mine[1:], theirs[1:], strict=False):
                    assert own.kind is own.POSITIONAL_ONLY or own.name == other.name, name
    taken = list(inspect.signature(ort.OrtValue.ortvalue_from_shape_and_type).parameters)
    assert taken[:4] == ["shape", "element_type", "device_type", "device_id"]
    options = ort.SessionOptions()
    assert {"intra_op_num_threads", "log_severity_level"} <= set(dir(options))


def test_a_gpus_buffers_are_taken_once_a_batch_size_and_used_again(
    conditional: Path, pretend: Pretend, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.arange(8, dtype=np.int64) % 3
    with open_backend(conditional, device="cpu") as real:
        wanted = {size: real.run(latents(size, size, 16), labels[:size]) for size in SIZES}
    log = pretend()
    with open_backend(conditional, device="cuda") as backend:
        for size in SIZES:
            log.clear()
            images = backend.run(latents(size, size, 16), labels[:size])
            assert np.array_equal(images, wanted[size])
            fresh = log[:-4]
            assert log[-4:] == ["in", "in", "run", "out"]
            assert fresh in ([], [f"take ({size}, 16)", f"take ({size},)", f"take ({size}, 3, 32, 32)", "bind"])
        # the last used are kept: all but 5
        log.clear()
        for size in (7, 3, 8, 1):
            backend.run(latents(size, size, 16), labels[:size])
        assert "bind" not in log
        backend.run(latents(5, 5, 16), labels[:5])
        assert "bind" in log
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["generator.onnx", "generator.fp16.onnx"])
def test_bound_buffers_give_the_same_bits_as_a_plain_run(tiny_export: Path, name: str) -> None:
    opened = artifact.read(tiny_export / name)
    session = ort.InferenceSession(opened.data, providers=[CPU])
    # the real OrtValue and the real binding: the CPU has them too
    bound = BoundSession(ort, session, "cpu", opened.metadata.image.shape, opened.metadata.image.dtype)
    for size in SIZES:
        z = latents(size, size, 16)
        assert np.array_equal(bound.run({"z": z}), session.run(["image"], {"z": z})[0])


def test_tensorrt_gets_a_profile_for_every_batch_and_no_tf32(conditional: Path, pretend: Pretend) -> None:
    log = pretend()
    with OnnxBackend(artifact.read(conditional), options=Options("tensorrt")) as backend:
        assert FakeSession.last.names == [PROVIDERS["tensorrt"], CUDA, CPU]
        asked = FakeSession.last.asked[PROVIDERS["tensorrt"]]
        assert {name: value for name, value in asked.items() if "cache" not in name} == {
            "trt_fp16_enable": "0",
            "trt_profile_min_shapes": "z:1x16,label:1",
            "trt_profile_opt_shapes": "z:64x16,label:64",
            "trt_profile_max_shapes": "z:256x16,label:256",
        }
        assert FakeSession.last.asked[CUDA] == {"use_tf32": "0"}
        # the provider has no option for it, and nobody else in this process is to find it
        assert log == ["session with TF32 override 0"]
        assert os.environ["NVIDIA_TF32_OVERRIDE"] == "1"
        assert (backend.device, backend.provider, backend.metadata.max_batch) == ("cuda", "tensorrt", MOST)


def test_an_engine_is_kept_for_one_file_one_gpu_and_one_version(
    conditional: Path, tiny_export: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    retrained = make_generator(1, classes=("a", "b", "c"), conditional=True)
    (again,) = exporter.export(retrained, tmp_path / "again", ["onnx"], max_batch=4)
    pretend()

    def kept(path: Path = conditional) -> tuple[Path, Path]:
        with OnnxBackend(artifact.read(path), options=Options("tensorrt")):
            asked = FakeSession.last.asked[PROVIDERS["tensorrt"]]
        assert asked["trt_engine_cache_enable"] == asked["trt_timing_cache_enable"] == "1"
        return Path(asked["trt_engine_cache_path"]), Path(asked["trt_timing_cache_path"])

    folder, shared = kept()
    assert shared == tmp_path / "wgan" / "onnxruntime-1.31.1-tensorrt-101303-nvidia-h100-9.0"
    assert (folder.parent, folder.is_dir()) == (shared, True)
    assert kept() == (folder, shared)
    # another training of the same network, another network in fp16, another TensorRT, another GPU
    others = {kept(again.path)[0], kept(tiny_export / "generator.fp16.onnx")[0]}
    monkeypatch.setattr(onnx_backend, "tensorrt_version", lambda ort: "101600")
    others.add(kept()[0])
    monkeypatch.setattr(onnx_backend, "first_gpu", lambda: Gpu("NVIDIA L40", (8, 9), 48 * 2**30))
    others.add(kept()[0])
    assert len(others | {folder}) == 5


def test_a_cache_that_cannot_be_written_is_done_without(
    conditional: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend()
    (tmp_path / "wgan").write_text("a file where the folder would be")
    with OnnxBackend(artifact.read(conditional), options=Options("tensorrt")):
        assert not any("cache" in name for name in FakeSession.last.asked[PROVIDERS["tensorrt"]])


def test_a_kept_engine_that_does_not_load_is_built_anew(
    conditional: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend()
    session, tried = sys.modules["onnxruntime"].InferenceSession, []

    def made(model: bytes, settings: Any, providers: list[Any], **rest: Any) -> Any:
        folder = Path(providers[0][1]["trt_engine_cache_path"])
        tried.append(sorted(path.name for path in folder.iterdir()))
        if tried[-1]:
            raise RuntimeError("TensorRT EP could not deserialize engine from cache")
        return session(model, settings, providers, **rest)

    monkeypatch.setattr(sys.modules["onnxruntime"], "InferenceSession", made)
    cache = EngineCache(str(H100), "1.31.1 tensorrt 101303", {})
    with OnnxBackend(artifact.read(conditional), options=Options("tensorrt")):
        (folder,) = (path for path in cache.shared.iterdir() if path.is_dir())
    (folder / "half.engine").write_bytes(b"half an engine")
    with OnnxBackend(artifact.read(conditional), options=Options("tensorrt")):
        assert tried == [[], ["half.engine"], []]


def test_a_user_without_a_home_has_each_engine_built_anew(
    conditional: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend()
    monkeypatch.setattr(engine_cache, "cache_folder", lambda: None)
    with OnnxBackend(artifact.read(conditional), options=Options("tensorrt")):
        assert [name for name in FakeSession.last.asked[PROVIDERS["tensorrt"]] if "cache" in name] == []


def test_a_cuda_that_does_not_start_is_an_error_by_name_and_the_cpu_by_auto(
    conditional: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend((CPU,))  # dropped in silence
    monkeypatch.setattr(onnx_providers, "_lacks", lambda ort: "libcurand.so.10")
    monkeypatch.setattr(gaps, "installed", lambda package: None)  # no cuda-bindings: they would tell of no GPU
    gap = onnx_verdict.provider_gap("cuda")
    assert gap is not None
    assert str(gap) == (
        f"ONNX Runtime's CUDA lacks libcurand.so.10; to mend it: {installer()} 'onnxruntime-gpu[cuda,cudnn]'"
    )
    for device, options, option in (("cuda", None, "--device cuda"), ("auto", Options("cuda"), "--provider cuda")):
        with pytest.raises(BackendUnavailable) as caught:
            open_backend(conditional, device=device, options=options)
        assert str(caught.value) == f"{option}: {gap}"
    with open_backend(conditional) as backend:
        assert (backend.device, backend.notice) == ("cpu", f"runs on the CPU: {gap}")
        assert backend.run(latents(0, 2, 16), np.zeros(2, np.int64)).shape == (2, 3, 32, 32)
    assert capsys.readouterr() == ("", "")


def test_a_file_that_does_not_load_is_no_fault_of_cuda(conditional: Path, pretend: Pretend) -> None:
    pretend()
    opened = artifact.read(conditional)
    damaged = artifact.Artifact(opened.path, opened.metadata, b"no ONNX file")
    with pytest.raises(BackendError, match="ONNX Runtime cannot load"):
        OnnxBackend(damaged)


def test_tensorrts_provider_asks_for_the_tensorrt_that_it_is_linked_with(
    conditional: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = onnx_providers.tensorrt_wanted(ort)
    if wanted is None:
        pytest.skip("this ONNX Runtime has no TensorRT provider")
    assert wanted == 10
    pretend((CUDA, CPU))
    with pytest.raises(BackendUnavailable) as caught:
        open_backend(conditional, options=Options("tensorrt"))
    assert str(caught.value) == (
        "--provider tensorrt: ONNX Runtime 1.31.1 runs with TensorRT 10 alone, and libnvinfer.so.10 is not here; "
        f"to mend it: {installer()} 'tensorrt-cu13==10.*'"
    )


def test_what_does_not_go_together_is_refused(tiny_export: Path, conditional: Path) -> None:
    for device, options, says in (
        ("auto", Options("rocm"), "--provider rocm is not one of cpu, cuda, tensorrt"),
        ("cpu", Options("cuda"), "--provider cuda does not run on --device cpu"),
        ("cuda", Options("cpu"), "--provider cpu does not run on --device cuda"),
        ("cpu", Options(threads=0), "--threads 0 is outside its range, 1 to 1024"),
    ):
        with pytest.raises(ConfigError, match=says):
            open_backend(conditional, device=device, options=options)
    for options in (Options("cpu"), Options(threads=1)):
        with pytest.raises(
            ConfigError, match=r"--(provider|threads) is for the onnx backend, and .*\.ts is run by torchscript"
        ):
            open_backend(tiny_export / "generator.ts", options=options)


@pytest.mark.parametrize("name", ["generator.onnx", "generator.fp16.onnx"])
def test_neither_threads_nor_parts_change_a_bit(tiny_export: Path, name: str) -> None:
    for size in (1, 4, 32, 67):  # the last two are cut into parts
        z, found = latents(0, size, 16), []
        for threads in (1, 2, 3):
            with OnnxBackend(artifact.read(tiny_export / name), "cpu", Options(threads=threads)) as backend:
                found.append(backend.run(z))
                runner = backend._runner
                assert isinstance(runner, CpuSession)
                sessions = {"narrow": runner.narrow, **{k: v for k, v in vars(runner).items() if k == "wide"}}
                used = {key: value.get_session_options().intra_op_num_threads for key, value in sessions.items()}
                in_parts = threads > 1 and size >= 32
                assert used == ({"narrow": 1} if in_parts else {"narrow": 1, "wide": threads})
        assert all(np.array_equal(found[0], other) for other in found[1:])


def test_labels_stay_with_their_latents_in_parts(conditional: Path) -> None:
    z, labels = latents(0, 50, 16), np.arange(50, dtype=np.int64) % 3
    with OnnxBackend(artifact.read(conditional), "cpu", Options(threads=3)) as backend:
        whole = backend.run(z, labels)
        for i in (0, 17, 49):
            assert np.array_equal(backend.run(z[i : i + 1], labels[i : i + 1])[0], whole[i])


def test_a_part_that_fails_is_the_batchs_failure_and_the_next_batch_runs(conditional: Path) -> None:
    z, labels = latents(0, 50, 16), np.zeros(50, np.int64)
    with OnnxBackend(artifact.read(conditional), "cpu", Options(threads=2)) as backend:
        with pytest.raises(BackendError, match="ONNX Runtime"):
            backend._infer(z, np.where(np.arange(50) == 3, 99, labels))  # no such class, in the first part alone
        assert backend.run(z, labels).shape == (50, 3, 32, 32)


def test_threads_and_providers_on_the_command_line(
    tiny_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sample", "-n", "4", "--model", str(tiny_export / "generator.onnx"), "--out", str(tmp_path / "out.npy")]
    assert main([*words, "--threads", "4", "--provider", "cpu"]) == 0
    assert "onnx on cpu" in capsys.readouterr().out
    for backend, option in (("onnx", ["--provider", "rocm"]), ("torch", ["--threads", "2"])):
        model = words if backend == "onnx" else [*words[:4], str(tiny_export / "generator.pt"), *words[5:]]
        assert main([*model, *option]) == 2
        assert option[0] in capsys.readouterr().err
    if not gpu_count():
        for provider in ("cuda", "tensorrt"):
            assert main([*words, "--provider", provider]) == 2
            again = command(*words, "--provider", "cpu")
            says = f"wgan: --provider {provider}: this machine shows no CUDA device; use `{again}`\n"
            assert capsys.readouterr().err == says


def test_a_runtime_without_the_provider_is_said(conditional: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU])
    monkeypatch.setattr(onnx_backend, "gpu_count", lambda: 1)
    with pytest.raises(BackendUnavailable, match="--provider tensorrt: this ONNX Runtime has no TensorRT support: "):
        open_backend(conditional, options=Options("tensorrt"))


@pytest.mark.gpu
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_gpu_provider_gives_the_images_of_the_cpu(conditional: Path, provider: str) -> None:
    labels = np.arange(8, dtype=np.int64) % 3
    with (
        open_backend(conditional, device="cpu") as cpu,
        open_backend(conditional, options=Options(provider)) as gpu,
    ):
        for size in SIZES:
            z = latents(size, size, 16)
            assert np.abs(gpu.run(z, labels[:size]) - cpu.run(z, labels[:size])).max() <= 1e-3


def test_several_threads_may_run_it_on_the_cpu(tiny_export: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with open_backend(tiny_export / "generator.onnx", device="cpu") as backend:
        assert backend.concurrent
        z = latents(0, 64, backend.metadata.latent.dim)
        alone = [backend.run(z[start : start + 8]) for start in range(0, 64, 8)]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda start: backend.run(z[start : start + 8]), range(0, 64, 8)))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
