"""A file that a tool changed is told from a damaged one, and from one that is no more what its metadata says."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests import edits
from tests.edits import EDITS
from tests.make import make_generator
from wgan.export import exporter
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.artifact import Changed
from wgan.serve.artifacts.changed import as_found
from wgan.serve.artifacts.metadata import Metadata, parse
from wgan.serve.backends.open import open_any, open_backend
from wgan.serve.base.errors import ArtifactError
from wgan.serve.latents.table import latents


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with classes, attention and conditional BatchNorm."""
    folder = tmp_path_factory.mktemp("conditional")
    generator = make_generator(
        classes=("red", "blue"), image_size=16, conditional=True, generator_labels="batchnorm", attention=8
    )
    list(exporter.export(generator, folder, ["onnx"], max_batch=4))
    return folder


def changed(path: Path) -> Changed:
    with pytest.raises(Changed) as caught:
        artifact.read(path)
    return caught.value


@pytest.mark.parametrize("tool", EDITS)
def test_what_a_tool_changed_is_changed_and_runs(conditional: Path, tmp_path: Path, tool: str) -> None:
    edit, precision = EDITS[tool]
    path = tmp_path / "edited.onnx"
    edit(conditional / "generator.onnx", path)
    error = changed(path)
    assert f"{path} was changed since its export (or damaged): `wgan verify --adopt --model {path}`" in str(error)
    assert len(str(error).splitlines()) == 1
    exported = artifact.read(conditional / "generator.onnx").metadata
    found = as_found(error).metadata
    assert (found.precision, found.parity, found.classes) == (precision, None, ("red", "blue"))
    assert found.edited is not None
    assert found.edited["exported_sha256"] == exported.payload_sha256
    assert found.edited["exported_precision"] == "fp32"
    assert (found.edited["by"] or "").startswith("onnx.quantize") == tool.startswith("quantize")
    z, labels = latents(0, 3, 16), np.array([0, 1, 1])
    with open_any(path, device="cpu") as opened, open_backend(conditional / "generator.onnx", device="cpu") as exact:
        assert opened.assumes is not None
        assert "was changed since its export (or damaged), and not measured since" in opened.assumes
        assert opened.digest == found.payload_sha256
        # weights that were only put beside it give the bytes of the export again
        assert (opened.digest == exact.digest) == (tool == "external data")
        assert np.abs(opened.run(z[:1], labels[:1]) - exact.run(z, labels)[:1]).mean() < 0.1


def test_a_newer_opset_is_said(conditional: Path, tmp_path: Path) -> None:
    edits.newer_opset(conditional / "generator.onnx", tmp_path / "edited.onnx")
    assert as_found(changed(tmp_path / "edited.onnx")).metadata.opset == 21


def test_only_a_format_that_runs_nothing_of_its_own_may_be_changed(tiny_export: Path, tmp_path: Path) -> None:
    for name in ("generator.ts", "generator.plan"):
        data = bytearray((tiny_export / name).read_bytes())
        (tmp_path / name).write_bytes(data)
    engine = tmp_path / "generator.plan"
    engine.write_bytes(engine.read_bytes() + b"\0")
    engine.with_name("generator.plan.json").write_bytes((tiny_export / "generator.plan.json").read_bytes())
    with pytest.raises(ArtifactError, match="is damaged: its bytes are not those that were exported") as caught:
        artifact.read(engine)
    assert not isinstance(caught.value, Changed)


def test_a_truncated_edit_and_broken_metadata_are_still_damaged(conditional: Path, tmp_path: Path) -> None:
    path = tmp_path / "edited.onnx"
    edits.doc_string(conditional / "generator.onnx", path)
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], whole[:-20], whole.replace(b'"parity"', b'"parixy"')):
        path.write_bytes(data)
        with pytest.raises(ArtifactError, match="damaged|is not") as caught:
            artifact.read(path)
        assert not isinstance(caught.value, Changed)


def test_an_edit_without_our_metadata_is_foreign(conditional: Path, tmp_path: Path) -> None:
    model = onnx.load(conditional / "generator.onnx")
    del model.metadata_props[:]
    model.doc_string = "theirs"
    onnx.save(model, tmp_path / "theirs.onnx")
    with pytest.raises(artifact.Foreign):
        artifact.read(tmp_path / "theirs.onnx")


def half_outside(source: Path, to: Path) -> None:
    edits.half(source, to, keep_io_types=False)


def renamed(source: Path, to: Path) -> None:
    model = onnx.load(source)
    for node in model.graph.node:
        node.input[:] = ["noise" if name == "z" else name for name in node.input]
    model.graph.input[0].name = "noise"
    onnx.save(model, to)


def without_labels(source: Path, to: Path) -> None:
    model = onnx.load(source)
    del model.graph.input[1]
    onnx.save(model, to)


def one_output_more(source: Path, to: Path) -> None:
    model = onnx.load(source)
    model.graph.output.append(onnx.helper.make_tensor_value_info("h", onnx.TensorProto.FLOAT, ["N", 4]))
    onnx.save(model, to)


