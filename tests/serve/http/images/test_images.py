"""Images over HTTP are those of `wgan sample`, byte for byte; a stream is whole, or seen not to be."""

import http.client
import io
import json
import socket
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.fakes.generator import FakeGenerator
from tests.make import make_generator
from tests.serve.http.serving import Serving, serving
from wgan.cli import main
from wgan.export import exporter
from wgan.serve.backends.open import open_backend
from wgan.serve.http.limits.settings import Settings

LAST = 2**63 - 1
COLOURS = ("red", "green", "blue")
DRAWN = {"label": "blue", "truncation": 0.7}


class Counting(FakeGenerator):
    """Counts the images that it makes, and fails from a number of them on."""

    def __init__(self, fails_after: int | None = None, **options: Any):
        super().__init__(**options)
        self.made, self.fails_after = 0, fails_after

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        self.made += len(z)
        if self.fails_after is not None and self.made > self.fails_after:
            raise RuntimeError("the runtime has a secret: /home/somebody")
        return super()._infer(z, labels)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    list(exporter.export(make_generator(conditional=True, classes=COLOURS), folder, ["onnx"], max_batch=8))
    return folder / "generator.onnx"


@pytest.fixture(scope="module")
def server(labelled: Path) -> Iterator[Serving]:
    with serving(open_backend(labelled, device="cpu")) as made:
        yield made


@pytest.fixture
def client(server: Serving) -> Iterator[httpx.Client]:
    with server.client() as made:
        yield made


@pytest.fixture(scope="module")
def fake() -> Iterator[tuple[Counting, httpx.Client]]:
    backend = Counting()
    with serving(backend) as made, made.client() as client:
        yield backend, client


def post(client: httpx.Client, **fields: Any) -> httpx.Response:
    reply = client.post("/v1/images", json=fields)
    assert reply.status_code == 200, reply.text
    return reply


def sampled(model: Path, out: Path, *words: object) -> Path:
    """What `wgan sample` writes."""
    assert main(["sample", "--model", str(model), "--device", "cpu", "--out", str(out), *map(str, words)]) == 0
    return out


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {each.name: opened.extractfile(each).read() for each in opened}  # type: ignore[union-attr]


@pytest.mark.slow
def test_each_format_has_the_bytes_of_wgan_sample(labelled: Path, client: httpx.Client, tmp_path: Path) -> None:
    words = ("-n", 70, "--seed", 11, "--label", "blue", "--truncation", 0.7)
    asked = {"seed": 11, "n": 70, **DRAWN}
    for format, ending in (("grid", "png"), ("npy", "npy"), ("tar", "tar")):
        out = sampled(labelled, tmp_path / f"x.{ending}", *words)
        assert post(client, **asked, format=format).content == out.read_bytes(), format
    folder = sampled(labelled, tmp_path / "folder", *words)
    archive = members(post(client, **asked, format="tar").content)
    for seed in (11, 80):
        one = client.get(f"/v1/images/{seed}.png", params=DRAWN).content
        assert one == (folder / f"seed-{seed:06d}.png").read_bytes() == archive[f"seed-{seed:06d}.png"]


@pytest.mark.slow
def test_an_interpolation_has_the_bytes_of_wgan_sample(labelled: Path, client: httpx.Client, tmp_path: Path) -> None:
    for format, ending in (("grid", "png"), ("npy", "npy"), ("tar", "tar")):
        out = sampled(labelled, tmp_path / f"x.{ending}", "--interpolate", 7, LAST, "--steps", 9, "--truncation", 0.5)
        fields = {"interpolate": [7, str(LAST)], "steps": 9, "truncation": 0.5}
        assert post(client, **fields, format=format).content == out.read_bytes(), format


@pytest.mark.slow
def test_one_seed_has_one_image_alone_and_among_255_others_at_a_time(client: httpx.Client, server: Serving) -> None:
    seeds = [LAST, 0, *range(1000, 1254)]
    alone = {seed: client.get(f"/v1/images/{seed}.png").content for seed in seeds[:4]}
    raw = {seed: post(client, seeds=[seed], format="raw").content for seed in seeds[:4]}
    with server.client(limits=httpx.Limits(max_connections=64)) as many, ThreadPoolExecutor(64) as pool:
        replies = pool.map(lambda seed: many.get(f"/v1/images/{seed}.png"), seeds)
        among = {seed: reply.content for seed, reply in zip(seeds, replies, strict=True)}
    together = post(client, seeds=seeds, format="raw")
    size = len(together.content) // len(seeds)
    archive = members(post(client, seeds=[str(seed) for seed in seeds], format="tar").content)
    loaded = np.load(io.BytesIO(post(client, seeds=seeds, format="npy").content))
    for i, seed in enumerate(seeds[:4]):
        assert among[seed] == alone[seed] == archive[f"seed-{seed:06d}.png"]
        assert post(client, seed=str(seed)).content == alone[seed]
        assert together.content[i * size : (i + 1) * size] == raw[seed] == loaded[i].tobytes()
        webp = client.get(f"/v1/images/{seed}.webp").content
        assert post(client, seed=seed, format="webp").content == webp
        for file in (alone[seed], webp):
            with Image.open(io.BytesIO(file)) as image:
                assert image.tobytes() == raw[seed]
    assert len(set(among.values())) == len(seeds)


