"""What `wgan export --format triton` writes, on a real tritonserver with a stand-in for its onnxruntime backend.

The server is fetched by `python scripts/triton_real.py fetch`. Where it is not there these tests are skipped.
"""

import io
import json
import platform
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton_real
import tritonclient.http as client
from PIL import Image
from tritonclient.utils import InferenceServerException

from tests import ROOT
from tests.make import make_generator
from tests.serve.http.protocol_client import CHECKS, Peer
from tests.serve.http.serving import wgan_serve
from wgan.cli import main
from wgan.export import exporter
from wgan.export.formats import triton
from wgan.serve.backends.open import open_backend
from wgan.serve.latents.table import latents
from wgan.serve.outputs.pixels import to_uint8

CLASSES = ("red", "blue", "green")
PATIENCE = 60.0  # seconds that a client waits, and that a test waits for what must come


@pytest.fixture(scope="module")
def install() -> triton_real.Install:
    import onnxruntime

    if triton_real.runtime() != f"onnxruntime=={onnxruntime.__version__}":
        pytest.skip(f"the bits of {triton_real.runtime()} are not those of {onnxruntime.__version__}, which is here")
    try:
        return triton_real.found()
    except triton_real.Missing as missing:
        pytest.skip(str(missing))


@dataclass
class Served:
    """A server, its repository, and the artifacts that are in it."""

    url: str
    repository: Path
    plain: Path
    named: Path

    def client(self) -> client.InferenceServerClient:
        return client.InferenceServerClient(self.url, connection_timeout=PATIENCE, network_timeout=PATIENCE)


