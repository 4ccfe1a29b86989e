"""Artifacts carry their metadata, and are refused when anything of them is not as it was made."""

import hashlib
import json
import math
import re
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from wgan.serve.artifacts import artifact, metadata
from wgan.serve.artifacts.metadata import ImageSpec, Latent, Metadata, parse
from wgan.serve.backends.open import open_backend
from wgan.serve.base.errors import ArtifactError

FILES = ("generator.onnx", "generator.ts", "generator.plan", "generator.safetensors", "generator.fp16.onnx")


@pytest.mark.parametrize("name", FILES)
def test_an_artifact_says_what_it_is(tiny_export: Path, name: str) -> None:
    found = artifact.read(tiny_export / name).metadata
    assert (found.latent.dim, found.latent.distribution) == (16, "normal")
    assert (found.image.channels, found.image.height, found.image.width) == (3, 32, 32)
    assert found.precision == ("fp16" if "fp16" in name else "fp32")
    assert found.opset == (None if name.endswith((".ts", ".safetensors")) else 11)
    assert found.source["step"] == 7
    assert found.source["config"]["base_channels"] == 8
    assert found.created_with["torch"] == torch.__version__
    assert found.proven or name.endswith(".plan")


@pytest.mark.filterwarnings("ignore:.torch.jit.load")
def test_other_readers_find_the_metadata_where_the_contract_says(tiny_export: Path) -> None:
    model = onnx.load(tiny_export / "generator.onnx")
    in_onnx = {entry.key: entry.value for entry in model.metadata_props}["wgan"]
    extra = {"wgan.json": ""}
    torch.jit.load(tiny_export / "generator.ts", _extra_files=extra)
    beside = (tiny_export / "generator.plan.json").read_text()
    for text, kind in ((in_onnx, "onnx"), (extra["wgan.json"], "torchscript"), (beside, "trt")):
        assert json.loads(text)["format"] == kind


