"""A changed file is measured as it is now, and becomes an artifact again only where it holds."""

import json
from pathlib import Path

import onnx
import pytest

from tests import edits
from tests.edits import EDITS, beside_its_generator
from wgan.export import exporter, parity
from wgan.export.reference.generator import TrainedGenerator
from wgan.export.table import parity_table
from wgan.export.verify import verify_file, verify_folder
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.artifact import Changed
from wgan.serve.backends.open import open_backend
from wgan.serve.backends.trt import fit
from wgan.serve.base.errors import ArtifactError, CheckpointError


@pytest.mark.slow
@pytest.mark.parametrize("tool", EDITS)
def test_what_a_tool_costs_is_measured_and_kept(tiny_export: Path, tmp_path: Path, tool: str) -> None:
    edit, precision = EDITS[tool]
    path = beside_its_generator(tiny_export, tmp_path, edit)
    before = path.read_bytes()
    found = verify_file(path, device="cpu")
    assert (found.changed, found.adopted, found.passed, found.metadata.precision) == (True, False, True, precision)
    assert found.parity["gates"] == parity.GATES[precision, "cpu"]
    assert found.parity["images"] >= 64
    assert path.read_bytes() == before

    adopted = verify_file(path, device="cpu", adopt=True)
    assert (adopted.changed, adopted.adopted, adopted.passed) == (False, True, True)
    kept = artifact.read(path)
    assert kept.metadata == adopted.metadata
    assert kept.metadata.proven
    model = onnx.load(path, load_external_data=False)
    assert [entry.key for entry in model.metadata_props].count("wgan") == 1
    assert not any(tensor.external_data for tensor in model.graph.initializer)  # complete alone
    onnx.checker.check_model(onnx.ModelProto.FromString(path.read_bytes()).SerializeToString(), full_check=False)
    with open_backend(path, device="cpu") as opened:
        assert opened.assumes is None
    again = verify_file(path, device="cpu", adopt=True)
    assert (again.changed, again.adopted, again.passed) == (False, False, True)


def test_an_edit_that_does_not_hold_is_left_as_it_is(tiny_export: Path, tmp_path: Path) -> None:
    path = beside_its_generator(tiny_export, tmp_path, edits.weights)
    before = path.read_bytes()
    found = verify_file(path, device="cpu", adopt=True)
    assert (found.changed, found.adopted, found.passed) == (True, False, False)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["generator.onnx", "generator.pt"]


def test_it_is_held_to_the_gates_of_what_it_computes_in(tiny_export: Path, tmp_path: Path) -> None:
    path = beside_its_generator(tiny_export, tmp_path, edits.half)
    found = verify_file(path, device="cpu")
    assert found.parity["max_abs"] > parity.GATES["fp32", "cpu"]["max_abs"]
    assert found.passed


def test_changed_numbers_of_a_safetensors_file_are_measured_and_kept(
    generator: TrainedGenerator, tmp_path: Path
) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    (made,) = exporter.export(generator, tmp_path, ["safetensors"], max_batch=4)
    for times, holds in ((1.0000002, True), (1.5, False)):
        with safe_open(made.path, "pt") as file:
            about, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        save_file({name: times * tensor for name, tensor in tensors.items()}, made.path, metadata=about)
        with pytest.raises(Changed):
            artifact.read(made.path)
        found = verify_file(made.path, device="cpu", adopt=True)
        assert (found.passed, found.adopted) == (holds, holds)
        if holds:
            assert artifact.read(made.path).metadata == found.metadata


def test_no_engine_is_built_of_what_engines_cannot_compute(tiny_export: Path, tmp_path: Path) -> None:
    path = beside_its_generator(tiny_export, tmp_path, edits.static)
    assert verify_file(path, device="cpu", adopt=True).adopted
    with pytest.raises(ArtifactError, match="was edited and computes in int8: engines are built in fp32 or fp16"):
        fit._rebuild(tmp_path / "generator.plan", path, None)