def test_a_body_says_what_it_is(fake: tuple[Counting, httpx.Client]) -> None:
    backend, client = fake
    for format, media in (("png", "image/png"), ("webp", "image/webp"), ("npy", "application/x-npy")):
        reply = post(client, seed=3, format=format)
        assert reply.headers["content-type"] == media
        assert reply.headers["x-wgan-model"] == backend.digest
        assert int(reply.headers["content-length"]) == len(reply.content)
    few, many = post(client, n=5, format="raw"), post(client, n=300, format="raw")
    assert (few.headers["x-shape"], many.headers["x-shape"]) == ("5,8,8,3", "300,8,8,3")
    assert int(many.headers["content-length"]) == len(many.content) == 300 * 8 * 8 * 3


def test_a_streamed_body_is_the_body_made_whole(fake: tuple[Counting, httpx.Client]) -> None:
    _, client = fake
    seeds = [*range(LAST - 270, LAST + 1)]
    with serving(FakeGenerator(), Settings(max_n=300)) as other, other.client() as whole:
        for format in ("raw", "npy", "tar"):
            streamed = post(client, seeds=seeds, format=format)
            assert streamed.content == post(whole, seeds=seeds, format=format).content
            assert ("content-length" in streamed.headers) == (format != "tar")


def test_scattered_seeds_are_named_on_their_page(fake: tuple[Counting, httpx.Client]) -> None:
    _, client = fake
    for seeds, named in (([4, 5, 6], "4..6"), ([6, 4], "6, 4")):
        with Image.open(io.BytesIO(post(client, seeds=seeds, format="grid").content)) as page:
            assert page.info["seeds"] == named


def test_webp_keeps_what_is_not_seen() -> None:
    from wgan.serve.http.images.encoding import webp_of

    image = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    image[..., 3] = np.where(image[..., 3] < 128, 0, image[..., 3])
    with Image.open(io.BytesIO(webp_of(image, {"seed": "3"}))) as opened:
        assert np.array_equal(np.asarray(opened), image)
        assert opened.getexif()[0x010E] == "seed: 3"


def test_who_has_an_image_gets_304_and_none_is_made(fake: tuple[Counting, httpx.Client]) -> None:
    backend, client = fake
    url = "/v1/images/3.png?truncation=0.7"
    tag = client.get(url).headers["etag"]
    made = backend.made
    for has in (tag, f"W/{tag}", f'"other", {tag}', f'W/"other",{tag} , "x"', "*"):
        reply = client.get(url, headers={"if-none-match": has})
        assert (reply.status_code, reply.content) == (304, b""), has
        assert reply.headers["etag"] == tag
        assert "immutable" in reply.headers["cache-control"]
    assert client.get(url, headers=[("if-none-match", '"a"'), ("if-none-match", tag)]).status_code == 304
    assert client.head(url, headers={"if-none-match": tag}).status_code == 304
    assert backend.made == made
    for other in ('"other"', tag.strip('"'), "", tag[:-2] + '"'):
        assert client.get(url, headers={"if-none-match": other}).status_code == 200


def test_head_says_what_get_would_and_makes_no_image(fake: tuple[Counting, httpx.Client]) -> None:
    backend, client = fake
    got = client.get("/v1/images/3.webp")
    made = backend.made
    reply = client.head("/v1/images/3.webp")
    assert (reply.status_code, reply.content, backend.made) == (200, b"", made)
    for name in ("etag", "content-type", "cache-control", "x-wgan-model"):
        assert reply.headers[name] == got.headers[name]
    assert client.head("/v1/images/x.webp").status_code == 400