def copy(folder: Path, name: str, to: Path) -> Path:
    for file in (name, name + ".json"):
        if (folder / file).exists():
            shutil.copy(folder / file, to / file)
    return to / name


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [truncate, flip, empty, noise])
def test_a_damaged_file_is_refused_in_one_line(
    tiny_export: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    path = copy(tiny_export, name, tmp_path)
    damage(path)
    with pytest.raises(ArtifactError, match="damaged|empty|no wgan metadata") as caught:
        artifact.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_every_byte_of_an_onnx_file_counts(tiny_export: Path, tmp_path: Path) -> None:
    path = copy(tiny_export, "generator.onnx", tmp_path)
    data = path.read_bytes()
    for position in range(0, len(data), len(data) // 60):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(ArtifactError):
            artifact.read(path)


def test_a_file_without_our_metadata_is_refused(tiny_export: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_export / "generator.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "a.onnx")
    with zipfile.ZipFile(tmp_path / "a.ts", "w") as archive:
        archive.writestr("a/data.pkl", b"x")
    shutil.copy(tiny_export / "generator.plan", tmp_path / "a.plan")
    (tmp_path / "a.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    for name in ("a.onnx", "a.ts", "a.plan", "a.safetensors"):
        with pytest.raises(ArtifactError, match="carries no wgan metadata"):
            artifact.read(tmp_path / name)


def archive_of(path: Path, entries: dict[str, int], how: int = zipfile.ZIP_DEFLATED) -> Path:
    """A TorchScript file as far as its container goes: zeros under each name."""
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, size in entries.items():
            archive.writestr(f"a/{name}", bytes(size))
    return path


def peak_of_refusing(path: Path) -> int:
    """The bytes of memory that Python took at most until the file was refused as damaged."""
    tracemalloc.start()
    try:
        with pytest.raises(
            ArtifactError,
            match="is damaged or no TorchScript file: copy it again, or run `wgan export ",
        ):
            artifact.read(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_archive_that_unpacks_to_far_more_than_it_weighs_is_refused(tmp_path: Path) -> None:
    for name in ("data/0", "extra/wgan.json"):
        assert peak_of_refusing(archive_of(tmp_path / "a.ts", {name: 2**26})) < 2**22
    # one that states less than it unpacks to
    path = archive_of(tmp_path / "a.ts", {"data/0": 2**26})
    size, small = (2**26).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    assert path.read_bytes().count(size) == 2
    path.write_bytes(path.read_bytes().replace(size, small))
    assert peak_of_refusing(path) < 2**23
    # weights enough that the archive as a whole has no odd size
    path = archive_of(tmp_path / "a.ts", {"data/0": 2**23, "extra/wgan.json": 2**22 + 1}, zipfile.ZIP_STORED)
    with pytest.raises(ArtifactError, match="is damaged or no TorchScript file"):
        artifact.read(path)


def test_a_file_beyond_the_free_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_bytes(path: Path) -> bytes:
        raise MemoryError

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    for name in ("a.onnx", "a.ts", "a.plan", "a.safetensors"):
        with pytest.raises(ArtifactError, match="is larger than the memory that is free here"):
            artifact.read(tmp_path / name)


def test_changed_weights_are_refused_even_in_a_well_formed_file(tiny_export: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_export / "generator.onnx")
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
    weights.flat[0] += 1e-3
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, model.graph.initializer[0].name))
    onnx.save(model, tmp_path / "generator.onnx")
    with pytest.raises(ArtifactError, match="damaged"):
        artifact.read(tmp_path / "generator.onnx")


def test_a_wrong_ending_is_said(tiny_export: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="endings are .onnx, .ts, .plan, .safetensors"):
        artifact.read(tmp_path / "generator.pth")
    with pytest.raises(ArtifactError, match="no file"):
        artifact.read(tmp_path / "generator.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifact.read(tmp_path / "folder.onnx")


def values(tiny_export: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((tiny_export / "generator.plan.json").read_text())
    return found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 2}, "newer wgan"),
        ({"schema": None}, "schema is None"),
        ({"format": "exe"}, "format is 'exe'"),
        ({"precision": 7}, "precision is 7"),
        ({"latent": None}, "latent is None"),
        ({"latent": {"dim": 10**12, "distribution": "normal"}}, "latent.dim is 1000000000000"),
        ({"latent": {"dim": True, "distribution": "normal"}}, "latent.dim is True"),
        ({"latent": {"dim": 4, "distribution": "__import__('os')"}}, "latent.distribution"),
        ({"image": {"height": -1}}, "image.height is -1"),
        ({"payload_sha256": "0"}, "payload_sha256"),
        ({"classes": ["a", 3]}, "classes"),
        ({"classes": []}, "classes"),
        ({"opset": "11"}, "opset"),
        ({"max_batch": 0}, "max_batch"),
        ({"engine": []}, "engine"),
        ({"source": "../../etc"}, "source"),
        ({"parity": 1}, "parity"),
        ({"parity": None}, "damaged"),
        ({"created_with": {"torch": float("nan")}}, "damaged"),
    ],
)
def test_hostile_metadata_names_the_field(tiny_export: Path, change: dict[str, object], says: str) -> None:
    with pytest.raises(ArtifactError, match=says.replace("(", r"\(").replace(")", r"\)")) as caught:
        parse(json.dumps(values(tiny_export) | change), "x.onnx")
    assert "\n" not in str(caught.value)


def sealed(values: dict[str, Any]) -> str:
    """Metadata as a file holds it, with the checksum of its other fields."""
    rest = {name: value for name, value in values.items() if name != "checksum"}
    return json.dumps(rest | {"checksum": hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()})


SMALL = Metadata("onnx", "fp32", Latent(4), ImageSpec(8, 8, 3), "0" * 64)
BOUNDS: list[tuple[str, list[Any], list[Any]]] = [
    ("schema", [1], [0, 1.0]),
    ("latent.dim", [1, 65_536], [0, 65_537, 4.0]),
    ("image.height", [1, 16_384], [0, 16_385]),
    ("image.width", [1, 16_384], [0, 16_385]),
    ("image.channels", [1, 3, 4], [0, 2, 5]),
    ("image.range", [[-1.0, 1.0], [-1, 1]], [[0.0, 1.0], [-1.0, True], [-1.0], None]),
    ("image.layout", ["NCHW"], ["NHWC", None]),
    ("opset", [1, 1000, None], [0, 1001]),
    ("max_batch", [1, 1_048_576, None], [0, 1_048_577]),
    ("payload_sha256", ["0" * 64], ["0" * 63, "0" * 65, 7]),
    ("source.flops", [0, 1e18, None], [-1, 1.1e18, True, "1"]),
    ("parity.max_abs", [-1e100, 1e100, None], [-1.1e100, 1.1e100, False, "0"]),
    ("parity.passed", [True, False, None], [1, "true"]),
    ("parity.device", ["a" * 40, None], ["a" * 41, 1]),
    ("parity.reference", ["a" * 200, None], ["a" * 201, 1]),
    ("parity.reason", ["a" * 10_000, None], ["a" * 10_001, 1]),
    ("parity.gates", [{"max_abs": 1e100}, {}, None], [{"max_abs": 1.1e100}, {"max_abs": True}, [1.0]]),
    ("classes", [["a", "b"], None], [[], ["a", 1], "ab"]),
    ("engine", [{}, None], [[], "x"]),
]


def test_a_fourth_channel_is_straight_alpha_and_nothing_else() -> None:
    own = SMALL.replace(image=ImageSpec(8, 8, 4))
    written = json.loads(own.to_json())
    assert written["image"]["alpha"] == "straight"
    assert parse(own.to_json(), "x.onnx") == own
    assert "alpha" not in json.loads(SMALL.to_json())["image"]
    for other in ("premultiplied", None, 1):
        written["image"]["alpha"] = other
        with pytest.raises(ArtifactError, match=r"x\.onnx: metadata field image\.alpha is .*, not one of straight"):
            parse(sealed(written), "x.onnx")


@pytest.mark.parametrize(("name", "inside", "outside"), BOUNDS, ids=[name for name, *_ in BOUNDS])
def test_a_fields_bounds_are_in_and_what_is_beyond_is_named(name: str, inside: list[Any], outside: list[Any]) -> None:
    *parents, last = name.split(".")
    for wanted, fits in [*((value, True) for value in inside), *((value, False) for value in outside)]:
        changed: dict[str, Any] = json.loads(SMALL.to_json())
        place = changed
        for parent in parents:
            place[parent] = place.get(parent) or {}
            place = place[parent]
        place[last] = wanted
        if fits:
            held = json.loads(parse(sealed(changed), "x.onnx").to_json())
            for parent in parents:
                held = held[parent]
            assert held[last] == wanted
        else:
            with pytest.raises(ArtifactError, match=re.escape(f"x.onnx: metadata field {name} is ")):
                parse(sealed(changed), "x.onnx")


def test_an_image_is_one_of_two_outputs() -> None:
    image = ImageSpec(8, 16, 3)
    assert (image.range, image.layout, image.dtype, image.shape) == ((-1.0, 1.0), "NCHW", "float32", (3, 8, 16))
    pixels = image.with_output("uint8")
    assert (pixels.range, pixels.layout, pixels.dtype, pixels.shape) == ((0, 255), "NHWC", "uint8", (8, 16, 3))
    assert pixels.with_output("float32") == image


@pytest.mark.parametrize(("passed", "proven", "disproven"), [(True, True, False), (False, False, True), (None,) * 3])
def test_only_a_measured_parity_proves_or_disproves(
    passed: bool | None, proven: bool | None, disproven: bool | None
) -> None:
    found = parse(sealed(json.loads(SMALL.to_json()) | {"parity": {"passed": passed}}), "x.onnx")
    assert (found.proven, found.disproven) == (bool(proven), bool(disproven))
    unmeasured = parse(sealed(json.loads(SMALL.to_json()) | {"parity": None}), "x.onnx")
    assert (unmeasured.proven, unmeasured.disproven) == (False, False)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, b"\xff\xfe"])
