"""Where `--out` may lead, and the result on stdout: a line on stderr where the images themselves go there."""

from pathlib import Path
from typing import Any

from wgan.serve.base.address import Place
from wgan.serve.base.command import again
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.files import writing
from wgan.serve.base.streams import descriptor_of, is_stream, refuse_terminal
from wgan.serve.base.terminal import emit, say
from wgan.serve.outputs.kinds import kind_of


def check_out(out: Place | None, format: str | None, as_json: bool) -> None:
    """Refuses what `--out` and `--format` cannot mean, before anything is loaded. Raises WganError."""
    if out is None:
        if format is not None:
            raise ConfigError(f"--format {format} says what is in a file or on stdout: name it, --out FILE or --out -")
        return
    kind_of(out, format)
    if _on_stdout(out) and as_json:
        way = again("--out", f"images.{format}", of=("sample",)) or "name a file"
        raise ConfigError(f"--out {out} and --json both go to stdout: write the images to a file, `{way}`")
    with writing(out):
        refuse_terminal(out)


def check_page(out: Path) -> None:
    """Refuses a name that no page has. A pipe or device takes one whatever it is called. Raises ConfigError."""
    takes = is_stream(out) and not _on_stdout(out)
    if not takes and (out.is_dir() or out.suffix.lower() not in (".html", ".htm")):
        raise ConfigError(f"--out {out} is not the name of an .html file")


def emit_beside(out: Place, result: dict[str, Any], text: str, as_json: bool) -> None:
    """`emit`, or where ``out`` is stdout, which then holds images and nothing else, a line on stderr."""
    if _on_stdout(out):
        say(text)
    else:
        emit(result, text, as_json)


def _on_stdout(out: Place) -> bool:
    return descriptor_of(out) == 1
