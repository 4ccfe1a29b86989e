"""What the commands share: the version, completion in the shell, and functions that are short."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from wgan.cli import main

ROOT = Path(__file__).parents[2]


def wgan(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wgan", *words]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("typed", "words"), [("wgan sa", ["sample"]), ("wgan sample --tru", ["--truncation"])])
def test_the_shell_completes_commands_and_options(typed: str, words: list[str]) -> None:
    place = str(len(typed.split()) - 1)
    done = wgan(_WGAN_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=place)
    assert done.stdout.split()[: len(words)] == words, done.stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["sample", "--backend", "to"], ["torchscript", "torch"]),
        (["eval", "--device", "cu"], ["cuda"]),
        (["export", "--format", "to"], ["torchscript"]),
        (["export", "--pixels", ""], ["float32", "uint8"]),
        (["train", "--config", ""], ["demo", "faces-64", "wgan-gp-64"]),
        (["train", "image_"], ["image_size="]),
        (["train", "--resume", "precision=f"], ["precision=fp32", "precision=fp16"]),
        (["train", "precision", "="], ["fp32", "bf16", "fp16", "auto"]),  # as bash cuts it
        (["train", "precision", "=", "a"], ["auto"]),
        (["train", "tf32", "=", "t"], ["true"]),
        (["settings", "lambda"], ["lambda_gp"]),
        (["help", "sa"], ["sample"]),
        (["sample", "--run", "runs/o"], ["runs/one"]),
        (["sample", "--model", "runs/one/export/generator.o"], ["runs/one/export/generator.onnx"]),
    ],
)
def test_the_shell_completes_what_belongs_behind_an_option(run: Path, words: list[str], found: list[str]) -> None:
    typed = shlex.join(["wgan", *words]).replace("''", "")
    done = wgan(_WGAN_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(len(words)))
    assert done.stdout.split() == found, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_complete_too(run: Path, shell: str) -> None:
    more = {"_TYPER_COMPLETE_ARGS": "wgan train precision=f", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = wgan(_WGAN_COMPLETE=f"complete_{shell}", **more)
    assert "precision=fp32" in done.stdout, done.stderr


def test_the_version_has_a_short_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-V"]) == 0
    assert main(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.startswith("wgan ")


def test_no_sentence_of_the_tool_cites_what_its_user_has_not_read() -> None:
    """Docstrings may name papers; texts that are shown do not cite sections, equations or authors."""
    cited = re.compile(r"§|\b([Ss]ection|[Ee]quation|[Aa]lgorithm) \d|et al\.|the (founding )?document\b")
    found = []
    for folder in ("wgan", "serve", "training", "export"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text("utf-8"))
            bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
                    found += [f"{path.name}: {node.value}"] if cited.search(node.value) else []
    assert found == []


def test_the_line_for_the_shell_can_be_shown_for_each_shell() -> None:
    done = wgan("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip().endswith("wgan")
    assert "_WGAN_COMPLETE=complete_bash" in done.stdout


def test_help_lists_completion_and_a_mistake_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "--install-completion" in shown
    assert "--version" in shown
    assert main(["--show-completions"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("wgan: ")
    assert main(["sample", "--version"]) == 2


def test_no_function_of_the_face_is_long() -> None:
    """60 lines, and for a command 30 lines beside its options."""
    long = []
    for path in (*(ROOT / "wgan").rglob("*.py"), ROOT / "export" / "from_run.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = (node.end_lineno or 0) - body[0].lineno + 1
                command = path.parent.name == "commands" and not node.name.startswith("_")
                if length > (30 if command else 60):
                    long.append(f"{path.name}: {node.name} has {length} lines")
    assert long == []
