"""A real Triton server without a GPU or a container: `python scripts/triton_real.py fetch`, or `serve REPOSITORY`.

The wheel of nvidia-pytriton holds tritonserver 2.51 with its python backend. It is installed, with the packages that
its Python needs, into a folder of its own below the user's cache; nothing goes into .venv. The backend onnxruntime is
not in the wheel: scripts/triton_backends/ has one that stands in for it.
"""

import argparse
import ctypes
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from apart import PYTHON, Apart, Missing, cache, make_environment, run

ROOT = Path(__file__).resolve().parents[1]
STAND_IN = ROOT / "scripts" / "triton_backends" / "onnxruntime"
TRITON = "2.51.0"
WHEEL = "nvidia-pytriton==0.7.0"
DIGEST = "sha256:21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df"
NUMPY = "numpy==1.26.4"  # the last for which the python backend was built
PYTHONS = ("3.11", "3.12")  # for which the wheel has a stub, and that numpy a wheel
PATIENCE = 60.0  # seconds that a server may take to load everything, and to end


@dataclass(frozen=True)
class Install:
    """A folder with a server, and an environment of Python for its python backend."""

    folder: Path

    @property
    def server(self) -> Path:
        """What the wheel holds for Triton."""
        return self.folder / "server" / "pytriton" / "tritonserver"

    @property
    def apart(self) -> Apart:
        """The folder with what it holds when it is whole."""
        return Apart(self.folder, "\n".join((WHEEL, DIGEST, NUMPY, runtime(), sys.base_prefix, PYTHON, "")))

    def command(self, repository: Path, port: int, *words: str) -> list[str]:
        """The server's, on loopback, with HTTP alone; ``words`` are more options of tritonserver."""
        return [
            str(self.server / "bin" / "tritonserver"),
            f"--model-repository={repository}",
            f"--backend-directory={self.folder / 'backends'}",
            "--http-address=127.0.0.1",
            f"--http-port={port}",
            "--allow-grpc=false",
            "--allow-metrics=false",
            *words,
        ]

    def environment(self) -> dict[str, str]:
        """Variables under which it finds its libraries and its Python, the first on PATH."""
        libraries = [str(self.folder / "server" / "nvidia_pytriton.libs"), *libpython()]
        return os.environ | {
            "PATH": f"{self.folder / 'env' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "LD_LIBRARY_PATH": os.pathsep.join(libraries),
            "ORT_DISABLE_TELEMETRY": "1",
        }

    def place_stand_in(self) -> None:
        """Puts this checkout's stand-in where the server looks for backends."""
        target = self.folder / "backends" / "onnxruntime" / "model.py"
        source = (STAND_IN / "model.py").read_bytes()
        if not target.is_file() or target.read_bytes() != source:
            target.parent.mkdir(parents=True, exist_ok=True)
            new = target.with_suffix(f".{os.getpid()}")
            new.write_bytes(source)
            new.replace(target)


def runtime() -> str:
    """ONNX Runtime as it is pinned for the checkout, so that its bits can be compared."""
    return next(
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("onnxruntime==")
    )


def default_folder() -> Path:
    """Below the user's cache; one for each Python."""
    return cache() / f"tritonserver-{TRITON}-py{PYTHON}"


def libpython() -> list[str]:
    """The folder of this Python's shared library, which the python backend loads; none where the system knows it.

    Raises:
        Missing: there is no such library.
    """
    name = f"libpython{PYTHON}.so.1.0"
    for folder in (sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib"):
        if folder and Path(folder, name).exists():
            return [folder]
    try:
        ctypes.CDLL(name)
    except OSError:
        raise Missing(f"there is no {name}: apt-get install libpython{PYTHON} (Debian, Ubuntu)") from None
    return []


def found(folder: Path | None = None) -> Install:
    """The server that was fetched. Raises Missing where there is none."""
    install = Install(folder or default_folder())
    if not install.apart.whole:
        raise Missing("needs a real Triton server: python scripts/triton_real.py fetch")
    return install


def fetch(folder: Path | None = None) -> Install:
    """Installs the server, or brings it up to date; quick where it is there.

    Raises:
        Missing: not on this kind of machine, or it could not be fetched.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64") or PYTHON not in PYTHONS:
        raise Missing(f"the server is for Linux on x86-64 with Python {', '.join(PYTHONS)}")
    libpython()
    install = Install((folder or default_folder()).absolute())
    install.apart.make(lambda: _install(install), "server", "env", "backends")
    return install


def _install(install: Install) -> None:
    folder = install.folder
    print(f"triton_real: installing {WHEEL} into {folder} (75 MB from the package index)", file=sys.stderr)
    (wanted := folder / "wheel.txt").write_text(f"{WHEEL} --hash={DIGEST}\n")
    pip = make_environment(folder / "env")
    run(*pip, NUMPY, runtime())
    run(*pip, "--no-deps", "--require-hashes", "--target", str(folder / "server"), "-r", str(wanted))
    backend = folder / "backends" / "python"
    shutil.copytree(install.server / "backends" / "python", backend)
    shutil.copy(install.server / "python_backend_stubs" / PYTHON / "triton_python_backend_stub", backend)
    for program in (install.server / "bin" / "tritonserver", backend / "triton_python_backend_stub"):
        program.chmod(0o755)


@contextmanager
def running(
    install: Install, repository: Path, *words: str, log: Path, slow: float = 0.0
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server for the block: its process and its address, when it is ready; none of its processes is left after.

    Args:
        install: as `fetch` or `found` gave it.
        repository: of models.
        words: more options of tritonserver.
        log: the file that takes what it says.
        slow: seconds that the stand-in takes longer for an image.

    Raises:
        RuntimeError: it ended, or was not ready in time.
    """
    install.place_stand_in()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = install.environment() | {"STAND_IN_SECONDS_PER_IMAGE": repr(slow)}
    with log.open("wb") as file:
        server = subprocess.Popen(
            install.command(repository, port, *words), env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        _wait_until_ready(server, port, log)
        yield server, f"127.0.0.1:{port}"
    finally:
        if server.poll() is None:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_until_ready(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < end:
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server is not ready:\n{log.read_text(errors='replace')[-4000:]}")


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 2 where there is no server to be had, else that of the server."""
    parser = argparse.ArgumentParser(description="a real Triton server on loopback, without a GPU")
    parser.add_argument("--folder", type=Path, help=f"where it is installed [default: {default_folder()}]")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="install it")
    serve = commands.add_parser("serve", help="run it; more options of tritonserver come after --")
    serve.add_argument("repository", type=Path)
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("more", nargs="*")
    asked = parser.parse_args(words)
    try:
        install = fetch(asked.folder)
    except Missing as missing:
        print(f"triton_real: {missing}", file=sys.stderr)
        return 2
    if asked.command == "serve":
        install.place_stand_in()
        command = install.command(asked.repository, asked.port, *asked.more)
        os.execve(command[0], command, install.environment())  # its signals and its exit code are the server's
    print(install.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
