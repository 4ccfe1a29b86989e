"""The report page: whole, self-contained, safe with hostile text, and made of what the run has."""

import base64
import io
import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
import yaml
from PIL import Image

from wgan.serve.page import style
from wgan.training.report import write_report

VOID = {"meta", "img", "br", "hr", "link", "input"}
DRAWN = {"line", "polyline", "circle"}  # close themselves

PARITY = {
    "reference": "PyTorch 2.15.0, CPU, float32",
    "device": "cpu",
    "images": 2387,
    "batches": [1, 2, 3, 64],
    "max_abs": 3.14e-6,
    "mean_abs": 1.25e-7,
    "p999_abs": 9e-7,
    "worst_psnr_db": 128.4,
    "pixels_off": 0.00013,
    "finite": True,
    "gates": {"max_abs": 1e-4},
    "passed": True,
    "reason": None,
}
ONNX = {"file": "generator.onnx", "format": "onnx", "precision": "fp32", "bytes": 4822011, "parity": PARITY}
PLAN = {**ONNX, "file": "generator.plan", "format": "trt", "parity": {"passed": None, "reason": "no GPU here"}}

# section → the file (or what is in it) that it is made of
SECTIONS = {
    "Samples": "samples/step-00000200.png samples/real.png",
    "The same seeds over training": "samples/step-00000200.png",
    "Curves": "metrics.jsonl",
    "Distance to the real images": "metrics.jsonl",
    "Notes": "metrics.jsonl",
    "Sampling speed": "sampling.json",
    "Configuration": "config.yaml",
    "Made with": "run.json",
    "Timings": "timings.json",
}


