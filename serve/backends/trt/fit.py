"""Does an engine fit this machine? Asked before it is loaded; one that does not can be rebuilt from its ONNX file."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.artifacts.formats import FORMATS, export_command
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.backends.trt.api import collecting_logger, load_tensorrt, started
from wgan.serve.backends.trt.build import OPTIMUM, BuildOptions, build_engine
from wgan.serve.base.command import RUNNERS, command, or_again
from wgan.serve.base.errors import ArtifactError, BackendUnavailable
from wgan.serve.base.owner import FOREVER, own
from wgan.serve.base.privacy import public_source
from wgan.serve.machine.gpu import Gpu, first_gpu

TRUST = "WGAN_TRUST_ENGINES"  # set to 1 where version-compatible engines come from a trusted place alone
MAX_BATCH = 256  # of an engine that is built where none was before
SAME_ON_BOTH = ("latent", "image", "classes", "precision")  # of the engine and the ONNX file beside it


def check_fits(opened: Artifact, api: Any, gpu: Gpu, *, trusted: bool = False) -> None:
    """Refuses an engine that cannot run here, or that would run code that the user has not allowed.

    ``trusted``: this process has built it.

    Raises:
        BackendUnavailable: names what it was built for, what is here, and the command that mends it.
    """
    brings_code = (opened.metadata.engine or {}).get("version_compatible") is True
    if brings_code and not trusted and os.environ.get(TRUST) != "1":
        raise BackendUnavailable(
            f"{opened.path} is version-compatible: it brings code that runs on the CPU; "
            f"if you trust where it comes from, set {TRUST}=1; otherwise {remedy(opened.path)}"
        )
    reason = misfit(opened, api, gpu)
    if reason is not None:
        raise BackendUnavailable(f"{opened.path} {reason}; {remedy(opened.path)}")


def runtime_of(opened: Artifact) -> Any:
    """The TensorRT that an engine was built by.

    Raises:
        BackendUnavailable: it is not installed, or does not load.
    """
    name = (opened.metadata.engine or {}).get("runtime")
    try:
        return load_tensorrt(name if isinstance(name, str) else None)
    except BackendUnavailable as error:
        try:
            other = load_tensorrt()
        except BackendUnavailable:
            raise error from None
        anew = f"with {other.__name__}, {remedy(opened.path)}"
        mend = anew if error.mend is None else f"{error.mend}; or, {anew}"
        raise BackendUnavailable(error.why, error.extra, mend) from None


def misfit(opened: Artifact, api: Any, gpu: Gpu) -> str | None:
    """Why an engine cannot run on this GPU with this TensorRT, in words; None if nothing is known against it."""
    engine: Mapping[str, Any] = opened.metadata.engine or {}
    built_for = engine.get("compute_capabilities")
    targets = [str(target) for target in built_for] if isinstance(built_for, list) else []
    version = str(engine.get("version") or "of an unknown version")
    runtime = _shown(engine.get("runtime") or "a TensorRT")
    on = f" ({_shown(engine['gpu'])})" if isinstance(engine.get("gpu"), str) else ""
    known = _shown(", ".join(targets)) or "unknown"
    built = f"was built by {runtime} {_shown(version)} for compute capability {known}{on}"
    here = f"here is {api.__name__} {api.__version__} on {gpu}"
    if engine.get("runtime") != api.__name__:
        return f"{built}, {here}"
    if engine.get("version_compatible") is True:
        if _numbers(version) > _numbers(api.__version__):
            return f"{built}, {here}: a version-compatible engine runs on later versions, not on earlier ones"
    elif version != api.__version__:
        return f"{built}, {here}"
    if hasattr(api.Runtime, "get_engine_validity"):
        return _header_fault(opened.data, api, f"{built}, {here}")
    if engine.get("hardware_compatible") is True:
        wanted = "was built for every GPU from compute capability 8.0 on"
        return None if float(gpu.compute_capability) >= 8.0 else f"{wanted}, {here}"
    return None if gpu.compute_capability in targets else f"{built}, {here}"


def _header_fault(plan: bytes, api: Any, where: str) -> str | None:
    """What TensorRT-RTX finds in an engine's header: it knows which targets this GPU can run, and the driver."""
    validity, diagnostics = started(api, "Runtime", collecting_logger(api)).get_engine_validity(plan)
    if validity != api.EngineValidity.INVALID:
        return None
    known = api.EngineInvalidityDiagnostics.__members__.items()
    faults = [name for name, bit in known if int(diagnostics) & int(bit)]
    return f"{where}: {', '.join(faults) or 'no reason given'}"


def remedy(path: Path) -> str:
    """How to get an engine that fits, in words."""
    onnx = onnx_beside(path)
    if not onnx.is_file():
        return f"put {onnx.name} beside it and add --rebuild, or run `{export_command(path)}` on this machine"
    rebuild = command("sample", "--model", path, "-n", 1, "--rebuild")
    return f"`{rebuild}` builds it anew from {onnx.name} beside it"


def onnx_beside(path: Path) -> Path:
    """The ONNX artifact of the same generator and precision: `generator.fp16.onnx` for `generator.fp16.plan`."""
    return path.with_suffix(".onnx")


