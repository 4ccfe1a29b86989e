"""docs/deploy/http-security.md says what the code has."""

import re

from tests import ROOT
from tests.serve.http.described.test_dashboard import exported
from wgan.serve.http.connection import protocol, uvicorns
from wgan.serve.http.guard import bodies
from wgan.serve.http.guard.access import LONGEST
from wgan.serve.http.limits import tokens
from wgan.serve.http.limits.settings import Settings

PAGE = (ROOT / "docs" / "deploy" / "http-security.md").read_text("utf-8")


def test_the_table_of_metrics_is_that_of_the_server() -> None:
    told = dict(re.findall(r"^\| `(wgan_\w+)` \| (.*?) \|", PAGE, re.M))
    found = {
        re.sub(r"_(bucket|sum|count)$", "", name): sorted(labels - {"le"})
        for name, labels in exported().items()
        if name.startswith("wgan_")
    }
    assert {name: sorted(re.findall(r"`(\w+)`", labels)) for name, labels in told.items()} == found


def test_the_table_of_limits_is_that_of_the_settings() -> None:
    default = Settings()
    told = {name: value for name, value, _ in re.findall(r"^\| ([a-z ]+) \| (.*?) \| (.*?) \|$", PAGE, re.M)}
    found = {
        "connections": f"{default.max_connections:,}, or what the process may open",
        "request line and headers": f"{protocol.HEAD >> 10} KiB",
        "time for them": f"{default.header_timeout:g} s",
        "time between two requests": f"{uvicorns.KEEP_ALIVE} s",
        "requests sent before their replies": str(protocol.PIPELINED),
        "a body": f"{default.max_body >> 20} MiB",
        "all bodies together": f"{bodies.AT_A_TIME * default.max_body >> 20} MiB",
        "time for a body": f"{default.body_timeout:g} s",
        "time in which a client takes nothing": f"{default.write_timeout:g} s",
        "images in the queue": f"{default.queue:,} (`--queue`)",
        "requests that wait for room in it": f"{default.max_waiting:,}",
        "time for a request": (
            f"{default.request_timeout:g} s, `X-Request-Timeout` up to {default.max_request_timeout:g} s"
        ),
        "images of a request": f"{default.max_n}; {default.max_streamed:,} if streamed",
    }
    assert {name: value for name, value in told.items() if name in found} == found
    assert f"429 after {default.patience:g} s" in PAGE
    assert f"at least {tokens.SHORTEST} characters" in PAGE
    assert re.search(rf"cut after {LONGEST}\s+characters", PAGE)
