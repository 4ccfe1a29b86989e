"""Connections that are slow, malformed, too many or too much: each ends by itself, and the others are served."""

import sys
import time

import pytest

from tests.serve.http.raw import Bare, Raw, bare, eventually, request
from wgan.serve.http.connection import connections
from wgan.serve.http.connection.connections import FILES, files_for
from wgan.serve.http.connection.protocol import HEAD, PIPELINED
from wgan.serve.http.guard import bodies
from wgan.serve.http.limits.settings import Settings

QUICK = Settings(header_timeout=0.4, body_timeout=0.4, write_timeout=0.4)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FRESH", 0.1)
    monkeypatch.setattr(bodies, "LINGER_SECONDS", 0.2)


def others_are_served(server: Bare) -> None:
    with server.connect() as other:
        assert other.get().body == b"fine"


@pytest.mark.parametrize("sent", ["", "GET /ok HTTP/1.1\r\nHost: loc", "\r\n"], ids=["nothing", "half", "blank"])
def test_a_head_that_does_not_come_ends_the_connection(sent: str) -> None:
    with bare(QUICK) as server, server.connect() as slow:
        slow.send(sent)
        others_are_served(server)
        if sent:
            assert slow.reply().error["code"] == "header_timeout"
        assert slow.ended()
        assert server.counted("wgan_refusals_total", reason="header_timeout") == 1


@pytest.mark.slow
def test_a_head_that_drips_ends_too() -> None:
    with bare(QUICK) as server, server.connect() as slow:
        slow.get()  # a first request: uvicorn's own limit is for an idle connection, which one byte ends
        slow.send("GET /ok HTTP/1.1\r\n")
        for _ in range(500):
            try:
                slow.send("X: y\r\n")
            except OSError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("a head may drip forever")
        others_are_served(server)


def test_an_idle_connection_outlives_the_limit_on_heads() -> None:
    with bare(QUICK) as server, server.connect() as client:
        client.get()
        time.sleep(0.7)
        assert client.get().body == b"fine"


def test_a_body_that_does_not_come_is_refused() -> None:
    with bare(QUICK) as server, server.connect() as slow:
        slow.send(request("/echo", "Content-Length: 10", method="POST", body="half"))
        others_are_served(server)
        reply = slow.reply()
        assert (reply.status, reply.error["code"]) == (408, "body_timeout")
        assert reply["connection"] == "close"
        assert slow.ended()
        assert server.seen == ["/ok"]


@pytest.mark.parametrize("sent", [request("/large"), request("/big", "Connection: close")], ids=["streamed", "whole"])
def test_who_reads_nothing_is_cut_off_and_memory_stays_bounded(sent: str) -> None:
    with bare(QUICK) as server, server.connect(buffer=4096) as deaf:
        deaf.send(sent)
        others_are_served(server)
        eventually(lambda: server.counted("wgan_refusals_total", reason="write_timeout") == 1)
        eventually(lambda: server.counted("wgan_connections") == 0)
        made = server.seen.count("part")
        assert made < 500  # 32 MiB of 64: what both systems' buffers hold
        time.sleep(0.2)
        assert server.seen.count("part") == made


def test_who_stops_reading_is_cut_off_as_well() -> None:
    with bare(QUICK) as server, server.connect() as deaf:
        deaf.send(request("/large"))
        taken = 0
        while taken < 16 << 20:
            taken += len(deaf.socket.recv(1 << 20))
        eventually(lambda: server.counted("wgan_refusals_total", reason="write_timeout") == 1)


@pytest.mark.slow
def test_a_reader_that_takes_less_than_the_systems_buffer_is_not_cut_off() -> None:
    with bare(QUICK) as server, server.connect(buffer=1 << 16) as slow:
        slow.send(request("/big"))
        for _ in range(30):
            assert slow.socket.recv(1 << 15)
            time.sleep(0.05)
        assert server.counted("wgan_refusals_total", reason="write_timeout") == 0


@pytest.mark.slow
def test_a_slow_reader_gets_everything() -> None:
    with bare(QUICK) as server, server.connect() as slow:
        slow.send(request("/large", "Connection: close"))
        taken = 0
        while piece := slow.socket.recv(1 << 20):
            taken += len(piece)
            time.sleep(0.02)
        assert taken > 1000 << 16


@pytest.mark.parametrize(
    "sent",
    [
        f"GET /ok HTTP/1.1\r\nHost: localhost\r\nX: {'x' * HEAD}\r\n\r\n",
        "GET /ok HTTP/1.1\r\nHost: localhost\r\n" + "A: b\r\n" * 4000 + "\r\n",
        f"GET /ok?{'x' * HEAD} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"GET /ok HTTP/1.1\r\nX: {'x' * 2 * HEAD}",  # and no end
    ],
    ids=["value", "lines", "path", "endless"],
)
@pytest.mark.parametrize("before", ["", request()], ids=["first", "second"])
def test_a_head_over_16_kib_is_refused(sent: str, before: str) -> None:
    with bare() as server, server.connect() as client:
        if before:
            client.get()
        client.send(sent)
        reply = client.reply()
        assert (reply.status, reply.error["code"]) == (431, "head_too_large")
        assert client.ended()
        assert server.seen == ["/ok"] * bool(before)


