"""The Inception network, and the many ways in which its weights cannot be had. Nothing here uses the network."""

import hashlib
import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_fidelity import feature_extractor_inceptionv3 as library

from wgan.serve.base.errors import BackendUnavailable, ConfigError
from wgan.training.measures import inception as module
from wgan.training.measures.inception import Inception, inception_or_reason, open_inception

CPU = torch.device("cpu")


def pictures(count: int, size: int = 32, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, channels), np.uint8)


@pytest.fixture(scope="module")
def network(inception_weights: Path) -> Inception:
    return Inception(inception_weights, CPU)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the library's own weights lie, in a folder of its own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"


@pytest.mark.slow
def test_features_and_logits_are_those_of_torch_fidelity(network: Inception, inception_weights: Path) -> None:
    images = pictures(3)
    theirs = library.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(inception_weights)
    )
    wanted = theirs(torch.from_numpy(images).permute(0, 3, 1, 2))
    features, logits = network(images)
    assert features.shape == (3, 2048)
    assert logits.shape == (3, 1008)
    assert torch.equal(features, wanted[0])
    assert torch.equal(logits, wanted[1])
    assert features.std(0).mean() > 1e-3  # weights under which images differ


def test_grey_images_are_repeated_to_three_channels(network: Inception) -> None:
    grey = pictures(2, channels=1)
    assert torch.equal(network(grey)[0], network(np.repeat(grey, 3, axis=3))[0])


def test_weights_are_known_by_their_bytes(network: Inception, inception_weights: Path) -> None:
    assert network.sha256 == hashlib.sha256(inception_weights.read_bytes()).hexdigest()
    assert not network.official
    assert module.OFFICIAL.startswith(library.URL_INCEPTION_V3.rpartition("-")[2].removesuffix(".pth"))


class Evil:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.slow
def test_a_file_that_is_not_these_weights_is_refused_in_one_line(tmp_path: Path, inception_weights: Path) -> None:
    good = torch.load(inception_weights, weights_only=True)
    first = next(iter(good))
    torch.save({**good, first: torch.zeros(3)}, tmp_path / "shape.pth")
    torch.save({**good, first: good[first] * float("nan")}, tmp_path / "nan.pth")
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"x": Evil(tmp_path / "owned")}, tmp_path / "evil.pth")
    (tmp_path / "half.pth").write_bytes(inception_weights.read_bytes()[:1_000_000])
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "folder.pth").mkdir()
    for name, says in (
        ("shape", "does not hold the weights of torch-fidelity's Inception: get https://"),
        ("other", "does not hold the weights"),
        ("list", "does not hold the weights"),
        ("nan", "weights that are not finite"),
        ("evil", "damaged or no file of PyTorch weights: get https://"),
        ("half", "damaged or no file"),
        ("text", "damaged or no file"),
        ("empty", "damaged or no file"),
        ("folder", "no file of Inception weights"),
        ("missing", "no file of Inception weights .*missing.pth.*: get https://.*, or say auto"),
    ):
        with pytest.raises(ConfigError, match=says) as caught:
            inception_or_reason(str(tmp_path / f"{name}.pth"), CPU)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400
    assert not (tmp_path / "owned").exists()


def test_auto_takes_what_the_library_has_downloaded_before(
    hub: Path, inception_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.parent.mkdir(parents=True)
    shutil.copy(inception_weights, hub)
    monkeypatch.setattr(module, "OFFICIAL", hashlib.sha256(inception_weights.read_bytes()).hexdigest())
    monkeypatch.setattr(library, "URL_INCEPTION_V3", f"http://127.0.0.1:1/{hub.name}")  # nobody is there
    assert open_inception("auto", CPU).official


@pytest.mark.slow
def test_auto_downloads_once_and_replaces_a_file_that_was_cut_short(
    hub: Path, tmp_path: Path, inception_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.parent.mkdir(parents=True)
    hub.write_bytes(b"half")
    source = tmp_path / hub.name
    shutil.copy(inception_weights, source)
    monkeypatch.setattr(module, "OFFICIAL", hashlib.sha256(source.read_bytes()).hexdigest())
    monkeypatch.setattr(library, "URL_INCEPTION_V3", source.as_uri())
    told: list[tuple[int, int, str]] = []
    assert open_inception("auto", CPU, lambda *state: told.append(state)).official
    assert told[-1][0] == told[-1][1] == source.stat().st_size
    source.unlink()
    assert open_inception("auto", CPU).official
    assert [path.name for path in hub.parent.iterdir()] == [hub.name]


def test_a_download_of_anything_else_is_not_kept(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / hub.name
    page.write_text("<html>please log in</html>")
    monkeypatch.setattr(library, "URL_INCEPTION_V3", page.as_uri())
    with pytest.raises(BackendUnavailable, match="cannot be downloaded from file://.*: what came is not them"):
        open_inception("auto", CPU)
    assert not hub.exists()


@pytest.mark.parametrize(("place", "says"), [("refused", "refused"), ("silent", "timed out"), ("unknown", "unknown")])
def test_without_a_network_there_is_one_line_and_soon(
    hub: Path, place: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections, and never answers
        port = server.getsockname()[1] if place == "silent" else 1
        scheme = "nothing" if place == "unknown" else "http"
        monkeypatch.setattr(library, "URL_INCEPTION_V3", f"{scheme}://127.0.0.1:{port}/{hub.name}")
        reason = inception_or_reason("auto", CPU)
    assert isinstance(reason, str)
    assert reason.startswith("no FID: the Inception weights cannot be downloaded from ")
    assert says in reason
    assert reason.endswith("; or give a file with --inception-weights")
    assert "\n" not in reason
    assert not hub.exists()
