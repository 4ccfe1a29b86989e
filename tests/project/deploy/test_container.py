"""The image's own command in what a container is, without an engine: no rights, and a root that cannot be written.

The environment is installed as deploy/Dockerfile installs it. As root on Linux it runs in namespaces of its own, as
process 1, on a read-only root with nothing but a /tmp to write to; elsewhere as the test's user, without a home.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests import ROOT
from tests.project.deploy.reading import DEPLOY, USER, dockerfile, last
from tests.project.outside import run, variables
from tests.serve.http.serving import PATIENCE

pytestmark = pytest.mark.slow

SERVE_LIMIT = 20 << 20  # bytes that `serve` adds to `onnx-cpu`, without the bytecode that pip may write
IMAGE = dockerfile(DEPLOY / "Dockerfile")
TOKEN_FILE = "/run/secrets/wgan_token"
TOKEN = "a-token-that-only-this-test-has"
SYSTEM = ("bin", "etc", "lib", "lib32", "lib64", "sbin", "usr")
CAGED = os.name == "posix" and os.geteuid() == 0 and shutil.which("unshare") is not None


def size(env: Path) -> int:
    """Bytes of what is installed, without bytecode."""
    files = (path for path in env.rglob("*") if path.suffix != ".pyc" and path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The environment of the image, and how many bytes of it `serve` brought."""
    env = tmp_path_factory.mktemp("image") / "env"
    run(sys.executable, "-m", "venv", "--without-pip", env)
    sizes = []
    for extras in ("onnx-cpu", "onnx-cpu,serve"):
        wanted = ("-c", ROOT / "constraints.txt", f"wgan[{extras}] @ {built[0].as_uri()}")
        run(sys.executable, "-m", "pip", "--python", env / "bin/python", "install", "-q", "--no-compile", *wanted)
        sizes.append(size(env))
    return env, sizes[1] - sizes[0]


def test_serving_adds_little_to_the_install_and_no_torch(installed: tuple[Path, int]) -> None:
    env, added = installed
    find = "import importlib.util, sys; print([n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
    names = ("torch", "onnx", "scipy", "uvicorn", "uvloop", "httptools", "prometheus_client")
    assert run(env / "bin/python", "-c", find, *names).strip() == str(list(names[3:]))
    assert 1e6 < added < SERVE_LIMIT  # 17.9 MB with Python 3.11, 20.6 with 3.12, whose uvloop is larger


def caged(words: list[str], env: Path, token: Path, root: Path) -> list[str]:
    """The words that run these as process 1 of a root that is read-only, but for /tmp, by a user without rights."""
    prefix = Path(sys.base_prefix)
    lines = [f"mount --make-rprivate /; mount -t tmpfs -o mode=755 root {root}; cd {root}"]
    lines += ["mkdir proc dev tmp models; mount -t proc proc proc; mount --rbind /dev dev"]
    lines += ["mount -t tmpfs -o mode=1777,size=64m tmp tmp"]  # before what lies in it
    for name in SYSTEM:
        place = Path("/", name)
        if place.is_symlink():
            lines.append(f"ln -s {place.readlink()} {name}")
        elif place.is_dir():
            lines.append(f"mkdir {name}; mount --rbind {place} {name}; mount -o remount,bind,ro {name}")
    for place in (env, *([] if prefix == Path("/usr") else [prefix])):
        lines.append(f"mkdir -p .{place}; mount --bind {place} .{place}; mount -o remount,bind,ro .{place}")
    lines += [
        f"mkdir -p .{Path(TOKEN_FILE).parent}; install -m 400 -o {USER} {token} .{TOKEN_FILE}",
        "mount -o remount,ro .",
        f"exec chroot . setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs --bounding-set=-all "
        f"--inh-caps=-all env -C /models -i PATH={env}/bin:/usr/bin PYTHONDONTWRITEBYTECODE=1 {shlex.join(words)}",
    ]
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-ec", "\n".join(lines)]


@contextmanager
def started(words: list[str], env: Path, folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A process in the cage, and the number by which it gets signals."""
    token, root = folder / "token", folder / "root"
    token.write_text(TOKEN, "utf-8")
    root.mkdir()
    if CAGED:
        process = subprocess.Popen(caged(words, env, token, root))
    else:
        words = [str(token) if word == TOKEN_FILE else word for word in words]
        process = subprocess.Popen(
            [str(env / "bin" / words[0]), *words[1:]], cwd="/", env={**variables(), "HOME": "/nonexistent"}
        )
    try:
        yield process, inner(process.pid) if CAGED else process.pid
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)


def inner(number: int) -> int:
    """The process that `unshare` has started."""
    end = time.monotonic() + PATIENCE
    while True:
        children = Path(f"/proc/{number}/task/{number}/children").read_text("utf-8").split()
        if children:
            return int(children[0])
        assert time.monotonic() < end
        time.sleep(0.01)


def healthy(env: Path, port: int) -> bool:
    """What the image's HEALTHCHECK says."""
    words = [word.replace("8000", str(port)) for word in last(IMAGE, "HEALTHCHECK").words]
    done = subprocess.run([str(env / "bin" / words[0]), *words[1:]], capture_output=True, check=False)
    return done.returncode == 0


def test_the_image_serves_as_nobody_on_a_root_that_it_cannot_write_and_ends_with_zero(
    installed: tuple[Path, int], tmp_path: Path
) -> None:
    env, _ = installed
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    here = {"8000": str(port), "0.0.0.0": "127.0.0.1"}
    words = [here.get(word, word) for word in (*last(IMAGE, "ENTRYPOINT").words, *last(IMAGE, "CMD").words)]
    assert not healthy(env, port)
    with started(words, env, tmp_path) as (process, number):
        end = time.monotonic() + PATIENCE
        while not healthy(env, port):
            assert process.poll() is None
            assert time.monotonic() < end
        if CAGED:
            status = Path(f"/proc/{number}/status").read_text("utf-8")
            assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n" in status
            assert "CapEff:\t0000000000000000\n" in status
        url = f"http://127.0.0.1:{port}/v1/images/7.png"
        assert httpx.get(url, trust_env=False).status_code == 401
        made = httpx.get(url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)
        assert made.status_code == 200
        os.kill(number, signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert not healthy(env, port)
