"""The report shows what is shipped: a run that went bad after its best is shown at its best, and the last beside it."""

import base64
import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.training.report.test_report import ONNX, PARITY, PLAN, Page, picture, pictures
from wgan.training.report import write_report

BEST, LAST = 1130, 1500
ORIGIN = {"step": BEST, "checkpoint": "best", "scores": {"swd": 24.9}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Resumed with lr_g=0.05 lr_d=0.05: near the data at step 1130, far from it at 1500."""
    folder = tmp_path / "bad"
    (folder / "samples").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    chosen = {"measure": "swd", "value": 24.9, "step": BEST}
    good, bad = (
        {"step": step, "swd": swd, "swd_step": step, "best": chosen} for step, swd in ((BEST, 24.9), (LAST, 156.2))
    )
    torch.save(good, folder / "checkpoints/best.pt")
    torch.save(bad, folder / f"checkpoints/step-{LAST:08d}.pt")
    records = []
    for step, swd, fid in ((0, 144.0, None), (BEST, 24.9, 31.5), (LAST, 156.2, 210.0)):
        picture(folder / f"samples/step-{step:08d}.png", step % 250)
        records.append({"kind": "train", "step": step + 1, "penalty": 0.1})
        records.append({"kind": "validation", "step": step, "swd": swd, "swd_levels": {"8": swd}})
        records.append({"kind": "inception", "step": step, "fid": fid})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": "faces", "image_size": 8, "conditional": True}))
    return folder


def shown(run: Path, artifacts: list[dict[str, object]] | None = None) -> str:
    return write_report(run, artifacts or []).read_text("utf-8")


def test_the_head_is_of_the_best_with_the_last_beside_it(run: Path) -> None:
    text = Page(shown(run)).text
    assert "export ships: best, step 1,130, SWD 24.9" in text.replace(" .", ".")
    assert "Beside it: last, step 1,500, SWD 156.2" in text
    assert "144 → 24.9 best, step 1,130" in text
    assert "156 last, step 1,500" in text
    assert "FID 31.5 → 31.5" in text or ("FID" in text and "31.5 step 1,130" in text)
    assert "level, pixels untrained best, step 1,130 closer by 8 × 8 144 24.9 5.8 ×" in text


def test_the_grid_is_the_bests_and_the_lasts_comes_after_it(run: Path) -> None:
    source = shown(run)
    captions = re.findall(r"<figcaption>(Generated.*?)(?: <a|</figcaption>)", source)
    assert captions == ["Generated: best, step 1,130, SWD 24.9", "Generated: last, step 1,500, SWD 156.2; not shipped"]
    grids = [image for _, image in pictures(source, "png")]
    for image, step in zip(grids, (BEST, LAST), strict=True):
        assert image.tobytes() == Image.open(run / f"samples/step-{step:08d}.png").tobytes()


def test_the_best_is_marked_on_the_curves_and_in_the_strip(run: Path) -> None:
    source = shown(run)
    charts = [json.loads(data) for data in Page(source).data]
    assert charts
    assert all([BEST, "best"] in chart["marks"] for chart in charts)
    assert source.count('class="named"') == len(charts)
    assert '<figure class="best"' in source
    assert "1,130 · best" in source


def test_a_run_whose_last_is_its_best_has_one_grid(run: Path) -> None:
    (run / f"checkpoints/step-{LAST:08d}.pt").unlink()
    torch.save(torch.load(run / "checkpoints/best.pt"), run / f"checkpoints/step-{BEST:08d}.pt")
    source = shown(run)
    assert "Beside it" not in source
    assert len(pictures(source, "png")) == 1


def test_a_damaged_checkpoint_leaves_a_page_of_what_was_recorded(run: Path) -> None:
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"\x80 no checkpoint")
    text = Page(shown(run)).text
    assert "last, step 1,500, SWD 156.2" in text


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        ([True, True, None], "2 equal, 1 not measured"),
        ([True, False, None], "1 equal, 1 differs , 1 not measured"),
        ([False, False], "2 differ"),
        ([None], "1 not measured"),
    ],
)
def test_what_could_not_be_measured_is_no_failure(run: Path, passed: list[bool | None], said: str) -> None:
    source = shown(run, [{**ONNX, "parity": {**PARITY, "passed": one}} for one in passed])
    head = source[: source.index("</header>")]
    assert said in Page(f"{head}</header></body></html>").text
    assert ('class="bad"' in head) is (False in passed)


def test_an_artifact_of_another_generator_than_is_shown_is_told_from_it(run: Path) -> None:
    old = {**ONNX, "file": "old.onnx", "origin": {"step": 900, "checkpoint": "best"}}
    text = Page(shown(run, [{**ONNX, "origin": ORIGIN}, old])).text.replace("\u00a0", " ")
    assert "generator.onnx 4.82 MB best, step 1,130, SWD 24.9 onnx" in text
    assert "old.onnx 4.82 MB best, step 900; export again for what is shown above" in text


def test_a_figure_of_speed_names_what_it_was_measured_with(run: Path) -> None:
    row = {"backend": "torch", "precision": "fp32", "batch": 64, "images_per_second": 8319.4, "device": "cpu"}
    (run / "sampling.json").write_text(json.dumps({"rows": [{**row, "machine": "AMD EPYC 9B14, 2 threads"}]}))
    source = shown(run)
    assert "8,319 images/s torch · fp32 · batch 64 · on AMD EPYC 9B14, 2 threads" in Page(source).text


def saved(source: str, name: str) -> list[dict[str, str]]:
    found = re.search(rf'download="{name}" href="data:text/csv;base64,([^"]+)"', source)
    assert found is not None
    return list(csv.DictReader(io.StringIO(base64.b64decode(found[1]).decode())))


def test_curves_and_parity_can_be_saved_as_tables(run: Path) -> None:
    source = shown(run, [{**ONNX, "origin": ORIGIN}, PLAN])
    curves = {row["step"]: row for row in saved(source, "bad-curves.csv")}
    assert (curves["1130"]["swd"], curves["1130"]["swd_8"], curves["1130"]["fid"]) == ("24.9", "24.9", "31.5")
    assert (curves["1501"]["penalty"], curves["1501"]["swd"]) == ("0.1", "")
    parity = saved(source, "bad-parity.csv")
    assert [row["verdict"] for row in parity] == ["equal", "not measured"]
    assert (parity[0]["max_abs"], parity[0]["step"]) == ("3.14e-06", "1130")


def by_class(run: Path, names: list[str], columns: int, generated: int | None = None) -> None:
    """Grids whose cell i has the grey of its class, and what a run says of its classes."""
    grey = [(i % len(names)) * 12 for i in range(64)]
    for name, across in (("real.png", columns), (f"step-{BEST:08d}.png", generated or columns)):
        page = np.full((2 + -(-64 // across) * 10, 2 + across * 10), 255, np.uint8)
        for i, shade in enumerate(grey):
            y, x = 2 + i // across * 10, 2 + i % across * 10
            page[y : y + 8, x : x + 8] = shade
        Image.fromarray(page).save(run / "samples" / name)
    info = {"classes": names, "class_images": [2, *[30] * (len(names) - 1)], "conditional": True}
    (run / "run.json").write_text(json.dumps(info))


@pytest.mark.parametrize(("names", "columns"), [(list("abcde"), 10), ([f"class {i}" for i in range(20)], 8)])
def test_each_class_has_a_row_of_real_and_generated_images(run: Path, names: list[str], columns: int) -> None:
    by_class(run, names, columns)
    source = shown(run)
    part = source[source.index("Class by class") : source.index("The same seeds")]
    text = Page(f"<section><h2>{part}".rpartition("<section>")[0]).text
    shades = [[image.getpixel((at, 4))[0] for at in range(4, image.width, 10)] for _, image in pictures(part)]
    rows = len(names) if len(names) <= 16 else 16
    assert len(shades) == 2 * rows
    for i in range(rows):
        real, generated = shades[2 * i : 2 * i + 2]
        assert set(real) == set(generated) == {12 * i}
        assert len(generated) == len(range(i, 64, len(names))[:6])
    assert len(shades[0]) == 2  # no more real ones of the first
    assert f"{names[0]} 2" in text
    assert ("of 20 classes are shown" in text) is (len(names) > 16)
    head = source[: source.index("Class by class")]
    assert ("Each column is a class" in head) is (len(names) <= 16)
    assert f"{names[0]}, {names[1]}, {names[2]}" in head


def test_a_grid_that_an_earlier_version_drew_is_read_by_its_own_columns(run: Path) -> None:
    by_class(run, list("abcde"), 10, generated=8)
    source = shown(run)
    part = source[source.index("Class by class") : source.index("The same seeds")]
    shades = [{image.getpixel((at, 4))[0] for at in range(4, image.width, 10)} for _, image in pictures(part)]
    assert shades == [{12 * i} for i in range(5) for _ in range(2)]
    assert "Each column is a class" not in source


def test_grids_of_an_earlier_version_are_not_taken_for_aligned(run: Path) -> None:
    by_class(run, list("abcde"), 8)
    (run / "run.json").write_text(json.dumps({"classes": list("abcde")}))
    source = shown(run)
    assert "Class by class" not in source
    assert "Each column" not in source


def test_ways_between_seeds_and_nearest_images_are_those_of_what_is_shipped(run: Path) -> None:
    for step in (BEST, LAST):
        for name in ("interpolation", "nearest"):
            picture(run / f"samples/{name}-{step:08d}.png", step % 250)
    near = {"kind": "nearest", "distance": 30.0, "closest": 21.5, "real_distance": 20.0, "samples": 64, "images": 1797}
    with (run / "metrics.jsonl").open("a") as file:
        for step, ratio in ((BEST, 1.5), (LAST, 4.0)):
            file.write(json.dumps({**near, "step": step, "ratio": ratio, "shown": [[3, 21.5]]}) + "\n")
    source = shown(run)
    for title in ("Between seeds", "Does it copy the data?"):
        part = source[source.index(title) :]
        (first, *_) = pictures(part, "png")
        assert first[1].tobytes() == Image.open(run / f"samples/nearest-{BEST:08d}.png").tobytes()
    text = Page(source).text
    assert "Samples are 1.50 times as far from their nearest training image as real images are" in text
    assert "seed 3: 21.5" in text
    assert "64 samples against 1,797 training images" in text
    assert "32 × 32 pixels" in text


@pytest.mark.parametrize("shown_pairs", [None, 3, [1], [["x", None]], [[1, 2, 3]]])
def test_a_record_of_nearness_that_makes_no_sense_is_no_error(run: Path, shown_pairs: object) -> None:
    picture(run / f"samples/nearest-{BEST:08d}.png", 3)
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "nearest", "step": BEST, "ratio": "far", "shown": shown_pairs}) + "\n")
    assert "Does it copy the data?" in Page(shown(run)).titles


@pytest.mark.parametrize("size", [-2, 0, 1e300, 10**9, "wide", None, True])
def test_an_image_size_that_cannot_be_is_no_error(run: Path, size: object) -> None:
    by_class(run, list("abcde"), 10)
    (run / "config.yaml").write_text(yaml.safe_dump({"image_size": size, "conditional": True}))
    assert "The same seeds over training" in Page(shown(run)).titles
