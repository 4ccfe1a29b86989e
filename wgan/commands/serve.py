"""`wgan serve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wgan.commands.console import HOW, BackendOption, DeviceOption, JsonOption, ModelOption, RunOption, StoppedAndSaved
from wgan.commands.onward import static_server
from wgan.models import cautions, find_model, open_model
from wgan.serve.base.address import Address, Place
from wgan.serve.base.command import command
from wgan.serve.base.errors import BackendUnavailable, ConfigError
from wgan.serve.base.paths import STDIN, option
from wgan.serve.base.terminal import detail, emit, say, say_once

if TYPE_CHECKING:
    from wgan.serve.backends.base import Backend
    from wgan.serve.http.limits.settings import Settings

EXAMPLES = (
    ("the newest run's generator, and a page to draw with it", "wgan serve"),
    ("the built-in generator on another port", "wgan serve --model faces --port 8080"),
    ("for other machines, with a token", "wgan serve --host 0.0.0.0 --token-file token.txt"),
)  # fmt: skip
EVERYWHERE = ("0.0.0.0", "::")
WHERE, WHO, LOAD, ENDING = "where to listen", "who may ask", "how much at a time", "changes and the end"


def serve(
    model: ModelOption = None,
    run: RunOption = None,
    backend: BackendOption = None,
    device: DeviceOption = "auto",
    workers: Annotated[
        int | None,
        typer.Option(help="threads that make images [default: one a core]", metavar="N", rich_help_panel=HOW),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="images that one makes at a time [default: 64]", metavar="N", rich_help_panel=HOW)
    ] = None,
    host: Annotated[str, typer.Option(help="address", metavar="ADDRESS", rich_help_panel=WHERE)] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one", metavar="N", rich_help_panel=WHERE)] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="a token a line, one of which a request must bear",
            metavar="FILE",
            parser=option("--token-file", dash=STDIN, file=True),
            rich_help_panel=WHO,
        ),
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="anybody may ask who reaches the address", rich_help_panel=WHO)
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="name in the Host header, or *; may be repeated", metavar="NAME", rich_help_panel=WHO),
    ] = None,
    queue: Annotated[int, typer.Option(help="images that wait at most", metavar="N", rich_help_panel=LOAD)] = 1024,
    drain_delay: Annotated[
        float,
        typer.Option(help="after SIGTERM, until no connection is taken", metavar="SECONDS", rich_help_panel=ENDING),
    ] = 0.0,
    drain_timeout: Annotated[
        float, typer.Option(help="for what is under way then", metavar="SECONDS", rich_help_panel=ENDING)
    ] = 30.0,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="take up a new artifact in its place; so does SIGHUP", rich_help_panel=ENDING),
    ] = False,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="a JSON line on stderr for each request", rich_help_panel=WHERE)
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve the generator over HTTP: images by seed, a page, the Open Inference Protocol."""
    from wgan.serve.http.limits.settings import settings_of

    settings = settings_of(
        token_file, no_auth, host=host, port=port, allowed_hosts=tuple(allow_host or ()), queue=queue, workers=workers,
        batch_size=batch_size, drain_delay=drain_delay, drain_timeout=drain_timeout, watch=watch, access_log=access_log,
    )  # fmt: skip
    need_serving()
    path, kind = find_model(model, run, backend, device=device)
    if kind == "browser":
        graph = command("serve", "--model", path / "generator.onnx")
        raise ConfigError(
            f"{path} is for a static host, not for this server: serve the folder by `{static_server(path)}`, or its "
            f"generator by `{graph}`"
        )
    detail(f"{path}, by the backend {kind}")
    _serve((model if isinstance(model, Address) else path), kind, device, settings, as_json)


def need_serving() -> None:
    """Refuses to serve where the `serve` extra is missing.

    Raises:
        BackendUnavailable: names the package and the extra.
    """
    from importlib.util import find_spec

    for package in ("starlette", "uvicorn", "httptools", "prometheus_client"):
        if find_spec(package) is None:
            raise BackendUnavailable(f"`wgan serve` needs {package}", extra="serve")


def _serve(place: Place, kind: str, device: str, settings: "Settings", as_json: bool) -> None:
    from wgan.serve.artifacts.remote import local
    from wgan.serve.backends.base import Options
    from wgan.serve.http.connection.listening import listen, url_of
    from wgan.serve.http.limits import tokens
    from wgan.serve.http.server import Source, run

    def opened() -> "Backend":
        path = local(place)  # of an address what is there now
        # with one thread each, workers do not wait for one another
        made = open_model(path, kind, device, "fp32", Options(threads=1) if kind == "onnx" else None)
        try:
            say_once(cautions(made))
        except BaseException:
            made.close()
            raise
        return made

    listener = listen(settings.host, settings.port)
    url = url_of(listener)
    say_once(tokens.cautions(settings))

    def ready(backend: "Backend") -> None:
        emit(_result(backend, kind, url), _text(backend, url, everywhere=settings.host in EVERYWHERE), as_json)

    code = run(Source(opened, ready, place), listener, settings)
    say("ended")
    if code:
        raise StoppedAndSaved


def _result(backend: "Backend", kind: str, url: str) -> dict[str, Any]:
    from wgan.serve.artifacts.origin import Origin

    origin = Origin.of(backend.metadata.source)
    return {
        "url": url,
        "model": str(backend.path),
        "model_sha256": backend.digest,
        "origin": None if origin is None else origin.to_source(),
        "backend": kind,
        "device": backend.device,
        "provider": backend.provider,
        "precision": backend.metadata.precision,
    }


def _text(backend: "Backend", url: str, *, everywhere: bool) -> str:
    from wgan.serve.artifacts.find import typed
    from wgan.serve.artifacts.origin import Origin

    origin = Origin.of(backend.metadata.source)
    which = "" if origin is None else f" ({origin})"
    also = " and every other address of this machine" if everywhere else ""
    return f"serving {typed(backend.path)}{which} with {backend.name} on {backend.device}: {url}{also}"
