"""The network interfaces of this machine, and which of them leads to another."""

import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ADDRESS = 0x8915  # SIOCGIFADDR
_UP, _LOOPBACK = 0x1, 0x8  # IFF_…


@dataclass(frozen=True)
class Interface:
    """A network interface, and its first IPv4 address."""

    name: str
    address: str | None
    up: bool
    loopback: bool


def interfaces() -> list[Interface]:
    """Those of this machine, in the system's order; empty where the system does not tell."""
    try:
        import fcntl
    except ImportError:  # Windows
        return []
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            try:
                told = fcntl.ioctl(asked.fileno(), _ADDRESS, struct.pack("256s", name.encode()[:15]))
                address = socket.inet_ntoa(told[20:24])
            except OSError:  # it has none
                address = None
            flags = _flags(name)
            found.append(Interface(name, address, bool(flags & _UP), bool(flags & _LOOPBACK)))
    return found


def _flags(name: str) -> int:
    try:
        return int(Path("/sys/class/net", name, "flags").read_text(), 16)
    except (OSError, ValueError):
        return _UP | (_LOOPBACK if name.startswith("lo") else 0)


def resolved(host: str) -> str | None:
    """The IPv4 address that a host's name leads to from here; None where it leads nowhere."""
    try:
        return str(socket.getaddrinfo(host, None, socket.AF_INET)[0][4][0])
    except (OSError, UnicodeError):
        return None


def is_loopback(address: str) -> bool:
    """Whether no other machine can reach this address."""
    return address.startswith("127.")


def leading_to(host: str, there: list[Interface]) -> Interface | None:
    """The interface by which this machine reaches ``host``; its own, if the host is this machine. None: unknown."""
    address = resolved(host)
    if address is None:
        return None
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            asked.connect((address, 9))  # sends nothing
            own = asked.getsockname()[0]
    except OSError:
        return None
    return next((each for each in there if each.address == own), None)


def chosen(variable: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The names of interfaces that `GLOO_SOCKET_IFNAME` or `NCCL_SOCKET_IFNAME` gives, as they are written."""
    return [name.strip() for name in environment.get(variable, "").split(",") if name.strip()]