def test_a_head_over_16_kib_is_refused_however_it_comes() -> None:
    large = request("/ok", f"X: {'x' * (HEAD - 10)}")
    with bare() as server:
        with server.connect() as client:
            client.send(request() + large)  # in one piece with another
            assert client.reply().status == 200
            assert client.reply().status == 431
        with server.connect() as client:
            client.send(large[: HEAD - 100])  # and no piece is too large
            time.sleep(0.05)
            client.send(large[HEAD - 100 :])
            assert client.reply().status == 431


def test_a_head_just_under_16_kib_is_taken_in_one_piece_and_in_many() -> None:
    with bare() as server, server.connect() as client:
        text = request("/ok", f"X: {'x' * (HEAD - 200)}")
        client.send(text)
        assert client.reply().status == 200
        for at in range(0, len(text), 1000):
            client.send(text[at : at + 1000])
            time.sleep(0.001)
        assert client.reply().status == 200


MALFORMED = {
    "no HTTP": "hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two lengths": request("/echo", "Content-Length: 3", "Content-Length: 4", method="POST", body="abcd"),
    "two equal lengths": request("/echo", "Content-Length: 3", "Content-Length: 3", method="POST", body="abc"),
    "length and chunks": request(
        "/echo", "Content-Length: 3", "Transfer-Encoding: chunked", method="POST", body="0\r\n\r\n"
    ),
    "chunks and length": request(
        "/echo", "Transfer-Encoding: chunked", "Content-Length: 3", method="POST", body="0\r\n\r\n"
    ),
    "other encoding": request("/echo", "Transfer-Encoding: gzip", method="POST", body="abc"),
    "chunked not last": request("/echo", "Transfer-Encoding: chunked, gzip", method="POST", body="0\r\n\r\n"),
    "negative length": request("/echo", "Content-Length: -1", method="POST", body="abc"),
    "length no number": request("/echo", "Content-Length: 0x3", method="POST", body="abc"),
    "length too long": request("/echo", f"Content-Length: {2**80}", method="POST", body="abc"),
    "space before colon": request("/ok", "Transfer-Encoding : chunked"),
    "bare line feed": "GET /ok HTTP/1.1\nHost: localhost\n\n",
    "folded header": request("/ok", "X: a", " b"),
    "nul in a header": request("/ok", "X: a\0b"),
    "nul in the path": request("/o\0k"),
    "chunk size": request("/echo", "Transfer-Encoding: chunked", method="POST", body="zz\r\nabc\r\n0\r\n\r\n"),
    "chunk size with sign": request(
        "/echo", "Transfer-Encoding: chunked", method="POST", body="+3\r\nabc\r\n0\r\n\r\n"
    ),
    "chunk size too large": request("/echo", "Transfer-Encoding: chunked", method="POST", body=f"{'f' * 17}\r\nabc"),
    "chunk too long": request("/echo", "Transfer-Encoding: chunked", method="POST", body="2\r\nabc\r\n0\r\n\r\n"),
    "no host": "GET /ok HTTP/1.1\r\n\r\n",
    "two hosts": request("/ok", "Host: localhost"),
    "host no host": request("/ok", host="a b"),
    "host with a user": request("/ok", host="localhost@evil.example"),
    "tunnel": "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
}


@pytest.fixture(scope="module")
def server() -> object:
    with bare() as made:
        yield made


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_malformed_is_one_400_in_our_words_and_the_connection_ends(server: Bare, sent: str | bytes) -> None:
    server.seen.clear()
    smuggled = request("/seeds/7")
    with server.connect() as client:
        client.send((sent if isinstance(sent, bytes) else sent.encode("latin-1")) + smuggled.encode())
        reply = client.reply()
        assert reply.status == 400, reply
        assert reply.error["code"] in ("malformed", "bad_request")
        assert reply["content-type"] == "application/json"
        if reply.error["code"] == "malformed":
            assert client.ended()
            assert server.seen == []


def test_another_version_is_refused(server: Bare) -> None:
    with server.connect() as client:
        client.send("GET /ok HTTP/2.0\r\nHost: localhost\r\n\r\n")
        assert client.reply().status == 505


def test_what_is_malformed_is_answered_after_the_requests_before_it(server: Bare) -> None:
    with server.connect() as client:
        client.send(request("/slow") + request("/ok") + "nonsense\r\n\r\n")
        assert [client.reply().body for _ in range(2)] == [b"slow", b"fine"]
        assert client.reply().status == 400
        assert client.ended()


def test_a_chunk_that_is_malformed_does_not_reach_the_route(server: Bare) -> None:
    server.seen.clear()
    with server.connect() as client:
        client.send(request("/echo", "Transfer-Encoding: chunked", method="POST", body="3\r\nabc\r\n"))
        others_are_served(server)
        client.send("nonsense\r\n")
        assert client.reply().status == 400
        assert client.ended()
        assert server.seen == ["/ok"]


