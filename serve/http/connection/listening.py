"""The address that a server listens on."""

import socket

from wgan.serve.base.errors import ConfigError
from wgan.serve.base.terminal import short

BACKLOG = 2048  # connections that the system keeps until they are accepted


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigError: no such address, or something else listens there.
    """
    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port {port} is outside its range, 0 to 65,535; 0 takes a free one")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except socket.gaierror:
        raise ConfigError(f"--host {host} is no address of this machine: use 127.0.0.1 or 0.0.0.0") from None
    except OSError as error:
        reason = short(error.strerror or error)
        instead = "--port 0 takes a free one" if port else "name another --host"
        raise ConfigError(f"cannot listen on {host} port {port} ({reason}): {instead}") from None


def url_of(listener: socket.socket) -> str:
    """Where it is reached, as a URL."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
