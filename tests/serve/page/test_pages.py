"""Pages: what may run on them, whether they can be read, and that they live in a browser and without scripts."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from wgan.serve.page import style
from wgan.serve.page.curves import Line, chart
from wgan.serve.page.html import row, section, table
from wgan.serve.page.style import css, page

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TEXT = ("ink", "soft", "good", "bad", "c0")  # also of links
MARKS = ("c0", "c1", "c2", "c3", "c4", "c5", "good", "soft")


def palettes() -> dict[str, dict[str, str]]:
    light, dark = (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", part)) for part in css().split("prefers-color-scheme: dark")[:2]
    )
    return {"light": light, "dark": {name: dark[name] for name in light}}


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""

    def luminance(colour: str) -> float:
        values = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_marks_stand_out_in_both_themes(theme: str) -> None:
    palette = palettes()[theme]
    for ground in ("paper", "fill"):  # `fill` is a button's
        faint = {name: contrast(palette[name], palette[ground]) for name in TEXT}
        assert {name: ratio for name, ratio in faint.items() if ratio < 4.5} == {}
    marks = {name: contrast(palette[name], palette["paper"]) for name in MARKS}
    assert {name: ratio for name, ratio in marks.items() if ratio < 3} == {}
    assert contrast(palette["paper"], palette["c0"]) >= 4.5  # a pressed button


def test_a_row_carries_its_headings_for_a_phone() -> None:
    shown = table(
        ["file", "max error"], [row(["<b>a</b>"], ["1"]), '<tr><td colspan="2" class="reason">no</td></tr>\n']
    )
    assert '<td data-head="file"><b>a</b></td><td data-head="max error" class="n">1</td>' in shown
    assert "content: attr(data-head)" in css()
    assert "thead { display: none; }" in css()


def test_each_script_is_allowed_by_its_digest_and_no_other_text_is() -> None:
    shown = page("t", "<p>b</p>")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', shown)
    assert policy is not None
    allowed = re.search(r"script-src ([^;]+)$", policy[1])
    assert allowed is not None
    scripts = re.findall(r"<script>(.*?)</script>", shown, re.DOTALL)
    assert allowed[1].split() == [f"'sha256-{style.digest(script)}'" for script in scripts]
    assert "unsafe" not in allowed[1]
    assert len(scripts) >= 3


def test_the_librarys_licence_comes_with_it() -> None:
    shown = page("t", "")
    assert "Copyright (c) 2022 Leon Sorokin" in shown
    assert "Permission is hereby granted" in shown
    assert shown.index("Leon Sorokin") < shown.index("var uPlot")


def test_our_scripts_take_text_as_text() -> None:
    folder = Path(style.__file__).parent
    for script in folder.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(", script.read_text()
        )
        assert len(script.read_text().splitlines()) <= 260


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    lines = [Line("<i>a</i>", [(step, step / 7) for step in range(1, 50)]), Line("b", [(1, 2.0), (40, 3.0)])]
    evil = (
        "<script>document.documentElement.dataset.hacked = 'yes'</script><img src=x onerror=\"document.title='bad'\">"
    )
    path = tmp_path / "page.html"
    path.write_text(page("t", section("Curves", chart("Loss", "nats", lines), chart("One", "", lines[1:])) + evil))
    return path


def dom(path: Path) -> str:
    assert BROWSER is not None
    words = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={path.parent / 'profile'}",
    ]
    done = subprocess.run(
        [*words, "--dump-dom", path.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_in_a_browser_charts_come_alive_under_the_policy_and_foreign_scripts_do_not(shown: Path) -> None:
    found = dom(shown)
    assert 'data-charts="2"' in found
    assert 'data-live="yes"' in found
    assert found.count("<canvas") == 2
    assert len(re.findall('<button[^>]*aria-pressed="false"', found)) == 2  # of the logarithmic axes
    assert "&lt;i&gt;a&lt;/i&gt;" in found
    assert "data-hacked" not in found
    assert "<title>t</title>" in found


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_without_scripts_the_drawings_stay(shown: Path) -> None:
    shown.write_text(re.sub('script-src [^"]*', "script-src 'none'", shown.read_text()))
    found = dom(shown)
    assert "data-charts=" not in found
    assert "<canvas" not in found
    assert found.count('role="img"') == 2
    assert "<button" not in found  # nothing that would do nothing