@pytest.mark.slow
def test_a_tag_stands_for_all_that_the_bytes_depend_on_and_nothing_else() -> None:
    def tag(client: httpx.Client, url: str) -> str:
        return str(client.get(url).headers["etag"])

    with serving(FakeGenerator(COLOURS)) as one, one.client() as client:
        same = ["/v1/images/5.png", "/v1/images/5.png?label=blue", "/v1/images/5.png?model=abababab"]
        assert len({tag(client, url) for url in same}) == 1
        kinds = ["truncation=0.7", "truncation=0.7&truncation_kind=scaled", "truncation=0.8", "label=red"]
        others = [*(f"/v1/images/5.png?{query}" for query in kinds), "/v1/images/6.png", "/v1/images/5.webp"]
        assert len({tag(client, url) for url in [same[0], *others]}) == 1 + len(others)
        written = "/v1/images/5.png?truncation_kind=truncated&truncation=70e-2"
        assert tag(client, written) == tag(client, f"/v1/images/5.png?{kinds[0]}")
        with serving(FakeGenerator(COLOURS, digest="cd" * 32)) as two, two.client() as other:
            assert tag(other, same[0]) != tag(client, same[0])


def test_a_url_may_name_its_artifact(fake: tuple[Counting, httpx.Client]) -> None:
    backend, client = fake
    assert client.get(f"/v1/images/3.png?model={backend.digest}").status_code == 200
    reply = client.get("/v1/images/3.png?model=abababac")
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")


@pytest.mark.slow
def test_an_image_is_kept_as_long_as_its_artifact_stays() -> None:
    def kept(settings: Settings, url: str, **headers: str) -> str:
        with serving(FakeGenerator(), settings) as server, server.client(headers=headers) as client:
            return str(client.get(url).headers["cache-control"])

    url, pinned = "/v1/images/3.png", "/v1/images/3.png?model=abababab"
    assert kept(Settings(), url) == "public, max-age=31536000, immutable"
    assert kept(Settings(watch=True), url) == "no-cache"
    assert "immutable" in kept(Settings(watch=True), pinned)
    # who has no token must not get it from a cache between
    bearer = {"authorization": "Bearer 0123456789abcdef"}
    assert kept(Settings(tokens=("0123456789abcdef",)), url, **bearer).startswith("private, ")


def test_a_body_must_say_that_it_is_json(fake: tuple[Counting, httpx.Client]) -> None:
    _, client = fake
    for media in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        reply = client.post("/v1/images", content=b'{"seed": 1}', headers={"content-type": media})
        assert (reply.status_code, reply.json()["code"]) == (415, "unsupported")
    media = "Application/JSON; charset=utf-8"
    assert client.post("/v1/images", content=b'{"seed": 1}', headers={"content-type": media}).status_code == 200
    assert client.post("/v1/images?n=3", json={"seed": 1}).status_code == 400


def settled(backend: Counting) -> int:
    """The images made, when no more are."""
    before = -1
    while backend.made != before:
        before = backend.made
        time.sleep(0.3)
    return before


@pytest.mark.slow
def test_a_reader_who_stops_reading_holds_the_images_up_and_fills_no_memory() -> None:
    backend = Counting()
    with serving(backend, Settings(max_streamed=10**6)) as server:
        asked = json.dumps({"n": 10**6, "format": "raw"})
        lines = ["POST /v1/images HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Content-Type: application/json"]
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            slow.sendall("\r\n".join([*lines, f"Content-Length: {len(asked)}", "", asked]).encode())
            assert slow.recv(100).startswith(b"HTTP/1.1 200")
            assert settled(backend) < 200_000  # what the machine's own buffers hold, and a few parts


@pytest.mark.slow
def test_no_images_are_made_for_who_left_in_the_middle() -> None:
    backend = Counting()
    with serving(backend, Settings(max_streamed=10**6)) as server, server.client() as client:
        with client.stream("POST", "/v1/images", json={"n": 10**6, "format": "raw"}) as reply:
            next(reply.iter_raw())
        assert settled(backend) < 500_000


@pytest.mark.parametrize("format", ["raw", "npy", "tar"])
def test_a_stream_that_fails_is_cut_and_never_looks_whole(format: str) -> None:
    with serving(Counting(fails_after=600)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        asked = json.dumps({"n": 5000, "format": format})
        connection.request("POST", "/v1/images", asked, {"content-type": "application/json"})
        reply = connection.getresponse()
        assert reply.status == 200
        with pytest.raises(http.client.IncompleteRead):
            reply.read()
        connection.close()
        with server.client() as client:  # the first part is not made: there is a status yet
            reply2 = client.post("/v1/images", json={"n": 5000, "format": format})
            assert reply2.status_code == 500
            assert "secret" not in reply2.text
