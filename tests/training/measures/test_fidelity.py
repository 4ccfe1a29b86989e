"""FID in a run: what it is called, its real side kept on disk, the choice of the best, and runs without weights."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric

from wgan.cli import main
from wgan.serve.base.errors import ConfigError, DatasetError
from wgan.training.config import Config
from wgan.training.data import ImageSet
from wgan.training.measures import feature_distances, inception
from wgan.training.measures.feature_distances import FeatureDistances, real_features, summarise
from wgan.training.measures.inception import OFFICIAL, Inception
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.records.history import read
from wgan.training.report import write_report
from wgan.training.run import periodic_features
from wgan.training.run.best import Best
from wgan.training.run.loop import train

CPU = torch.device("cpu")
TINY = Config(image_size=32, base_channels=4, latent_dim=8, faces_count=64, batch_size=8, n_critic=1, steps=6,
              log_every=2, sample_every=100, validate_every=3, validate_images=32, checkpoint_every=100,
              inception_every=2, inception_images=70)  # fmt: skip


class Small(Inception):
    """Four features and three logits of an image, in no time: the colours of it and a product of them."""

    def __init__(self, sha256: str = OFFICIAL):
        self.sha256, self.device, self.images = sha256, CPU, 0

    def __call__(self, images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        self.images += len(images)
        colours = torch.from_numpy(images.astype(np.float32).mean((1, 2)) / 64)  # (N, 3)
        return torch.cat([colours, colours.prod(1, keepdim=True)], 1), colours


def pictures(count: int, seed: int = 0) -> np.ndarray:
    dice = np.random.default_rng(seed)
    return np.clip(dice.normal(dice.uniform(60, 200, (count, 1, 1, 3)), 20, (count, 8, 8, 3)), 0, 255).astype(np.uint8)


def image_set(images: np.ndarray, digest: str = "d") -> ImageSet:
    return ImageSet(images, None, None, "pictures", digest)


def batches(images: np.ndarray, size: int = 64) -> Iterator[np.ndarray]:
    return (images[i : i + size] for i in range(0, len(images), size))


def test_the_figures_are_torch_fidelitys_on_the_same_features(tmp_path: Path) -> None:
    real, fake, network = pictures(300), pictures(200, 1), Small()
    found = FeatureDistances(network, real_features(image_set(real), 1000, 0, network, tmp_path))(batches(fake), 200)
    sides = [fid_features_to_statistics(network(images)[0].double()) for images in (real, fake)]
    (distance,) = fid_statistics_to_metric(*sides, verbose=False).values()
    assert found["frechet_distance"] == pytest.approx(distance, rel=1e-6)
    mean, deviation = isc_features_to_metric(network(fake)[1], shuffle=False).values()
    assert (found["inception_score"], found["inception_score_std"]) == pytest.approx((mean, deviation))
    assert (found["images"], found["real_images"], found["inception_weights"]) == (200, 300, OFFICIAL)


@pytest.mark.parametrize(
    ("sha256", "real", "fake", "distance", "others", "why"),
    [
        (OFFICIAL, 60, 60, "fid", ("kid", "inception_score"), None),
        (OFFICIAL, 59, 60, "frechet_distance", ("kid", "inception_score"), "59 real images leave"),
        (OFFICIAL, 60, 59, "frechet_distance", ("kid", "inception_score"), "59 generated images leave"),
        ("0" * 64, 60, 60, "frechet_distance", ("kernel_distance", "classifier_score"), "00000000…"),
    ],
)
def test_only_a_fid_is_called_one(
    tmp_path: Path,
    sha256: str,
    real: int,
    fake: int,
    distance: str,
    others: tuple[str, str],
    why: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert feature_distances.ENOUGH == 2048  # Inception's features
    monkeypatch.setattr(feature_distances, "ENOUGH", 60)
    network = Small(sha256)
    measured = FeatureDistances(network, real_features(image_set(pictures(real)), real, 0, network, tmp_path))
    found = measured(batches(pictures(fake, 1)), fake)
    names = {"fid", "frechet_distance", "kid", "kernel_distance", "inception_score", "classifier_score"}
    assert names & set(found) == {distance, *others}
    reason = measured.no_fid(fake)
    assert reason is None if why is None else reason is not None and reason.startswith("no FID: ") and why in reason


def test_the_real_side_is_computed_once(tmp_path: Path) -> None:
    data, network = image_set(pictures(100)), Small()
    first = real_features(data, 80, 0, network, tmp_path)
    assert network.images == 80
    again = real_features(data, 80, 0, network, tmp_path)
    assert network.images == 80
    for one, other in ((first.gaussian.mean, again.gaussian.mean), (first.features, again.features),
                       (first.gaussian.covariance, again.gaussian.covariance)):  # fmt: skip
        assert torch.equal(one, other)
    for changed in ((data, 90, 0, network), (data, 80, 1, network), (data, 80, 0, Small("1" * 64)),
                    (image_set(pictures(100), "other"), 80, 0, network),
                    (image_set(pictures(100)[:, ::2, ::2]), 80, 0, network)):  # fmt: skip
        before = changed[3].images
        real_features(*changed, tmp_path)
        assert changed[3].images > before
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not an archive", None])
def test_a_damaged_real_side_is_computed_again(tmp_path: Path, damage: bytes | None) -> None:
    data, network = image_set(pictures(50)), Small()
    wanted = real_features(data, 50, 0, network, tmp_path)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content if damage is None else damage)
    found = real_features(data, 50, 0, network, tmp_path)
    assert network.images == 100
    assert torch.equal(found.features, wanted.features)
    real_features(data, 50, 0, network, tmp_path)
    assert network.images == 100


def test_one_real_image_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="pictures has 1 usable image: Inception features need at least 2"):
        real_features(image_set(pictures(1)), 100, 0, Small(), tmp_path)


@pytest.mark.gpu
def test_cuda_measures_what_the_cpu_does(tmp_path: Path, inception_weights: Path) -> None:
    found = []
    for device in ("cpu", "cuda"):
        network = Inception(inception_weights, torch.device(device))
        real = real_features(image_set(pictures(40)), 40, 0, network, tmp_path / device)
        found.append(FeatureDistances(network, real)(batches(pictures(30, 1)), 30))
    for name in ("frechet_distance", "kernel_distance", "classifier_score"):
        assert found[1][name] == pytest.approx(found[0][name], rel=1e-2), name


def test_features_are_kept_of_images_from_all_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_distances, "KEPT", 5)
    images = np.arange(101, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    found = summarise(batches(images, 7), 101, Small(), "counting")
    assert (64 * found.features[:, 0]).tolist() == [0, 25, 50, 75, 100]
    assert found.count == 101


def test_the_best_is_chosen_by_one_measure() -> None:
    best = Best("fid")
    assert best.offer("swd", 30, 1)
    assert not best.offer("swd", 31, 1)
    assert best.offer("fid", 200, 1)  # a larger number, but of the measure that chooses
    assert not best.offer("swd", 1, 1)
    assert not best.offer("fid", 201, 1)
    assert not best.offer("fid", float("nan"), 1)
    assert best.offer("fid", 199, 1)
    resumed = Best("swd")  # the weights are gone
    resumed.restore(best.state())
    assert resumed.offer("swd", 500, 1)
    assert not resumed.offer("swd", 501, 1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Small:
    network = Small("5" * 64)
    monkeypatch.setattr(periodic_features, "inception_or_reason", lambda *_: network)
    return network


def trained(path: Path, cache: Path, config: Config = TINY) -> runs.RunFolder:
    folder = runs.begin(path)
    train(folder, config, device=CPU, cache=cache)
    return folder


def scores_of(folder: runs.RunFolder) -> dict[int, float]:
    return {r["step"]: r["frechet_distance"] for r in read(folder.metrics) if r["kind"] == "inception"}


@pytest.mark.slow
def test_a_run_measures_every_so_often_and_at_the_end_and_keeps_the_best(
    tmp_path: Path, cache: Path, small: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained(tmp_path / "run", cache, TINY.replace(steps=7))
    found = scores_of(folder)
    assert list(found) == [2, 4, 6, 7]
    best = checkpoint.load(folder.checkpoints / "best.pt")
    assert best["step"] == min(found, key=lambda step: found[step])
    measured = {"measure": "frechet_distance 55555555 70:70", "value": min(found.values())}
    assert best["best"] == {**measured, "step": best["step"], "data": best["data"]}
    assert "no FID: the Inception weights (55555555…) are not the official ones" in capsys.readouterr().err
    page = write_report(folder.path).read_text()
    assert "By Inception features" in page
    assert "no FID; lower is closer" in page
    assert small.images == 5 * 70  # the real side once


def same(found: Any, wanted: Any) -> bool:
    if isinstance(found, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in found)
    if isinstance(found, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return torch.equal(found, wanted) if isinstance(found, torch.Tensor) else found == wanted


def assert_same_end(folder: runs.RunFolder, whole: runs.RunFolder) -> None:
    for name in ("step-00000006.pt", "best.pt"):
        found, wanted = (checkpoint.load(run.checkpoints / name) for run in (folder, whole))
        assert same(found["ema"], wanted["ema"])
        assert same(found["best"], wanted["best"])
        assert same(found["scoring"], wanted["scoring"])
    assert scores_of(folder) == scores_of(whole)


@pytest.mark.slow
def test_a_resumed_run_chooses_as_if_it_had_not_stopped(tmp_path: Path, cache: Path, small: Small) -> None:
    whole = trained(tmp_path / "whole", cache)
    trained(tmp_path / "run", cache, TINY.replace(steps=4))
    folder, longer = runs.reopen(tmp_path / "run", {"steps": 6})
    train(folder, longer, device=CPU, cache=cache, resume=True)
    assert_same_end(folder, whole)


@pytest.mark.slow
def test_a_signal_while_it_measures_is_honoured_and_made_up_for(
    tmp_path: Path, cache: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(tmp_path / "whole", cache)
    look = Small.__call__

    def interrupted(self: Small, images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        if self.images == before + 70 + 32:  # amid the images of step 4
            signal.raise_signal(signal.SIGTERM)
        return look(self, images)

    before = small.images
    monkeypatch.setattr(Small, "__call__", interrupted)
    folder = runs.begin(tmp_path / "run")
    stopped = train(folder, TINY, device=CPU, cache=cache)
    assert (stopped.step, stopped.finished) == (4, False)
    assert list(scores_of(folder)) == [2]
    monkeypatch.setattr(Small, "__call__", look)
    folder, config = runs.reopen(tmp_path / "run", {})
    assert train(folder, config, device=CPU, cache=cache, resume=True).finished
    assert_same_end(folder, whole)


@pytest.mark.slow
def test_without_weights_one_line_says_so_and_swd_chooses(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from torch_fidelity import feature_extractor_inceptionv3 as library

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(library, "URL_INCEPTION_V3", "http://127.0.0.1:1/weights.pth")
    folder = trained(tmp_path / "run", cache)
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "FID" in line)
    assert line.startswith("no FID: the Inception weights cannot be downloaded from http://127.0.0.1:1/weights.pth: ")
    assert line.endswith("give a file with --inception-weights; the sliced Wasserstein distance chooses the best "
                         "checkpoint")  # fmt: skip
    records = read(folder.metrics)
    assert [record["message"] for record in records if record["kind"] == "event"] == [line]
    assert not any("fid" in record or "frechet_distance" in record for record in records)
    swd = {record["step"]: record["swd"] for record in records if record["kind"] == "validation" and record["step"]}
    best = checkpoint.load(folder.checkpoints / "best.pt")
    swd_best = {"measure": "swd", "value": min(swd.values())}
    assert best["best"] == {**swd_best, "step": best["step"], "data": best["data"]}
    assert swd[best["step"]] == best["best"]["value"]


def test_a_file_that_is_no_use_stops_the_run_before_it_begins(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pth").write_text("no weights")
    for name, says in (("bad.pth", "damaged or no file of PyTorch weights"), ("none.pth", "no file of Inception")):
        assert main(["train", "--inception-weights", name, "--run", "r", "inception_every=2", "image_size=32"]) == 2
        first, line = capsys.readouterr().err.splitlines()
        assert first.startswith("this run takes ")
        assert says in line
    assert main(["train", "--inception-weights", "bad.pth", "--run", "r"]) == 2
    assert "never used with inception_every=0: add inception_every=2000" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pth"]


@pytest.mark.slow
def test_a_run_from_the_command_line_uses_the_file(
    tmp_path: Path, inception_weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["image_size=32", "base_channels=4", "latent_dim=8", "faces_count=64", "batch_size=8", "n_critic=1",
             "validate_images=16", "steps=1", "inception_every=1", "inception_images=4"]  # fmt: skip
    words = ["train", "--inception-weights", str(inception_weights), "--device", "cpu", "--run", "r", "--json"]
    assert main([*words, *asked]) == 0
    found = json.loads(capsys.readouterr().out)["scores"]
    assert found["inception_weights"] == inception.Inception(inception_weights, CPU).sha256
    assert found["frechet_distance"] > 0
    assert "fid" not in found


def test_weights_that_would_never_be_used_are_a_mistake() -> None:
    with pytest.raises(ConfigError, match="is never used with inception_every=0"):
        Config(inception_weights="w.pth")
