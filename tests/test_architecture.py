"""The rooms depend in one direction, export → training → serve, and serve needs the base install alone."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("serve", "training", "export")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ABOVE = {"serve": ("wgan.training", "wgan.export"), "training": ("wgan.export",), "export": ()}

IMPORT_NAME = {"pillow": "PIL"}  # where it differs from the package's
BASE = {re.split(r"[ <>=!~;\[]", line)[0] for line in PROJECT["project"]["dependencies"]}
SERVE_MAY_IMPORT = {IMPORT_NAME.get(name, name) for name in BASE} | set(sys.stdlib_module_names) | {"wgan"}

SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("wgan", *parts)).removesuffix(".__init__")


def imports(node: ast.AST, package: str, where: str = "module") -> Iterator[tuple[int, str, str]]:
    """Yields (line, dotted name, where); where is "module", "function" or "type checking"."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield child.lineno, alias.name, where
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                parents = package.split(".")[: len(package.split(".")) - child.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            for alias in child.names:  # `from wgan import training` imports wgan.training
                yield child.lineno, f"{base}.{alias.name}", where
        elif isinstance(child, ast.Call) and "import" in ast.unparse(child.func):  # import_module("…")
            for argument in child.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield child.lineno, argument.value, where
            yield from imports(child, package, where)
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from imports(ast.Module(child.body, []), package, "type checking")
            yield from imports(ast.Module(child.orelse, []), package, where)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(child, package, "function" if where == "module" else where)
        else:
            yield from imports(child, package, where)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def breaches(source: str, module: str, is_package: bool = False) -> list[str]:
    """What in this module's imports breaks the architecture, a line each."""
    room = module.split(".")[1]
    composes = re.match(r"wgan\.serve\.(cli$|commands)", module) is not None
    package = module if is_package else module.rpartition(".")[0]
    found = []
    for line, name, where in imports(ast.parse(source), package):
        upward = any(within(name, above) for above in ABOVE[room])
        if upward and not (composes and where != "module"):
            found.append(f"{module}:{line} imports {name}: {room} stands below it")
        if within(name, "onnxruntime") and module != "wgan.serve.onnx_runtime":
            found.append(f"{module}:{line} imports {name}: onnx_runtime.load does, with its telemetry off")
        elif room == "serve" and where == "module" and name.split(".")[0] not in SERVE_MAY_IMPORT:
            found.append(f"{module}:{line} imports {name} at module level: it is not in the base install")
        if within(name, "wgan.serve.cli") and module != "wgan.serve.__main__":
            found.append(f"{module}:{line} imports {name}: nothing may")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_room_may(path: Path):
    assert breaches(path.read_text("utf-8"), module_name(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("wgan.serve.latents", "import torch"),
        ("wgan.serve.latents", "try:\n    from torch.nn import Module\nexcept ImportError:\n    pass"),
        ("wgan.serve.images", "class A:\n    import torchvision"),
        ("wgan.serve.artifact", "import onnx"),
        ("wgan.serve.artifact", "from yaml import safe_load"),
        ("wgan.serve.onnx_backend", "import onnxruntime as ort"),
        ("wgan.serve.onnx_backend", "class A:\n    def f(self):\n        import onnxruntime"),
        ("wgan.export.onnx", "from onnxruntime.quantization import quantize_dynamic"),
        ("wgan.training.deploy", "def f():\n    importlib.import_module('onnxruntime')"),
        ("wgan.serve.trt_backend", "import tensorrt_rtx"),
        ("wgan.serve.trt_backend", "from cuda.bindings import runtime"),
        ("wgan.serve.trt_backend", "if True:\n    trt = importlib.import_module('tensorrt')"),
        ("wgan.serve.sampler", "def f():\n    from wgan.training.config import Config"),
        ("wgan.serve.sampler", "if TYPE_CHECKING:\n    import wgan.export"),
        ("wgan.serve.sampler", "from ..training import config"),
        ("wgan.serve.sampler", "def f():\n    from .. import export"),
        ("wgan.serve.sampler", "def f():\n    import_module('wgan.training')"),
        ("wgan.serve.sampler", "from wgan.serve import cli"),
        ("wgan.serve.cli", "from wgan import training"),
        ("wgan.serve.commands_train", "import wgan.training.loop"),
        ("wgan.training.loop", "from wgan.export.parity import check"),
        ("wgan.training.loop", "def f():\n    from wgan.export import parity"),
        ("wgan.training.presets", "from ...export import parity"),
        ("wgan.export.onnx", "from wgan.serve.cli import app"),
    ],
)
def test_the_checker_finds_a_breach(module: str, source: str):
    assert len(breaches(source, module, module == "wgan.training.presets")) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("wgan.serve.torch_backend", "def f():\n    import torch"),
        ("wgan.serve.torch_backend", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("wgan.serve.onnx_runtime", "class A:\n    def f(self):\n        import onnxruntime"),
        ("wgan.serve.images", "import json\nimport numpy as np\nfrom PIL import Image\nfrom . import errors"),
        ("wgan.serve.cli", "def train():\n    from wgan.training.loop import train"),
        ("wgan.serve.commands_export", "async def f():\n    import wgan.export"),
        ("wgan.training.loop", "import torch\nfrom wgan.serve import latents"),
        ("wgan.export.onnx", "import onnx\nfrom wgan.training import networks\nfrom ..serve import artifact"),
    ],
)
def test_the_checker_allows_what_the_rooms_may_do(module: str, source: str):
    assert breaches(source, module) == []


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").rglob("*.py")), ids=lambda path: path.name)
def test_no_script_imports_onnx_runtime_itself(path: Path):
    assert [name for _, name, _ in imports(ast.parse(path.read_text("utf-8")), "") if within(name, "onnxruntime")] == []


def test_serve_imports_where_nothing_but_the_base_is_installed():
    script = """
import importlib, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
for name in {modules}:
    importlib.import_module(name)
"""
    absent = {"torch", "torchvision", "onnx", "yaml", "scipy", "onnxruntime", "tensorrt", "tensorrt_rtx"}
    modules = [module_name(path) for path in SOURCES if path.is_relative_to(ROOT / "serve")]
    modules = [name for name in modules if not name.endswith("__main__")]
    script = script.replace("{absent}", repr(absent)).replace("{modules}", repr(modules))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_folder_with_code_is_a_listed_package():
    folders = {path.parent for path in SOURCES}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(module_name(folder / "__init__.py") for folder in folders)
