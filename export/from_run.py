"""From a run to artifacts: what `wgan.export(run, "onnx")` and `wgan export` do."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

from wgan.export import exporter
from wgan.export.exporter import Exported
from wgan.export.reference.generator import find_generator
from wgan.serve.artifacts.find import newest_run
from wgan.serve.artifacts.formats import FORMATS, format_by_ending
from wgan.serve.backends.base import check_device
from wgan.serve.backends.trt.build import BuildOptions
from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.owner import FOREVER, own
from wgan.serve.base.paths import named_path
from wgan.serve.base.terminal import say
from wgan.training.report import write_report


class Options(TypedDict, total=False):
    """What `wgan.export` has a default for.

    Attributes:
        checkpoint: best, last, or a checkpoint file [best].
        out: folder to write to [export/ in the run].
        output: float32, or uint8: 8-bit pixels (N, H, W, C) [float32].
        opset: ONNX operator set [11].
        max_batch: largest batch that an engine takes and parity tries [256].
        data_name: what the artifact calls the data [as in training].
        engine_options: what a TensorRT engine may run on beside this machine.
        web_runtime: for web the archive of ONNX Runtime Web, as `npm pack` writes it [from the cache, or by npm].
    """

    checkpoint: str
    out: str | os.PathLike[str] | None
    output: str
    opset: int
    max_batch: int
    data_name: str | None
    engine_options: BuildOptions | None
    web_runtime: str | os.PathLike[str] | None


@dataclass(frozen=True)
class Source:
    """Which checkpoint is exported, and the folder that its artifacts go to."""

    run: Path | None  # None: a checkpoint file alone
    checkpoint: str
    target: Path

    @classmethod
    def of(cls, run: Path | None, checkpoint: str, out: Path | None) -> "Source":
        """The checkpoint of ``run``, or of the newest run; a checkpoint file and a folder to write to need none.

        Raises:
            ConfigError: there is no run, or ``out`` is called as one artifact is, and no folder is there.
        """
        if out is not None and format_by_ending(out) is not None and not out.is_dir():
            way = or_again("--out", out.with_suffix(""), of=("export",))
            raise ConfigError(
                f"--out {out} is called like an artifact, and it is the folder that they go to: say {way}"
            )
        alone = checkpoint not in ("best", "last") and run is None and out is not None
        folder = None if alone else run or newest_run()
        return cls(folder, checkpoint, out or (folder or Path()) / "export")


def export(
    run: str | os.PathLike[str],
    format: str = "onnx",
    *,
    precision: str = "fp32",
    device: str = "auto",
    **options: Unpack[Options],
) -> Exported:
    """Writes one artifact and proves it equal to PyTorch.

    Args:
        run: what `wgan.train` returned, a run folder, or a checkpoint file (then name a folder with ``out``).
        format: onnx, torchscript, trt, safetensors or web.
        precision: fp32, fp16, for torchscript and safetensors bf16, or auto: what is faster here.
        device: what the artifact is measured on: auto, cpu or cuda.
        options: see `Options`.

    Returns:
        The artifact: ``path`` (its file), ``parity`` (what was measured), ``metadata``, ``passed``.

    Raises:
        ParityError: it does not match PyTorch; it is not written, an earlier file stays.
        ConfigError: an unknown format, precision or device, or a value out of its range.
        CheckpointError: no whole checkpoint there.
        ExportError: it could not be made.
        OutputError: it cannot be written.
        BackendUnavailable: a package is missing; the text names the extra to install.
    """
    if format not in FORMATS:
        raise ConfigError(f"--format {format} is not one of {', '.join(FORMATS)}")
    check_device(device)
    place, out = named_path(run, "run"), options.pop("out", None)
    checkpoint = options.pop("checkpoint", "best")
    if place.is_file():
        if out is None:
            raise ConfigError(f"{place} is a checkpoint alone: name the folder to write to with out=")
        source = Source.of(None, str(place), named_path(out, "out"))
    else:
        source = Source.of(place, checkpoint, None if out is None else named_path(out, "out"))
    with own(source.target, say, patience=FOREVER):
        (artifact,) = export_source(source, [format], say=say, precision=precision, device=device, **options)
        finish(source)
    return artifact


def export_source(
    source: Source,
    kinds: Sequence[str],
    *,
    say: Callable[[str], object],
    data_name: str | None = None,
    **choices: Any,
) -> Iterator[Exported]:
    """Exports each format in turn; the caller owns the folder meanwhile.

    Args:
        source: what is exported, and where to.
        kinds: the formats.
        say: takes lines that a user should see.
        data_name: what the artifacts call the data; None as in training.
        choices: as `exporter.export` takes them.

    Raises:
        WganError: as `export`.
    """
    generator = find_generator(source.run, source.checkpoint, say).with_data_name(data_name)
    for artifact in exporter.export(generator, source.target, kinds, **choices):
        if artifact.chosen is not None:
            say(artifact.chosen)
        yield artifact


def finish(source: Source) -> None:
    """Puts new artifacts on the run's page, where they lie in the run."""
    if source.run is not None and source.target == source.run / "export":
        write_report(source.run)
