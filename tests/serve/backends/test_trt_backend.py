"""The trt backend's order of calls, on a CUDA that finds every misuse and an engine that is a numpy function."""

import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.fakes import tensorrt as fake_tensorrt
from tests.fakes.cuda import FakeRuntime
from tests.fakes.tensorrt import EngineInvalidityDiagnostics, EngineValidity, FakeRtx, FakeTensorrt, TensorIOMode
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.metadata import ImageSpec, Latent, Metadata
from wgan.serve.backends.base import Backend, Batch
from wgan.serve.backends.open import open_backend
from wgan.serve.backends.trt import backend as trt_backend
from wgan.serve.backends.trt import fit as tensorrt_fit
from wgan.serve.backends.trt.backend import TrtBackend
from wgan.serve.backends.trt.engine import GRAPHS
from wgan.serve.base.errors import ArtifactError, BackendError, BackendUnavailable
from wgan.serve.latents.table import latents
from wgan.serve.machine.gpu import Gpu, first_gpu
from wgan.serve.outputs.pixels import to_uint8
from wgan.serve.sampling.sampler import sample

DIM, MOST, SHAPE = 6, 8, (3, 4, 5)
MIX = np.random.default_rng(0).standard_normal((DIM, 60)).astype(np.float32)
INPUTS = {"z": (TensorIOMode.INPUT, np.float32, (DIM,))}
LABEL = {"label": (TensorIOMode.INPUT, np.int64, ())}
IMAGE = {"image": (TensorIOMode.OUTPUT, np.float32, SHAPE)}
PLAIN, CONDITIONAL = {**INPUTS, **IMAGE}, {**INPUTS, **LABEL, **IMAGE}
SIZES = (8, 8, 8, 1, 8, 3, 3, 20, 8, 8, 17, 3, 5)
WHEN = ["late", "soon", 0, 1, 2, 3]
GPU = Gpu("Some GPU", (8, 6), 2**33)

Open = Callable[..., TrtBackend]


def truth(z: np.ndarray, label: np.ndarray | None = None) -> np.ndarray:
    """An image depends on its own row alone, bit for bit."""
    mixed = np.stack([np.tanh(row @ MIX) for row in z]).astype(np.float32)
    if label is not None:
        mixed += label.astype(np.float32)[:, None]
    return mixed.reshape(-1, *SHAPE)


def plan(folder: Path, classes: tuple[str, ...] | None = None, output: str = "float32", **changes: Any) -> Path:
    """An engine file; ``changes`` are of its metadata's `engine`."""
    path, payload = folder / "generator.plan", b"a plan"
    engine = {"runtime": "tensorrt", "version": "10.9.0.34", "compute_capabilities": ["8.6"]} | changes
    image = ImageSpec(SHAPE[1], SHAPE[2], SHAPE[0]).with_output(output)
    digest = artifact.payload_digest("trt", payload)
    metadata = Metadata("trt", "fp32", Latent(DIM), image, digest, max_batch=MOST, engine=engine, classes=classes)
    artifact.write(path, payload, metadata)
    return path


def pretend(monkeypatch: pytest.MonkeyPatch, runtime: FakeRuntime) -> None:
    """Puts the fake in the place of cuda-bindings, which need not be installed."""
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(runtime=runtime))


