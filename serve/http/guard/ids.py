"""Request ids, and the body of every error reply."""

import itertools
import json
import os
import re
from http import HTTPStatus

_SANE = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")
_FIRST, _NUMBERS = os.urandom(6).hex(), itertools.count(1)


def request_id(asked: bytes | None = None) -> str:
    """The client's own where it is letters, digits and a few marks, up to 128 of them; else one of this process."""
    if asked is not None and _SANE.fullmatch(asked):
        return asked.decode("ascii")
    return f"{_FIRST}-{next(_NUMBERS):x}"


def error_body(message: str, code: str, number: str) -> bytes:
    """`{"error": "<one line>", "code": "<snake_case>", "request_id": "<id>"}`."""
    return json.dumps({"error": message, "code": code, "request_id": number}).encode()


def raw_reply(status: int, code: str, message: str, headers: str = "") -> bytes:
    """A whole error reply as bytes, for what never became a request; the connection closes after it.

    Args:
        headers: more of them, each line with its end.
    """
    number = request_id()
    body = error_body(message, code, number)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-request-id: {number}\r\nx-content-type-options: nosniff\r\n"
        f"{headers}connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
