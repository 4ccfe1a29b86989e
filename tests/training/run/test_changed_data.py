"""A run whose folder of images has changed: what is said, what is refused, and how it goes on."""

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import wgan
from tests.training.measures.test_fidelity import Small
from tests.training.run.test_training import assert_same_state, tensors
from wgan.cli import main
from wgan.serve.base.errors import CheckpointError, ConfigError
from wgan.training.config import ACCEPT, Config
from wgan.training.data.of_run import open_data
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.records.folder import RunFolder
from wgan.training.records.history import read
from wgan.training.run import looks, periodic_features
from wgan.training.run.loop import train
from wgan.training.run.session import Session

CPU = torch.device("cpu")
TINY = Config(
    image_size=16,
    base_channels=2,
    latent_dim=4,
    batch_size=4,
    n_critic=1,
    steps=4,
    log_every=1,
    sample_every=4,
    validate_every=2,
    validate_images=16,
    checkpoint_every=2,
    augment_flip=0.5,
)
OTHERS = {"data", "stream", "swd", "swd_step", "scoring", "best"}  # of a checkpoint, all that is about the data


def draw(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (value % 256, 255 - value % 256, value // 256)).save(path)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos` of twenty images in two folders, and two runs of four steps on them. Not to be written to."""
    place = tmp_path_factory.mktemp("begun")
    for number in range(20):
        draw(place / "photos" / ("ant" if number < 10 else "bee") / f"{number:02}.png", 10 * number)
    for name, conditional in (("one", False), ("labelled", True)):
        config = TINY.replace(data="photos", conditional=conditional)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(place)
            train(runs.begin(Path("runs") / name), config, device=CPU, cache=Path("runs/.cache"))
    return place


@pytest.fixture
def run(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return RunFolder(Path("runs/one"))


def go_on(run: RunFolder, **changes: Any) -> None:
    folder, config = runs.reopen(run.path, changes)
    train(folder, config, device=CPU, cache=run.path.parent / ".cache", resume=True)


def accept(run: RunFolder, steps: int = 6, **changes: Any) -> None:
    go_on(run, steps=steps, data_changed=ACCEPT, **changes)


def refused(run: RunFolder, **changes: Any) -> str:
    """What is said of a resume that is refused, which changes no file of the run."""
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError) as caught:
        go_on(run, steps=6, **changes)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def state(run: RunFolder, name: str = "") -> dict[str, Any]:
    folder = run.checkpoints
    return checkpoint.load(folder / name) if name else checkpoint.load_last(folder).state


def events(run: RunFolder) -> list[dict[str, Any]]:
    return [record for record in read(run.metrics) if "data" in record]


def add(count: int = 3) -> None:
    for number in range(count):
        draw(Path("photos/bee") / f"new-{number}.png", 1000 + number)


CHANGES: dict[str, tuple[Callable[[], object], str]] = {
    "added": (add, "had 20 images, has 23 now: 3 added (bee/new-0.png, bee/new-1.png, bee/new-2.png)"),
    "removed": (
        lambda: Path("photos/ant/03.png").unlink(),
        "had 20 images, has 19 now: 1 removed (ant/03.png)",
    ),
    "altered": (
        lambda: draw(Path("photos/ant/03.png"), 7),
        "had 20 images, has 20 now: 1 altered (ant/03.png)",
    ),
    "in another class": (
        lambda: Path("photos/ant/03.png").rename("photos/bee/03.png"),
        "had 20 images, has 20 now: 1 renamed (ant/03.png to bee/03.png)",
    ),
    "no longer readable": (
        lambda: Path("photos/ant/03.png").write_bytes(b""),
        "had 20 images, has 19 now: 1 removed (ant/03.png)",
    ),
    "all at once": (
        lambda: (add(), Path("photos/ant/03.png").unlink(), draw(Path("photos/ant/04.png"), 7)),
        "had 20 images, has 22 now: 3 added (bee/new-0.png, bee/new-1.png, bee/new-2.png), 1 removed (ant/03.png), "
        "1 altered (ant/04.png)",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_images_are_named_and_refused_and_nothing_changes(run: RunFolder, change: str) -> None:
    make, says = CHANGES[change]
    make()
    assert refused(run, max_broken=0.1) == (
        f"photos is not the data that runs/one was trained on, it {says}: to go on with it "
        "(the position in the data starts anew, everything else goes on): `wgan train --resume --run runs/one "
        "max_broken=0.1 steps=6 data_changed=accept`; to start a new run from these networks: `wgan train --config "
        "runs/one/config.yaml max_broken=0.1 steps=6 init_generator=runs/one init_critic=runs/one`"
    )


def test_the_command_line_says_so_in_one_line_and_then_goes_on(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    add()
    words = ["train", "--resume", "--device", "cpu", "--run", "runs/one", "steps=6"]
    assert main(words) == 2
    _, line = capsys.readouterr().err.splitlines()
    assert "3 added (bee/new-0.png" in line
    assert main([*words, "data_changed=accept"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert (
        "the data had 20 images, has 23 now: 3 added (bee/new-0.png, bee/new-1.png, bee/new-2.png); "
        "the position in the data starts anew"
    ) in said


def test_what_the_refusal_names_instead_works(run: RunFolder) -> None:
    add()
    config = TINY.replace(data="photos", init_generator="runs/one", init_critic="runs/one", steps=1)
    train(runs.begin(Path("runs/two")), config, device=CPU, cache=Path("runs/.cache"))


def test_files_that_were_copied_are_the_same_data(run: RunFolder) -> None:
    shutil.copytree("photos", "again")
    shutil.rmtree("photos")
    Path("again").rename("photos")  # with times of their own
    go_on(run, steps=6)
    assert state(run)["stream"]["cursor"] == 6 * 4
    assert events(run) == []


def test_a_run_goes_on_with_images_that_were_added(run: RunFolder) -> None:
    add()
    before = state(run)
    folder, config = runs.reopen(run.path, {"steps": 6, "data_changed": ACCEPT})
    session = Session(folder, config, CPU, run.path.parent / ".cache")
    session.restore(accept=True)
    session.accept_data()
    after = state(run)  # of the same step
    taken, wanted = (tensors({k: v for k, v in each.items() if k not in OTHERS}) for each in (after, before))
    assert taken.keys() == wanted.keys()
    for name, value in wanted.items():
        if not name.startswith("/config/"):
            same = torch.equal(value, taken[name]) if isinstance(value, torch.Tensor) else value == taken[name]
            assert same, name
    assert after["stream"] == {"cursor": 0, "seed": 0, "count": 23}
    assert after["data"] == session.data.digest != before["data"]
    accept(run)
    assert state(run)["stream"] == {"cursor": 2 * 4, "seed": 0, "count": 23}
    assert json.loads(run.info.read_text())["images"] == 23


@pytest.mark.slow
def test_an_acceptance_is_for_one_change(run: RunFolder) -> None:
    add()
    accept(run)
    assert run.read_config().data_changed == "refuse"
    assert state(run)["config"]["data_changed"] == "refuse"
    go_on(run, steps=7)
    draw(Path("photos/ant/one-more.png"), 2000)
    with pytest.raises(CheckpointError, match="had 23 images, has 24 now: 1 added"):
        go_on(run, steps=8)
    accept(run, 8)
    assert [event["data"]["images"] for event in events(run)] == [[20, 23], [23, 24]]


@pytest.mark.slow
def test_after_the_change_a_run_is_resumed_to_the_bit(run: RunFolder) -> None:
    add()
    shutil.copytree(run.path, "runs/parts")
    parts = RunFolder(Path("runs/parts"))
    accept(run, 8)
    accept(parts, 5)
    go_on(parts, steps=8)
    assert_same_state(parts.checkpoints / "step-00000008.pt", run.checkpoints / "step-00000008.pt")


def test_the_records_and_the_page_say_when_and_what_but_name_no_image(run: RunFolder) -> None:
    before = state(run)["data"]
    CHANGES["all at once"][0]()
    accept(run)
    (event,) = events(run)
    now = state(run)["data"]
    assert event["step"] == 4
    assert event["data"] == {
        "digests": [before, now],
        "images": [20, 22],
        "added": 3,
        "removed": 1,
        "altered": 1,
        "renamed": 0,
    }
    said = (
        f"the data changed: had 20 images, has 22 now, 3 added, 1 removed, 1 altered; digest {before[:8]}… became "
        f"{now[:8]}…; the position in the data starts anew"
    )
    assert event["message"] == said
    assert said in (run.path / "report.html").read_text()
    holding = {path.name for path in run.path.rglob("*") if path.is_file() and b"new-0" in path.read_bytes()}
    assert holding == set()  # the list is compressed
    assert "data.json.gz" in {path.name for path in run.path.iterdir()}


def test_the_best_is_measured_against_the_data_of_now(run: RunFolder) -> None:
    old = state(run, "best.pt")
    for path in Path("photos").rglob("*.png"):  # farther from what was learned
        draw(path, 2000)
    accept(run, 5, validate_every=1000)
    best = state(run)["best"]
    assert best["data"] == state(run)["data"]
    (line,) = (r["message"] for r in read(run.metrics) if "best.pt" in str(r.get("message")))
    said = re.fullmatch(r"best\.pt, of step (\d), measured against the changed data: SWD (.*), (.*) before", line)
    assert said is not None
    assert (int(said[1]), said[3]) == (old["step"], f"{old['best']['value']:.1f}")
    again, *later = [(r["step"], r["swd"]) for r in read(run.metrics) if r["kind"] == "validation" and r["step"] >= 4][
        1:
    ]
    assert again[0] == 4  # once more, to compare with
    values = [float(said[2]), again[1], *(value for _, value in later)]
    assert min(values) > 1.2 * old["best"]["value"]  # that would have stayed the best for long
    assert best["value"] == pytest.approx(min(values), abs=0.05)


@pytest.fixture
def scored(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run whose best is chosen by features: of steps 2 and 4."""
    monkeypatch.setattr(periodic_features, "inception_or_reason", lambda *_: Small("5" * 64))
    folder = runs.begin(Path("runs/scored"))
    config = TINY.replace(data="photos", inception_every=2, inception_images=16)
    train(folder, config, device=CPU, cache=Path("runs/.cache"))
    return folder


@pytest.mark.slow
def test_a_best_that_features_chose_is_measured_by_them(scored: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    old = state(scored)["best"]
    for path in Path("photos").rglob("*.png"):
        draw(path, 2000)
    accept(scored, 6)
    best = state(scored)["best"]
    assert best["measure"] == old["measure"].split(":")[0] + ":16"
    later = [r["frechet_distance"] for r in read(scored.metrics) if r["kind"] == "inception" and r["step"] > 4]
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("best.pt, of step "))
    said = re.search(r"the changed data: Fréchet distance ([\d.]+), ([\d.]+) before$", line)
    assert said is not None
    assert float(said[2]) == pytest.approx(old["value"], abs=0.05)
    assert best["value"] == pytest.approx(min(float(said[1]), *later), abs=0.05)
    assert float(said[1]) != pytest.approx(old["value"], abs=0.05)


@pytest.mark.slow
def test_a_signal_while_the_best_is_measured_is_made_up_for(scored: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    add()
    shutil.copytree(scored.path, "runs/whole")
    whole = RunFolder(Path("runs/whole"))
    accept(whole, 6)
    renew = looks.renew_best

    def interrupted(session: Session, progress: Any) -> str | None:
        signal.raise_signal(signal.SIGTERM)
        return renew(session, progress)

    before = state(scored)["best"]
    with monkeypatch.context() as patch:
        patch.setattr(looks, "renew_best", interrupted)
        accept(scored, 6)
    assert state(scored)["step"] == 5  # the step that it was at is finished
    assert state(scored)["best"] == before
    go_on(scored, steps=6)
    assert state(scored)["best"] == state(whole)["best"]


def test_without_a_best_it_is_chosen_anew(run: RunFolder) -> None:
    add()
    (run.checkpoints / "best.pt").write_bytes(b"damaged")
    for path in checkpoint.list_steps(run.checkpoints)[:-1]:
        path.unlink()
    found = checkpoint.load_last(run.checkpoints)
    found.state["best"] |= {"step": 3, "value": 0.5}  # its own file is gone
    checkpoint.save(found.path, {name: value for name, value in found.state.items() if name != "schema"})
    accept(run)
    assert state(run, "best.pt")["best"]["data"] == state(run)["data"]
    assert state(run)["best"]["value"] > 0.5


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.slow
@pytest.mark.parametrize("at", ["before it is saved", "once it is saved"])
def test_a_kill_right_after_the_acceptance_does_no_harm(
    run: RunFolder, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    add()
    shutil.copytree(run.path, "runs/whole")
    accept(RunFolder(Path("runs/whole")))
    with monkeypatch.context() as patch:
        if at == "before it is saved":
            patch.setattr(Session, "accept_data", killed)
        else:
            patch.setattr(looks, "renew_best", killed)
        with pytest.raises(Killed):
            accept(run)
    if at == "before it is saved":
        assert "3 added (bee/new-0.png" in refused(run)
        accept(run)
    else:
        go_on(run, steps=6)
    assert len(events(run)) == 1
    assert_same_state(run.checkpoints / "step-00000006.pt", Path("runs/whole/checkpoints/step-00000006.pt"))


def test_a_run_that_was_begun_before_there_were_lists_says_how_many(run: RunFolder) -> None:
    run.contents.unlink()
    add()
    line = refused(run)
    assert "it had 20 images, has 23 now; which ones changed is not known, as the run has no list of those" in line
    accept(run)
    assert "added" not in events(run)[0]["data"]
    draw(Path("photos/ant/one-more.png"), 2000)
    assert "had 23 images, has 24 now: 1 added (ant/one-more.png)" in refused(run)


@pytest.mark.parametrize("damage", ["cut", "of other data", "no names"])
def test_a_damaged_list_is_none(run: RunFolder, damage: str) -> None:
    content = run.contents.read_bytes()
    run.contents.write_bytes({"cut": content[:-20], "of other data": content, "no names": b"[]"}[damage])
    if damage == "of other data":
        found = checkpoint.load_last(run.checkpoints)
        found.state["data"] = "0" * 64
        checkpoint.save(found.path, {name: value for name, value in found.state.items() if name != "schema"})
    add()
    assert "has no list" in refused(run)


def test_a_run_without_a_list_gets_one_at_the_next_start(run: RunFolder) -> None:
    content = run.contents.read_bytes()
    run.contents.unlink()
    go_on(run, steps=6)
    assert run.contents.read_bytes() == content


def test_other_classes_are_refused_by_a_conditional_run_alone(run: RunFolder) -> None:
    labelled = RunFolder(Path("runs/labelled"))
    draw(Path("photos/cat/0.png"), 5)
    Path("photos/ant").rename("photos/dog")
    says = "the classes of photos are not those that this run was trained on: 2 new (cat, dog), 1 gone (ant); "
    for changes in ({}, {"data_changed": ACCEPT}):
        assert refused(labelled, **changes).startswith(says)
    assert "10 renamed (ant/00.png to dog/00.png, " in refused(run)
    accept(run)


def test_images_that_change_class_change_the_labels_of_a_conditional_run(run: RunFolder) -> None:
    labelled = RunFolder(Path("runs/labelled"))
    Path("photos/ant/03.png").rename("photos/bee/03.png")
    assert "1 renamed (ant/03.png to bee/03.png)" in refused(labelled)
    accept(labelled)
    data, _ = open_data(labelled.read_config(), Path("runs/.cache"))
    assert data.labels is not None
    assert data.labels.sum() == 11


def test_thousands_of_odd_names_are_a_short_line(run: RunFolder) -> None:
    for number in range(300):
        draw(Path("photos/bee") / f"{number}\n\x1b[31m{'long ' * 40}.png", number)
    line = refused(run)
    assert line.isprintable()
    assert "300 added (bee/0??[31mlong …ng long long long long long .png, bee/1??[31mlong" in line
    assert len(line) < 600


def test_there_must_be_a_change_and_a_run_to_accept_it(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    accept(run)
    assert "data_changed=accept: the data has not changed" in capsys.readouterr().err
    assert state(run)["stream"]["cursor"] == 6 * 4
    with pytest.raises(ConfigError, match="data_changed=accept is for a run that goes on: --resume; "):
        train(
            runs.begin(Path("runs/two")),
            TINY.replace(data="photos", data_changed=ACCEPT),
            device=CPU,
            cache=Path("runs/.cache"),
        )
    assert not Path("runs/two").exists()


def test_a_run_that_has_done_its_steps_accepts_nothing(run: RunFolder) -> None:
    add()
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="has done its 4 steps"):
        go_on(run, data_changed=ACCEPT)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_the_function_accepts_it_too(run: RunFolder) -> None:
    add()
    with pytest.raises(CheckpointError, match="3 added"):
        wgan.train(run=run.path, resume=True, device="cpu", steps=6)
    assert wgan.train(run=run.path, resume=True, device="cpu", steps=6, data_changed="accept").step == 6
