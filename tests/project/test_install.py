"""The command that a missing runtime is answered with, run as it is printed: it works where wgan came from."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.project.outside import run

pytestmark = pytest.mark.slow

AWKWARD = "my wgan's [copy]"  # a folder's name with what a shell and pip give a meaning to
ONNX = "onnxruntime>=1.23"


class Elsewhere:
    """An environment of its own, with what wgan always needs and without wgan."""

    def __init__(self, env: Path):
        self.bin = env / "bin"

    def shell(self, line: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs a line as in a shell where the environment is active."""
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        env = (
            kept | {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | more
        )
        return subprocess.run(["bash", "-c", line], cwd=cwd, env=env, capture_output=True, text=True, check=False)

    def without(self) -> None:
        """Takes out wgan and the runtime."""
        run(self.bin / "python", "-m", "pip", "uninstall", "-qy", "wgan", "onnxruntime")


@pytest.fixture(scope="module")
def elsewhere(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    env = tmp_path_factory.mktemp("elsewhere") / "env"
    run(sys.executable, "-m", "venv", env)
    run(env / "bin/python", "-m", "pip", "install", "-q", built[0])
    return Elsewhere(env)


@pytest.fixture(scope="module")
def checkout(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(tree, tmp_path_factory.mktemp("checkout") / AWKWARD / "wgan"))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address at which a server gives out the files of the test's folder."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def asked_for(line: str) -> str:
    """The command at the end of a line that says what is missing."""
    found = re.fullmatch(r"wgan: the onnx backend needs ONNX Runtime: (.+)\n", line)
    assert found, line
    return found[1]


def mended(elsewhere: Elsewhere, wgan: str, cwd: Path, **more: str) -> list[str]:
    """Runs `wgan sample`, then what it prints, then `wgan sample` again; the words of what it printed."""
    sample = f"{wgan} sample -n 1 --out one.png"
    before = elsewhere.shell(sample, cwd, **more)
    assert before.returncode == 2, before.stderr
    command = asked_for(before.stderr.splitlines(keepends=True)[-1])
    done = elsewhere.shell(command, cwd)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    after = elsewhere.shell(sample, cwd, **more)
    assert after.returncode == 0, after.stderr
    assert (cwd / "one.png").is_file()
    return shlex.split(command)


def wheel(place: Path, built: Path, checkout: Path, served: str) -> tuple[str, list[str]]:
    """A wheel in a folder."""
    (place / AWKWARD).mkdir()
    file = Path(shutil.copy(built, place / AWKWARD))
    return shlex.quote(str(file)), [f"./{file.relative_to(place)}[onnx-cpu]"]


def folder(place: Path, built: Path, checkout: Path, served: str) -> tuple[str, list[str]]:
    """A checkout, copied."""
    return shlex.quote(str(checkout)), [f"{checkout}[onnx-cpu]", "-c", f"{checkout}/constraints.txt"]


def editable(place: Path, built: Path, checkout: Path, served: str) -> tuple[str, list[str]]:
    """A checkout, to be worked on."""
    return f"-e {shlex.quote(str(checkout))}", ["-e", f"{checkout}[onnx-cpu]", "-c", f"{checkout}/constraints.txt"]


def commit(place: Path, built: Path, checkout: Path, served: str) -> tuple[str, list[str]]:
    """A commit of a repository."""
    repository = shutil.copytree(checkout, place / "repository")
    run("git", "init", "-q", cwd=repository)
    run("git", "add", ".", cwd=repository)
    run("git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "all", cwd=repository)
    run("git", "update-server-info", cwd=repository)
    number = run("git", "rev-parse", "HEAD", cwd=repository).strip()
    url = f"git+{served}/repository/.git"
    return url, [f"wgan[onnx-cpu] @ {url}@{number}"]


def repository(place: Path, built: Path, checkout: Path, served: str) -> tuple[str, list[str]]:
    """The same on this machine, which not every pip takes with an extra."""
    commit(place, built, checkout, served)
    return f"git+{(place / 'repository').as_uri()}", [ONNX]


def address(place: Path, built: Path, checkout: Path, served: str) -> tuple[str, list[str]]:
    """A wheel on a server."""
    shutil.copy(built, place)
    return f"{served}/{built.name}", [f"wgan[onnx-cpu] @ {served}/{built.name}"]


def index(place: Path, built: Path, checkout: Path, served: str) -> tuple[str, list[str]]:
    """As from an index, or a package of the system: nothing says where it came from."""
    forget = "[f.locate().unlink() for f in files('wgan') if f.name == 'direct_url.json']"
    program = f"from importlib.metadata import files; {forget}"
    return f"{built} && python -c {shlex.quote(program)}", [ONNX]


def gone(place: Path, built: Path, checkout: Path, served: str) -> tuple[str, list[str]]:
    """A wheel that is removed once it is installed."""
    file = Path(shutil.copy(built, place))
    return f"{file} && rm {file}", [ONNX]


@pytest.mark.parametrize("source", [wheel, folder, editable, commit, repository, address, index, gone])
def test_what_is_printed_installs_the_extra_from_where_wgan_came(
    elsewhere: Elsewhere,
    built: tuple[Path, Path],
    checkout: Path,
    tmp_path: Path,
    served: str,
    source: Callable[[Path, Path, Path, str], tuple[str, list[str]]],
) -> None:
    elsewhere.without()
    what, words = source(tmp_path, built[0], checkout, served)
    installed = elsewhere.shell(f"pip install -q {what}", tmp_path)
    assert installed.returncode == 0, installed.stderr
    assert mended(elsewhere, "wgan", tmp_path) == ["pip", "install", *words]


def test_a_checkout_on_the_path_installs_itself(elsewhere: Elsewhere, checkout: Path) -> None:
    elsewhere.without()
    words = mended(elsewhere, "python -m wgan", checkout, PYTHONPATH=str(checkout))
    assert words == ["pip", "install", "-e", ".[onnx-cpu]", "-c", "constraints.txt"]


def test_an_environment_that_is_not_active_and_has_no_pip_gets_one(
    built: tuple[Path, Path], elsewhere: Elsewhere, tmp_path: Path
) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env")
    python = tmp_path / "env/bin/python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", built[0])
    words = mended(elsewhere, "env/bin/wgan", tmp_path)
    if shutil.which("uv") is None:
        assert words[:8] == ["env/bin/python", "-m", "ensurepip", "&&", "env/bin/python", "-m", "pip", "install"]
    else:
        assert words[:5] == ["uv", "pip", "install", "--python", "env/bin/python"]
