"""Who may ask: the file of tokens, and what a server that other machines reach must be told."""

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wgan.serve.base.errors import ConfigError
from wgan.serve.base.terminal import say, short

if TYPE_CHECKING:
    from wgan.serve.http.limits.settings import Settings

SHORTEST = 16
_MOST = 1 << 20  # bytes of the file
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # what RFC 6750 lets a header carry


def read_tokens(path: Path) -> tuple[str, ...]:
    """The tokens of a file: one a line; empty lines and those that begin with # are skipped.

    A file that every user of the machine may read is said aloud.

    Raises:
        ConfigError: it cannot be read, has none, or has one that is too short or cannot stand in a header. No token
            is ever shown: lines are named by number.
    """
    try:
        with path.open("rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode, file.read(_MOST + 1)
        lines = content.decode("utf-8-sig").splitlines()
    except OSError as error:
        reason = short(error.strerror or error)
        raise ConfigError(f"--token-file {path} cannot be read ({reason}): name a file of text") from None
    except UnicodeDecodeError:
        raise ConfigError(f"--token-file {path} is no text: write one token a line") from None
    if len(content) > _MOST:
        raise ConfigError(f"--token-file {path} has more than {_MOST:,} bytes: write one token a line")
    tokens = []
    for number, line in enumerate(lines, start=1):
        token = line.strip()
        if not token or token.startswith("#"):
            continue
        where = f"--token-file {path}, line {number}"
        if len(token) < SHORTEST:
            raise ConfigError(f"{where}: a token has at least {SHORTEST} characters; `openssl rand -hex 32` makes one")
        if not _TOKEN.fullmatch(token):
            raise ConfigError(f"{where}: a token has letters, digits and - . _ ~ + / alone")
        tokens.append(token)
    if not tokens:
        raise ConfigError(f"--token-file {path} holds no token: write one a line")
    if os.name == "posix" and mode & stat.S_IROTH:
        say(f"every user of this machine can read the token file {path}: `chmod o-r` it")
    return tuple(tokens)


class Bearers:
    """Tells whether an Authorization header bears one of the tokens."""

    def __init__(self, tokens: Sequence[str]):
        self._digests = [_digest(token.encode()) for token in tokens]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, header: bytes | None) -> bool:
        """Takes the same time for every token, wrong or right: each is compared, and as a digest, of one length."""
        scheme, _, token = (header or b"").partition(b" ")
        if scheme.lower() != b"bearer":
            return False
        digest, found = _digest(token.strip(b" ")), False
        for each in self._digests:
            found |= hmac.compare_digest(each, digest)
        return found


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def cautions(settings: "Settings") -> list[str]:
    """What is said aloud at the start."""
    said = []
    if not settings.local and not settings.tokens:
        said.append(f"no token is asked for: whoever reaches {settings.host}:{settings.port} can have images made")
    if not settings.local and settings.tokens:
        said.append("tokens and images travel unencrypted over HTTP: put a proxy with TLS in front")
    if "*" in settings.allowed_hosts and not settings.tokens:
        said.append("--allow-host '*' takes every Host: pages of other sites can reach this server by DNS rebinding")
    return said
