"""Nothing behind the user's back: no host is asked for, and nothing is written but where it was asked for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a compiler")

# a variable that tells of continuous integration would silence ONNX Runtime too: the process gets these alone
KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
BACKENDS = ("onnx", "torchscript", "torch")
TINY = ["image_size=16", "base_channels=2", "latent_dim=4", "steps=2", "batch_size=4", "n_critic=1", "faces_count=64",
        "validate_images=16"]  # fmt: skip
COMMANDS = """
import sys
from wgan.serve.cli import main
for words in {commands}:
    code = main(words)
    print(code, *words)
    if code:
        sys.exit(1)
"""


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that records every host that a process asks for, and refuses it."""
    library = tmp_path_factory.mktemp("recorder") / "record.so"
    source = Path(__file__).with_name("record_network.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


class Watched:
    """A process in an empty home: what it said, which hosts it asked for, and what it left at home."""

    def __init__(self, recorder: Path, place: Path, script: str, **environment: str):
        home, log = place / "home", place / "network"
        home.mkdir()
        (place / "work").mkdir(exist_ok=True)
        environment |= {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= {"HOME": str(home), "TMPDIR": str(home), "LD_PRELOAD": str(recorder), "RECORD_NETWORK": str(log)}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=place / "work", env=environment, capture_output=True, text=True, check=False)
        self.code, self.said = done.returncode, done.stdout + done.stderr
        self.asked = set(log.read_text().splitlines()) if log.exists() else set()
        # its compiler's folder, which torch makes in the temporary one whether it compiles or not, may be there: empty
        self.left = [str(path.relative_to(home)) for path in home.rglob("*") if not path.match("torchinductor_*")]


def test_the_recorder_sees_names_and_addresses(recorder: Path, tmp_path: Path) -> None:
    script = """
import contextlib, socket
with contextlib.suppress(OSError):
    socket.getaddrinfo("example.invalid", 80)
with contextlib.suppress(OSError):
    socket.socket().connect(("192.0.2.1", 80))
socket.getaddrinfo("localhost", 80)
"""
    found = Watched(recorder, tmp_path, script)
    assert found.code == 0, found.said
    assert found.asked == {"name example.invalid", "connect 192.0.2.1"}


def test_telemetry_is_the_users_to_turn_on(recorder: Path, tmp_path: Path) -> None:
    import onnxruntime

    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 29):
        pytest.skip("this ONNX Runtime has no telemetry on Linux")
    script = "from wgan.serve import onnx_runtime; onnx_runtime.load()"
    (tmp_path / "off").mkdir()
    assert Watched(recorder, tmp_path / "off", script).left == []
    (tmp_path / "on").mkdir()
    queued = Watched(recorder, tmp_path / "on", script, ORT_DISABLE_TELEMETRY="0").left
    assert any(name.endswith("onnxruntime.db") for name in queued)  # so an empty home above says something


@pytest.mark.slow
def test_every_command_is_silent(recorder: Path, tmp_path: Path) -> None:
    """But for the Inception weights, which `wgan eval` would download."""
    commands = [
        ["demo", "--device", "cpu", *TINY],
        ["export", "--format", "triton"],
        ["verify"],
        *(["sample", "-n", "2", "--out", f"{name}.npy", "--backend", name] for name in BACKENDS),
        ["bench", "--model", "runs/demo/export/generator.onnx", "--seconds", "0.01", "--batch-sizes", "1"],
        ["doctor"],
        ["eval", "-n", "4", "--inception-weights", "none"],
    ]  # fmt: skip
    found = Watched(recorder, tmp_path, COMMANDS.format(commands=commands))
    assert found.code == 0, found.said
    assert (found.asked, found.left) == (set(), [])


@pytest.mark.slow
def test_the_inception_weights_alone_are_fetched(recorder: Path, tmp_path: Path) -> None:
    commands = [["train", "--device", "cpu", *TINY, "inception_every=2", "inception_images=4"]]
    found = Watched(recorder, tmp_path, COMMANDS.format(commands=commands))
    assert found.code == 0, found.said
    assert (found.asked, found.left) == ({"name github.com"}, [])
