"""Text that anybody may have written, wherever it is read: one line, never a traceback, and nothing that blows up."""

import ast
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ROOT
from tests.training.run.test_two_at_once import TINY
from wgan.cli import main
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.foreign_json import DEEPEST, parse_json
from wgan.serve.outputs.shards import Shard, ShardSet
from wgan.training.config import from_dict, parse_overrides
from wgan.training.records.history import read, seconds

# each level nine times the one before: a few hundred bytes, and gigabytes once walked
LAUGHS = "a0: &a0 ha\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 11))
BAD_YAML = {
    "brackets": "[" * 5000,
    "brackets behind a key": "steps: " + "[" * 5000,
    "braces": "steps: " + "{a: " * 5000,
    "dashes": "- " * 5000,
    "keys of keys": "? " * 5000,
    "lines": "".join(f"{' ' * n}a:\n" for n in range(1000)),
    "laughs": LAUGHS,
    "an alias": "steps: &n 3\nlog_every: *n",
    "many digits": "steps: " + "9" * 5000,
    "many digits of 16": "steps: 0x" + "f" * 5000,
    "many digits of 60": "steps: 1" + ":59" * 5000,
    "no such day": "steps: 2001-99-99",
    "a day": "steps: 2001-01-01",
    "a set": "steps: !!set {a, b}",
    "bytes": "steps: !!binary aGk=",
    "an object": "steps: !!python/object/apply:os.system [id]",
    "a number that is none": "steps: !!int x",
    "twice": "steps: 3\nsteps: 4",
    "two documents": "steps: 3\n---\nsteps: 4",
    "infinite": "lr_g: .inf",
    "not a number": "steps: .nan",
    "a long key": "k" * 100_000 + ": 1",
    "long": "# x\n" * 300_000,
}
BAD_JSON = {
    "brackets": b"[" * 50_000,
    "closed brackets": b"[" * 500 + b"]" * 500,
    "braces": b'{"a":' * 50_000,
    "closed braces": b'{"a":' * 200 + b"1" + b"}" * 200,
    "many digits": b"9" * 5000,
    "no text": b"\xff\xfe\xff",
    "nothing": b"",
}


def one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that ends with code 2."""
    capsys.readouterr()
    assert main(words) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert said.out == ""
    assert line.startswith("wgan: ")
    assert len(line) < 600
    return line


@pytest.mark.parametrize("text", BAD_YAML.values(), ids=BAD_YAML)
def test_a_configuration_of_anything_is_one_line(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text(text)
    one_line(["train", "--config", str(tmp_path / "c.yaml"), "--dry-run"], capsys)
    (tmp_path / "config.yaml").write_text(text)
    one_line(["train", "--resume", "--run", str(tmp_path)], capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml", "config.yaml"]


@pytest.mark.parametrize(
    "value",
    ["[" * 5000, "{a: " * 5000, "9" * 5000, "0x" + "f" * 5000, "1" + ":59" * 5000, "2001-99-99", "*x", "!!set {a}",
     "!!python/name:os.system", "a: b", "1\n- 2", "\0", "- 1", "1e999", "-.inf", "'"],
)  # fmt: skip
def test_a_setting_of_anything_is_one_line(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("steps", "lr_g", "precision", "progressive"):
        assert name in one_line(["train", "--dry-run", f"{name}={value}"], capsys)
    assert parse_overrides([f"data={value}"]) == {"data": value}  # a folder may be called anything


def test_values_that_no_text_can_hold_are_one_line_too() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (nested, [nested] * 1000, 10**5000, -(10**5000), 10**400, "x" * 100_000, b"x" * 100_000):
        for name in ("steps", "lr_g", "image_size", "data", "conditional"):
            if name == "data" and (isinstance(value, str) or value == 10**400):  # a folder may be called so
                continue
            with pytest.raises(ConfigError, match=name) as caught:
                from_dict({name: value})
            assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_json_of_anything_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_json(text)


def test_what_is_read_can_be_walked_and_written() -> None:
    deepest = b"[" * DEEPEST + b"1" + b"]" * DEEPEST
    assert json.dumps(parse_json(deepest)).encode() == deepest
    for broad in (b"[" + b"[]," * 10_000 + b"[]]", b'{"a": [1, {"b": null}]}', b"1", b'"[[["'):
        assert parse_json(broad) == json.loads(broad)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an export. Not to be written into."""
    run = tmp_path_factory.mktemp("made") / "run"
    assert main(["train", "--run", str(run), "--device", "cpu", *TINY, "steps=2"]) == 0
    assert main(["export", "--run", str(run), "--format", "onnx", "--max-batch", "4"]) == 0
    return run


ODD_RECORDS = [
    *BAD_JSON.values(),
    *(
        json.dumps({"kind": kind, "step": 1, **dict.fromkeys(("seconds", "swd", "wasserstein", "fid", "images"), odd)}
                   | {"swd_levels": {"8": odd}, "message": odd, "rule": odd}).encode()
        for kind in ("train", "validation", "inception", "event", ["x"])
        for odd in (10**400, -1, float("inf"), float("nan"), True, "x", [[]], {"a": 1}, None)
    ),
    *(json.dumps({"kind": "train", "step": odd, "seconds": 1}).encode()
      for odd in (10**400, -(10**400), float("nan"), 0.5, True, "1", None)),
]  # fmt: skip


