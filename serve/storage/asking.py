"""Asks object storage by obstore: again with growing pauses while it is out of reach, then with an error of one line.

Credentials and endpoints are those of the environment, as obstore reads it (AWS_…, GOOGLE_…, AZURE_…). What storage
answers is not repeated in an error: an answer may hold what signed the question.
"""

import os
import random
import re
import time
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, TypeVar

from wgan.serve.base.address import Address
from wgan.serve.base.errors import BackendUnavailable, StoreError

PATIENCE = 180.0  # seconds for which storage that is out of reach is asked again
PAUSES = 0.2, 15.0  # seconds: the first one and the longest; each is up to twice the one before
SINGLE = 2**25  # bytes that go in one request, which alone can be one that only creates
PART = 2**23  # bytes of a part of a larger one, and of a part that is fetched
TIMEOUT = timedelta(seconds=120)  # of a request: a part at 70 kB/s
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT", "AZURITE_BLOB_STORAGE_URL"),
}
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_NO_CREDENTIALS = re.compile(r"token ?request|Account must be|credential", re.I)
_URL = re.compile(r"https?://[^\s,]+")
# where a cloud's own machines ask for credentials, as obstore does where the environment has none
_ASKED_FOR_THEM = re.compile(r"https?://(169\.254\.169\.254|metadata\.google|[^/\s]+/latest/(api/token|meta-data))")
Answer = TypeVar("Answer")


class Absent(StoreError):
    """There is no such object."""


class Taken(StoreError):
    """There is an object already."""


class Beyond(StoreError):
    """The object ends before what was asked for."""


def asked(address: Address, doing: str, ask: Callable[[Any, Any], Answer]) -> Answer:
    """What storage answers.

    Args:
        address: what is asked about.
        doing: what for, as in `cannot read s3://…`.
        ask: takes the module obstore and the bucket's store.

    Raises:
        Absent, Taken, Beyond: as they say.
        StoreError: it refuses, or has been out of reach for `PATIENCE`.
        BackendUnavailable: obstore is not installed.
    """
    until, pause = time.monotonic() + PATIENCE, PAUSES[0]
    while True:
        storage, store = _opened(address)
        try:
            return ask(storage, store)
        except Exception as error:  # obstore's own, Python's, and of a store's configuration any
            reason, again = _why(error, address)
            if isinstance(reason, StoreError):
                raise reason from None
            if not again or time.monotonic() + pause > until:
                tried = f" (asked again for {PATIENCE:g} s)" if again else ""
                raise StoreError(f"cannot {doing} {address}: {reason}{tried}") from None
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(2 * pause, PAUSES[1])


def _opened(address: Address) -> tuple[Any, Any]:
    if find_spec("obstore") is None:
        raise BackendUnavailable(f"{address.scheme}:// needs obstore", extra="cloud")
    import obstore

    own = sorted(item for item in os.environ.items() if item[0].upper().startswith(("AWS_", "GOOGLE_", "AZURE_")))
    try:
        return obstore, _store(address.scheme, address.bucket, os.getpid(), hash(tuple(own)))
    except Exception as error:  # of any kind: a file of credentials that is none, a variable
        reason, _ = _why(error, address)
        raise StoreError(f"cannot reach {address}: {reason}") from None


@lru_cache(maxsize=64)
def _store(scheme: str, bucket: str, process: int, environment: int) -> Any:
    """The bucket's store, as the environment is now."""
    from obstore.store import from_url

    endpoint = next(filter(None, map(os.environ.get, _ENDPOINTS[scheme])), "")
    options: dict[str, Any] = {"timeout": TIMEOUT, "connect_timeout": timedelta(seconds=10)}
    if endpoint.startswith("http://"):  # somebody's own, named by them
        options["allow_http"] = True
    backoff = {"init_backoff": timedelta(seconds=PAUSES[0]), "max_backoff": timedelta(seconds=2), "base": 2}
    retry = {"max_retries": 2, "backoff": backoff, "retry_timeout": timedelta(seconds=30)}  # `asked` goes on after it
    return from_url(f"{scheme}://{bucket}", client_options=options, retry_config=retry)  # type: ignore[call-overload]


def _why(error: Exception, address: Address) -> tuple[str | StoreError, bool]:
    """The reason in words, or what is raised instead; and whether it may pass."""
    from obstore import exceptions

    text = str(error)
    match, code = _STATUS.search(text), _CODE.search(text)
    status, name = int(match[1]) if match else None, code[1] if code else ""
    if name in _NO_BUCKET or any(word in text for word in _NO_BUCKET):
        return f"there is no bucket {address.bucket}: make it, or name another one", False
    if isinstance(error, FileNotFoundError):
        return Absent(f"there is no {address}: look at its bucket and key"), False
    if isinstance(error, exceptions.AlreadyExistsError):
        return Taken(f"{address} is there already"), False
    if isinstance(error, exceptions.PreconditionError):
        return "it was changed meanwhile: run the command again", False
    if status == 416:
        return Beyond(f"{address} is shorter than that"), False
    words = _URL.sub("", text).replace(address.key or " ", " ")  # a key may hold any word
    if _NO_CREDENTIALS.search(words) or _ASKED_FOR_THEM.search(text):
        return f"the environment holds no credentials for {address.scheme}://", False
    if status in (401, 403) or isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
        return "access is denied: look at the credentials in the environment and at what they may do", False
    if status in (301, 307, 400) and "region" in text.lower():
        return "the bucket is in another region: set AWS_REGION", False
    if status is not None:
        return f"storage answers {status}{f' {name}' if name else ''}", status in _AGAIN
    if isinstance(error, exceptions.BaseError):
        return "timed out" if "timed out" in text.lower() else "no connection", True  # `retry_timeout` is in every text
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read", False
    return "storage does not take such a key or setting", False
