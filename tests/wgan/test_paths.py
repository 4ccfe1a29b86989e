"""One rule for every path of every command: what is none is a line, `-` is stdout, links stay, pipes get bytes."""

import inspect
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

import wgan
from wgan.cli import app, main
from wgan.serve.base.errors import ConfigError
from wgan.serve.outputs.kinds import KINDS
from wgan.training.config import load

SAMPLE = ("sample", "-n", "2", "--model", "faces")
# every option, argument and setting that names a path, with the words that a command needs beside it
PLACES = [
    [*SAMPLE, "--out="],
    ["sample", "-n", "1", "--model="],
    ["sample", "-n", "1", "--run="],
    ["sample", "--model", "faces", "--latents="],
    ["export", "--format", "onnx", "--out="],
    ["export", "--format", "onnx", "--run="],
    ["export", "--format", "onnx", "--out", "x", "--checkpoint="],
    ["verify", "--model="],
    ["verify", "--run="],
    ["eval", "--model="],
    ["eval", "--run="],
    ["eval", "--model", "faces", "--data="],
    ["eval", "--model", "faces", "-n", "2", "--data", "faces", "--inception-weights="],
    ["bench", "--model="],
    ["bench", "--run="],
    ["bench", "--out="],
    ["report", "--run="],
    ["report", "--out="],
    ["report", ""],
    ["serve", "--model="],
    ["serve", "--run="],
    ["serve", "--token-file="],
    ["demo", "--run="],
    ["train", "--run="],
    ["train", "--dry-run", "--data="],
    ["train", "--dry-run", "data="],
    ["train", "--dry-run", "--config="],
    ["train", "--dry-run", "inception_every=1", "inception_weights="],
    ["train", "--dry-run", "inception_every=1", "--inception-weights="],
    ["train", "--dry-run", "init_generator="],
    ["train", "--dry-run", "init_critic="],
]
STREAMS = ("sample --out", "sample --latents", "serve --token-file", "train --config")  # that take `-`