def test_pipelined_and_chunked_requests_are_answered_in_order(server: Bare) -> None:
    with server.connect() as client:
        chunked = request("/echo", "Transfer-Encoding: chunked", method="POST", body="3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        sized = request("/echo", "Content-Length: 2", method="POST", body="xy")
        client.send(request("/slow") + chunked + sized + request("/ok"))
        assert [client.reply().body for _ in range(4)] == [b"slow", b"abcde", b"xy", b"fine"]


def test_a_pipeline_without_end_is_cut_after_its_replies(server: Bare) -> None:
    with server.connect() as client:
        client.send(request("/slow") + request("/ok") * (PIPELINED + 1))
        assert client.reply().body == b"slow"
        for _ in range(PIPELINED):
            assert client.reply().status == 200
        reply = client.reply()
        assert (reply.status, reply.error["code"]) == (429, "pipelined")
        assert client.ended()


def test_a_client_that_pipelines_and_leaves_is_gone_for_the_request_that_runs(server: Bare) -> None:
    server.seen.clear()
    with server.connect() as client:
        client.send(request("/waits") + request("/ok"))
        eventually(lambda: "waits" in server.seen)
    eventually(lambda: "left" in server.seen)
    assert "/ok" not in server.seen


def test_trailers_are_no_headers(server: Bare) -> None:
    with server.connect() as client:
        client.send(
            request("/echo", "Transfer-Encoding: chunked", method="POST", body="0\r\nHost: evil.example\r\n\r\n")
        )
        assert client.reply().status == 200


def test_trailers_without_end_are_cut_off() -> None:
    with bare(Settings(max_body=1 << 16)) as server, server.connect() as client:
        client.send(request("/echo", "Transfer-Encoding: chunked", method="POST", body="0\r\nX: "))
        try:
            for _ in range(1000):
                client.send("x" * (1 << 14))
        except OSError:
            pass
        else:
            pytest.fail("16 MiB of a trailer were taken")
        assert server.seen == []


def test_an_upgrade_is_answered_as_http_and_the_connection_ends(server: Bare) -> None:
    with server.connect() as client:
        reply = client.get("/ok", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA")
        assert (reply.status, reply["connection"]) == (200, "close")
        assert client.ended()


def test_one_connection_too_many_is_told_so() -> None:
    with bare(Settings(max_connections=2)) as server, server.connect() as one, server.connect() as two:
        for each in (one, two):
            assert each.get().status == 200
            each.send(request("/waits"))
        eventually(lambda: server.seen.count("waits") == 2)
        with server.connect() as three:
            reply = three.reply()
            assert (reply.status, reply.error["code"], reply["retry-after"]) == (503, "connections", "1")
            assert three.ended()
        one.socket.close()
        eventually(lambda: server.counted("wgan_connections") == 1)
        others_are_served(server)


def test_of_many_connections_too_many_only_some_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "TURNED_AWAY", 1)
    with bare(Settings(max_connections=1)) as server, server.connect() as one:
        one.send(request("/waits"))
        eventually(lambda: "waits" in server.seen)
        with server.connect() as told:
            assert told.reply().status == 503
            with server.connect() as cut_off:
                assert cut_off.ended()


def test_the_oldest_idle_connection_makes_room_for_a_new_one() -> None:
    with bare(Settings(max_connections=2)) as server, server.connect() as old, server.connect() as young:
        old.get()
        time.sleep(0.01)
        young.get()
        time.sleep(0.2)
        others_are_served(server)
        assert old.ended()
        assert young.get().status == 200


def test_a_flood_of_may_openwithout_a_word_lets_others_in() -> None:
    with bare(Settings(max_connections=20)) as server:
        silent = [server.connect() for _ in range(20)]
        time.sleep(0.2)
        others_are_served(server)
        for each in silent:
            each.socket.close()


def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    with bare(Settings(max_connections=1)) as server, server.connect() as one:
        one.send(request("/waits"))
        eventually(lambda: "waits" in server.seen)
        for _ in range(20):
            with Raw(server.port) as client:
                client.send(request("/echo", "Content-Length: 500000", method="POST", body="x" * 500_000))
                assert client.reply().status == 503


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
@pytest.mark.parametrize(
    ("soft", "hard", "may_open", "raised"),
    [
        (1024, 4096, 2048, 2048 + FILES),
        (1024, -1, 2048, 2048 + FILES),
        (4096, 4096, 2048, None),
        (-1, -1, 2048, None),
        (1024, 1024, 1024 - FILES, 1024),
        (64, 64, 32, 64),
    ],
)
def test_no_more_may_openthan_files_that_may_be_open(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, may_open: int, raised: int | None
) -> None:
    import resource

    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: limits.append(both))
    assert files_for(2048) == may_open
    assert limits == ([] if raised is None else [(raised, hard)])
