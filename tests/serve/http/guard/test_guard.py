"""What no route sees: hosts, other sites' pages, tokens, sizes; and errors, all in one form."""

import hashlib
import hmac
from collections.abc import Iterator

import pytest

from tests.serve.http.raw import Bare, Raw, bare, eventually, request
from wgan.serve.http.guard import bodies
from wgan.serve.http.limits import tokens
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.service import DRAINING

TOKEN, OTHER = "correct-horse-battery", "another-token-for-them"
CROSS = "Sec-Fetch-Site: cross-site"


@pytest.fixture(scope="module")
def server() -> Iterator[Bare]:
    with bare() as made:
        yield made


@pytest.fixture
def client(server: Bare) -> Iterator[Raw]:
    server.seen.clear()
    with server.connect() as made:
        yield made


def test_every_reply_has_an_id_of_its_own_or_the_clients(client: Raw) -> None:
    ids = {client.get(path)["x-request-id"] for path in ("/ok", "/ok", "/nowhere", "/raises")}
    assert len(ids) == 4
    assert client.get("/ok", "X-Request-Id: abc-123.DEF")["x-request-id"] == "abc-123.DEF"


@pytest.mark.parametrize("bad", ["a b", 'a"b', "<script>", "x" * 129, "\xe9", ""])
def test_an_id_that_could_harm_a_log_is_replaced(client: Raw, bad: str) -> None:
    assert client.get("/ok", f"X-Request-Id: {bad}")["x-request-id"] not in (bad, "")


@pytest.mark.parametrize("path", ["/ok", "/nowhere", "/raises"])
def test_every_reply_is_safe_in_a_browser_and_says_nothing_to_other_sites(client: Raw, path: str) -> None:
    reply = client.get(path, "Origin: https://evil.example")
    assert reply["x-content-type-options"] == "nosniff"
    assert reply["referrer-policy"] == "no-referrer"
    assert reply["cross-origin-resource-policy"] == "same-origin"
    assert not [name for name, _ in reply.headers if name.startswith("access-control-")]


def test_a_preflight_is_refused(client: Raw) -> None:
    asked = "Origin: https://evil.example", "Access-Control-Request-Method: POST"
    client.send(request("/echo", *asked, method="OPTIONS"))
    reply = client.reply()
    assert reply.status == 405
    assert not [name for name, _ in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:80", "192.168.0.9:8000", "[::1]:8000", "localhost."]
)
def test_an_address_and_localhost_are_hosts_of_this_server(client: Raw, host: str) -> None:
    assert client.get(host=host).status == 200


REBOUND = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "xlocalhost", "2130706433", "0x7f.1"]


@pytest.mark.parametrize("host", REBOUND)
def test_a_name_that_somebody_else_pointed_here_is_refused(server: Bare, client: Raw, host: str) -> None:
    reply = client.get(host=host)
    assert (reply.status, reply.error["code"]) == (403, "host_not_allowed")
    assert server.seen == []


def test_a_name_that_is_allowed_passes_and_no_other() -> None:
    with bare(Settings(allowed_hosts=("Faces.example",))) as server, server.connect() as client:
        assert client.get(host="faces.EXAMPLE:8080").status == 200
        assert client.get(host="x.faces.example").status == 403


@pytest.mark.parametrize("settings", [Settings(allowed_hosts=("*",)), Settings(tokens=(TOKEN,))])
def test_every_host_passes_where_it_is_said_or_a_token_is_asked_for(settings: Settings) -> None:
    with bare(settings) as server, server.connect() as client:
        assert client.get("/healthz", host="faces.example").status == 200


def test_tokens_with_a_name_allowed_check_both() -> None:
    with bare(Settings(tokens=(TOKEN,), allowed_hosts=("faces.example",))) as server, server.connect() as client:
        assert client.get("/ok", f"Authorization: Bearer {TOKEN}", host="evil.example").status == 403
        assert client.get("/ok", f"Authorization: Bearer {TOKEN}", host="faces.example").status == 200


