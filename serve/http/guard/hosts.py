"""The Host header: a page of another site whose name leads to this machine is told from somebody who means it."""

import re
from ipaddress import ip_address

from wgan.serve.http.limits.refusals import Refusal
from wgan.serve.http.limits.settings import Settings

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(:[0-9]{1,5})?")
_KEPT = 256  # verdicts; a client may send as many hosts as it likes


class Hosts:
    """Checks against DNS rebinding: IP addresses and localhost pass, other names must be allowed.

    Where tokens are asked for and no name is given every host passes: a page of another site has no token.
    """

    def __init__(self, settings: Settings):
        self._names = {name.lower().rstrip(".") for name in settings.allowed_hosts}
        self._any = "*" in self._names or (bool(settings.tokens) and not self._names)
        self._passed: set[bytes] = set()

    def check(self, host: bytes | None, http_version: str) -> None:
        """Raises the Refusal of a Host that is missing, malformed or not allowed."""
        if host in self._passed:
            return
        if host is None:
            if http_version == "1.0":  # it has none, and no browser speaks it
                return
            raise Refusal.bad("the Host header is missing")
        match = _HOST.fullmatch(host.decode("latin-1"))
        if match is None:
            raise Refusal.bad("the Host header is malformed")
        name = match[1].lower().rstrip(".")
        if not (self._any or name == "localhost" or name in self._names or _is_address(name)):
            line = "this host is not allowed: ask by IP address, or start the server with --allow-host NAME"
            raise Refusal(403, "host_not_allowed", line)
        if len(self._passed) < _KEPT:
            self._passed.add(host)


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
