"""Each example is run as a user would, in a folder of its own."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wgan.cli import main
from wgan.serve.backends.open import open_backend

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SMALL = (
    "image_size: 32\nbase_channels: 4\nlatent_dim: 8\nfaces_count: 64\nbatch_size: 8\nn_critic: 1\n"
    "validate_images: 32\nsteps: 1\n"
)
# an example runs with few steps, its words unchanged: what it calls the preset `demo` is this file here
SMALLER = """
import runpy, sys
import wgan
train = wgan.train
wgan.train = lambda *words, preset, **settings: train(*words, preset="small.yaml", **{**settings, **small})
small = {"device": "cpu", "progress": False}
"""


def run(code: str, place: Path) -> str:
    (place / "small.yaml").write_text(SMALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_a_program(name: str, *words: str) -> str:
    return (
        f"import runpy, sys; sys.argv = {[name, *words]}; runpy.run_path({str(EXAMPLES / name)!r}, run_name='__main__')"
    )


def test_with_the_api(tmp_path: Path):
    shown = run(SMALLER + as_a_program("sample_with_the_api.py"), tmp_path)
    assert "generator.onnx differs from PyTorch by at most" in shown
    assert np.load(tmp_path / "images.npy").shape == (64, 32, 32, 3)


@pytest.mark.parametrize("name", ["generator.onnx", "generator.fp16.onnx"])
def test_with_onnx_runtime_alone(tmp_path: Path, tiny_export: Path, name: str):
    # wgan cannot be imported: the example needs none of it
    without = "import sys; sys.modules['wgan'] = None\n"
    shown = run(without + as_a_program("sample_with_onnxruntime_alone.py", str(tiny_export / name)), tmp_path)
    assert shown == "8 images of 32×32 pixels\n"
    with Image.open(tmp_path / "image-7.png") as picture:
        assert (picture.size, picture.mode) == ((32, 32), "RGB")
        assert len(np.unique(picture)) > 20


def test_the_notebook(tmp_path: Path):
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text())
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["language"]) == (4, "python")
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")
    # the last line of a cell is what a notebook shows
    show = """
import ast
def cell(source, names):
    *lines, last = ast.parse(source).body
    exec(compile(ast.Module(lines, []), "cell", "exec"), names)
    if not isinstance(last, ast.Expr):
        return exec(compile(ast.Module([last], []), "cell", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    for kind in ("_repr_png_", "_repr_html_"):
        if hasattr(value, kind):
            print(kind, len(getattr(value, kind)()) > 100)
names = {}
"""
    shown = run(SMALLER + show + "".join(f"cell({source!r}, names)\n" for source in cells), tmp_path)
    assert shown.split("\n")[:-1].count("_repr_png_ True") == 2
    assert shown.count("_repr_html_ True") == 3


@pytest.fixture
def triton(tmp_path: Path, tiny_export: Path) -> Iterator[tuple[str, list[str]]]:
    """A server that speaks the v2 protocol as Triton does, for the exported generator: its address, what was asked."""
    backend = open_backend(tiny_export / "generator.onnx", device="cpu")
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            assert self.path == "/v2/models/generator"
            z = {"name": "z", "datatype": "FP32", "shape": [-1, 16]}
            image = {"name": "image", "datatype": "FP32", "shape": [-1, 3, 32, 32]}
            self._answer(json.dumps({"name": "generator", "inputs": [z], "outputs": [image]}).encode(), {})

        def do_POST(self) -> None:
            asked.append(self.path)
            assert self.path == "/v2/models/generator/infer"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            header = int(self.headers["Inference-Header-Content-Length"])
            request = json.loads(body[:header])
            (z,) = request["inputs"]
            assert (z["name"], z["datatype"]) == ("z", "FP32")
            images = backend.run(np.frombuffer(body[header:], "<f4").reshape(z["shape"])).tobytes()
            shape = [z["shape"][0], 3, 32, 32]
            output: dict[str, Any] = {"name": "image", "datatype": "FP32", "shape": shape}
            output["parameters"] = {"binary_data_size": len(images)}
            text = json.dumps({"model_name": "generator", "outputs": [output]}).encode()
            self._answer(text + images, {"Inference-Header-Content-Length": str(len(text))})

        def _answer(self, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *words: object) -> None:
            pass

    with backend, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_the_triton_client(triton: tuple[str, list[str]], tmp_path: Path, tiny_export: Path):
    server, asked = triton
    shown = json.loads(run(as_a_program("triton_client.py", server), tmp_path))
    assert shown == {"server": server, "images": [4, 32, 32, 3]}
    assert asked == ["/v2/models/generator", "/v2/models/generator/infer"]
    latents = np.random.default_rng(0).standard_normal((4, 16), np.float32)
    np.save(tmp_path / "z.npy", latents)
    words = ["sample", "--latents", str(tmp_path / "z.npy"), "--out", str(tmp_path / "a.npy")]
    assert main([*words, "--model", str(tiny_export / "generator.onnx"), "--device", "cpu"]) == 0
    for number, image in enumerate(np.load(tmp_path / "a.npy")):
        with Image.open(tmp_path / f"image-{number}.png") as picture:
            assert np.array_equal(np.asarray(picture), image)