def test_a_host_is_needed_by_http_1_1_alone(client: Raw) -> None:
    client.send("GET /ok HTTP/1.0\r\n\r\n")  # as simple health checks ask
    assert client.reply().status == 200
    assert client.ended()


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", [CROSS]),
        ("GET", [CROSS, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"]),
        ("GET", [CROSS, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"]),
        ("GET", [CROSS, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"]),
        ("POST", [CROSS, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]),
    ],
)
def test_a_page_of_another_site_makes_nothing_compute(
    server: Bare, client: Raw, method: str, headers: list[str]
) -> None:
    client.send(request("/echo" if method == "POST" else "/ok", *headers, method=method))
    reply = client.reply()
    assert (reply.status, reply.error["code"]) == (403, "cross_site")
    assert server.seen == []


@pytest.mark.parametrize(
    "headers",
    [
        [CROSS, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"],  # a link that somebody followed
        ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"],
        ["Sec-Fetch-Site: none"],
    ],
)
def test_a_link_and_the_servers_own_page_pass(client: Raw, headers: list[str]) -> None:
    assert client.get("/ok", *headers).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Authorization: Bearer wrong-horse-battery-x"],
        [f"Authorization: Bearer {TOKEN}x"],
        [f"Authorization: Bearer {TOKEN[:-1]}"],
        [f"Authorization: Basic {TOKEN}"],
        [f"Authorization: {TOKEN}"],
        ["Authorization: Bearer"],
        [f"X-Token: {TOKEN}"],
        [f"Cookie: token={TOKEN}"],
    ],
)
@pytest.mark.parametrize("path", ["/ok", "/metrics", "/nowhere", "//", "/healthz/", "/healthz/../ok", "/v2/health/x"])
def test_without_a_token_only_health_and_the_page_are_open(headers: list[str], path: str, guarded: Bare) -> None:
    guarded.seen.clear()
    with guarded.connect() as client:
        reply = client.get(path, *headers)
        assert (reply.status, reply.error["code"]) == (401, "unauthorized")
        assert reply["www-authenticate"].startswith("Bearer")
        assert guarded.seen == []


@pytest.fixture(scope="module")
def guarded() -> Iterator[Bare]:
    with bare(Settings(tokens=(TOKEN, OTHER))) as made:
        yield made


def test_each_token_opens_and_health_needs_none(guarded: Bare) -> None:
    with guarded.connect() as client:
        for token in (TOKEN, OTHER):
            assert client.get("/ok", f"Authorization: bearer {token}").status == 200
        assert client.get("/healthz").status == client.get("/").status == 200
        twice = client.get("/ok", f"Authorization: Bearer {TOKEN}", "Authorization: Bearer x")
        assert twice.status == 400


def test_every_token_is_compared_in_constant_time_whichever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    class Watching:
        @staticmethod
        def compare_digest(one: bytes, other: bytes) -> bool:
            compared.append((one, other))
            return hmac.compare_digest(one, other)

    bearers = tokens.Bearers([TOKEN, OTHER, "a-third-one-of-them"])
    monkeypatch.setattr(tokens, "hmac", Watching)
    for token, right in ((TOKEN, True), (OTHER, True), ("x", False), ("y" * 5000, False)):
        compared.clear()
        assert bearers.admit(f"Bearer {token}".encode()) is right
        assert len(compared) == 3
        assert {len(each) for pair in compared for each in pair} == {hashlib.sha256().digest_size}


def test_a_body_over_the_limit_is_refused_before_it_is_sent(client: Raw, server: Bare) -> None:
    head = request("/echo", f"Content-Length: {2 << 20}", "Expect: 100-continue", method="POST")
    client.send(head)
    reply = client.reply()
    assert (reply.status, reply.error["code"], reply["connection"]) == (413, "too_large", "close")
    assert client.ended()
    assert server.seen == []


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_over_the_limit_is_refused_to_a_client_that_sends_it_all(server: Bare, chunked: bool) -> None:
    body = "x" * (1 << 20) + "y"
    for _ in range(5):
        with server.connect() as client:
            if chunked:
                client.send(request("/echo", "Transfer-Encoding: chunked", method="POST"))
                client.send(f"{len(body):x}\r\n{body}\r\n0\r\n\r\n")
            else:
                client.send(request("/echo", f"Content-Length: {len(body)}", method="POST", body=body))
            reply = client.reply()
            assert (reply.status, reply.error["code"]) == (413, "too_large")
            assert client.ended()
    assert "1048577" not in server.seen


def test_a_body_at_the_limit_passes(client: Raw) -> None:
    body = "x" * (1 << 20)
    client.send(request("/echo", f"Content-Length: {len(body)}", method="POST", body=body))
    assert len(client.reply().body) == 1 << 20


def test_all_bodies_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "AT_A_TIME", 2)
    with bare(Settings(max_body=1000)) as server:
        held = [server.connect() for _ in range(2)]
        for each in held:
            each.send(request("/waits", "Content-Length: 1000", body="x" * 1000))
        eventually(lambda: server.seen.count("waits") == 2)
        with server.connect() as client:
            client.send(request("/echo", "Content-Length: 1", method="POST", body="x"))
            assert client.reply().error["code"] == "bodies_full"
        for each in held:
            each.socket.close()
        eventually(lambda: server.seen.count("left") == 2)
        with server.connect() as client:
            client.send(request("/echo", "Content-Length: 1", method="POST", body="x"))
            assert client.reply().body == b"x"


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        (["Content-Length: 1000"], "x" * 900, "body_timeout"),
        (["Transfer-Encoding: chunked"], f"3e9\r\n{'x' * 1001}\r\n0\r\n\r\n", "too_large"),
    ],
)
def test_bodies_that_were_refused_are_held_no_longer(
    monkeypatch: pytest.MonkeyPatch, headers: list[str], body: str, code: str
) -> None:
    monkeypatch.setattr(bodies, "AT_A_TIME", 2)
    monkeypatch.setattr(bodies, "LINGER_SECONDS", 0.01)
    with bare(Settings(max_body=1000, body_timeout=0.05)) as server:
        for _ in range(4):
            with server.connect() as client:
                client.send(request("/echo", *headers, method="POST", body=body))
                assert client.reply().error["code"] == code


