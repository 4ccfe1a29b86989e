"""The server's limits, each with its default."""

from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from wgan.serve.base.errors import ConfigError
from wgan.serve.http.limits.tokens import read_tokens

MIB = 1 << 20


@dataclass(frozen=True)
class Settings:
    """How a server listens, what it takes and when it lets go. Times in seconds.

    Args:
        host: the address that it binds.
        port: 0 takes a free one.
        tokens: any of which a request must bear; empty: none is asked for.
        allowed_hosts: names in the Host header beside IP addresses and localhost; `*` for all.
        queue: images that wait to be made.
        max_waiting: requests that wait for room in the queue.
        patience: how long they wait for it.
        max_connections: open at a time.
        request_timeout: for a request that sets no X-Request-Timeout.
        max_request_timeout: the most that it may set.
        header_timeout: for a request's headers to arrive.
        body_timeout: for its body.
        write_timeout: for a client to take what was written.
        max_body: bytes of a request's body.
        max_n: images of a request whose reply is made whole.
        max_streamed: images of one whose reply is streamed.
        drain_delay: between the signal and the last connection taken.
        drain_timeout: for the requests that are under way then.
        watch: whether a new artifact in the old one's place is taken up.
        access_log: whether each request is a line on stderr.
        workers: threads that make images; None: one a core.
        batch_size: images that one of them makes at a time; None: 64, or what the artifact takes.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    tokens: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    queue: int = 1024
    max_waiting: int = 1024
    patience: float = 0.5
    max_connections: int = 2048
    request_timeout: float = 10.0
    max_request_timeout: float = 60.0
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    write_timeout: float = 30.0
    max_body: int = MIB
    max_n: int = 256
    max_streamed: int = 10_000
    drain_delay: float = 0.0
    drain_timeout: float = 30.0
    watch: bool = False
    access_log: bool = False
    workers: int | None = None
    batch_size: int | None = None

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:  # a name, which may lead anywhere
            return False


def settings_of(token_file: Path | None, no_auth: bool, **values: Any) -> Settings:
    """The settings of `wgan serve`.

    Raises:
        ConfigError: a value out of its range; an address for other machines without a decision on who may ask.
    """
    settings = Settings(**values)
    for name, least in (("queue", 1), ("workers", 1), ("drain_delay", 0), ("drain_timeout", 0)):
        value = getattr(settings, name)
        if value is not None and not least <= value <= 10**6:
            shown = value if isinstance(value, int) else f"{value:g}"
            raise ConfigError(f"--{name.replace('_', '-')} {shown} is outside its range, {least} to 1,000,000")
    if token_file is not None and no_auth:
        raise ConfigError("--token-file and --no-auth exclude each other: leave one of them out")
    if token_file is not None:
        return replace(settings, tokens=read_tokens(token_file))
    if not settings.local and not no_auth:
        raise ConfigError(
            f"--host {settings.host} is for other machines: say who may ask, with --token-file FILE or --no-auth"
        )
    return settings
