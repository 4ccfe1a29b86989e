"""Other people's tools take the artifacts as they are: not a byte changed, nothing of wgan needed."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from wgan.export import exporter
from wgan.export.reference.generator import TrainedGenerator
from wgan.serve.backends.open import open_backend
from wgan.serve.backends.trt.api import collecting_logger, load_tensorrt
from wgan.serve.latents.table import latents

ONNX = ("generator.onnx", "generator.fp16.onnx")
TORCHSCRIPT = ("generator.ts", "generator.fp16.ts")


@pytest.fixture(scope="module")
def folder(tiny_export: Path, generator: TrainedGenerator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts of both precisions, which no test may change, and latents (5, 16) to run them on."""
    copy = tmp_path_factory.mktemp("third-party") / "export"
    shutil.copytree(tiny_export, copy)
    list(exporter.export(generator, copy, ["torchscript"], precision="fp16", max_batch=4))
    np.save(copy / "z.npy", latents(0, 5, 16))
    return copy


def images_of(path: Path) -> np.ndarray:
    """What wgan itself makes of the artifact."""
    with open_backend(path, device="cpu") as backend:
        return backend.run(np.load(path.with_name("z.npy")))


def fresh(script: str, *words: str | Path) -> str:
    """What the script prints in a process that cannot import wgan."""
    blocked = f"import sys; sys.modules['wgan'] = None\n{script}"
    command = [sys.executable, "-W", "ignore", "-c", blocked, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ONNX)
def test_onnx_infers_every_shape_in_its_strictest_mode(folder: Path, name: str) -> None:
    model = onnx.load(folder / name)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    shapes = {
        value.name: [entry.dim_param or entry.dim_value for entry in value.type.tensor_type.shape.dim]
        for value in [*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output]
    }
    made = {output for node in inferred.graph.node for output in node.output}
    assert made <= set(shapes)
    assert shapes["z"] == ["N", 16]
    assert shapes["image"] == ["N", 3, 32, 32]
    # a size of 0 is one that inference did not find
    assert all(size != 0 for shape in shapes.values() for size in shape[1:])


ORT = """
import numpy as np, onnxruntime as ort
session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(z,), (image,) = session.get_inputs(), session.get_outputs()
print(z.name, z.type, z.shape, image.name, image.type, image.shape)
np.save(sys.argv[3], session.run(["image"], {"z": np.load(sys.argv[2])})[0])
"""


@pytest.mark.parametrize("name", ONNX)
def test_onnx_runtime_alone_runs_the_file(folder: Path, tmp_path: Path, name: str) -> None:
    said = fresh(ORT, folder / name, folder / "z.npy", tmp_path / "images.npy")
    assert said.strip() == "z tensor(float) ['N', 16] image tensor(float) ['N', 3, 32, 32]"
    assert np.array_equal(np.load(tmp_path / "images.npy"), images_of(folder / name))


TORCH = """
import numpy as np, torch
for path in sys.argv[2:]:
    z = torch.from_numpy(np.load(sys.argv[1]))
    z = torch.cat([z, z.new_zeros(11, 16)])
    with torch.inference_mode():
        np.save(path + ".npy", torch.jit.load(path)(z)[:5].numpy())
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_torch_alone_runs_the_files(folder: Path, tmp_path: Path) -> None:
    copies = [Path(shutil.copy(folder / name, tmp_path)) for name in TORCHSCRIPT]
    fresh(TORCH, folder / "z.npy", *copies)
    for copy in copies:
        difference = np.abs(np.load(f"{copy}.npy") - images_of(folder / copy.name))
        assert difference.max() <= (1e-5 if "fp16" not in copy.name else 5e-3)


# it would load torch if it could, for seconds
POLYGRAPHY = """
sys.modules['torch'] = None
from polygraphy.tools import main
sys.argv[0] = 'polygraphy'
sys.exit(main())
"""


@pytest.mark.parametrize("name", ONNX)
def test_polygraphy_runs_the_file(folder: Path, name: str) -> None:
    said = fresh(POLYGRAPHY, "run", folder / name, "--onnxrt", "--input-shapes", "z:[3,16]")
    assert "{image [dtype=float32, shape=(3, 3, 32, 32)]}" in said
    assert "PASSED" in said


@pytest.mark.parametrize("name", ONNX)
def test_polygraphy_inspects_the_file(folder: Path, name: str) -> None:
    said = fresh(POLYGRAPHY, "inspect", "model", folder / name)
    assert "ONNX Opset: 11" in said
    assert "{z [dtype=float32, shape=('N', 16)]}" in said
    assert "{image [dtype=float32, shape=('N', 3, 32, 32)]}" in said


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*ONNX, *TORCHSCRIPT])
def test_torch_fidelity_loads_the_file_as_a_generative_model(folder: Path, tmp_path: Path, name: str) -> None:
    import torch
    from torch_fidelity.utils import prepare_input_from_id

    # it knows TorchScript by the ending .pth
    path = folder / name if name in ONNX else Path(shutil.copy(folder / name, tmp_path / "generator.pth"))
    model = prepare_input_from_id(
        1, input1=str(path), input1_model_z_size=16, input1_model_z_type="normal", input1_model_num_classes=0
    )
    z = torch.from_numpy(np.load(folder / "z.npy"))
    with torch.no_grad():
        found = model(torch.cat([z, z.new_zeros(11, 16)]))[:5].numpy()
    assert np.abs(found - images_of(folder / name)).max() <= (1e-5 if "fp16" not in name else 5e-3)


@pytest.mark.parametrize("name", ONNX)
def test_tensorrt_parses_the_file(folder: Path, name: str) -> None:
    api = load_tensorrt()
    logger = collecting_logger(api)
    builder = api.Builder(logger)
    network = builder.create_network(1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = api.OnnxParser(network, logger)
    assert parser.parse((folder / name).read_bytes()), [parser.get_error(i).desc() for i in range(parser.num_errors)]
    z, image = network.get_input(0), network.get_output(0)
    assert (network.num_inputs, z.name, tuple(z.shape), z.dtype) == (1, "z", (-1, 16), api.float32)
    assert (network.num_outputs, image.name, tuple(image.shape)) == (1, "image", (-1, 3, 32, 32))
    assert image.dtype == api.float32


@pytest.mark.parametrize("name", [*ONNX, *TORCHSCRIPT, "generator.plan"])
def test_the_metadata_is_found_without_wgan(folder: Path, name: str) -> None:
    path = folder / name
    if name.endswith(".onnx"):  # as model viewers list it
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        text = session.get_modelmeta().custom_metadata_map["wgan"]
        assert {entry.key: entry.value for entry in onnx.load(path).metadata_props} == {"wgan": text}
    elif name.endswith(".ts"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            (member,) = (entry for entry in archive.namelist() if entry.endswith("/extra/wgan.json"))
            text = archive.read(member).decode()
    else:
        text = (folder / "generator.plan.json").read_text()
    found = json.loads(text)
    assert (found["latent"]["dim"], found["image"]["height"]) == (16, 32)
    assert found["precision"] == ("fp16" if "fp16" in name else "fp32")