def test_a_refused_request_with_a_body_ends_the_connection(client: Raw, server: Bare) -> None:
    smuggled = request("/seeds/1")
    client.send(request("/echo", CROSS, f"Content-Length: {len(smuggled)}", method="POST", body=smuggled))
    assert client.reply().status == 403
    assert client.ended()
    assert server.seen == []


def test_an_unknown_path_and_a_wrong_method_are_errors_as_all(client: Raw) -> None:
    assert client.get("/nowhere").error["code"] == "not_found"
    client.send(request("/ok", method="DELETE"))
    reply = client.reply()
    assert (reply.status, reply.error["code"], set(reply["allow"].split(", "))) == (
        405,
        "method_not_allowed",
        {"GET", "HEAD"},
    )


def test_head_has_the_headers_alone(client: Raw) -> None:
    for path in ("/ok", "/nowhere", "/raises"):
        client.send(request(path, method="HEAD"))
        assert int(client.reply("HEAD")["content-length"]) > 0
    assert client.get().body == b"fine"


def test_what_a_route_raises_is_in_the_log_and_not_in_the_reply(client: Raw, capfd: pytest.CaptureFixture[str]) -> None:
    reply = client.get("/raises")
    assert (reply.status, reply.error["code"]) == (500, "failed")
    for secret in (b"secret", b"/home", b"Traceback", b"ValueError"):
        assert secret not in reply.body
    logged = capfd.readouterr().err
    assert reply["x-request-id"] in logged
    assert "ValueError: a secret" in logged
    assert client.get().status == 200


def test_a_reply_that_breaks_off_is_seen_as_one(server: Bare, client: Raw, capfd: pytest.CaptureFixture[str]) -> None:
    client.send(request("/breaks"))
    got = b""
    while piece := client.socket.recv(1 << 16):
        got += piece
    assert b"some" in got
    assert not got.endswith(b"0\r\n\r\n")
    assert server.counted("wgan_refusals_total", reason="broke_off") == 1
    assert "half-way" in capfd.readouterr().err


def test_connections_end_while_the_server_drains() -> None:
    with bare() as server, server.connect() as client:
        assert client.get().status == 200
        server.service.state = DRAINING
        assert client.get()["connection"] == "close"
        assert client.ended()


def test_a_client_that_leaves_is_no_error(server: Bare, capfd: pytest.CaptureFixture[str]) -> None:
    with server.connect() as client:
        client.send(request("/echo", "Content-Length: 10", method="POST", body="half"))
    eventually(lambda: server.counted("wgan_requests_total", route="other", code="499") >= 1)
    assert capfd.readouterr().err == ""
