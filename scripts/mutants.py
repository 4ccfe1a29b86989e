"""Breaks a module one line at a time and runs its tests: a mutant that they pass shows what no test watches.

    python scripts/mutants.py training/step/losses.py tests/training/step/test_losses.py
    python scripts/mutants.py training/records/checkpoint.py --sample 40 tests/training/records -m 'not slow'

What follows the module goes to pytest. Mutants are written into a copy of the tree. Needs a POSIX system: each runs in
a fork of a process that has imported torch already. Prints the survivors, and last one JSON line of figures.
"""

import argparse
import ast
import contextlib
import copy
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WARM = ("numpy", "torch", "torch.onnx", "onnx", "onnxruntime", "typer.testing")
# an order's bound is moved, any other comparison turned round
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
}  # fmt: skip


def walk(node: ast.AST, inside: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """The nodes of code that runs, and whether they are in a function; no annotations and no f-strings."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield child, inside
                yield from walk(child, inside or isinstance(child, ast.FunctionDef))


def changes(node: ast.AST, inside: bool) -> Iterator[tuple[ast.AST, str]]:
    """What can stand in place of a node or of one in it, as source."""
    match node:
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                changed = copy.deepcopy(node)
                changed.ops[i] = COMPARISONS[type(op)]()
                yield node, f"({ast.unparse(changed)})"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            yield node, f"({ast.unparse(ast.BinOp(left, OPERATORS[type(op)](), right))})"
        case ast.BoolOp(op=op, values=values):
            yield node, f"({ast.unparse(ast.BoolOp(ast.And() if isinstance(op, ast.Or) else ast.Or(), values))})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.Constant(value=bool(value)):
            yield node, str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from ((node, f"({other!r})") for other in (value + 1, value - 1) if other != value)
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield node, "return None"
        case ast.Raise() | ast.Continue() | ast.Break():
            yield node, "pass"
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.Assign() | ast.AugAssign() if inside:
            yield node, "pass"
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if isinstance(
            test, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr
        ):
            yield test, f"(not ({ast.unparse(test)}))"


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, that line changed, and the whole changed source, for each mutant."""
    lines = source.encode().splitlines(keepends=True)
    for outer, inside in walk(ast.parse(source)):
        for node, text in changes(outer, inside):
            assert isinstance(node, ast.expr | ast.stmt)
            first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
            new = lines[first][: node.col_offset] + text.encode() + lines[last][node.end_col_offset :]
            yield first + 1, new.decode().strip(), b"".join([*lines[:first], new, *lines[last + 1 :]]).decode()


def copy_tree(to: Path) -> None:
    """The files that git knows or would add, without any build."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    (to / ".venv").symlink_to(ROOT / ".venv")


def tested(arguments: list[str], scratch: Path, limit: float) -> int | None:
    """pytest's exit code in a fork of this process; None where it took more than ``limit`` seconds."""
    child = os.fork()
    if not child:
        os.setsid()
        log = os.open(scratch / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = 3
        try:
            import pytest

            fixed = ["-x", "-q", "-p", "no:cacheprovider", "-n", "0", "--tb=line", f"--basetemp={scratch / 'files'}"]
            code = int(pytest.main([*fixed, *arguments]))
        finally:
            traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def main() -> None:
    """Parses the command line and tries the mutants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", type=Path)
    parser.add_argument("--sample", type=int, help="so many mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, help="seconds for the tests of a mutant; three times what they take")
    parser.add_argument("--lines", help="FIRST-LAST: mutants of these lines alone")
    options, tests = parser.parse_known_args()
    source = (ROOT / options.module).read_text("utf-8")
    first, _, last = (options.lines or f"1-{len(source)}").partition("-")
    chosen = [mutant for mutant in mutants(source) if int(first) <= mutant[0] <= int(last or first)]
    if options.sample is not None and options.sample < len(chosen):
        chosen = sorted(random.Random(options.seed).sample(chosen, options.sample))

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree, scratch = Path(folder, "tree"), Path(folder, "scratch")
        scratch.mkdir()
        copy_tree(tree)
        os.chdir(tree)
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        sys.path[:] = [
            str(tree),
            *(place for place in sys.path if Path(place).resolve() not in (ROOT, ROOT / "scripts")),
        ]
        for name in WARM:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        began = time.monotonic()
        if tested(tests, scratch, options.limit or 3600) != 0:
            sys.exit(f"{(scratch / 'log').read_text('utf-8', 'replace')}\nthe tests fail as the code is")
        limit = options.limit or 10 + 3 * (time.monotonic() - began)
        survived = 0
        for line, changed, text in chosen:
            (tree / options.module).write_text(text, "utf-8")
            if tested(tests, scratch, limit) == 0:
                survived += 1
                print(f"{options.module}:{line}: {changed}", flush=True)
    print(json.dumps({"mutants": len(chosen), "killed": len(chosen) - survived, "survived": survived}))


if __name__ == "__main__":
    main()
