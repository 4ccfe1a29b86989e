"""The Triton model repository: its configuration read back with Triton's own definitions, its model with ours."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wgan.cli import main
from wgan.export import exporter
from wgan.export.formats import triton
from wgan.export.formats.triton import settings
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.metadata import ImageSpec, Metadata
from wgan.serve.base.errors import ConfigError, ExportError

Parse = Callable[[str], Any]


@pytest.fixture(scope="module")
def parse() -> Parse:
    """config.pbtxt → inference.ModelConfig; an unknown field or value is an error."""
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    return lambda text: text_format.Parse(text, model_config_pb2.ModelConfig())


def conditional(tiny_export: Path, *names: str) -> Metadata:
    return artifact.read(tiny_export / "generator.onnx").metadata.replace(classes=names)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_command_makes_a_repository_of_the_proven_file(
    tiny_export: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    parse: Parse,
    precision: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["export", "--format", "triton", "--checkpoint", str(tiny_export / "generator.pt"), "--out", "o"]
    assert main([*words, "--precision", precision, "--max-batch", "96", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    name = "generator" if precision == "fp32" else "generator_fp16"
    told = made["triton"]
    command = told.pop("command")
    assert told == {
        "repository": "o/triton", "model": name, "version": 1, "seeds": f"{name}_seeds", "client": "o/client.py"
    }  # fmt: skip
    assert shlex.split(command)[:3] == ["ORT_DISABLE_TELEMETRY=1", "tritonserver", "--model-repository=o/triton"]
    assert "--exit-timeout-secs=31" in command
    model = tmp_path / "o" / "triton" / name
    files = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert files == {"config.pbtxt", "1/model.onnx"}
    (exported,) = made["artifacts"]
    assert exported["parity"]["passed"] is True
    assert (model / "1" / "model.onnx").read_bytes() == (tmp_path / exported["path"]).read_bytes()
    assert artifact.read(model / "1" / "model.onnx").metadata.proven

    config = parse((model / "config.pbtxt").read_text())
    assert (config.name, config.backend, config.max_batch_size) == (name, "onnxruntime", 96)
    assert config.default_model_filename == "model.onnx"
    (z,), (image,) = config.input, config.output
    assert (z.name, list(z.dims), image.name, list(image.dims)) == ("z", [16], "image", [3, 32, 32])
    assert z.data_type == image.data_type == type(config).DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_name[
        "TYPE_FP32"
    ].number  # fmt: skip
    assert list(config.dynamic_batching.preferred_batch_size) == [64, 96]
    assert config.dynamic_batching.max_queue_delay_microseconds == triton.QUEUE_DELAY
    assert config.version_policy.latest.num_versions == 1
    (group,) = config.instance_group
    assert (group.count, group.Kind.Name(group.kind)) == (1, "KIND_AUTO")
    zero, random = config.model_warmup
    assert (zero.batch_size, zero.inputs["z"].zero_data, list(zero.inputs["z"].dims)) == (1, True, [16])
    assert (random.batch_size, random.inputs["z"].random_data) == (64, True)
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert [dict(entry.parameters) for entry in accelerators] == ([{"use_tf32": "0"}] if precision == "fp32" else [])
    assert (
        config.parameters["wgan.payload_sha256"].string_value
        == artifact.read(model / "1" / "model.onnx").metadata.payload_sha256
    )


def test_the_tensors_are_those_of_the_model_file(tiny_export: Path, tmp_path: Path, parse: Parse) -> None:
    import onnxruntime

    model = triton.write_repository(tiny_export / "generator.onnx", tmp_path / "t", triton.Settings()).model
    config = parse((model / "config.pbtxt").read_text())
    session = onnxruntime.InferenceSession(model / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    for declared, found in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [(entry.name, ["N", *entry.dims]) for entry in declared] == [(node.name, node.shape) for node in found]


def test_a_conditional_generator_has_a_label_its_names_and_a_warm_up_with_a_real_class(
    tiny_export: Path, parse: Parse
) -> None:
    names = ('a "quoted" \\ name', "weiß", "blue\nhair", "赤")
    config = parse(triton.config_text("g", conditional(tiny_export, *names), triton.Settings()))
    z, label = config.input
    assert (label.name, list(label.dims), list(label.reshape.shape)) == ("label", [1], [])
    assert [output.label_filename for output in config.output] == ["labels.txt"]
    assert label.HasField("reshape")  # the model takes (N,), Triton sends (N, 1)
    assert z.data_type != label.data_type
    for warmup in config.model_warmup:
        assert warmup.inputs["label"].zero_data is True
    assert tuple(json.loads(config.parameters["wgan.classes"].string_value)) == names


def test_a_transparent_generators_fourth_channel_is_explained(tiny_export: Path, parse: Parse) -> None:
    plain = artifact.read(tiny_export / "generator.onnx").metadata
    assert "wgan.image_alpha" not in parse(triton.config_text("generator", plain, triton.Settings())).parameters
    for output, dims in (("float32", [4, 32, 16]), ("uint8", [32, 16, 4])):
        rgba = plain.replace(image=ImageSpec(32, 16, 4).with_output(output))
        config = parse(triton.config_text("generator", rgba, triton.Settings()))
        assert list(config.output[0].dims) == dims
        assert config.parameters["wgan.image_alpha"].string_value == "straight"


def test_the_classes_of_a_conditional_generator_are_a_file_of_lines(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = artifact.read(tiny_export / "generator.onnx")
    named = artifact.Artifact(found.path, conditional(tiny_export, "red", "blue\nhair"), found.data)
    monkeypatch.setattr(artifact, "read", lambda path: named)
    model = triton.write_repository(found.path, tmp_path / "t", triton.Settings()).model
    assert (model / "labels.txt").read_text() == "red\nblue hair\n"
    monkeypatch.setattr(artifact, "read", lambda path: found)
    triton.write_repository(found.path, tmp_path / "t", triton.Settings())
    assert not (model / "labels.txt").exists()


@pytest.mark.parametrize(("most", "preferred"), [(1, [1]), (8, [8]), (64, [64]), (1000, [64, 1000])])
def test_no_preferred_batch_is_larger_than_the_largest(
    tiny_export: Path, parse: Parse, most: int, preferred: list[int]
) -> None:
    metadata = artifact.read(tiny_export / "generator.onnx").metadata
    config = parse(triton.config_text("g", metadata, triton.Settings(max_batch=most)))
    assert list(config.dynamic_batching.preferred_batch_size) == preferred
    assert max(warmup.batch_size for warmup in config.model_warmup) <= config.max_batch_size == most


@pytest.mark.parametrize(("device", "kind"), [("auto", "KIND_AUTO"), ("cpu", "KIND_CPU"), ("cuda", "KIND_GPU")])
def test_instances_are_put_where_they_are_asked_for(tiny_export: Path, parse: Parse, device: str, kind: str) -> None:
    metadata = artifact.read(tiny_export / "generator.onnx").metadata
    config = parse(triton.config_text("g", metadata, triton.Settings(device=device)))
    assert [group.Kind.Name(group.kind) for group in config.instance_group] == [kind]
    assert config.HasField("optimization") == (device != "cpu")


def test_how_much_waits_and_runs_at_once_is_as_asked_for(tiny_export: Path, parse: Parse) -> None:
    metadata = artifact.read(tiny_export / "generator.onnx").metadata
    asked = triton.Settings(queue=7, wait=0.25, instances=3, threads=2)
    generator = parse(triton.config_text("g", metadata, asked))
    seeds = parse(triton.seeds_config("g", metadata, asked))
    for config in (generator, seeds):
        policy = config.dynamic_batching.default_queue_policy
        assert policy.TimeoutAction.Name(policy.timeout_action) == "REJECT"
        assert (policy.max_queue_size, policy.default_timeout_microseconds) == (7, 250_000)
        assert policy.allow_timeout_override
        assert [group.count for group in config.instance_group] == [3]
    assert generator.parameters["intra_op_thread_count"].string_value == "2"
    usual = parse(triton.config_text("g", metadata, triton.Settings()))
    assert "intra_op_thread_count" not in usual.parameters
    assert usual.dynamic_batching.default_queue_policy.max_queue_size == 1024


def test_the_companion_takes_seeds_and_gives_pixels_or_files(tiny_export: Path, parse: Parse) -> None:
    plain = artifact.read(tiny_export / "generator.onnx").metadata
    for metadata, inputs in (
        (plain, {"seed": ("TYPE_INT64", False), "truncation": ("TYPE_FP32", True)}),
        (conditional(tiny_export, "a", "b"), {
            "seed": ("TYPE_INT64", False), "truncation": ("TYPE_FP32", True), "label": ("TYPE_INT64", True),
        }),
    ):  # fmt: skip
        config = parse(triton.seeds_config("g.x", metadata, triton.Settings()))
        types = type(config).DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number
        assert (config.name, config.backend) == ("g.x_seeds", "python")
        assert {each.name: (types[each.data_type].name, each.optional) for each in config.input} == inputs
        assert all(list(each.dims) == [1] for each in config.input)
        assert [(each.name, types[each.data_type].name, list(each.dims)) for each in config.output] == [
            ("pixels", "TYPE_UINT8", [32, 32, 3]),
            ("png", "TYPE_STRING", [1]),
        ]
        assert config.parameters["wgan.generator"].string_value == "g.x"
        assert [group.Kind.Name(group.kind) for group in config.instance_group] == ["KIND_CPU"]


def engine(tiny_export: Path, folder: Path, **changes: object) -> Path:
    """The tiny engine, described as if it had been built and measured elsewhere."""
    path = Path(shutil.copy(tiny_export / "generator.plan", folder))
    metadata = artifact.read(tiny_export / "generator.plan").metadata
    described = {**dict(metadata.engine or {}), "runtime": "tensorrt"}
    artifact.write_sidecar(path, metadata.replace(**{"engine": described, "parity": {"passed": True}, **changes}))
    return path


def test_a_proven_engine_is_served_on_the_gpu(tiny_export: Path, tmp_path: Path, parse: Parse) -> None:
    path = engine(tiny_export, tmp_path)
    model = triton.write_repository(path, tmp_path / "triton", triton.Settings("tensorrt", max_batch=500)).model
    assert (model / "1" / "model.plan").read_bytes() == path.read_bytes()
    config = parse((model / "config.pbtxt").read_text())
    assert (config.backend, config.max_batch_size) == ("tensorrt", 96)  # the engine's profile, not what was asked for
    assert [group.Kind.Name(group.kind) for group in config.instance_group] == ["KIND_GPU"]
    assert not config.HasField("optimization")


def test_what_triton_cannot_load_or_was_not_proven_is_refused(tiny_export: Path, tmp_path: Path) -> None:
    on_tensorrt = triton.Settings("tensorrt")
    changes: list[tuple[dict[str, object], str]] = [
        ({"parity": {"passed": None, "reason": "no GPU"}}, "is not proven.*no GPU"),
        ({"parity": {"passed": False}}, "is not proven.*does not match"),
        ({"engine": {"runtime": "tensorrt_rtx"}}, "an engine of tensorrt_rtx, and Triton loads"),
    ]
    for change, says in changes:
        path = engine(tiny_export, tmp_path, **change)
        with pytest.raises(ExportError, match=says):
            triton.write_repository(path, tmp_path / "triton", on_tensorrt)
    with pytest.raises(ConfigError, match="serves no onnx"):
        triton.write_repository(tiny_export / "generator.onnx", tmp_path / "triton", on_tensorrt)
    assert not (tmp_path / "triton").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--triton-backend", "python"], "not one of onnxruntime, tensorrt"),
        (["--triton-backend", "tensorrt", "--triton-device", "cpu"], "CUDA only"),
        (["--triton-device", "tpu"], "not one of auto, cpu, cuda"),
        (["--triton-queue", "0"], "--triton-queue 0 is outside its range, 1 to 1,000,000"),
        (["--triton-wait", "nan"], "--triton-wait nan is outside its range, 0.001 to 3,600"),
        (["--triton-instances", "-1"], "--triton-instances -1 is outside its range, 1 to 1,024"),
        (["--triton-threads", "0"], "--triton-threads 0 is outside its range, 1 to 1,024"),
        (["--triton-backend", "tensorrt", "--triton-threads", "2"], "an engine has none"),
    ],
)
def test_a_wrong_option_is_said_before_anything_is_made(
    tiny_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    source = ["--checkpoint", str(tiny_export / "generator.pt"), "--out", str(tmp_path / "o")]
    assert main(["export", "--format", "triton", *source, *words]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_an_engine_that_triton_cannot_load_is_not_built_first(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Rtx:
        __name__ = "tensorrt_rtx"

    monkeypatch.setattr(settings, "load_tensorrt", Rtx)
    monkeypatch.setattr(exporter, "export", lambda *_, **__: pytest.fail("built"))
    words = ["export", "--format", "triton", "--triton-backend", "tensorrt", "--out", str(tmp_path)]
    assert main([*words, "--checkpoint", str(tiny_export / exporter.REFERENCE)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "here is tensorrt_rtx, and Triton loads TensorRT's engines alone: install wgan's extra trt" in line
