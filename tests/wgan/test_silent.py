"""Nothing behind the user's back: no host is asked for, and nothing is written but where it was asked for."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a compiler"),
]

# a variable that tells of continuous integration would silence ONNX Runtime too: the process gets these alone
KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
BACKENDS = ("onnx", "torchscript", "torch")
TINY = ["image_size=16", "base_channels=2", "latent_dim=4", "steps=2", "batch_size=4", "n_critic=1", "faces_count=64",
        "validate_images=16"]  # fmt: skip
NAMELESS = 54_321  # a user's number that no passwd knows
EVERYBODYS = ("/tmp", "/var/tmp", "/dev/shm")
COMMANDS = """
import sys
from wgan.cli import main
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
    source = ROOT / "tests" / "fakes" / "record_network.c"
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
    script = "from wgan.serve.backends.onnxrt import runtime; runtime.load()"
    (tmp_path / "off").mkdir()
    assert Watched(recorder, tmp_path / "off", script).left == []
    (tmp_path / "on").mkdir()
    queued = Watched(recorder, tmp_path / "on", script, ORT_DISABLE_TELEMETRY="0").left
    assert any(name.endswith("onnxruntime.db") for name in queued)  # so an empty home above says something


@pytest.fixture
def nameless() -> Iterator[tuple[list[str], Path]]:
    """A command's first words that run it under a user without a name, and a folder where that one may write.

    They are none where we are no root: then HOME alone is missing.
    """
    # one that may still read everything: an interpreter or the tests may lie in root's own home
    reading = [f"--{kind}=-all,+dac_read_search" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    user = ["setpriv", f"--reuid={NAMELESS}", f"--regid={NAMELESS}", "--clear-groups"]
    with tempfile.TemporaryDirectory() as folder:  # not pytest's, which are closed to others
        place = Path(folder)
        place.chmod(0o755)
        for name in ("work", "tmp"):
            (place / name).mkdir()
        if os.getuid() != 0:
            yield [], place
            return
        for words in ([*user, *reading], user):
            try:
                subprocess.run(
                    [*words, sys.executable, "-c", "import numpy, wgan.serve"], capture_output=True, check=True
                )
            except (OSError, subprocess.CalledProcessError):
                continue
            for name in ("work", "tmp"):
                os.chown(place / name, NAMELESS, NAMELESS)
            yield words, place
            return
    pytest.skip(
        "no way here to run this Python under another user: setpriv is missing, or Python lies in a closed folder"
    )


def test_a_user_without_name_and_home_is_told_nothing(tiny_export: Path, nameless: tuple[list[str], Path]) -> None:
    """As in a container that was given a number for a user."""
    user, place = nameless
    shutil.copy(tiny_export / "generator.onnx", place)
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {"TMPDIR": str(place / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}

    def said(script: str) -> str:
        done = subprocess.run(
            [*user, sys.executable, "-c", script],
            cwd=place / "work", env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def strewn() -> set[str]:
        """What lies in the places where everybody may write, of that user."""
        found = set()
        for path in (path for top in EVERYBODYS if Path(top).is_dir() for path in Path(top).iterdir()):
            with suppress(FileNotFoundError):  # of other programs, gone meanwhile
                if path.lstat().st_uid == NAMELESS:
                    found.add(str(path))
        return found

    before = strewn()
    lines = said("from wgan.cli import main; main('sample -n 2 --model ../generator.onnx --out a.npy'.split())")
    made = r"2 images \(seeds 0 to 1\) of \.\./generator\.onnx \(step 7\) with onnx on cpu, [\d,.]+ images/s: a\.npy\n"
    assert re.fullmatch(rf"{made}next: wgan bench --model \.\./generator\.onnx\n", lines), lines
    assert {path.name for path in place.rglob("*") if path.is_file()} == {"a.npy", "generator.onnx"}
    assert list((place / "tmp").iterdir()) == []
    assert strewn() == before
    # where a cache would lie is no error either
    assert said("from wgan.serve.base.files import cache_folder; print(cache_folder())") == "None\n" or not user
    import onnxruntime

    if user and tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 29):
        loud = said(
            "import onnxruntime as o; o.InferenceSession('../generator.onnx', providers=['CPUExecutionProvider'])"
        )
        assert "\x1b[" in loud  # so that silence above says something


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


def test_the_inception_weights_alone_are_fetched(recorder: Path, tmp_path: Path) -> None:
    commands = [["train", "--device", "cpu", *TINY, "inception_every=2", "inception_images=4"]]
    found = Watched(recorder, tmp_path, COMMANDS.format(commands=commands))
    assert found.code == 0, found.said
    assert (found.asked, found.left) == ({"name github.com"}, [])


def test_an_evaluation_fetches_the_inception_weights_where_it_has_none(
    recorder: Path, tiny_export: Path, tmp_path: Path, inception_weights: Path
) -> None:
    words = ["eval", "--model", str(tiny_export / "generator.onnx"), "-n", "2", "--device", "cpu"]
    script = f"""
import os
from wgan.cli import main
from wgan.training.measures import feature_distances
feature_distances.frechet_distance = lambda *sides: 0.0  # a quarter of a minute of algebra, which asks for no host
assert main({[*words, "--inception-weights", str(inception_weights)]}) == 0
assert not os.path.exists(os.environ["RECORD_NETWORK"])
assert main({words}) == 0
"""
    found = Watched(recorder, tmp_path, script, OMP_NUM_THREADS="1")  # threads that wait for each other take longer
    assert found.code == 0, found.said
    assert "classifier score" in found.said
    assert "no FID: the Inception weights cannot be downloaded" in found.said
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    host = urlsplit(URL_INCEPTION_V3).hostname
    assert (found.asked, found.left) == ({f"name {host}"}, [])
    page = ROOT.joinpath("docs", "evaluate.md").read_text("utf-8")
    assert f"downloaded once, from {host}," in " ".join(page.split())