class Page(HTMLParser):
    """Checks that every element is closed where it should be, and collects attributes and text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.attributes, self.tags, self.words, self.titles = [], [], [], [], []
        self.scripts, self.data = [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.typed = ("type", "application/json") in attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in DRAWN
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            kept = self.data if self.typed else self.scripts
            if self.open[-1] == "script":
                kept.append(data)
            return
        self.words.append(data)
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def picture(path, shade):
    pixels = np.full((42, 42, 3), shade, np.uint8)
    pixels[::2] = 255 - shade
    Image.fromarray(pixels).save(path)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "demo"
    (folder / "samples").mkdir(parents=True)
    for step in (0, 100, 200):
        picture(folder / f"samples/step-{step:08d}.png", step)
    picture(folder / "samples/real.png", 7)
    records = [{"kind": "event", "step": 150, "message": "resumed"}]
    for step in range(10, 201, 10):
        values = {"wasserstein": 20 - step / 20, "penalty": 0.02, "grad_norm": 1.01, "seconds": step / 2}
        records.append({"kind": "train", "step": step, "images": step * 96, **values})
    for step, scale in ((0, 3.0), (200, 1.0)):
        levels = {"32": 40 * scale, "16": 20 * scale}
        records.append({"kind": "validation", "step": step, "swd": 30 * scale, "swd_levels": levels})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": "faces", "image_size": 8, "lr_g": 0.0005}))
    info = {
        "data": "faces",
        "preset": "demo",
        "classes": ["a", "b"],
        "images": 8192,
        "device": "cpu",
        "versions": {"torch": "2.15.0"},
        "parameters": {"generator": 1234567, "critic": 2},
    }
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "timings.json").write_text(json.dumps({"training": 185.0}))
    speed = {"backend": "onnx", "precision": "fp32", "batch": 64, "images_per_second": 1493.4, "device": "cpu"}
    (folder / "sampling.json").write_text(json.dumps({"rows": [speed]}))
    return folder


def read(run, artifacts=(ONNX, PLAN)):
    path = write_report(run, artifacts)
    assert path == run / "report.html"
    return path.read_text("utf-8")


def test_the_page_is_whole_and_loads_nothing(run):
    source = read(run)
    page = Page(source)
    assert source.startswith("<!doctype html>")
    assert page.titles == ["Samples", "Artifacts and parity", "The same seeds over training", "Curves",
                           "Distance to the real images", "Sampling speed", "Configuration", "Made with", "Timings",
                           "Notes"]  # fmt: skip
    assert not {"link", "iframe", "object", "base"} & set(page.tags)
    for _, name, value in page.attributes:
        assert name not in ("srcset", "xlink:href", "action")
        assert name != "href" or re.match(r"data:(text/csv|image/png);base64,", value)
        assert name != "src" or value.startswith("data:image/")
    ours = re.sub(r'(src|href)="data:[^"]*"', "", source)
    for script in re.findall(r"<script>(.*?)</script>", source, re.DOTALL):
        ours = ours.replace(script, "")
    for word in ("http:", "https:", "@import", "url(", "//"):
        assert word not in ours
    policy = [value for tag, name, value in page.attributes if tag == "meta" and value.startswith("default-src")]
    rest, _, digests = policy[0].rpartition("; script-src ")
    assert rest == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert digests.split() == [f"'sha256-{style.digest(script)}'" for script in page.scripts]


def test_it_follows_the_readers_theme_and_fits_a_phone(run):
    source = read(run)
    assert "prefers-color-scheme: dark" in source
    assert 'content="width=device-width, initial-scale=1"' in source
    # whatever can be wider than a tablet lies in a box that scrolls by itself; on a phone rows are cards
    assert source.count("<table>") == len(re.findall(r'<div class="scroll"[^>]*><table>', source)) == 3


def pictures(source, kind=r"\w+"):
    found = re.findall(rf'src="data:image/({kind});base64,([^"]+)"', source)
    return [(name, Image.open(io.BytesIO(base64.b64decode(data)))) for name, data in found]


def test_pictures_are_embedded_as_they_are(run):
    source = read(run)
    found = pictures(source)
    assert [kind for kind, _ in found] == ["png", "png", "webp", "webp", "webp"]
    newest = Image.open(run / "samples/step-00000200.png")
    assert found[0][1].tobytes() == newest.tobytes()
    assert found[1][1].getpixel((0, 1)) == (7, 7, 7)
    assert found[2][1].size == (42, 42)  # a whole grid; the strip shows a part of it
    saved = dict(re.findall(r'download="([^"]+)" href="data:image/png;base64,([^"]+)"', source))
    assert list(saved) == ["demo-step-200.png", "demo-real.png"]
    assert Image.open(io.BytesIO(base64.b64decode(saved["demo-step-200.png"]))).tobytes() == newest.tobytes()


def test_the_strip_holds_every_grid_or_sixty_from_the_first_to_the_last(run):
    for step in range(300, 7000, 100):
        picture(run / f"samples/step-{step:08d}.png", step % 256)
    source = read(run)
    strip = source[source.index("strip") : source.index("Curves")]
    shown = [int(step.replace(",", "")) for step in re.findall(r"<figcaption>([\d,]+)</figcaption>", strip)]
    assert (len(shown), shown[0], shown[-1]) == (60, 0, 6900)
    assert shown == sorted(set(shown))
    assert max(b - a for a, b in pairwise(shown)) == 200
    assert "60 of 70 grids, evenly spread" in Page(source).text
    for path in sorted(run.glob("samples/step-*.png"))[30:]:
        path.unlink()
    assert read(run).count("data:image/webp") == 30
    assert "evenly spread" not in Page(read(run)).text


def test_large_grids_become_small_pictures_and_fewer(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "image_size": 256}))
    noise = np.random.default_rng(0).integers(0, 256, (1100, 1100, 3), np.uint8)
    for step in range(300, 3300, 100):
        Image.fromarray(noise).save(run / f"samples/step-{step:08d}.png", compress_level=1)
    source = read(run)
    frames = [picture for _, picture in pictures(source, "webp")][1:]
    assert max(picture.size for picture in frames) == (640, 640)
    assert 12 <= len(frames) < 30
    assert len(source) < 12e6


def test_advice_is_listed_and_marked_on_the_curves_not_among_the_notes(run):
    before = read(run)
    assert "Advice" not in Page(before).titles
    assert 'class="mark"' not in before
    event = {"kind": "event", "step": 1150, "rule": "collapse", "message": "too <few> modes: try --resume lambda_gp=20"}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({**event, "step": 150}) + "\n" + json.dumps(event) + "\n")
    source = read(run)
    text = Page(source).text.replace("\u00a0", " ")
    assert "step 150 collapse too <few> modes: try --resume lambda_gp=20 step 1,150 collapse" in text
    assert text[text.index("Notes") :].count("step") == 1
    curve = re.search(r"<figure class=\"chart\">.*?</figure>", source, re.DOTALL)[0]
    assert curve.count('class="mark"') == 2


def test_the_heading_says_what_where_and_how_far(run):
    text = Page(read(run)).text
    assert "preset demo · step 200 · trained for 1 min 40 s · on cpu · 8,192 images · 2 classes" in text
    assert "90.0 → 30.0" in text
    assert "1 equal, 1 not measured" in text
    assert "1,493 images/s onnx · fp32 · batch 64 · on cpu" in text


def test_the_distance_of_each_level_is_set_beside_the_untrained(run):
    text = Page(read(run)).text
    assert "32 × 32 120 40.0 3.0 × 16 × 16 60.0 20.0 3.0 × mean 90.0 30.0 3.0 ×" in text
    assert "floor" not in text


def test_the_floor_is_shown_where_it_was_measured(run):
    with (run / "metrics.jsonl").open("a") as file:
        record = {"step": 200, "swd": 30.0, "swd_levels": {"32": 40.0}, "floor_levels": {"32": 12.5}}
        file.write(json.dumps({"kind": "validation", **record}) + "\n")
    text = Page(read(run)).text
    assert "closer by floor 32 × 32 120 40.0 3.0 × 12.5" in text


def test_distances_are_set_beside_those_to_the_same_images(run):
    change = {"kind": "event", "step": 200, "message": "the data changed: had 20", "data": {"images": [20, 23]}}
    again = {"step": 200, "swd": 50.0, "swd_levels": {"32": 60.0}, "floor_levels": {"32": 12.5}}
    later = {"step": 250, "swd": 25.0, "swd_levels": {"32": 30.0}}
    with (run / "metrics.jsonl").open("a") as file:
        for record in ({"kind": "inception", "step": 200, "fid": 181.2}, change, {"kind": "validation", **again},
                       {"kind": "validation", **later}, {"kind": "inception", "step": 250, "fid": 90.5}):  # fmt: skip
            file.write(json.dumps(record) + "\n")
    text = Page(read(run)).text
    assert "50.0 → 25.0" in text
    assert "FID 90.5" in text
    assert "level, pixels step 200 step 250 closer by floor 32 × 32 60.0 30.0 2.0 × 12.5" in text
    assert "Upright lines: where advice was given, or the data changed." in text
    assert "step 200 the data changed: had 20" in text


def test_figures_by_inception_features_are_shown_by_what_they_may_be_called(run):
    made = {"images": 10000, "real_images": 8192, "inception_weights": "6726825d" + "0" * 56}
    with (run / "metrics.jsonl").open("a") as file:
        for step, fid in ((100, 181.2), (200, 35.25)):
            scores = {"fid": fid, "kid": 0.0125, "kid_std": 0.0011, "inception_score": 2.31}
            file.write(json.dumps({"kind": "inception", "step": step, **scores, **made}) + "\n")
    text = Page(read(run)).text
    assert "FID 181 → 35.2" in text
    assert "measure value FID 35.2 KID × 10³ 12.5 ± 1.10 Inception Score 2.31" in text
    assert "At step 200: 10,000 generated images against 8,192 real ones" in text
    assert "the weights 6726825d…" in text
    assert "Fréchet distance" not in text


def test_parity_is_one_row_an_artifact_with_figures_gates_and_verdict(run):
    damaged = {**ONNX, "file": "generator.ts", "parity": {**PARITY, "passed": False, "finite": False}}
    text = Page(read(run, [ONNX, damaged, PLAN])).text.replace("\u00a0", " ")
    figures = "cpu 2,387 3.1 × 10⁻⁶ gate ≤ 0.0001 1.2 × 10⁻⁷ 9.0 × 10⁻⁷ 128 dB 0.013 %"
    assert f"generator.onnx 4.82 MB onnx fp32 equal {figures}" in text
    assert f"generator.ts 4.82 MB onnx fp32 differs NaN or Inf {figures}" in text
    assert "generator.plan 4.82 MB trt fp32 not measured no GPU here" in text
    assert "1 equal, 1 differs , 1 not measured" in text


def test_an_artifact_without_any_report_is_not_measured(run):
    text = Page(read(run, [{**ONNX, "parity": None}])).text
    assert "not measured no report in the file" in text


@pytest.mark.parametrize("title", SECTIONS)
def test_a_section_without_its_file_is_left_out(run, title):
    for name in SECTIONS[title].split():
        (run / name).unlink()
    for path in sorted(run.glob("samples/step-0000*.png"))[1:]:
        path.unlink()
    if title == "Samples":
        (run / "samples/step-00000000.png").unlink()
    titles = Page(read(run)).titles
    assert title not in titles
    assert len(titles) >= 5


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[1, 2]", b'{"a": ', b'{"rows": 3}', b"null"])
def test_files_that_hold_something_else_are_no_error(run, content):
    for path in run.rglob("*.*"):
        path.write_bytes(content)
    assert not {"Samples", "Curves", "Sampling speed"} & set(Page(read(run)).titles)


def test_an_empty_folder_still_makes_a_page(tmp_path):
    page = Page(read(tmp_path, ()))
    assert page.titles == []
    assert tmp_path.name in page.text


def test_values_of_the_wrong_kind_are_dashes_not_errors(run):
    odd = {"file": 3, "format": None, "precision": [], "bytes": "x", "parity": {"passed": True, "max_abs": "?"}}
    with (run / "metrics.jsonl").open("a") as file:
        for record in (
            {"kind": "train", "step": "late", "penalty": 1},
            {"kind": "train", "step": 210, "penalty": None, "wasserstein": "high", "seconds": []},
            {"kind": "validation", "step": 210, "swd": None, "swd_levels": {"x": 1, "8": None}},
            {"kind": [], "step": 1},
        ):
            file.write(json.dumps(record) + "\n")
    (run / "run.json").write_text('{"images": "many", "classes": 4, "versions": [], "parameters": {"g": null}}')
    assert "–" in Page(read(run, [odd])).text


def test_hostile_names_stay_text(run):
    evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'&"
    (run / "config.yaml").write_text(yaml.safe_dump({"data": evil, evil: evil, "image_size": 8}))
    info = {"data": evil, "preset": evil, "device": evil, "versions": {evil: evil}, "parameters": {evil: 1}}
    info |= {"classes": [evil, "b"], "class_images": [3, 3], "conditional": True}
    (run / "run.json").write_text(json.dumps(info))
    (run / "timings.json").write_text(json.dumps({evil: 1.0}))
    row = {"backend": evil, "precision": evil, "device": evil, "batch": evil, "images_per_second": 1.0}
    (run / "sampling.json").write_text(json.dumps({"rows": [row]}))
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "event", "step": 3, "message": evil}) + "\n")
    parity = {**PARITY, "device": evil, "reference": evil}
    artifact = {"file": evil, "format": evil, "precision": evil, "bytes": 1, "parity": parity}
    page = Page(read(run, [artifact, {**artifact, "parity": {"passed": None, "reason": evil}}]))
    (policy,) = (value for tag, name, value in page.attributes if tag == "meta" and value.startswith("default-src"))
    assert [style.digest(script) for script in page.scripts] == re.findall(r"'sha256-([^']+)'", policy)
    assert page.data
    assert all(json.loads(data) and "<" not in data for data in page.data)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.text.count(evil) >= 15


def test_a_report_is_replaced_whole(run):
    first = read(run)
    (run / "timings.json").unlink()
    assert read(run) != first
    assert not [path.name for path in run.iterdir() if "tmp" in path.name]


def test_a_long_run_makes_no_large_page(run):
    lines = [{"kind": "train", "step": step, "wasserstein": math.sin(step), "penalty": 1.0} for step in range(20_000)]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert len(read(run)) < 300_000
