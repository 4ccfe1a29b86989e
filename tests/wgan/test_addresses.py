"""Commands on addresses in object storage, as a user gives them; and what is secret is nowhere afterwards."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

import wgan
from tests.fakes.object_store import SECRETS, Bucket
from tests.said import last_command
from wgan.cli import main
from wgan.serve.base.errors import WganError
from wgan.serve.storage import asking

TYPED = "PASSWORD-in-an-address"


@pytest.fixture
def bucket(s3: Bucket, here: Path, monkeypatch: pytest.MonkeyPatch, tiny_export: Path) -> Bucket:
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    s3.put("my models/generator.onnx", (tiny_export / "generator.onnx").read_bytes())
    return s3


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def test_images_of_an_address_are_those_of_the_file(bucket: Bucket, capsys, tiny_export: Path):
    model = bucket.address("my models/generator.onnx")
    code, out, err = said(capsys, "sample", "-n", "3", "--model", model, "--out", bucket.address("a/x.npy"))
    assert code == 0, err
    assert f"of {model} " in out
    assert last_command(err) == ["bench", "--model", model]
    here = wgan.load(tiny_export / "generator.onnx").sample(3)
    assert np.array_equal(np.load(io.BytesIO(bucket.get("a/x.npy"))), here)
    with wgan.load(model) as generator:
        assert np.array_equal(generator.sample(3), here)
        assert f"<wgan generator {model}: " in repr(generator)
    code, out, err = said(capsys, "sample", "-n", "1", "--model", model, "--out", "x.png", "--json")
    assert json.loads(out)["model"] == model
    assert "cache" not in out + err


@pytest.mark.parametrize("ending", ["png", "npy", "npz", "tar", "gif"])
def test_a_single_file_goes_to_an_address_whole_or_not_at_all(bucket: Bucket, capsys, ending: str, monkeypatch):
    more = ["--interpolate", "1", "2", "--steps", "3"] if ending == "gif" else ["-n", "4"]
    words = ["sample", *more, "--model", "faces", "--out"]
    assert said(capsys, *words, f"local.{ending}")[0] == 0
    code, _, err = said(capsys, *words, bucket.address(f"a b/x.{ending}"))
    assert code == 0, err
    assert bucket.get(f"a b/x.{ending}") == Path(f"local.{ending}").read_bytes()

    def broken(self: object, *_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wgan.serve.sampling.sampler.Sampling.batches", broken)
    assert said(capsys, *words, bucket.address(f"b.{ending}"))[0] == 130
    assert bucket.keys() == [f"a b/x.{ending}", "my models/generator.onnx"]


def test_a_folder_of_images_at_an_address_is_refused_with_what_to_write(bucket: Bucket, capsys):
    code, _, err = said(capsys, "sample", "-n", "4", "--model", "faces", "--out", bucket.address("faces"))
    assert code == 2
    assert "--shard-size" in err
    assert len(err.splitlines()) == 1
    assert bucket.keys("faces") == []


@pytest.mark.slow
def test_an_export_goes_to_an_address_and_holds_there(bucket: Bucket, run: Path, capsys, monkeypatch):
    checkpoint, place = str(run / "export" / "generator.pt"), bucket.address("out/my export")
    order: list[str] = []
    from wgan.export import placed

    put = placed.write
    monkeypatch.setattr(placed, "write", lambda where, path: order.append(where.name) or put(where, path))
    code, out, err = said(
        capsys, "export", "--format", "onnx", "--checkpoint", checkpoint, "--out", place, "--max-batch", "8"
    )
    assert code == 0, err
    assert f"wrote {place}/generator.onnx" in err
    assert order == ["generator.pt", "generator.onnx"]
    assert last_command(err) == ["sample", "-n", "64", "--model", f"{place}/generator.onnx"]
    for model in (place, f"{place}/generator.onnx"):
        code, out, err = said(capsys, "verify", "--model", model, "--json")
        assert code == 0, err
        assert [row["path"] for row in json.loads(out)["artifacts"]] == [f"{place}/generator.onnx"]
    assert wgan.verify(place).passed
    code, _, err = said(capsys, "verify", "--model", place, "--adopt")
    assert (code, "is in a bucket" in err) == (2, True)
    code, _, err = said(capsys, "sample", "-n", "1", "--model", f"{place}/generator.onnx", "--rebuild")
    assert (code, "no file of this machine" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--format", "onnx", "--out", "s3://no-such-bucket/x"], "there is no bucket no-such-bucket"),
        (["--format", "onnx", "--out", "s3://bucket/x.onnx"], "--out s3://bucket/x`"),
        (["--format", "triton", "--out", "s3://bucket/x"], "leave --out out"),
    ],
)
def test_an_export_that_cannot_go_there_is_refused_before_it_is_made(bucket: Bucket, run: Path, capsys, words, says):
    code, out, err = said(capsys, "export", "--checkpoint", str(run / "export" / "generator.pt"), *words)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_what_is_secret_is_in_nothing_that_is_said_or_written(
    bucket: Bucket, run: Path, here: Path, capsys, faulty, monkeypatch, bench_in_this_process
):
    monkeypatch.setattr(asking, "PATIENCE", 0.2)
    monkeypatch.setattr(asking, "PAUSES", (0.001, 0.01))
    asking._store.cache_clear()
    model, checkpoint = bucket.address("my models/generator.onnx"), str(run / "export" / "generator.pt")
    at = bucket.address
    told = ""
    works = [
        ["-v", "sample", "-n", "4", "--model", model, "--out", at("x.png")],
        ["sample", "-n", "4", "--model", model, "--shard-size", "2", "--out", at("faces.tar"), "--json"],
        ["sample", "-n", "2", "--model", model, "--out", "images"],
        ["export", "--format", "onnx", "--checkpoint", checkpoint, "--out", at("export"), "--max-batch", "8"],
        ["verify", "--model", at("export/generator.onnx"), "--json"],
        ["bench", "--model", model, "--seconds", "0.05", "--batch-size", "2", "--repeats", "0"],
    ]
    for words in works:
        code, out, err = said(capsys, *words)
        assert code == 0, (words, err)
        told += out + err
    refused = [
        ["sample", "-n", "1", "--model", f"s3://user:{TYPED}@bucket/generator.onnx"],
        ["sample", "-n", "1", "--model", f"https://user:{TYPED}@host/generator.onnx"],
        ["sample", "-n", "1", "--model", "faces", "--out", f"s3://bucket/x.png?X-Amz-Signature={TYPED}"],
        ["export", "--format", "onnx", "--out", f"s3://{TYPED}@bucket/x"],
        ["verify", "--model", f"az://{TYPED}:x@container/generator.onnx"],
        ["-v", "sample", "-n", "1", "--model", at("absent.onnx")],
        ["-v", "sample", "-n", "1", "--model", "s3://no-such-bucket/x.onnx"],
    ]
    for words in refused:
        code, out, err = said(capsys, *words)
        assert (code, out) == (2, ""), words
        told += err
    with pytest.raises(WganError) as error:
        wgan.load(f"s3://user:{TYPED}@bucket/generator.onnx")
    told += str(error.value)
    proxy = faulty()
    for fault in ("403", "500", "before"):
        proxy.rate, proxy.kinds = 1.0, (fault,)
        for words in (["--model", model, "--out", "y.png"], ["--model", "faces", "--out", at("y.png")]):
            code, out, err = said(capsys, "-v", "sample", "-n", "1", *words)
            assert code == 2
            assert len([line for line in err.splitlines() if line.startswith("wgan: ")]) == 1
            told += out + err
    written = everything_in(here) | {key: bucket.get(key) for key in bucket.keys()}  # noqa: SIM118
    assert len(written) > 12
    names = [*SECRETS.values(), TYPED, bucket.endpoint.removeprefix("http://"), proxy.url.removeprefix("http://")]
    for secret in names:
        assert secret not in told
        assert [name for name, content in written.items() if secret.encode() in content or secret in name] == []
