"""The folders depend in one direction, wgan → export → training → serve, and serve needs the base install alone."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import rooms

from tests import ROOT

FOLDERS = ("serve", "training", "export", "wgan")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# composes; nothing imports it: every module of the folder wgan/
FACE = tuple(f"wgan.{path.stem}" for path in sorted((ROOT / "wgan").iterdir()) if path.suffix == ".py" or path.is_dir())
ABOVE = {"serve": ("wgan.training", "wgan.export", *FACE), "training": ("wgan.export", *FACE), "export": FACE}

LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 260, 60, 7  # lines, lines, and parameters of a function

IMPORT_NAME = {"pillow": "PIL", "prometheus-client": "prometheus_client"}  # where it differs from the package's


def packages(lines: list[str]) -> set[str]:
    """The names in requirements."""
    return {re.split(r"[ <>=!~;\[]", line)[0] for line in lines}


BASE = packages(PROJECT["project"]["dependencies"])
BASE_HAS = {IMPORT_NAME.get(name, name) for name in BASE} | set(sys.stdlib_module_names) | {"wgan"}
# the HTTP server alone has an extra of its own
SERVER = "wgan.serve.http"
SERVER_HAS = {IMPORT_NAME.get(name, name) for name in packages(PROJECT["project"]["optional-dependencies"]["serve"])}

SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    name: str = rooms.module_of(path)
    return name


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
    folder = [*module.split("."), ""][1]
    face = folder not in ABOVE
    package = module if is_package else module.rpartition(".")[0]
    server = within(module, SERVER)
    found = []
    for line, name, where in imports(ast.parse(source), package):
        if not server and name.split(".")[0] in SERVER_HAS:
            found.append(f"{module}:{line} imports {name}: {SERVER} alone does")
        if not server and where == "module" and within(name, SERVER):
            found.append(f"{module}:{line} imports {name} at module level: it needs the extra serve")
        above = ABOVE.get(folder, ())
        if any(within(name, other) for other in above):
            found.append(f"{module}:{line} imports {name}: {folder} stands below it")
        if within(name, "onnxruntime") and module != "wgan.serve.backends.onnxrt.runtime":
            found.append(f"{module}:{line} imports {name}: onnxrt.runtime.load does, with its telemetry off")
        elif where == "module" and module != "wgan.demo" and (face or folder == "serve"):
            heavy = face and (within(name, "wgan.training") or within(name, "wgan.export"))
            if heavy or name.split(".")[0] not in BASE_HAS | (SERVER_HAS if server else set()):
                found.append(f"{module}:{line} imports {name} at module level: it is not in the base install")
        if face and within(name, "wgan.cli") and module != "wgan.__main__":
            found.append(f"{module}:{line} imports {name}: nothing may")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_room_may(path: Path):
    assert breaches(path.read_text("utf-8"), module_name(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("wgan.serve.latents.table", "import torch"),
        ("wgan.serve.http.server", "import torch"),
        ("wgan.serve.sampling.run", "from wgan.serve.http.server import run"),
        ("wgan.serve.sampling.run", "def f():\n    import uvicorn"),
        ("wgan.serve.latents.table", "try:\n    from torch.nn import Module\nexcept ImportError:\n    pass"),
        ("wgan.serve.outputs.pixels", "class A:\n    import torchvision"),
        ("wgan.serve.artifacts.artifact", "import onnx"),
        ("wgan.serve.artifacts.artifact", "from yaml import safe_load"),
        ("wgan.serve.backends.onnxrt.backend", "import onnxruntime as ort"),
        ("wgan.serve.backends.onnxrt.backend", "class A:\n    def f(self):\n        import onnxruntime"),
        ("wgan.export.formats.onnx", "from onnxruntime.quantization import quantize_dynamic"),
        ("wgan.export.reference.generator", "def f():\n    importlib.import_module('onnxruntime')"),
        ("wgan.serve.backends.trt.backend", "import tensorrt_rtx"),
        ("wgan.serve.backends.trt.backend", "from cuda.bindings import runtime"),
        ("wgan.serve.backends.trt.backend", "if True:\n    trt = importlib.import_module('tensorrt')"),
        ("wgan.serve.sampling.sampler", "def f():\n    from wgan.training.config import Config"),
        ("wgan.serve.sampling.sampler", "if TYPE_CHECKING:\n    import wgan.export"),
        ("wgan.serve.sampling.sampler", "from ...training import config"),
        ("wgan.serve.sampling.sampler", "def f():\n    from ... import export"),
        ("wgan.serve.sampling.sampler", "def f():\n    import_module('wgan.training')"),
        ("wgan.serve.sampling.sampler", "from wgan.commands import console"),
        ("wgan.training.run.loop", "from wgan.commands.console import Stopped"),
        ("wgan.export.exporter", "def f():\n    from wgan import demo"),
        ("wgan.cli", "from wgan import training"),
        ("wgan.commands.train", "from wgan.cli import app"),
        ("wgan.commands.bench", "import torch"),
        ("wgan", "import torch"),
        ("wgan.commands.train", "import wgan.training.run.loop"),
        ("wgan.training.run.loop", "from wgan.export.parity import check"),
        ("wgan.training.run.loop", "def f():\n    from wgan.export import parity"),
        ("wgan.training.presets", "from ...export import parity"),
        ("wgan.export.formats.onnx", "from wgan.cli import app"),
    ],
)
def test_the_checker_finds_a_breach(module: str, source: str):
    assert len(breaches(source, module, module in ("wgan", "wgan.training.presets"))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("wgan.serve.backends.pytorch.device", "def f():\n    import torch"),
        ("wgan.serve.backends.pytorch.device", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("wgan.serve.backends.onnxrt.runtime", "class A:\n    def f(self):\n        import onnxruntime"),
        (
            "wgan.serve.outputs.pixels",
            "import json\nimport numpy\nfrom PIL import Image\nfrom ..base import errors",
        ),
        ("wgan.cli", "def train():\n    from wgan.training.run.loop import train"),
        ("wgan.commands.export", "async def f():\n    import wgan.export"),
        ("wgan.__main__", "from wgan.cli import main"),
        ("wgan.training.run.loop", "import torch\nfrom wgan.serve.latents import table as latents"),
        ("wgan.export.formats.onnx", "import onnx\nfrom wgan.training import networks\nfrom ...serve import artifacts"),
    ],
)
def test_the_checker_allows_what_the_rooms_may_do(module: str, source: str):
    assert breaches(source, module) == []


# what runs in another program's Python, and silences ONNX Runtime itself
ELSEWHERE = {ROOT / "scripts" / "triton_backends" / "onnxruntime" / "model.py"}


@pytest.mark.parametrize("path", sorted({*(ROOT / "scripts").rglob("*.py")} - ELSEWHERE), ids=lambda path: path.name)
def test_no_script_imports_onnx_runtime_itself(path: Path):
    assert [name for _, name, _ in imports(ast.parse(path.read_text("utf-8")), "") if within(name, "onnxruntime")] == []


def test_serve_and_the_face_import_where_nothing_but_the_base_is_installed():
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
    light = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ("serve", "wgan")]
    modules = [name for name in map(module_name, light) if name not in ("wgan.__main__", "wgan.demo")]
    script = script.replace("{absent}", repr(absent)).replace("{modules}", repr(modules))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_folder_with_code_is_a_package():
    folders = {path.parent for path in SOURCES}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_no_files_and_no_rooms_import_each_other_in_a_circle():
    arrows = rooms.graph()
    assert rooms.circles(arrows) == []
    assert rooms.circles(rooms.by_room(arrows)) == []


def test_a_circle_is_found():
    assert rooms.circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


@pytest.mark.parametrize("words", [["-c", "import wgan.serve"], ["-m", "wgan", "--help"]])
def test_a_checkouts_folder_wgan_hides_none_of_the_others(words: list[str]):
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_checkout_runs_without_being_installed():
    # -S: none of the installed packages, our own included
    words = [sys.executable, "-S", "-c", "import wgan.serve.base.errors, wgan.training, wgan.export"]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == 0


def test_the_folders_of_tests_mirror_those_of_the_packages():
    # a folder of tests/ beside these four is for what is not one package's: the project, examples, fakes, data
    homes = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    mirrored = [home for home in homes if home.parts[:1] and home.parts[0] in FOLDERS]
    assert {home.parts[0] for home in mirrored} == set(FOLDERS)
    assert [str(home) for home in mirrored if not (ROOT / home).is_dir()] == []
    assert [path.name for path in (ROOT / "tests").glob("test_*.py")] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_its_functions_fit_the_eye(path: Path):
    source = path.read_text("utf-8")
    assert len(source.splitlines()) <= LONGEST_FILE
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert {each.name: lines_of(each) for each in functions if lines_of(each) > LONGEST_FUNCTION} == {}
    asked = {each.name: each.args.posonlyargs + each.args.args + each.args.kwonlyargs for each in functions}
    counts = {name: len([word for word in words if word.arg not in ("self", "cls")]) for name, words in asked.items()}
    if path.parent != ROOT / "wgan" / "commands":  # an option of a command is a parameter of its function
        assert {name: count for name, count in counts.items() if count > MOST_PARAMETERS} == {}


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Of its body: a command's options are its signature."""
    assert function.end_lineno is not None
    return function.end_lineno - function.body[0].lineno + 1


def test_nothing_that_is_said_installs_a_package_of_this_name():
    # a name that nobody has registered: whoever does receives what is installed by it
    for path in SOURCES + sorted((ROOT / "scripts").rglob("*.py")) + sorted(ROOT.glob("docs/**/*.md")):
        assert not re.search(r"install (-\S+ )*['\"]?wgan\b(?!'s)", path.read_text("utf-8")), path