def test_a_second_edit_keeps_what_the_first_was_exported_as(tiny_export: Path, tmp_path: Path) -> None:
    path = beside_its_generator(tiny_export, tmp_path, edits.half)
    verify_file(path, device="cpu", adopt=True)
    edits.doc_string(path, path)
    with pytest.raises(Changed):
        artifact.read(path)
    mark = verify_file(path, device="cpu", adopt=True).metadata.edited
    exported = artifact.read(tiny_export / "generator.onnx").metadata
    assert mark == {"exported_sha256": exported.payload_sha256, "exported_precision": "fp32", "by": None}


def test_a_file_that_changes_while_it_is_measured_is_not_overwritten(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = beside_its_generator(tiny_export, tmp_path, edits.doc_string)
    measure = parity.measure

    def slowly(*given: object) -> dict[str, object]:
        path.write_bytes(b"another")
        return measure(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(parity, "measure", slowly)
    with pytest.raises(ArtifactError, match="was changed again while it was measured: nothing is written"):
        verify_file(path, device="cpu", adopt=True)
    assert path.read_bytes() == b"another"


def test_the_reference_may_lie_elsewhere_and_must_be_the_one(tiny_export: Path, tmp_path: Path) -> None:
    path = tmp_path / "generator.onnx"
    edits.doc_string(tiny_export / "generator.onnx", path)
    with pytest.raises(CheckpointError, match=r"which .*generator.onnx is measured against: .*--reference"):
        verify_file(path, device="cpu")
    assert verify_file(path, tiny_export / "generator.pt", device="cpu").passed
    model = onnx.load(path)
    (entry,) = model.metadata_props
    values = json.loads(entry.value)
    assert values["source"]["weights_sha256"]
    found = artifact.read(tiny_export / "generator.onnx")
    other = found.metadata.replace(source={**found.metadata.source, "weights_sha256": "0" * 64})
    artifact.write(path, found.data, other)
    edits.doc_string(path, path)
    with pytest.raises(ArtifactError, match="was not exported from .*: name its generator with --reference"):
        verify_file(path, tiny_export / "generator.pt", device="cpu")


def test_a_folder_with_a_changed_file_says_so_in_its_table(tiny_export: Path, tmp_path: Path) -> None:
    path = beside_its_generator(tiny_export, tmp_path, edits.half)
    (tmp_path / "generator.fp16.onnx").write_bytes(path.read_bytes()[:-30])
    refused, changed = verify_folder(tmp_path, device="cpu")
    shown = parity_table([refused, changed], 200)
    lines = shown.splitlines()
    assert lines[0].split()[:2] == ["artifact", "precision"]
    assert [line.split()[:2] for line in lines[1:3]] == [["generator.fp16.onnx", "-"], ["generator.onnx", "fp16"]]
    assert "generator.onnx: changed since its export, computes in fp16, was exported in fp32; `wgan verify" in shown
    (_, adopted) = verify_folder(tmp_path, device="cpu", adopt=True)
    assert "computes in fp16, was exported in fp32; this report is in it now" in parity_table([adopted], 200)
    assert "generator.onnx: edited after its export" in parity_table([verify_file(path, device="cpu")], 200)
    assert "precision" not in parity_table([verify_file(tiny_export / "generator.onnx", device="cpu")], 200)


def test_what_has_no_gates_is_not_measured(tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = beside_its_generator(tiny_export, tmp_path, edits.half)
    monkeypatch.delitem(parity.GATES, ("fp16", "cpu"))
    with pytest.raises(ArtifactError, match="computes in fp16: no gates for that"):
        verify_file(path, device="cpu")


def test_images_that_depend_on_their_batch_do_not_hold(tiny_export: Path, tmp_path: Path) -> None:
    """What a scale of the whole batch does: seen where the operator's name does not give it away."""
    report = {"finite": True, "max_abs": 0.1, "mean_abs": 0.01, "worst_psnr_db": 35.0, "chunks_max_abs": 0.2}
    report["gates"] = dict(parity.GATES["int8", "cpu"])
    assert parity.failures(report) == ["chunks_max_abs 0.2 (gate 0.05)"]