@pytest.fixture
def opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens an engine on the fakes; at the end everything must have been given back."""
    used: list[FakeRuntime] = []

    def open_on(
        runtime: FakeRuntime,
        tensors: dict[str, Any] = PLAIN,
        kind: type[FakeTensorrt] = FakeTensorrt,
        fail: tuple[str, int] = ("", 0),
        graphs: bool = True,
        output: str = "float32",
        compute: Callable[..., np.ndarray] = truth,
    ) -> TrtBackend:
        used.append(runtime)
        api = kind(runtime, compute, tensors, MOST, fail)
        pretend(monkeypatch, runtime)
        monkeypatch.setattr(tensorrt_fit, "load_tensorrt", lambda name=None: api)
        monkeypatch.setattr(trt_backend, "first_gpu", lambda: GPU)
        classes = tuple(map(str, range(64))) if "label" in tensors else None
        path = plan(tmp_path, classes, output, runtime=api.__name__, version=api.__version__)
        return TrtBackend(artifact.read(path), graphs=graphs)

    yield open_on
    assert [runtime.held() for runtime in used] == [{}] * len(used)


def rows(count: int, first: int = 0) -> np.ndarray:
    return latents(first, count, DIM)


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("kind", [FakeTensorrt, FakeRtx])
def test_any_number_of_images_is_served(opens: Open, when: str | int, kind: type[FakeTensorrt]) -> None:
    with opens(FakeRuntime(when), kind=kind) as backend:
        for count in (1, 7, 8, 9, 16, 30, 8, 8):
            images = backend.run(rows(count, first=count))
            assert np.array_equal(images, truth(rows(count, first=count))), count


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("tensors", [PLAIN, CONDITIONAL])
@pytest.mark.parametrize("graphs", [True, False])
def test_a_stream_gives_each_batch_in_order(
    opens: Open, when: str | int, tensors: dict[str, Any], graphs: bool
) -> None:
    def batches() -> Iterator[Batch]:
        for turn, size in enumerate(SIZES):
            z, labels = rows(size, first=100 * turn), np.arange(size, dtype=np.int64) + turn
            yield z, labels if tensors is CONDITIONAL else None
            z.fill(np.nan)  # the caller may use its arrays again

    with opens(FakeRuntime(when), tensors, graphs=graphs) as backend:
        found = 0
        for turn, images in enumerate(backend.stream(batches())):
            size = SIZES[turn]
            labels = np.arange(size, dtype=np.int64) + turn if tensors is CONDITIONAL else None
            assert np.array_equal(images, truth(rows(size, first=100 * turn), labels)), turn
            found += 1
    assert found == len(SIZES)


def test_seeds_become_pixels_through_the_stream(opens: Open) -> None:
    with opens(FakeRuntime("late")) as backend:
        made = list(sample(backend, 5, 27, MOST))
    assert [first for first, *_ in made] == [5, 13, 21, 29]
    assert np.array_equal(np.concatenate([pixels for _, pixels, _ in made]), to_uint8(truth(rows(27, first=5))))


def test_the_next_batch_is_queued_before_the_last_is_waited_for(opens: Open) -> None:
    runtime = FakeRuntime("late")

    def batches() -> Iterator[Batch]:
        for turn in range(4):
            runtime.calls.append(f"draw {turn}")
            yield (rows(8), None)

    with opens(runtime) as backend:
        runtime.calls.clear()
        for turn, _ in enumerate(backend.stream(batches())):
            runtime.calls.append(f"take {turn}")
        order = [call for call in runtime.calls if call[:4] in ("draw", "take") or call == "cudaEventSynchronize"]
    wait = "cudaEventSynchronize"
    assert order == [
        *("draw 0", "draw 1", wait, "take 0"),
        *("draw 2", wait, "take 1", "draw 3", wait, "take 2", wait, "take 3"),
    ]


def test_images_leave_while_the_next_batch_is_computed(opens: Open) -> None:
    runtime = FakeRuntime("late")
    with opens(runtime) as backend:
        stream = backend.stream([(rows(8), None), (rows(8), None), (rows(8), None)])
        assert np.array_equal(next(stream), truth(rows(8)))
        # the first images are here, and nothing of the second batch has had to run for them
        compute, copies = runtime.streams.values()
        assert len(compute.queue) == 3  # latents in, engine, to the slot
        assert len(copies.queue) == 2  # wait for that, images out
        stream.close()


def test_a_batch_size_that_comes_back_gets_a_graph(opens: Open) -> None:
    runtime = FakeRuntime("late")
    with opens(runtime) as backend:
        for turn in range(5):
            backend.run(rows(8, first=turn))
        count = Counter(runtime.calls)
        assert (count["cudaGraphInstantiate"], count["cudaGraphLaunch"]) == (1, 3)
        for size in (*range(1, 8), *range(1, 8)):  # too many for any to come back soon
            backend.run(rows(size))
        assert Counter(runtime.calls)["cudaGraphInstantiate"] == 1


def test_only_a_few_graphs_are_kept_and_those_are_the_last_used(opens: Open) -> None:
    runtime = FakeRuntime("late")

    def launches(size: int) -> int:
        before = Counter(runtime.calls)["cudaGraphLaunch"]
        assert np.array_equal(backend.run(rows(size)), truth(rows(size)))
        return Counter(runtime.calls)["cudaGraphLaunch"] - before

    with opens(runtime) as backend:
        for size in range(1, GRAPHS + 1):
            assert [launches(size) for _ in range(3)] == [0, 0, 1]
        assert launches(1) == 1
        assert [launches(GRAPHS + 1) for _ in range(3)] == [0, 0, 1]  # 2 had to go for it
        assert [launches(1), launches(2), launches(1)] == [1, 0, 1]
        assert len(runtime.executables) == GRAPHS
        assert not runtime.graphs


def test_a_graph_in_flight_is_not_given_back(opens: Open) -> None:
    with opens(FakeRuntime("late")) as backend:
        assert backend._engine is not None
        for size in range(1, GRAPHS + 2):
            for _ in range(3):
                backend._engine.enqueue(size)  # and nobody waits


def test_tensorrt_rtx_makes_its_own_graphs(opens: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[Any] = []
    create = fake_tensorrt.ICudaEngine.create_runtime_config
    monkeypatch.setattr(
        fake_tensorrt.ICudaEngine, "create_runtime_config", lambda self: configs.append(create(self)) or configs[-1]
    )
    for graphs, wanted in ((True, "WHOLE_GRAPH_CAPTURE"), (False, "DISABLED")):
        runtime = FakeRuntime("late")
        with opens(runtime, kind=FakeRtx, graphs=graphs) as backend:
            for _ in range(4):
                backend.run(rows(8))
        assert configs[-1].cuda_graph_strategy.name == wanted
        assert "cudaStreamBeginCapture" not in runtime.calls


def use(backend: TrtBackend) -> None:
    """Plain runs, a capture, launches, a remainder."""
    for images in backend.stream([(rows(size), None) for size in (8, 8, 8, 3, 20)]):
        assert np.isfinite(images).all()


CAPTURE = ("cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate", "cudaGraphDestroy")


def test_a_failure_of_any_cuda_call_is_told_and_frees_everything(opens: Open) -> None:
    def life(runtime: FakeRuntime) -> Iterator[str]:
        """Opens, uses and closes a backend; yields each failure that is told."""
        try:
            with opens(runtime) as backend:
                try:
                    use(backend)
                except BackendError as error:
                    yield str(error)
                for size in (19, 8, 8, 8):  # not disturbed by what failed before
                    assert np.array_equal(backend.run(rows(size)), truth(rows(size)))
                if backend.notice is not None:
                    yield backend.notice
        except BackendError as error:
            yield str(error)

    calm = FakeRuntime("late")
    assert list(life(calm)) == []
    for k in range(1, len(calm.calls) + 1):
        runtime = FakeRuntime("late", fail_at=k)
        (told,) = life(runtime)
        name = runtime.calls[k - 1]
        assert f"CUDA: {name} failed with cudaErrorInjected" in told
        # without a graph the images are right all the same
        assert ("runs without CUDA graphs" in told) is (name in CAPTURE)
        assert name not in CAPTURE or "cudaStreamBeginCapture" not in runtime.calls[k:]  # not tried again
        assert runtime.held() == {}, name


@pytest.mark.parametrize("kind", [FakeTensorrt, FakeRtx])
@pytest.mark.parametrize(
    ("method", "calls"),
    [
        ("deserialize_cuda_engine", 1),
        ("create_execution_context", 2),
        ("set_tensor_address", 4),
        ("set_input_shape", 4),
        ("execute_async_v3", 5),
    ],
)
def test_a_failure_of_tensorrt_is_one_line_and_frees_everything(
    opens: Open, kind: type[FakeTensorrt], method: str, calls: int
) -> None:
    messages = []
    for turn in range(1, calls + 1):
        runtime = FakeRuntime("late")
        try:
            with opens(runtime, kind=kind, fail=(method, turn)) as backend:
                use(backend)
        except BackendError as error:
            messages.append(str(error))
        assert runtime.held() == {}
    assert messages
    assert not any("\n" in message for message in messages)
    assert all("generator.plan" in message or "TensorRT failed" in message for message in messages)


@pytest.mark.parametrize(("method", "turn"), [("create_execution_context", 2), ("set_tensor_address", 3)])
def test_a_graph_that_gets_no_context_costs_speed_and_no_batch(opens: Open, method: str, turn: int) -> None:
    runtime = FakeRuntime("late")
    with opens(runtime, fail=(method, turn)) as backend:
        for size in (8, 8, 8, 3, 3, 20):
            assert np.array_equal(backend.run(rows(size)), truth(rows(size)))
        assert backend.notice is not None
        assert "generator.plan runs without CUDA graphs: " in backend.notice
    assert "cudaStreamBeginCapture" not in runtime.calls


def test_images_of_an_abandoned_stream_are_not_mixed_up(opens: Open) -> None:
    with opens(FakeRuntime("late")) as backend:
        stream = backend.stream([(rows(8, first=turn), None) for turn in range(5)])
        next(stream)
        with pytest.raises(BackendError, match="is in use: take all images of one stream"):
            backend.run(rows(3))
        stream.close()
        assert np.array_equal(backend.run(rows(3)), truth(rows(3)))


def test_a_closed_backend_says_so(opens: Open) -> None:
    backend = opens(FakeRuntime("late"))
    stream = backend.stream([(rows(8), None), (rows(8), None), (rows(8), None)])
    next(stream)
    backend.close()
    backend.close()
    for use_it in (lambda: next(stream), lambda: backend.run(rows(1))):
        with pytest.raises(BackendError, match="has been closed"):
            use_it()


def test_inputs_that_the_engine_does_not_take_are_refused(opens: Open) -> None:
    z, labels = rows(4), np.zeros(4, np.int64)
    with opens(FakeRuntime("late")) as plain:
        for bad in ((z, labels), (z[:, :3], None), (z.astype(np.float64), None), (z[:0], None)):
            with pytest.raises(BackendError, match="has no classes|must be float32"):
                list(plain.stream([bad]))
        assert np.array_equal(plain.run(z), truth(z))
    with opens(FakeRuntime("late"), CONDITIONAL) as conditional:
        for wrong in ((z, None), (z, labels[:3]), (z, labels.astype(np.int32)), (z, labels - 1)):
            with pytest.raises(BackendError, match=r"needs labels int64 \(4,\)|go from 0 to 63"):
                list(conditional.stream([wrong]))
        assert np.array_equal(next(conditional.stream([(z, labels)])), truth(z, labels))


@pytest.mark.parametrize(
    "tensors",
    [
        {**INPUTS, "pixels": IMAGE["image"]},
        {"noise": INPUTS["z"], **IMAGE},
        {"z": (TensorIOMode.INPUT, np.float32, (DIM + 1,)), **IMAGE},
        {**INPUTS, "image": (TensorIOMode.OUTPUT, np.float32, (3, -1, 5))},
    ],
)
def test_an_engine_that_is_not_what_its_metadata_says_is_refused(opens: Open, tensors: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match=r"not the generator of its metadata|metadata says|only N may be dynamic"):
        opens(FakeRuntime("late"), tensors)


def test_an_engine_of_another_largest_batch_is_refused(opens: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        fake_tensorrt.ICudaEngine, "get_tensor_profile_shape", lambda *_: [(1, DIM), (2, DIM), (4, DIM)]
    )
    with pytest.raises(
        ArtifactError, match=r"takes z float32 \(4, 6\) at most, its metadata says float32 \(8, 6\): export it again"
    ):
        opens(FakeRuntime("late"))


PIXELS = {**INPUTS, "image": (TensorIOMode.OUTPUT, np.uint8, (4, 5, 3))}


def test_an_engines_own_pixels_come_out_as_they_are(opens: Open) -> None:
    runtime = FakeRuntime("late")
    with opens(runtime, PIXELS, output="uint8", compute=lambda z: to_uint8(truth(z))) as backend:
        (images,) = backend.stream([(rows(7), None)])
        assert images.dtype == np.uint8
        assert np.array_equal(images, to_uint8(truth(rows(7))))
        assert MOST * 60 in {len(memory) for memory in runtime.device.values()}
        # batches overwrite each other's memory: what the sampler gives must be its own
        made = [pixels for _, pixels, _ in sample(backend, 5, 27, 8)]
        assert np.array_equal(np.concatenate(made), to_uint8(truth(rows(27, first=5))))


@pytest.mark.parametrize(("tensors", "output"), [(PIXELS, "float32"), (PLAIN, "uint8")])
def test_an_engine_that_gives_another_image_than_its_metadata_says_is_refused(
    opens: Open, tensors: dict[str, Any], output: str
) -> None:
    with pytest.raises(ArtifactError, match=r"gives image \w+ \([345], [345], [345]\), its metadata says \w+ \("):
        opens(FakeRuntime("late"), tensors, output=output)


ELSEWHERE: list[tuple[dict[str, Any], str]] = [
    (
        {"version": "10.8.0.43"},
        "was built by tensorrt 10.8.0.43 for compute capability 8.6, here is tensorrt 10.9.0.34",
    ),
    ({"compute_capabilities": ["7.5"]}, "for compute capability 7.5, here is tensorrt 10.9.0.34 on Some GPU (8.6)"),
    ({"compute_capabilities": "8.6"}, "for compute capability unknown"),
    ({"version": "1\n\x1b[2J" + "x" * 5000}, "was built by tensorrt 1??[2Jxxx"),
    ({"version": "1", "gpu": "A\u202eB" + "x" * 5000}, "capability 8.6 (A?Bxxx"),
    ({"compute_capabilities": ["\n" * 5000]}, "for compute capability ????"),
    ({"version_compatible": True, "version": "9" * 5000}, "runs on later versions, not on earlier ones"),
    ({"version_compatible": True, "version": "10.10.0.0"}, "runs on later versions, not on earlier ones"),
    ({"hardware_compatible": True, "old": True}, "was built for every GPU from compute capability 8.0 on"),
]


def test_an_engine_that_brings_code_is_loaded_only_where_that_is_allowed(opens: Open, tmp_path: Path) -> None:
    opens(FakeRuntime()).close()
    with pytest.raises(BackendUnavailable, match=r"brings code that runs on the CPU; .* set WGAN_TRUST_ENGINES=1"):
        open_backend(plan(tmp_path, version_compatible=True))


@pytest.mark.parametrize(("changes", "says"), ELSEWHERE)
def test_an_engine_from_elsewhere_is_refused_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], says: str
) -> None:
    runtime = FakeRuntime()
    api = FakeTensorrt(runtime, truth, PLAIN, MOST, ("deserialize_cuda_engine", 1))
    gpu = Gpu("Old GPU", (7, 0), 2**33) if "old" in changes else GPU
    pretend(monkeypatch, runtime)
    monkeypatch.setattr(tensorrt_fit, "load_tensorrt", lambda name=None: api)
    monkeypatch.setattr(trt_backend, "first_gpu", lambda: gpu)
    monkeypatch.setenv(tensorrt_fit.TRUST, "1")
    path = plan(tmp_path, **changes)
    with pytest.raises(BackendUnavailable) as caught:
        open_backend(path)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))
    assert str(caught.value).isprintable()
    assert "put generator.onnx beside it and add --rebuild" in str(caught.value)
    (tmp_path / "generator.onnx").touch()
    with pytest.raises(BackendUnavailable, match=r"`wgan sample --model \S+ -n 1 --rebuild` builds it anew"):
        open_backend(path)
    assert runtime.calls == []


@pytest.mark.parametrize(
    "changes",
    [
        {"version_compatible": True, "version": "10.8.0.43"},
        {"hardware_compatible": True, "compute_capabilities": ["8.0"]},
    ],
)
def test_a_compatible_engine_is_loaded_elsewhere(
    opens: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    opens(FakeRuntime()).close()
    monkeypatch.setenv(tensorrt_fit.TRUST, "1")
    with open_backend(plan(tmp_path, **changes)) as backend:
        assert isinstance(backend, Backend)
        # only such an engine may bring code of its own
        assert tensorrt_fit.load_tensorrt()._host_code is ("version_compatible" in changes)
        assert np.array_equal(backend.run(rows(8)), truth(rows(8)))


def test_tensorrt_rtx_judges_by_the_header(opens: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeRtx, "_validity", (EngineValidity.SUBOPTIMAL, 0))
    opens(FakeRuntime(), kind=FakeRtx).close()
    faults = EngineInvalidityDiagnostics.UNSUPPORTED_CC | EngineInvalidityDiagnostics.OLD_CUDA_DRIVER
    monkeypatch.setattr(FakeRtx, "_validity", (EngineValidity.INVALID, int(faults)))
    with pytest.raises(BackendUnavailable, match=r"UNSUPPORTED_CC, OLD_CUDA_DRIVER; put generator.onnx"):
        opens(FakeRuntime(), kind=FakeRtx)


def real_modules() -> list[tuple[ModuleType, type[FakeTensorrt]]]:
    lean = pytest.importorskip("tensorrt_lean_bindings", reason="tensorrt-lean is for Linux on x86-64 alone")
    return [(lean, FakeTensorrt), (pytest.importorskip("tensorrt_rtx"), FakeRtx)]


def public(what: Any) -> set[str]:
    return {name for name in vars(what) if not name.startswith("_") and name not in ("name", "value")}


def test_the_real_bindings_have_all_that_the_run_path_uses() -> None:
    for real, fake in real_modules():
        names = {name for kind in fake.__mro__[:-1] for name in public(kind)}
        assert names - public(real) == set(), real.__name__
        for name in names:
            if inspect.isclass(found := getattr(fake, name)):
                assert public(found) - set(dir(getattr(real, name))) == set(), (real.__name__, name)
        runtime = fake._runtime()
        for kind in (*runtime.__mro__[:-1], fake_tensorrt.ICudaEngine, fake_tensorrt.IExecutionContext):
            there = dir(getattr(real, kind.__name__.removeprefix("Rtx")))
            wanted = public(kind) - {"create_runtime_config"} if fake is FakeTensorrt else public(kind)
            assert wanted - set(there) == set(), (real.__name__, kind)
    assert "cuda_graph_strategy" in dir(real_modules()[1][0].IRuntimeConfig)


def test_the_real_cuda_takes_the_arguments_of_every_call(opens: Open) -> None:
    if first_gpu() is not None:
        pytest.skip("this machine has a GPU: the real calls would be made with the fake's handles")
    real_runtime = pytest.importorskip("cuda.bindings.runtime")

    class Both(FakeRuntime):
        """Also makes each call for real, which converts the arguments and then finds no driver."""

        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if not name.startswith("cuda"):
                return found
            real = getattr(real_runtime, name)
            if not callable(found):
                return real  # the constants and enumerations are the real ones

            def call(*arguments: Any) -> Any:
                status, *results = real(*arguments)
                assert int(status) != 0
                made = found(*arguments)
                assert len(made) == 1 + len(results)
                return made

            return call

    runtime = Both("late")
    with opens(runtime) as backend:
        use(backend)
        for size in (1, 1, 2, 2, 3, 4, 4, 5, 5):  # until a graph is given up
            backend.run(rows(size))
    calls = {name for name in vars(FakeRuntime) if name.startswith("cuda") and callable(getattr(FakeRuntime, name))}
    assert calls == set(runtime.calls)


@pytest.mark.gpu
def test_a_real_engine_serves_any_number_like_the_onnx_file(tiny_export: Path) -> None:
    z = latents(0, 250, 16)  # the engine takes 96
    with open_backend(tiny_export / "generator.onnx", device="cpu") as onnx:
        wanted = onnx.run(z)
    with open_backend(tiny_export / "generator.plan", device="cuda") as backend:
        for _ in range(3):  # plain, captured, launched
            assert np.abs(backend.run(z) - wanted).max() <= 1e-3
        sizes = [64, 64, 64, 7, 64, 1, 200]
        for size, images in zip(sizes, backend.stream((z[:size], None) for size in sizes), strict=True):
            assert np.abs(images - wanted[:size]).max() <= 1e-3
        assert backend.notice is None