def refused(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command is refused with; nothing was made."""
    before = set(Path().rglob("*"))
    assert main(list(words)) == 2, words
    shown = capfd.readouterr()
    (line,) = shown.err.splitlines()
    assert line.startswith("wgan: ")
    assert shown.out == ""
    assert set(Path().rglob("*")) == before
    return line


@pytest.mark.parametrize(("name", "says"), [("https://bucket/x", "address"), ("", "empty"), ("-", "is no stream here")])
@pytest.mark.parametrize("words", PLACES, ids=" ".join)
def test_what_is_no_path_is_refused_wherever_it_is_given(
    here: Path, capfd: pytest.CaptureFixture[str], words: list[str], name: str, says: str
) -> None:
    if name == "-" and any(
        option.split()[0] == words[0] and f"{option.split()[1]}=" == words[-1] for option in STREAMS
    ):
        return
    line = refused(capfd, *words[:-1], f"{words[-1]}{name}")
    assert says in line


def test_every_option_that_is_a_path_is_read_by_the_one_function() -> None:
    unread = []
    for command in app.registered_commands:
        assert command.callback is not None
        for name, parameter in inspect.signature(command.callback).parameters.items():
            kind, *about = get_args(parameter.annotation) or [parameter.annotation]
            if "Path" in str(kind) and about[0].parser is None:
                unread.append(f"{command.callback.__name__} {name}")
    assert unread == []


def test_python_reads_paths_by_the_same_rule(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wgan.export.from_run import export

    monkeypatch.setenv("HOME", str(here))
    calls: list[Callable[[Any], object]] = [
        wgan.load, wgan.verify, export, lambda name: wgan.train("faces", run=name), lambda name: wgan.train(name),
        lambda name: wgan.train("faces", preset=name),
    ]  # fmt: skip
    for call in calls:
        for name in ("https://bucket/x", "ftp://x/y"):
            with pytest.raises(ConfigError, match="is an address"):
                call(name)
    with pytest.raises(wgan.WganError, match=f"{here}/none.onnx"):
        wgan.load("~/none.onnx")
    (here / "own.yaml").write_text("steps: 7\n")
    assert load("~/own.yaml").steps == 7


@pytest.mark.parametrize("words", [["--out=~/x.npy"], ["--out", "~/x.npy"]])
def test_a_home_is_expanded_also_behind_an_equals_sign(
    here: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (here / "home").mkdir()
    monkeypatch.setenv("HOME", str(here / "home"))
    assert main([*SAMPLE, *words]) == 0
    assert np.load(here / "home" / "x.npy").shape == (2, 64, 64, 3)
    assert [path.name for path in here.iterdir()] == ["home"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("words", [["train", "--dry-run", "data=~/x"], [*SAMPLE, "--out=~/x.npy"]])
def test_a_user_without_a_home_gets_a_line(here: Path, words: list[str]) -> None:
    here.chmod(0o777)
    code = f"import os; os.setresuid(54321, 0, 0); from wgan.cli import main; raise SystemExit(main({words!r}))"
    bare = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "~/x" in line
    assert "this user has no home" in line


@pytest.mark.parametrize("ending", [".onnx", ".ts", ".plan", ".pt"])
def test_an_artifacts_name_is_no_folder_for_artifacts(
    here: Path, capfd: pytest.CaptureFixture[str], ending: str
) -> None:
    (here / "run").mkdir()
    words = ["export", "--format", "onnx", "--run", "run", "--max-batch", "2", "--out"]
    line = refused(capfd, *words, f"out{ending}")
    assert line == (
        f"wgan: --out out{ending} is called like an artifact, and it is the folder that they go to: say "
        "`wgan export --format onnx --run run --max-batch 2 --out out`"
    )
    (here / f"out{ending}").mkdir()  # then it is meant
    assert "is called like" not in refused(capfd, *words, f"out{ending}")


def piped(*words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "wgan", *words]
    return subprocess.run(command, check=False, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})


def content(name: str) -> bytes:
    assert main([*SAMPLE, "--out", name]) == 0
    return Path(name).read_bytes()


@pytest.mark.parametrize("format", ["npy", "tar", "png"])
def test_a_dash_is_stdout_which_holds_the_file_and_nothing_else(
    here: Path, capfdbinary: pytest.CaptureFixture[bytes], format: str
) -> None:
    wanted = content(f"a.{format}")
    capfdbinary.readouterr()
    assert main([*SAMPLE, "--out", "-", "--format", format]) == 0
    shown = capfdbinary.readouterr()
    assert shown.out == wanted
    assert shown.err.startswith(b"2 images (seeds 0 to 1) of faces")
    assert [path.name for path in here.iterdir()] == [f"a.{format}"]


@pytest.mark.parametrize("format", ["npz", "webp"])
def test_every_kind_of_one_file_goes_to_stdout(capfdbinary: pytest.CaptureFixture[bytes], format: str) -> None:
    which = ["--interpolate", "1", "2", "--steps", "3"] if format == "webp" else ["-n", "3"]
    assert main(["sample", *which, "--model", "faces", "--out", "-", "--format", format]) == 0
    file = io.BytesIO(capfdbinary.readouterr().out)
    if format == "npz":
        assert len(np.load(file)["images"]) == 3
    else:
        with Image.open(file) as film:
            assert film.n_frames == 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "-"], "its name does not say what to write: `wgan sample -n 2 --model faces --out - --format npy`"),
        (["--out", "-", "--format", "jpg"], "--format jpg is not one of png, npy, npz, tar, gif, webp"),
        (["--out", "-", "--format", "gif"], "films are made by --interpolate A B"),
        (["--out", "a.npy", "--format", "tar"], "--format tar is not what --out a.npy ends in: use `wgan sample"),
        (["--format", "tar"], "name it, --out FILE or --out -"),
        (["--out", ".", "--format", "tar"], "--format tar is for a file, and --out . is a folder"),
        (["--out", "-", "--format", "tar", "--shard-size", "1"], "shards are .tar, .npy, .npz files"),
        (["--out", "/dev/null"], "its name does not say what to write"),
        (["--out", "a.npy/"], "ends as a folder's name does"),
        (["--out", "/dev/full", "--format", "npy"], "No space left on device"),
        (["-n", "18446744073709551616"], "-n 18446744073709551616 is more than there are seeds, 2^63"),
        (["-n", "999999999999999", "--out", "a.npy"], "999,999,999,999,999 images take at least 12,288.0 PB, and"),
        (["-n", "999999999999999"], "cannot write samples: 999,999,999,999,999 images take at least"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_a_line(here: Path, capfd: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert says in refused(capfd, *SAMPLE, *words)


def test_images_and_json_do_not_share_stdout(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("-", "/dev/stdout", "/dev/fd/1"):
        assert main([*SAMPLE, "--out", name, "--format", "npy", "--json"]) == 2
        shown = capfd.readouterr()
        assert "and --json both go to stdout: write the images to a file, `wgan sample" in shown.err
        assert json.loads(shown.out)["exit_code"] == 2
    assert main([*SAMPLE, "--out", "/dev/null", "--format", "npy", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["count"] == 2


def test_images_are_not_shown_on_a_terminal() -> None:
    master, slave = os.openpty()
    try:
        done = piped(*SAMPLE, "--out", "-", "--format", "npy", stdout=slave)
        os.set_blocking(master, False)
        with pytest.raises(BlockingIOError):
            os.read(master, 1)
    finally:
        os.close(slave)
        os.close(master)
    assert (done.returncode, done.stderr) == (
        2, b"wgan: cannot write /dev/stdout: it is a terminal: send what is written into a file or to a program\n",
    )  # fmt: skip


@pytest.mark.slow
def test_a_shell_appends_and_substitutes_processes(here: Path) -> None:
    wanted = content("a.npy")
    Path("all").write_bytes(b"before")
    with Path("all").open("ab") as file:
        assert piped(*SAMPLE, "--out", "-", "--format", "npy", stdout=file).returncode == 0
    assert Path("all").read_bytes() == b"before" + wanted
    reader, writer = os.pipe()  # as bash's >(…)
    with ThreadPoolExecutor() as pool, os.fdopen(reader, "rb") as file:
        got = pool.submit(file.read)
        assert piped(*SAMPLE, "--out", f"/dev/fd/{writer}", "--format", "npy", pass_fds=[writer]).returncode == 0
        os.close(writer)
        assert got.result(60) == wanted
    closed = f"import os; os.close(1); from wgan.cli import main; main({[*SAMPLE, '--out=-', '--format=npy']!r})"
    done = subprocess.run([sys.executable, "-c", closed], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("wgan: cannot write /dev/stdout: ")


def test_a_reader_that_goes_is_a_line(here: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = piped(*SAMPLE, "--out", "-", "--format", "tar", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (2, b"wgan: cannot write /dev/stdout: who read it has gone\n")


def test_a_link_is_followed_and_a_pipe_written_to(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wanted = content("a.npy")
    (here / "disk").mkdir()
    (here / "disk" / "real.npy").write_text("old\n")
    (here / "link.npy").symlink_to("disk/real.npy")
    (here / "page").symlink_to("disk/pages")
    os.mkfifo("pipe.npy")
    with ThreadPoolExecutor() as pool:
        got = pool.submit(Path("pipe.npy").read_bytes)
        assert main([*SAMPLE, "--out", "pipe.npy"]) == 0
        assert got.result(60) == wanted
    assert main([*SAMPLE, "--out", "link.npy"]) == 0
    assert (here / "link.npy").is_symlink()
    assert (here / "disk" / "real.npy").read_bytes() == wanted
    assert main([*SAMPLE, "--out", "page"]) == 0
    assert len(list((here / "disk" / "pages").glob("*.png"))) == 2
    assert (here / "page").is_symlink()


def test_latents_and_settings_come_from_a_pipe(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).standard_normal((3, 128), np.float32)
    np.save("z.npy", rows)
    assert main(["sample", "--model", "faces", "--latents", "z.npy", "--out", "a.npy"]) == 0
    with Path("z.npy").open("rb") as file:
        done = piped("sample", "--model", "faces", "--latents", "-", "--out", "b.npy", stdin=file)
    assert done.returncode == 0, done.stderr
    os.mkfifo("pipe")
    with ThreadPoolExecutor() as pool:
        pool.submit(Path("pipe").write_bytes, Path("z.npy").read_bytes())
        assert main(["sample", "--model", "faces", "--latents", "pipe", "--out", "c.npy"]) == 0
        assert len({Path(name).read_bytes() for name in ("a.npy", "b.npy", "c.npy")}) == 1
        pool.submit(Path("pipe").write_text, "steps: 7\n")
        assert load("pipe").steps == 7
        pool.submit(Path("pipe").write_bytes, b"no array")
        assert main(["sample", "--model", "faces", "--latents", "pipe", "--out", "c.npy"]) == 2


def test_a_page_goes_to_a_pipe_or_a_device_too(run: Path, bench_in_this_process: None) -> None:
    words = ["bench", "--backend", "onnx", "--batch-size", "1", "--seconds", "0.01", "--repeats", "0", "--out"]
    assert main([*words, "/dev/null"]) == 0
    assert main([*words, "/dev/stdout"]) == 2


def test_the_list_of_formats_in_the_help_is_the_real_one(capsys: pytest.CaptureFixture[str]) -> None:
    main(["sample", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(kind in shown.partition("--format")[2] for kind in KINDS)


def test_what_comes_out_of_stdout_is_a_whole_archive(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main([*SAMPLE, "--label", "blue", "--out", "-", "--format", "tar"]) == 0
    with tarfile.open(fileobj=io.BytesIO(capfdbinary.readouterr().out)) as archive:
        members = {member.name: archive.extractfile(member) for member in archive}
    file = members["seed-000001.cls"]
    assert file is not None
    assert file.read() == b"5"
