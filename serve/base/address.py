"""Addresses in object storage, such as s3://bucket/a/key: their text alone, nothing is looked up."""

import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from wgan.serve.base.errors import ConfigError

SCHEMES = ("s3", "gs", "az")  # Amazon S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage
_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)})://([^/]*)(?:/(.*))?", re.IGNORECASE | re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]*")


@dataclass(frozen=True, order=True)
class Address:
    """An object, or the prefix of some, as a folder is of files. ``key`` is empty for a whole bucket.

    Of az:// the bucket is a container; the account stands in the environment.
    """

    scheme: str
    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.key).name

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.key).stem

    @property
    def suffix(self) -> str:
        """The ending, with its dot."""
        return PurePosixPath(self.key).suffix

    @property
    def parent(self) -> "Address":
        """The prefix that it lies below."""
        return replace(self, key=self.key.rpartition("/")[0])

    def with_name(self, name: str) -> "Address":
        """Beside it, another name. Raises ValueError for a whole bucket."""
        return replace(self, key=str(PurePosixPath(self.key).with_name(name)))

    def with_suffix(self, suffix: str) -> "Address":
        """Beside it, the same name with another ending. Raises ValueError for a whole bucket."""
        return replace(self, key=str(PurePosixPath(self.key).with_suffix(suffix)))

    def __truediv__(self, name: str) -> "Address":
        return replace(self, key=f"{self.key}/{name}" if self.key else name)


Place = Path | Address


def is_address(text: str) -> bool:
    """Whether it begins as an address of `SCHEMES` does."""
    return _ADDRESS.match(text) is not None


def parse_address(text: str, what: str) -> Address:
    """The address that a user named.

    Args:
        text: of which `is_address`.
        what: the option, setting or argument, as errors call it.

    Raises:
        ConfigError: no such bucket or key can be, or it holds what is secret, which is not repeated.
    """
    match = _ADDRESS.fullmatch(text)
    assert match is not None, text
    scheme, bucket, key = match[1].lower(), match[2], (match[3] or "").rstrip("/")
    if "@" in bucket or ":" in bucket:
        raise ConfigError(
            f"{what} {scheme}://… holds a user, a password or a port: an address is a bucket and a key; credentials "
            "and endpoints come from the environment"
        )
    if "?" in bucket + key:
        raise ConfigError(
            f"{what} {scheme}://{bucket.partition('?')[0]}/… has a query after a `?`: leave it out; what signs a "
            "request comes from the environment"
        )
    if _BUCKET.fullmatch(bucket) is None:
        raise ConfigError(f"{what} {scheme}://{bucket[:80]!s} names no bucket: write {scheme}://BUCKET/KEY")
    if not (scheme + bucket + key).isprintable():
        raise ConfigError(f"{what} {scheme}://{bucket}/… holds characters that do not print: name another key")
    if key and any(part in ("", ".", "..") for part in key.split("/")):
        raise ConfigError(
            f"{what} {text[:200]} has an empty part, a `.` or a `..`, which no key has: name the key itself"
        )
    return Address(scheme, bucket, key)