def fixed_batch(source: Path, to: Path, batch: int = 8) -> None:
    model = onnx.load(source)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    onnx.save(model, to)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (half_outside, "takes z: float16 (N, 16) and label: int64 (N) where its metadata says z: float32 (N, 16) and "),
        (renamed, "takes noise: float32 (N, 16) and label: int64 (N) where its metadata says z: "),
        (without_labels, "takes z: float32 (N, 16) where its metadata says z: float32 (N, 16) and label: int64 (N)"),
        (one_output_more, "gives image: float32 (N, 3, 16, 16) and h: float32 (N, 4) where its metadata says image: "),
        (fixed_batch, "takes z: float32 (8, 16) and label: int64 (8) where its metadata says z: float32 (N, 16) and "),
    ],
)
def test_an_edit_that_is_another_generator_is_refused_in_one_line(
    conditional: Path, tmp_path: Path, edit: edits.Edit, says: str
) -> None:
    path = tmp_path / "edited.onnx"
    edit(conditional / "generator.onnx", path)
    with pytest.raises(ArtifactError) as caught:
        open_any(path, device="cpu")
    assert f"{path} was changed since its export and {says}" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_graph_that_quantises_by_its_batch_is_run_one_image_at_a_time(tiny_export: Path, tmp_path: Path) -> None:
    path = tmp_path / "edited.onnx"
    edits.dynamic(tiny_export / "generator.onnx", path)
    assert as_found(changed(path)).metadata.max_batch == 1
    edits.static(tiny_export / "generator.onnx", path)
    assert as_found(changed(path)).metadata.max_batch is None
    fixed_batch(tiny_export / "generator.onnx", path, 1)
    assert as_found(changed(path)).metadata.max_batch == 1


def test_weights_beside_an_edit_are_read_only_from_its_folder(tiny_export: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    path = edits.beside_its_generator(tiny_export, folder, edits.external)
    data = folder / "generator.onnx.data"
    assert len(path.read_bytes()) < len(data.read_bytes())
    with open_any(path, device="cpu") as opened, open_backend(tiny_export / "generator.onnx", device="cpu") as exact:
        assert np.array_equal(opened.run(latents(0, 2, 16)), exact.run(latents(0, 2, 16)))
    before = as_found(changed(path)).metadata.payload_sha256
    numbers = bytearray(data.read_bytes())
    numbers[100] ^= 1
    data.write_bytes(numbers)
    assert as_found(changed(path)).metadata.payload_sha256 != before  # the weights are part of what it is
    data.write_bytes(numbers[:100])
    with pytest.raises(ArtifactError, match=r"'generator.onnx.data' beside it is shorter than its weights: copy both"):
        open_any(path, device="cpu")
    data.unlink()
    with pytest.raises(ArtifactError, match="which is not beside it: copy both"):
        open_any(path, device="cpu")
    (tmp_path / "elsewhere").write_bytes(numbers)
    data.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="which is not in its own folder"):
        open_any(path, device="cpu")


@pytest.mark.parametrize("spoil", [(b"ConvTranspose", b"SonvTranspose"), (b"\x08\x11", b"\x08\x7f")])
def test_what_no_runtime_loads_is_one_line(tiny_export: Path, tmp_path: Path, spoil: tuple[bytes, bytes]) -> None:
    path = tmp_path / "generator.onnx"
    path.write_bytes((tiny_export / "generator.onnx").read_bytes().replace(b"ConvTranspose", b"SonvTranspose"))
    with pytest.raises(
        ArtifactError, match=r"was changed since its export \(or damaged\) and does not run: "
    ) as caught:
        open_any(path, device="cpu")
    assert len(str(caught.value).splitlines()) == 1


def test_a_bit_of_the_graph_that_flips_is_never_a_traceback(tiny_export: Path, tmp_path: Path) -> None:
    data = (tiny_export / "generator.onnx").read_bytes()
    path = tmp_path / "generator.onnx"
    for position in [*range(0, 600, 7), *range(len(data) // 3, len(data), len(data) // 40)]:
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x81]) + data[position + 1 :])
        with pytest.raises(ArtifactError) as caught:
            artifact.read(path)
        if isinstance(caught.value, Changed):
            try:
                as_found(caught.value)
            except ArtifactError as error:
                assert len(str(error).splitlines()) == 1  # noqa: PT017


def test_the_mark_of_an_edit_is_read_back_and_absent_elsewhere(tiny_export: Path) -> None:
    metadata = artifact.read(tiny_export / "generator.onnx").metadata
    assert '"edited"' not in metadata.to_json()  # the bytes of every other artifact are as they were
    marked: Metadata = metadata.replace(precision="int8", edited={"exported_sha256": "0" * 64, "by": None})
    assert parse(marked.to_json(), "x.onnx") == marked
    for bad in ({}, {"exported_sha256": 3}, {"exported_sha256": "0" * 64, "by": 4}):
        with pytest.raises(ArtifactError, match="metadata field edited"):
            parse(metadata.replace(edited=bad).to_json(), "x.onnx")
