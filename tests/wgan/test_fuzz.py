"""Whatever a file or a command line holds: a clear error or a right result, never a traceback."""

import contextlib
import copy
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from wgan.cli import main
from wgan.commands.bench import case
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.formats import FORMATS
from wgan.serve.artifacts.metadata import Metadata, checksum_of, parse
from wgan.serve.backends.open import open_backend
from wgan.serve.base.errors import ArtifactError, BackendError
from wgan.serve.bench import peak as bench_peak
from wgan.serve.bench import side_by_side as bench
from wgan.serve.doctor import diagnosis as doctor

# the same examples on every run, and none kept on disk
bounded = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

numbers = st.integers() | st.sampled_from([-1, 0, 2**31, 2**63, 2**64, 10**400]) | st.floats()
texts = st.text(max_size=20) | st.sampled_from(["", "../../etc/passwd", "\ud800", "a" * 10_000, "__class__", "onnx"])
leaves = st.none() | st.booleans() | numbers | texts
trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[list[int], str, Any]]:
    """Where to (by the number of a key at each level), what to do, and with what."""
    step = st.tuples(
        st.lists(st.integers(0, 30), min_size=1, max_size=3), st.sampled_from(["set", "drop", "add"]), trees
    )
    return draw(st.lists(step, min_size=1, max_size=4))


def mutate(values: dict[str, Any], steps: list[tuple[list[int], str, Any]]) -> dict[str, Any]:
    """The values with each step taken, where there is such a place."""
    values = copy.deepcopy(values)
    for place, action, value in steps:
        table, key = values, ""
        for number in place:
            if not isinstance(table.get(key, table), dict) or not table.get(key, table):
                break
            table = table.get(key, table)
            key = sorted(table)[number % len(table)]
        if action == "add":
            table[str(value)] = value
        elif key:
            table[key] = value
            if action == "drop":
                del table[key]
    return values


def parses_or_is_refused(text: str | bytes) -> Metadata | None:
    try:
        found = parse(text, "x.onnx")
    except ArtifactError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
        assert len(str(error)) < 300  # noqa: PT017
        return None
    assert parse(found.to_json(), "x.onnx") == found
    return found


@pytest.mark.slow
@bounded
@given(steps=mutations(), sealed=st.booleans())
def test_mutated_metadata_is_refused_or_means_what_it_says(
    tiny_export: Path, steps: list[tuple[list[int], str, Any]], sealed: bool
) -> None:
    values = mutate(json.loads((tiny_export / "generator.plan.json").read_text()), steps)
    if sealed:  # as somebody would who wants it to be believed
        with contextlib.suppress(ValueError):
            values["checksum"] = checksum_of(values)
    found = parses_or_is_refused(json.dumps(values))
    if found is not None:
        assert 1 <= found.latent.dim <= 2**16
        assert 1 <= found.image.channels <= 4
        assert found.max_batch is None or 1 <= found.max_batch <= 2**20


# what commands calculate with and print, beside mutations of anything
POINTED = st.sampled_from(
    [
        ("source", "flops"),
        *(("parity", name) for name in ("passed", "max_abs", "device", "reason", "gates", "finite")),
        ("latent", "dim"),
        ("image", "height"),
        ("classes",),
        ("max_batch",),
        ("created_with",),
    ]
)
ODD = (
    trees
    | st.lists(texts, min_size=1, max_size=3)
    | st.sampled_from(["many", 10**400, 10**9, 17, "\x1b[2J", ["a\x07"]])
)


def sealed_copy(folder: Path, name: str, change: Callable[[dict[str, Any]], dict[str, Any]], to: Path) -> Path | None:
    """The artifact with its metadata changed and sealed as by somebody who wants it to be believed.

    None where that is no JSON, or asks for batches that this machine need not compute.
    """
    found = artifact.read(folder / name)
    values = change(json.loads(found.metadata.to_json()))
    if isinstance(most := values.get("max_batch"), int) and most > 512:
        return None
    payload = found.data
    if name.endswith(".onnx"):
        model = onnx.load_from_string(found.data)
        del model.metadata_props[:]
        payload = model.SerializeToString()
        values["payload_sha256"] = artifact.payload_digest("onnx", payload)
    try:
        text = json.dumps(values | {"checksum": checksum_of(values)}).encode()
    except (ValueError, RecursionError):
        return None
    (to / name).write_bytes(FORMATS[found.metadata.format].container.join(payload, text))
    if name.endswith(".plan"):
        (to / f"{name}.json").write_bytes(text)
    return to / name


