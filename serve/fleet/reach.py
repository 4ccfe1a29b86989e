"""Whether a Ray cluster answers at an address: Ray itself would try for minutes, and say so on stderr."""

import os
import re
import socket
from contextlib import suppress

from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError

AUTO, LOCAL = "auto", "local"
PATIENCE = 5.0  # seconds for an answer
_PLACE = re.compile(r"(ray://)?(\[[0-9A-Fa-f:]+\]|[^\s/:\[\]@]+):([0-9]{1,5})")
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # RFC 9113, 3.4, and empty SETTINGS
_HEADER, _KIND, _SETTINGS = 9, 3, 4  # of a frame: its length, where its kind stands, and the kind that comes first


def check_address(address: str) -> None:
    """Refuses what is no address of a cluster. Raises ConfigError."""
    if address not in (AUTO, LOCAL) and _parts(address) is None:
        raise ConfigError(
            f"--ray {address[:200]} is none of auto, local, HOST:PORT and ray://HOST:PORT: with auto it is the cluster "
            "that this machine belongs to"
        )


def no_cluster(address: str) -> ConfigError:
    """That no cluster is there, and what to do."""
    here = or_again("--ray", LOCAL, of=("sample",))
    if address == AUTO:
        return ConfigError(
            f"--ray auto: this machine belongs to no Ray cluster: begin one with `ray start --head`, or here and for "
            f"this command alone with {here}"
        )
    return ConfigError(f"--ray {address}: no Ray cluster answers there: look at its address, or use {here}")


def resolved(address: str) -> str:
    """What `auto` stands for: RAY_ADDRESS, or the cluster that runs on this machine; any other address as it is.

    Raises ConfigError where there is none.
    """
    if address != AUTO:
        return address
    if told := os.environ.get("RAY_ADDRESS"):
        return told
    from ray._private import services

    with suppress(ConnectionError):
        return str(services.get_ray_address_from_environment(AUTO, None))
    raise no_cluster(address)


def check_answer(address: str, place: str) -> None:
    """Raises ConfigError where nothing at ``place`` speaks as a Ray cluster does; ``address``: as it was asked for."""
    parts = _parts(place)
    if parts is None:  # what RAY_ADDRESS says is left to Ray
        return
    try:
        with socket.create_connection(parts, PATIENCE) as connection:
            if os.environ.get("RAY_USE_TLS") == "1":
                return
            connection.sendall(_HELLO)
            header = b""
            while len(header) < _HEADER and (more := connection.recv(_HEADER - len(header))):
                header += more
    except OSError:  # no such host, refused, too late
        raise no_cluster(address) from None
    if len(header) < _HEADER or header[_KIND] != _SETTINGS:
        raise no_cluster(address)


def _parts(place: str) -> tuple[str, int] | None:
    match = _PLACE.fullmatch(place)
    if match is None or not 1 <= int(match[3]) < 2**16:
        return None
    return match[2].strip("[]"), int(match[3])