def rebuild_if_needed(path: Path, say: Callable[[str], object]) -> bool:
    """Builds the engine at ``path`` from the ONNX file beside it, unless it is there, fits this machine and may run.

    ``say`` is told of an engine that is there and cannot be read: it is built as if it were not.

    What it may run on beside this GPU and version is not kept: it is built for this machine. Its metadata says
    that it was not measured, as PyTorch, which it would be measured against, need not be here.

    Returns:
        Whether it was built.

    Raises:
        ArtifactError: no ONNX file there, it is damaged, or the two are of different generators.
        BackendUnavailable: no TensorRT or no GPU here.
        ExportError: the build failed.
    """
    gpu = first_gpu()
    if gpu is None:
        raise BackendUnavailable("--rebuild builds for this machine's GPU and it shows none")
    old = _read(path, say) if path.is_file() else None
    if old is not None and _fits(old, gpu):
        return False
    onnx = onnx_beside(path)
    if not onnx.is_file():
        raise ArtifactError(f"--rebuild needs {onnx}: copy it there, or run `{export_command(path)}` on this machine")
    with own(path.parent, say, patience=FOREVER):
        with suppress(ArtifactError):
            if path.is_file() and _fits(artifact.read(path), gpu):  # built by another process meanwhile
                return False
        _rebuild(path, onnx, old)
    return True


def build_missing(path: Path, say: Callable[[str], object]) -> None:
    """Builds an engine that is not there yet from the ONNX file beside it, as `rebuild_if_needed` does.

    ``say`` is told that it is built, and when it is done.

    Raises:
        BackendUnavailable: no GPU or no TensorRT here.
        ArtifactError: the ONNX file is damaged.
        ExportError: the build failed.
    """
    onnx = onnx_beside(path)
    if first_gpu() is None:
        raise BackendUnavailable(
            f"no {path} yet, and it can be built from {onnx.name} beside it only on a machine with an NVIDIA GPU, "
            f"which this one does not show: use {or_again('--backend', 'onnx', of=RUNNERS)}"
        )
    load_tensorrt()
    say(f"no {path} yet: it is built from {onnx.name} beside it")
    rebuild_if_needed(path, say)
    say(f"built {path} for this machine")


def _fits(engine: Artifact, gpu: Gpu) -> bool:
    with suppress(BackendUnavailable):
        check_fits(engine, runtime_of(engine), gpu)
        return True
    return False


def _rebuild(path: Path, onnx: Path, old: Artifact | None) -> None:
    source = artifact.read(onnx)
    if old is not None and not _same_generator(old.metadata, source.metadata):
        raise ArtifactError(f"{path} and {onnx.name} beside it are of different generators: copy them from one export")
    if source.metadata.precision not in FORMATS["trt"].precisions:
        raise ArtifactError(
            f"{onnx} was edited and computes in {source.metadata.precision}: engines are built in "
            f"{' or '.join(FORMATS['trt'].precisions)}; run `{export_command(onnx)}`"
        )
    optimum, largest = _profile(old.metadata if old else None)
    built = build_engine(source.data, source.metadata.precision, optimum, largest, BuildOptions())
    metadata = source.metadata.replace(
        format="trt",
        payload_sha256=artifact.payload_digest("trt", built.plan),
        max_batch=largest,
        engine=built.description,
        source=public_source(source.metadata.source),
        parity={"passed": None, "reason": _reason(source, path.name)},
    )
    artifact.write(path, built.plan, metadata)


def _read(path: Path, say: Callable[[str], object]) -> Artifact | None:
    """The engine that is to be replaced; None, which ``say`` explains, if only its ONNX file can be read."""
    try:
        return artifact.read(path)
    except ArtifactError as error:
        if not onnx_beside(path).is_file():
            raise
        say(f"{error}; it is built as if it were not there")
        return None


def _same_generator(one: Metadata, other: Metadata) -> bool:
    same = all(getattr(one, name) == getattr(other, name) for name in SAME_ON_BOTH)
    return same and one.source.get("weights_sha256") == other.source.get("weights_sha256")


def _profile(old: Metadata | None) -> tuple[int, int]:
    """Optimum and largest batch: those of the engine that is replaced."""
    if old is None or old.max_batch is None:
        return OPTIMUM, MAX_BATCH
    return min(OPTIMUM, old.max_batch), old.max_batch


def _reason(source: Artifact, engine: str) -> str:
    """Why the new engine has no parity report, with what is known of the file it was made of."""
    error = (source.metadata.parity or {}).get("max_abs")
    proof = f"whose own largest error is {error:.1e}" if isinstance(error, float) else "itself not measured"
    measure = f"`{command('verify', '--model', engine)}` measures it where PyTorch is"
    return f"rebuilt where it runs from {source.path.name}, {proof}: {measure}"


def _shown(value: object) -> str:
    """What a file says of itself, fit to stand in a line: it may hold anything."""
    return "".join(character if character.isprintable() else "?" for character in str(value)[:60])


def _numbers(version: str) -> tuple[int, ...]:
    """`10.8.0.43` as numbers to compare, of at most nine digits; what is no number counts as 0."""
    return tuple(int(word[:9]) if word.isascii() and word.isdecimal() else 0 for word in version.split("."))