def pointed_at(values: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The values with this one at its place."""
    *tables, key = place
    inner = values
    for table in tables:
        inner = inner[table]
    inner[key] = value
    return values


def run_quietly(words: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.slow
@settings(bounded, max_examples=60)
@given(steps=mutations(), place=POINTED, value=ODD, pointed=st.booleans())
@pytest.mark.parametrize("name", ["generator.onnx", "generator.plan"])
def test_sealed_mutants_go_through_sample_bench_and_verify(
    tiny_export: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    steps: list[tuple[list[int], str, Any]],
    place: tuple[str, ...],
    value: Any,
    pointed: bool,
) -> None:
    def change(values: dict[str, Any]) -> dict[str, Any]:
        return pointed_at(values, place, value) if pointed else mutate(values, steps)

    shutil.copy(tiny_export / "generator.pt", tmp_path)
    path = sealed_copy(tiny_export, name, change, tmp_path)
    if path is None:
        return
    # each of its cases in this process: a child for each example would take hours
    monkeypatch.setattr(bench, "run_apart", lambda _, words: json.loads(json.dumps(case(*words, "0"))))
    monkeypatch.setattr(bench_peak, "run_apart", lambda *_: {"peak": 1e9})
    monkeypatch.chdir(tmp_path)
    few = ["--batch-sizes", "2", "--seconds", "1e-6"]
    for words in (
        ["sample", "--model", name, "-n", "2", "--out", "o.npy"],
        ["sample", "--model", name, "-n", "2", "--label", "none", "--out", "o.npy"],
        ["bench", "--model", ".", *few],
        ["verify", "--model", "."],
    ):
        for options in ([], ["--json"]):
            code, out, err = run_quietly([*words, "--device", "cpu", *options])
            assert code in (0, 1, 2)
            assert not set(out + err) & set("\x1b\x07")
            assert max(map(len, err.splitlines()), default=0) < 2100
            if options:
                assert isinstance(json.loads(out), dict)
            if words[0] == "bench":
                assert code == 0  # the checkpoint beside it is measured whatever the artifact says
                rows = json.loads(out)["rows"] if options else []
                assert not options or [row["file"] for row in rows if "error" not in row][-1] == "generator.pt"


NETWORK = st.sampled_from(["image_size", "base_channels", "depth", "attention", "latent_dim", "conditional"])


@bounded
@given(steps=mutations(), setting=NETWORK, value=ODD | st.integers(0, 64), pointed=st.booleans())
def test_sealed_weights_are_opened_or_one_line(
    tiny_export: Path, tmp_path: Path, steps: list[tuple[list[int], str, Any]], setting: str, value: Any, pointed: bool
) -> None:
    """The network is made of what the metadata says: whatever that is."""

    def change(values: dict[str, Any]) -> dict[str, Any]:
        return pointed_at(values, ("source", "config", setting), value) if pointed else mutate(values, steps)

    path = sealed_copy(tiny_export, "generator.safetensors", change, tmp_path)
    if path is None:
        return
    try:
        found = artifact.read(path)
    except ArtifactError:
        return
    try:
        with open_backend(path, device="cpu") as backend:
            assert backend.metadata == found.metadata
    except BackendError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
        assert len(str(error)) < 700  # noqa: PT017


@bounded
@given(text=st.binary(max_size=60) | st.text(max_size=60) | trees.map(json.dumps))
@example(text="[" * 50_000)
@example(text="1" * 50_000)
@example(text='{"schema": 1e999}')
def test_anything_at_all_is_refused_as_metadata(text: str | bytes) -> None:
    assert parses_or_is_refused(text) is None


@pytest.mark.parametrize("depth", [100, 300, 450, 480, 500, 700, 900, 950, 980, 990, 1000, 2000])
def test_nesting_of_any_depth_is_refused_or_read(tiny_export: Path, depth: int) -> None:
    values = json.loads((tiny_export / "generator.plan.json").read_text())
    text = json.dumps(values | {"source": "DEEP"}).replace('"DEEP"', '{"a":' * depth + "1" + "}" * depth)
    parses_or_is_refused(text)


def test_a_flipped_bit_that_says_compressed_is_no_traceback(tiny_export: Path, tmp_path: Path) -> None:
    content = bytearray((tiny_export / "generator.ts").read_bytes())
    with zipfile.ZipFile(tiny_export / "generator.ts") as archive:
        start = archive.start_dir
    for method in (8, 12, 14):  # deflate, bzip2, LZMA
        content[start + 10] = method
        (tmp_path / "generator.ts").write_bytes(content)
        with pytest.raises(ArtifactError, match="damaged"):
            artifact.read(tmp_path / "generator.ts")


@settings(bounded, max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize(
    "name", ["generator.onnx", "generator.ts", "generator.plan", "generator.plan.json", "generator.safetensors"]
)
def test_a_damaged_file_is_refused_or_still_means_the_same(
    tiny_export: Path, tmp_path: Path, name: str, data: st.DataObject
) -> None:
    content = (tiny_export / name).read_bytes()
    # the ends hold what tells where everything is
    edges = st.integers(0, min(400, len(content) - 1))
    at = data.draw(st.integers(0, len(content) - 1) | edges | edges.map(lambda n: len(content) - 1 - n))
    if data.draw(st.booleans()):
        damaged = content[:at]
    else:
        damaged = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    main_file = name.removesuffix(".json")
    for file in {main_file, name, f"{main_file}.json"}:
        if (tiny_export / file).exists():
            shutil.copy(tiny_export / file, tmp_path)
    (tmp_path / name).write_bytes(damaged)
    try:
        found = artifact.read(tmp_path / main_file)
    except ArtifactError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
        return
    # only what neither the digest nor the format looks at may have changed, such as a date in a zip archive
    assert found.metadata == artifact.read(tiny_export / main_file).metadata
    with contextlib.suppress(BackendError), open_backend(tmp_path / main_file, device="cpu"):
        pass


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
values = words | numbers.map(str) | st.sampled_from(["", "-", "--", "=", "a/b", "x" * 300, "/", ".", "1e9", "nan"])
devices = st.sampled_from(["auto", "cpu", "cuda", "tpu", ""])
SOURCES = st.sampled_from(["export/generator.onnx", "export/generator.ts", "export", "no.onnx", "x" * 300 + ".ts"])
OPTIONS: dict[str, dict[str, st.SearchStrategy[str]]] = {
    "sample": {
        "-n": st.sampled_from(["1", "2", "0", "-1", "x", "1.5", str(10**30), ""]),
        "--model": SOURCES | values,
        "--seed": values,
        "--batch-size": values,
        "--backend": st.sampled_from(["onnx", "trt", "torch"]) | values,
        "--run": values,
        "--out": st.sampled_from(["o", "o.npy", "o.npz", "o.tar", "o.png", "o.jpg", "export", "x" * 300, "no.npy/a"]),
        "--device": devices,
        "--truncation": values,
        "--truncation-kind": st.sampled_from(["scaled", "truncated"]) | values,
        "--latents": SOURCES | values,
        "--interpolate": st.integers(0, 2**64).map(str),  # with what follows it as the second seed
        "--steps": values,
        "--shard-size": st.sampled_from(["1", "2", "0", "-1", str(10**30)]) | values,
        "--shard": st.sampled_from(["1/2", "2/2", "3/2", "0/1", "1/0"]) | values,
    },
    "export": {
        "--format": st.sampled_from(["onnx", "triton", "tflite", ""]) | values,
        "--checkpoint": SOURCES | values,
        "--precision": values,
        "--opset": values,
        "--max-batch": values,
        "--out": values,
        "--run": values,
        "--triton-backend": values,
        "--triton-wait": values,
        "--triton-instances": values,
    },
    # it never gets further than its settings: there is no such run
    "train --resume --run no-such-run": {"--data": values, "--config": values, "--device": devices},
    "verify": {"--model": SOURCES | values, "--run": values, "--device": devices},
    "bench": {
        "--model": SOURCES | values,
        "--batch-sizes": st.just("") | words,
        "--seconds": values,
        "--precision": st.sampled_from(["fp32", "fp32,bf16", "int8"]) | values,
        "--provider": st.sampled_from(["cpu", "cuda", "tpu"]) | values,
        "--backends": values,
        "--device": devices,
    },
    "doctor": {"--backend": values, "--device": devices},
}
SETTINGS = ["lr_g", "steps", "image_size", "seed", "data", "precision", "nonsense"]


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    command = draw(st.sampled_from(sorted(OPTIONS)))
    found = command.split()
    options = OPTIONS[command]
    for name in draw(st.lists(st.sampled_from(sorted(options)), unique=True, max_size=5)):
        found += [name, draw(options[name])]
    if command.startswith("train"):
        found += draw(st.lists(st.builds("{}={}".format, st.sampled_from(SETTINGS), values) | values, max_size=3))
    if draw(st.booleans()):
        found.append("--json")
    return found


@pytest.fixture(scope="module")
def workplace(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an export folder, and no run."""
    folder = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(tiny_export, folder / "export")
    return folder


@pytest.mark.slow
@bounded
@given(line=command_lines())
@example(line=["verify", "--run", "x" * 300])
@example(line=["sample", "-n", "1", "--model", "x" * 300 + ".onnx", "--json"])
def test_any_command_line_ends_with_a_code_of_the_contract(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(doctor, "products_apart", lambda: None)  # a process and seconds each time
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(line)
    assert code in (0, 1, 2)
    assert "Traceback" not in err.getvalue()
    if code == 2 and "refused" not in out.getvalue():
        assert err.getvalue().splitlines()[-1].startswith("wgan: ")
    if "--json" in line and "--help" not in line:
        assert isinstance(json.loads(out.getvalue()), dict)
