"""The documentation: built strictly, complete without a network, and as the code has it where the code knows better."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import docs_tables
import pytest

import wgan
from tests import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a build of the site reads, in a folder that a test may break."""
    for name in ("docs", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("wgan", "serve", "training", "export"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def build(checkout: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHON": sys.executable}
    command = ["bash", "scripts/docs.sh"]
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_site_builds_and_loads_nothing_from_a_network(checkout: Path):
    done = build(checkout)
    assert done.returncode == 0, done.stderr
    pages = list((checkout / "site").rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))  # and the page of what is not found
    loads = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
    assert {page.name: found for page in pages if (found := loads.findall(page.read_text("utf-8")))} == {}
    # every public name has a heading on the API's page, functions with the package's name before theirs
    headings = re.findall(
        r'<h[2-4] id="[^"]*"[^>]*>(.*?)</h[2-4]>', (checkout / "site" / "api.html").read_text("utf-8"), re.S
    )
    shown = {re.sub(r"<[^>]+>|¶|&para;", "", heading).strip() for heading in headings}
    assert {name if name[0].isupper() else f"wgan.{name}" for name in wgan.__all__ if name != "__version__"} <= shown


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        {
            "[a page](nowhere.md)": "nowhere.md",
            "[a heading](train.md#nowhere)": "#nowhere",
            "![a picture](nowhere.png)": "nowhere.png",
            "[a function][wgan.nowhere]": "wgan.nowhere",
        },
        {'--8<-- "NOWHERE.md"': "NOWHERE.md"},
    ],
    ids=["links", "snippet"],
)
def test_what_is_broken_fails_the_build(checkout: Path, broken: dict[str, str]):
    with (checkout / "docs" / "seeds.md").open("a", encoding="utf-8") as page:
        page.write("".join(f"\n{line}\n" for line in broken))
    done = build(checkout)
    assert done.returncode != 0
    assert [named for named in broken.values() if named not in done.stderr] == []


def test_what_the_code_knows_is_as_the_code_has_it():
    stale = [path.name for path, text in docs_tables.wanted().items() if path.read_text("utf-8") != text]
    assert stale == [], "run `python scripts/docs_tables.py`"


def test_a_page_without_its_marks_is_found():
    with pytest.raises(SystemExit, match=r"docs/settings\.md: the marks"):
        docs_tables.filled("settings.md", "# Settings")


def test_the_picture_has_every_room_once_below_the_rooms_that_import_it():
    picture = docs_tables.rooms_picture()
    height = {name: float(y) for y, name in re.findall(r'<text x="[\d.]+" y="([\d.]+)">(\w+)</text>', picture)}
    folders = [path for name in ("serve", "training", "export") for path in (ROOT / name).iterdir()]
    rooms = [path.name for path in folders if (path / "__init__.py").is_file()]
    assert {name: picture.count(f">{name}</text>") for name in rooms} == dict.fromkeys(rooms, 1)
    assert height["sampling"] < height["latents"] < height["base"]
    assert height["run"] < height["step"] < height["config"] < height["sampling"]


def test_the_readme_is_a_face():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= 250
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", readme)
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_links_of_the_contributors_page_lead_somewhere():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    targets = re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.MULTILINE)
    assert targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []


def test_the_source_files_that_pages_name_are_there():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    name = re.compile(r"`((?:serve|training|export|wgan|scripts|tests)/[\w/]+\.(?:py|sh|yaml))`")
    named = {(page.name, found) for page in pages for found in name.findall(page.read_text("utf-8"))}
    assert len(named) > 30
    assert sorted(pair for pair in named if not (ROOT / pair[1]).is_file()) == []


def test_the_examples_of_style_are_the_code_s():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    examples = re.findall(r"\(`([\w/.]+)`\):\n\n```text\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    for source, example in examples:
        lines = {line.strip() for line in (ROOT / source).read_text("utf-8").splitlines()}
        assert [line for line in example.splitlines() if line.strip() not in lines] == []