@pytest.mark.slow
def test_a_run_with_anything_in_its_files_is_gone_on_with_and_reported(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(made, tmp_path / "run"))
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b"\n".join(ODD_RECORDS) + b"\n")
    for number, name in enumerate(("run.json", "timings.json", "sampling.json")):
        (run / name).write_bytes(list(BAD_JSON.values())[number])
    assert seconds(read(run / "metrics.jsonl")) < 1e9
    assert main(["train", "--resume", "--run", str(run), "--device", "cpu", "steps=3"]) == 0
    assert "Traceback" not in capsys.readouterr().err
    assert (run / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_a_demo_with_anything_in_its_timings_goes_on(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wgan.demo.ALL", ["onnx"])
    run = Path(shutil.copytree(made, tmp_path / "run"))
    (run / "timings.json").write_bytes(BAD_JSON["brackets"])
    assert main(["demo", "--run", str(run), "--device", "cpu"]) == 0
    assert "verify" in json.loads((run / "timings.json").read_text())


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_a_cache_that_says_anything_is_made_anew(made: Path, tmp_path: Path, text: bytes) -> None:
    shutil.copytree(made.parent / ".cache", tmp_path / ".cache")
    for path in (tmp_path / ".cache").glob("*.json"):
        path.write_bytes(text)
    words = ["train", "--run", str(tmp_path / "run"), "--device", "cpu", *TINY, "steps=1"]
    assert main(words) == 0
    assert all(json.loads(path.read_text())["shape"] for path in (tmp_path / ".cache").glob("*.json"))


BAD_HEADERS = {
    "brackets": b"(" * 9000,
    "closed brackets": b"[" * 4000 + b"]" * 4000,
    "signs": b"-" * 9000 + b"1",
    "sums": b"1" + b"+1" * 4000,
    "many digits": b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 5000 + b", 2)}",
    "too large": b"{'descr': '<f4', 'fortran_order': False, 'shape': (1" + b"0" * 300 + b", 2)}",
    "another's type": b"{'descr': " + b"[" * 3000 + b"}",
    "nothing": b"\0" * 10,
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_an_array_with_a_header_of_anything_is_one_line_or_made_anew(
    made: Path, tmp_path: Path, header: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    text = header.ljust(9500) + b"\n"
    path = tmp_path / "a-000000.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64))
    words = ["sample", "--model", str(made / "export" / "generator.onnx"), "--device", "cpu"]
    line = one_line([*words, "--latents", str(path), "--out", str(tmp_path / "o.npy")], capsys)
    assert f"--latents {path} cannot be read: " in line
    assert not ShardSet(tmp_path / "a.npy", 0, 1, 1).has(Shard(path, 0, 1))


def spoil_config(state: dict[str, object], value: object) -> None:
    config = state["config"]
    assert isinstance(config, dict)
    config["lr_g"] = value


def spoil_classes(state: dict[str, object], value: object) -> None:
    state["classes"] = value


def spoil_stage(state: dict[str, object], value: object) -> None:
    state["stage"] = value


def spoil_step(state: dict[str, object], value: object) -> None:
    state["step"] = value


def spoil_data(state: dict[str, object], value: object) -> None:
    state["data"] = value


@pytest.mark.parametrize("spoil", [spoil_config, spoil_classes, spoil_stage, spoil_step, spoil_data])
def test_a_checkpoint_of_anything_is_one_line(
    made: Path, tmp_path: Path, spoil: Callable[[dict[str, object], object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    from wgan.training.records import checkpoint

    run = Path(shutil.copytree(made, tmp_path / "run"))
    path = checkpoint.list_steps(run / "checkpoints")[-1]
    whole = checkpoint.load(path)
    nested: list[object] = []
    for _ in range(200):
        nested = [nested]
    for value in (nested, 10**400, "x" * 5000, None, {}, [1], float("nan")):
        state = {**whole, "config": dict(whole["config"])}
        spoil(state, value)
        checkpoint.save(path, state)
        for words in (["export", "--format", "onnx", "--checkpoint", str(path), "--max-batch", "4"],
                      ["train", "--resume", "--device", "cpu", "steps=3"]):  # fmt: skip
            capsys.readouterr()
            code = main([*words, "--run", str(run)])
            err = capsys.readouterr().err
            assert code in (0, 2), err
            assert "Traceback" not in err


READERS = {
    # what stands alone beside a server reads that server's own files
    "json.loads": {
        "serve/base/foreign_json.py",
        "export/formats/triton/served/client.py",
        "export/formats/triton/served/model.py",
    },
    "json.load": set(),
    "yaml.safe_load": set(),
    "yaml.load": set(),
    "yaml.parse": {"training/config/flat_yaml.py"},
    "pickle.load": set(),
    "ast.literal_eval": set(),
}


def test_foreign_text_is_read_in_one_place_a_kind() -> None:
    found: dict[str, set[str]] = {name: set() for name in READERS}
    for room in ("serve", "training", "export"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in READERS:
                    found[name].add(str(path.relative_to(ROOT)))
    assert found == READERS
