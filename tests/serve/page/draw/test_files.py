"""The page's two forms: whether their parts fit each other, what they may do, and the service worker's list."""

import json
import re
import tomllib

import pytest

from tests import ROOT
from tests.serve.http.described.test_page import Outline
from wgan.serve.page.draw import files

EXPORTED = files.exported()
OUTLINES = {"server": Outline(files.served()), "browser": Outline(EXPORTED["index.html"])}


@pytest.mark.parametrize("source", ["server", "browser"])
def test_each_kinds_script_finds_every_element_that_it_names(source: files.Source) -> None:
    ids = OUTLINES[source].having("id")
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'byId\("([\w-]+)"\)', files.script(source))) - set(ids) == set()
    outline = OUTLINES[source]
    referred = {one for name in ("for", "aria-describedby", "aria-labelledby") for one in outline.having(name)}
    assert referred - set(ids) == set()


@pytest.mark.parametrize("source", ["server", "browser"])
def test_each_field_and_each_button_has_a_name(source: str) -> None:
    outline = OUTLINES[source]
    labelled = set(outline.having("for"))
    for tag, values, within in outline.elements:
        name = values.get("id") or ""
        if tag in ("input", "select"):
            assert name in labelled or "label" in within, values
        if tag == "button":
            assert values.get("aria-label") or outline.words.get(name) or values.get("type") == "submit", values


def test_both_kinds_have_the_same_fields_and_nothing_of_the_other() -> None:
    server, browser = (set(OUTLINES[kind].having("id")) for kind in ("server", "browser"))
    assert {"first", "count", "label", "kind", "threshold", "from", "to", "steps", "save", "share"} <= server & browser
    assert {"token", "address"} & browser == set()
    assert {"provider", "unable"} & server == set()
    assert not re.search(r"<!--/?(server|browser)|\{\{", files.served() + EXPORTED["index.html"])
    assert not re.search(r'["`]v1/', "".join(EXPORTED.values()))


def test_the_exported_page_has_its_policy_and_nothing_inline_or_from_elsewhere() -> None:
    outline = OUTLINES["browser"]
    (policy,) = [one["content"] for _, one, _ in outline.elements if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == files.POLICY
    assert [one for one in ("unsafe-inline", "'unsafe-eval'", "*", ":/") if one in policy] == []
    assert [text for kind in outline.inline.values() for text in kind] == []
    assert outline.having("src") == ["page.js"]
    assert [one for one in outline.having("href") if not re.fullmatch(r"(ort/)?[\w.-]+\.(css|js|mjs)", one)] == []
    names = {name for _, values, _ in outline.elements for name in values}
    assert [name for name in names if name.startswith("on") or name in ("style", "action", "srcset")] == []
    text = "".join(EXPORTED.values())
    named = {one.rstrip("/.") for one in re.findall(r"https?://[\w./:]*", text)}
    assert named == {"http://www.w3.org/2000/svg", "http://localhost:8000", "https:"}  # which nothing loads
    assert not re.search(r"@import|url\(|javascript:", text)


def test_text_becomes_no_markup_and_no_file_grows_too_long() -> None:
    script = EXPORTED["page.js"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(", script)
    for file in files.STATIC.glob("*.js"):
        lines = file.read_text("utf-8").splitlines()
        assert len(lines) <= 260, file.name
        assert max(map(len, lines)) <= 120, file.name


def test_every_script_and_style_is_part_of_a_page_and_packed() -> None:
    texts = files.script("server") + files.script("browser") + files.style_sheet("browser")
    parts = [file for file in files.STATIC.iterdir() if file.suffix in (".js", ".css") and file.name != "sw.js"]
    assert [file.name for file in parts if file.read_text("utf-8").strip() not in texts] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["wgan.serve.page.draw"]
    packed = {file for pattern in patterns for file in files.STATIC.parent.glob(pattern)}
    assert set(files.STATIC.iterdir()) <= packed


def test_the_colours_are_those_whose_contrast_is_tested() -> None:
    own = (files.STATIC / "browser.css").read_text("utf-8")
    assert re.findall(r"#[0-9a-f]{3,8}\b|rgba?\(|hsl\(", own) == []
    assert set(re.findall(r"var\(--(\w+)\)", own)) <= {"ink", "soft", "paper", "fill", "rule", "c0", "c2", "bad"}


def test_the_service_worker_lists_every_file_and_is_another_when_one_changes() -> None:
    listed = {"index.html": "00", "ort/a.wasm": "11"}
    text = files.service_worker(listed, ["ort/a.wasm"])
    (told,) = re.findall(r"= (\{.*?\n\});", text, re.DOTALL)
    kept = json.loads(told)
    assert (kept["files"], kept["later"]) == (listed, ["ort/a.wasm"])
    assert files.service_worker(dict(reversed(listed.items())), ["ort/a.wasm"]) == text
    other = files.service_worker({**listed, "index.html": "22"}, ["ort/a.wasm"])
    assert kept["version"] not in other
