"""The page at `/`: what it may load and run, whether its parts fit each other, and the routes that it asks for."""

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest
from starlette.routing import Match, Router

from tests.fakes.generator import FakeGenerator
from tests.serve.http.serving import serving
from wgan.serve.http.described import about, openapi, page
from wgan.serve.http.images import images
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.metrics import Metrics
from wgan.serve.http.queue.service import Service
from wgan.serve.page.draw import files

VOID = {"meta", "input", "img", "link", "br"}
TEXT = page.document().decode()


class Outline(HTMLParser):
    """A document's elements with their attributes, what encloses each, and the text of scripts and styles."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self.words: dict[str, str] = {}  # of an element's id, or of a label's `for`
        self._open: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.elements.append((tag, values, tuple(name for name, _ in self._open)))
        if tag not in VOID:
            self._open.append((tag, values.get("for" if tag == "label" else "id") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] in self.inline:
            self.inline[self._open[-1][0]].append(data)
        elif self._open:
            self.words[self._open[-1][1]] = self.words.get(self._open[-1][1], "") + data.strip()

    def having(self, attribute: str) -> list[str]:
        """All values of this attribute."""
        return [values[attribute] or "" for _, values, _ in self.elements if attribute in values]


OUTLINE = Outline(TEXT)
SCRIPT, STYLE = ("".join(OUTLINE.inline[kind]) for kind in ("script", "style"))


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(FakeGenerator(("red", "blue"))) as server, server.client() as client:
        yield client


def test_the_policy_runs_the_pages_own_script_and_style_and_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    reply = client.get("/")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.content == page.document()
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": digest(SCRIPT),
        "style-src": digest(STYLE),
        "img-src": "'self' blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert [len(parts) for parts in OUTLINE.inline.values()] == [1, 1]


def test_nothing_in_the_page_is_from_elsewhere_or_runs_beside_its_script() -> None:
    names = {name for _, values, _ in OUTLINE.elements for name in values}
    assert [name for name in names if name.startswith("on") or name in ("style", "action", "srcset")] == []
    addresses = OUTLINE.having("href") + OUTLINE.having("src")
    assert [one for one in addresses if re.match(r"[a-z]+:|/", one)] == []  # below another path too
    assert set(re.findall(r"\w+://[\w./]*", TEXT)) == {"http://www.w3.org/2000/svg"}  # a name, which nothing loads
    assert not re.search(r"@import|url\(|javascript:", TEXT)


def test_text_becomes_no_markup() -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(", SCRIPT)
    for file in files.STATIC.glob("*.js"):
        assert len(file.read_text("utf-8").splitlines()) <= 260, file.name


def test_the_script_finds_every_element_that_it_names() -> None:
    ids = OUTLINE.having("id")
    assert len(set(ids)) == len(ids)
    named = set(re.findall(r'byId\("([\w-]+)"\)', SCRIPT))
    assert len(named) > 30
    assert named - set(ids) == set()
    referred = {one for name in ("for", "aria-describedby", "aria-labelledby") for one in OUTLINE.having(name)}
    assert referred - set(ids) == set()


def test_each_field_and_each_button_has_a_name() -> None:
    labelled = set(OUTLINE.having("for"))
    for tag, values, within in OUTLINE.elements:
        name = values.get("id") or ""
        if tag in ("input", "select"):
            assert name in labelled or "label" in within, values
        if tag == "button":
            assert values.get("aria-label") or OUTLINE.words.get(name) or values.get("type") == "submit", values


def test_its_colours_are_those_whose_contrast_is_tested() -> None:
    own = (files.STATIC / "page.css").read_text("utf-8")
    assert set(re.findall(r"#[0-9a-f]{3,8}\b|rgba?\([^)]*\)|hsl\([^)]*\)", own)) == {"#ccc", "#fff", "rgb(0 0 0 / .6)"}
    used = set(re.findall(r"var\(--(\w+)\)", own))
    assert used - {"tile", "whole", "ratio"} <= {"ink", "soft", "paper", "fill", "rule", "c0", "c2", "bad"}


def test_the_page_is_asked_for_again_and_sent_only_where_it_changed(client: httpx.Client) -> None:
    first = client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    again = client.get("/", headers={"if-none-match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/", headers={"if-none-match": '"other"'}).status_code == 200
    head = client.head("/")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)


def test_the_page_opens_without_the_token_that_its_images_need() -> None:
    with serving(FakeGenerator(), Settings(tokens=("secret",))) as server, server.client() as client:
        assert client.get("/").content == page.document()
        assert client.get("/v1/model").status_code == 401
        assert client.get("/v1/model", headers={"authorization": "Bearer secret"}).status_code == 200


def test_the_server_has_every_path_that_the_page_asks_for() -> None:
    service = Service(Settings(), Metrics())
    router = Router([route for module in (images, about, openapi, page) for route in module.routes(service)])
    paths = {re.sub(r"\$\{\w+\}", "7", path) for path in re.findall(r'["`](v1/[^"`?]*|openapi\.json)', TEXT)}
    assert {"v1/model", "v1/images", "v1/images/7.png", "v1/images/0.png", "openapi.json"} == paths - {
        "v1/images/1.png"
    }
    for path in paths:
        scope = {"type": "http", "method": "POST" if path == "v1/images" else "GET", "path": f"/{path}", "headers": []}
        assert any(route.matches(scope)[0] is Match.FULL for route in router.routes), path


def test_without_scripts_the_page_says_so_and_leads_to_images(client: httpx.Client) -> None:
    links = [values["href"] for tag, values, within in OUTLINE.elements if tag == "a" and "noscript" in within]
    assert len(links) == 2
    for link in links:
        assert client.get(f"/{link}").content[:4] == b"\x89PNG"
    shown = [values for tag, values, within in OUTLINE.elements if within == ("html", "body") and tag == "main"]
    assert ["hidden" in values for values in shown] == [True]  # nothing that would do nothing