@pytest.fixture(scope="module")
def served(
    install: triton_real.Install, tiny_export: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A plain generator and one with classes, of 8-bit pixels, on a server that looks for new versions."""
    place = tmp_path_factory.mktemp("served")
    list(exporter.export(make_generator(classes=CLASSES), place, ["onnx"], max_batch=4, output="uint8"))
    named = (place / "generator.uint8.onnx").rename(place / "named.onnx")
    for source in (named, tiny_export / "generator.onnx"):
        triton.write_repository(source, place / "triton", triton.Settings(threads=1))
    polls = ("--model-control-mode=poll", "--repository-poll-secs=1")
    with triton_real.running(install, place / "triton", *polls, log=place / "log") as (_, url):
        yield Served(url, place / "triton", tiny_export / "generator.onnx", named)


def tensor(name: str, values: np.ndarray, kind: str) -> client.InferInput:
    made = client.InferInput(name, list(values.shape), kind)
    made.set_data_from_numpy(values)
    return made


def images_of(server: client.InferenceServerClient, model: str, z: np.ndarray, label: np.ndarray | None = None) -> Any:
    inputs = [tensor("z", z, "FP32")]
    if label is not None:
        inputs.append(tensor("label", label[:, None], "INT64"))
    return server.infer(model, inputs).as_numpy("image")


def drawn(server: client.InferenceServerClient, companion: str, seeds: Sequence[int], **asked: Any) -> Any:
    """Its `pixels`."""
    count = len(seeds)
    inputs = [tensor("seed", np.array(seeds, np.int64)[:, None], "INT64")]
    if "label" in asked:
        inputs.append(tensor("label", np.full((count, 1), asked["label"], np.int64), "INT64"))
    if "truncation" in asked:
        inputs.append(tensor("truncation", np.full((count, 1), asked["truncation"], np.float32), "FP32"))
    parameters = {"truncation_kind": asked["kind"]} if "kind" in asked else None
    wanted = [client.InferRequestedOutput("pixels")]
    return server.infer(companion, inputs, outputs=wanted, parameters=parameters).as_numpy("pixels")


def sampled(model: Path, place: Path, *words: str) -> np.ndarray:
    """What `wgan sample` makes with these options."""
    command = ["sample", "--model", str(model), "--backend", "onnx", "--device", "cpu", "--out", str(place / "s.npy")]
    assert main([*command, *words]) == 0
    pixels: np.ndarray = np.load(place / "s.npy")
    return pixels


@pytest.mark.slow
def test_a_server_is_ready_and_tells_what_it_serves(served: Served) -> None:
    with served.client() as server:
        assert server.is_server_live()
        assert server.is_server_ready()
        assert server.get_server_metadata()["version"] == triton_real.TRITON
        for model in ("generator", "generator_seeds", "named", "named_seeds"):
            assert server.is_model_ready(model)
        plain, named = server.get_model_metadata("generator"), server.get_model_metadata("named")
        assert plain["inputs"] == [{"name": "z", "datatype": "FP32", "shape": [-1, 16]}]
        assert plain["outputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 32, 32]}]
        assert {"name": "label", "datatype": "INT64", "shape": [-1, 1]} in named["inputs"]
        assert named["outputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
        config = server.get_model_config("named")
        assert config["output"][0]["label_filename"] == "labels.txt"
        assert json.loads(config["parameters"]["wgan.classes"]["string_value"]) == list(CLASSES)
        assert config["parameters"]["intra_op_thread_count"]["string_value"] == "1"


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 7, 64, 256])
def test_images_have_the_bits_of_this_machines_backend(served: Served, count: int) -> None:
    z, label = latents(0, count, 16), np.arange(count) % len(CLASSES)
    with served.client() as server:
        plain = images_of(server, "generator", z)
        named = images_of(server, "named", z, label)
    with open_backend(served.plain, device="cpu") as backend:
        wanted = backend.run(z)
    with open_backend(served.named, device="cpu") as backend:
        wanted_named = backend.run(z, label)
    assert plain.tobytes() == wanted.tobytes()
    assert named.tobytes() == wanted_named.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["generator", "named"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_checks_of_wgan_serve_hold_here_too(served: Served, check: Callable[[Peer], None], model: str) -> None:
    with open_backend(served.plain if model == "generator" else served.named, device="cpu") as backend:
        check(Peer(served.url, model, backend))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["generator", "named"])
def test_wgan_serve_gives_the_same_bits(served: Served, tmp_path: Path, model: str) -> None:
    """The same calls of tritonclient; of seeds, Triton's answers are the companion's."""
    file, label = (served.plain, None) if model == "generator" else (served.named, np.array([2, 0, 1, 1]))
    z, seeds = latents(50, 4, 16), [2**63 - 1, 0, 7, 7]
    answers = []
    with wgan_serve(file, tmp_path) as ours:
        for url, companion in ((f"127.0.0.1:{ours.port}", model), (served.url, f"{model}_seeds")):
            with client.InferenceServerClient(url, connection_timeout=PATIENCE, network_timeout=PATIENCE) as server:
                asked = {} if label is None else {"label": 1}
                answers.append([images_of(server, model, z, label), drawn(server, companion, seeds),
                                drawn(server, companion, seeds, **asked)])  # fmt: skip
    for one, other in zip(*answers, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()


@pytest.mark.slow
def test_a_batch_that_is_too_large_is_refused(served: Served) -> None:
    with served.client() as server:
        for ask in (
            lambda: images_of(server, "generator", latents(0, 257, 16)),
            lambda: drawn(server, "generator_seeds", range(257)),
        ):
            with pytest.raises(InferenceServerException, match="batch-size must be <= 256") as refused:
                ask()
            assert refused.value.status() == "400"
        assert len(images_of(server, "generator", latents(0, 256, 16))) == 256


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "first", "words", "asked"),
    [
        ("generator", 7, (), {}),
        ("generator", 2**63 - 3, (), {}),
        ("generator", 0, ("--truncation", "0.7"), {"truncation": 0.7}),
        ("generator", 0, ("--truncation", "0.3", "--truncation-kind", "scaled"), {"truncation": 0.3, "kind": "scaled"}),
        ("named", 7, (), {}),
        ("named", 7, ("--label", "green"), {"label": 2}),
    ],
)
def test_seeds_are_the_images_of_a_sample(
    served: Served, tmp_path: Path, model: str, first: int, words: tuple[str, ...], asked: dict[str, Any]
) -> None:
    wanted = sampled(served.plain if model == "generator" else served.named, tmp_path,
                     "-n", "3", "--seed", str(first), *words)  # fmt: skip
    seeds = range(first, first + 3)
    with served.client() as server:
        np.testing.assert_array_equal(drawn(server, f"{model}_seeds", seeds, **asked), wanted)
        # in another order, one of them twice
        np.testing.assert_array_equal(
            drawn(server, f"{model}_seeds", [seeds[i] for i in (2, 0, 0)], **asked), wanted[[2, 0, 0]]
        )


@pytest.mark.slow
def test_what_cannot_be_drawn_costs_its_own_request_alone(served: Served, tmp_path: Path) -> None:
    wanted = sampled(served.named, tmp_path, "-n", "1", "--seed", "5")

    def ask(seed: int, **asked: Any) -> str:
        with served.client() as server:
            try:
                return str(np.array_equal(drawn(server, "named_seeds", [seed], **asked), wanted))
            except InferenceServerException as error:
                return f"{error.status()} {error.message()}"

    wrong: list[tuple[int, dict[str, Any]]] = [
        (-1, {}), (5, {"label": 3}), (5, {"truncation": 11.0}), (5, {"truncation": 0.5, "kind": "psi"})
    ]  # fmt: skip
    said = at_once(
        [lambda: ask(5)] * 4 + [lambda one=one: ask(one[0], **one[1]) for one in wrong] + [lambda: ask(5)] * 4
    )
    assert said[:4] == said[-4:] == ["True"] * 4
    assert said[4:-4] == [
        "400 seeds must be from 0 to 2^63 - 1, not -1",
        "400 label is outside its range, 0 to 2",
        "400 truncation 11 is outside its range, 0.001 to 10",
        "400 truncation-kind psi is not one of truncated, scaled",
    ]


@pytest.mark.slow
def test_the_written_client_draws_files_of_the_same_pixels(served: Served, tmp_path: Path) -> None:
    program = served.repository.parent / "client.py"  # of the generator that was written last
    command = [sys.executable, str(program), "--url", served.url, "--seed", "7", "-n", "3"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done

    wanted = sampled(served.plain, tmp_path, "-n", "3", "--seed", "7", "--truncation", "0.6")
    done = run("--truncation", "0.6")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"server": served.url, "images": 3, "out": "images"}
    for number, pixels in enumerate(wanted):
        file = (tmp_path / "images" / f"seed-{7 + number:06d}.png").read_bytes()
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file))), pixels)

    wanted = sampled(served.named, tmp_path, "-n", "3", "--seed", "7", "--label", "blue")
    assert run("--model", "named_seeds", "--label", "blue", "--out", "a.npy").returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), wanted)
    done = run("--model", "named_seeds", "--label", "pink")
    assert (done.returncode, done.stdout) == (2, "")
    assert "label pink is not one of red, blue, green" in done.stderr


@pytest.mark.slow
def test_the_example_draws_on_it(served: Served, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "triton_client.py"), served.url]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    z = np.random.default_rng(0).standard_normal((4, 16), np.float32)
    for number, pixels in enumerate(to_uint8(run_here(served.plain, z))):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"image-{number}.png")), pixels)


@pytest.mark.slow
def test_a_new_version_takes_over_without_a_lost_request(served: Served, tmp_path: Path) -> None:
    list(exporter.export(make_generator(seed=1), tmp_path, ["onnx"], max_batch=4))
    other = tmp_path / "generator.onnx"
    z = latents(3, 2, 16)
    old, new = (run_here(path, z).tobytes() for path in (served.plain, other))
    answers: Counter[str] = Counter()
    done = threading.Event()

    def ask() -> None:
        with served.client() as server:
            while not done.is_set():
                try:
                    image = images_of(server, "generator", z).tobytes()
                    answers["old" if image == old else "new" if image == new else "neither"] += 1
                except Exception as error:
                    answers[repr(error)] += 1
                if answers["new"] > 100:
                    done.set()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert triton.write_repository(other, served.repository, triton.Settings(threads=1)).version == 2
        assert done.wait(PATIENCE), answers
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {"old", "new"}
    with served.client() as server:
        assert server.get_model_metadata("generator")["versions"] == ["2"]
        assert len(drawn(server, "generator_seeds", [1, 2])) == 2


def run_here(path: Path, z: np.ndarray) -> np.ndarray:
    with open_backend(path, device="cpu") as backend:
        return backend.run(z)


def at_once(asks: Sequence[Callable[[], str]]) -> list[str]:
    """What each of them comes to, begun together; an error by its name."""
    said = [""] * len(asks)
    start = threading.Barrier(len(asks))

    def do(number: int) -> None:
        start.wait(PATIENCE)
        try:
            said[number] = asks[number]()
        except Exception as error:
            said[number] = repr(error)

    threads = [threading.Thread(target=do, args=(number,)) for number in range(len(asks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


@pytest.mark.slow
def test_a_server_with_too_much_to_do_refuses_and_one_that_ends_answers_what_it_took(
    install: triton_real.Install, tiny_export: Path, tmp_path: Path
) -> None:
    z = latents(0, 64, 16)
    wanted = run_here(tiny_export / "generator.onnx", z)
    asked = triton.Settings(max_batch=64, queue=6, wait=30)
    triton.write_repository(tiny_export / "generator.onnx", tmp_path / "t", asked)

    def ask(timeout: int | None = None) -> str:
        with client.InferenceServerClient(url, connection_timeout=PATIENCE, network_timeout=PATIENCE) as server:
            try:
                image = server.infer("generator", [tensor("z", z, "FP32")], timeout=timeout).as_numpy("image")
                return "right" if np.allclose(image, wanted, atol=1e-4) else "wrong"
            except InferenceServerException as error:
                reason = (error.message() or "").rpartition("] ")[2].partition(" for ")[0]
                return f"{error.status()} {reason}"

    slow = 0.5 / 64  # a batch takes half a second
    with triton_real.running(install, tmp_path / "t", "--exit-timeout-secs=60", log=tmp_path / "log", slow=slow) as up:
        process, url = up
        # six wait; what is being made, or is in the batch after it, is none of them
        answers = Counter(at_once([ask] * 16))
        assert set(answers) == {"right", "503 Exceeds maximum queue size"}
        assert answers["right"] >= 6
        # a client that waits less than the rest
        answers = Counter(at_once([ask, ask, lambda: ask(100_000), lambda: ask(100_000), lambda: ask(100_000)]))
        assert answers["right"] >= 2
        assert set(answers) == {"right", "503 Request timeout expired"}

        first = threading.Event()

        def told() -> str:
            answer = ask()
            first.set()
            return answer

        ends = threading.Thread(target=lambda: first.wait(PATIENCE) and process.terminate())
        ends.start()
        assert at_once([told] * 4) == ["right"] * 4
        ends.join()
        assert process.wait(PATIENCE) == 0


def test_a_server_that_was_not_fetched_is_missed_with_what_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(triton_real.Missing, match="python scripts/triton_real.py fetch"):
        triton_real.found(tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert triton_real.main(["--folder", str(tmp_path / "a"), "fetch"]) == 2
    assert capsys.readouterr().err == ("triton_real: the server is for Linux on x86-64 with Python 3.11, 3.12\n")
    assert not (tmp_path / "a").exists()