def test_metadata_that_is_no_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ArtifactError, match="metadata is"):
        parse(text, "x.onnx")


def test_metadata_survives_the_round_trip(tiny_export: Path) -> None:
    found = artifact.read(tiny_export / "generator.onnx").metadata
    assert parse(found.to_json(), "x").to_json() == found.to_json()
    assert metadata.SCHEMA == found.schema == 1


def test_a_newer_schema_is_one_short_line_however_long_its_number() -> None:
    with pytest.raises(ArtifactError, match="written by a newer wgan") as caught:
        parse(json.dumps({"schema": 10**4000}), "x.onnx")
    assert len(str(caught.value)) < 150


def test_a_figure_that_json_does_not_have_is_never_written(tiny_export: Path) -> None:
    metadata = artifact.read(tiny_export / "generator.onnx").metadata
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not JSON compliant"):
            metadata.replace(source={**metadata.source, "flops": bad}).to_json()


def test_a_plan_is_left_as_any_tool_reads_it(tiny_export: Path) -> None:
    engine = artifact.read(tiny_export / "generator.plan").metadata.engine
    assert engine is not None
    assert engine["profile"] == {"z": {"min": [1, 16], "opt": [64, 16], "max": [96, 16]}}


def test_backends_open_only_what_is_whole(tiny_export: Path, tmp_path: Path) -> None:
    path = copy(tiny_export, "generator.ts", tmp_path)
    flip(path)
    with pytest.raises(ArtifactError):
        open_backend(path)
