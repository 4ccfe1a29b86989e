"""`wgan eval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wgan.commands.console import BackendOption, DeviceOption, JsonOption, ModelOption, RunOption
from wgan.commands.onward import after_images, onward
from wgan.commands.values import one_of
from wgan.models import edited, find_model, need_training, open_model, unproven
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.terminal import detail, emit, say, say_once

if TYPE_CHECKING:
    import torch

    from wgan.serve.backends.base import Backend
    from wgan.serve.base.progress import Callback
    from wgan.training.measures.evaluate import Reals
    from wgan.training.measures.inception import Inception


EXAMPLES = (
    ("FID, KID, IS and SWD of the exported generator of the newest run", "wgan eval -n 10000"),
    ("SWD alone, which needs no weights of an Inception network", "wgan eval -n 2000 --inception-weights none"),
)


def evaluate(
    n: Annotated[int, typer.Option("-n", help="how many images", metavar="N")] = 10_000,
    data: Annotated[
        str | None,
        typer.Option(
            help="real images: faces, a folder, a .zip or .tar files [default: as trained on]", metavar="WHERE"
        ),
    ] = None,
    backend: BackendOption = None,
    model: ModelOption = None,
    run: RunOption = None,
    inception_weights: Annotated[
        str,
        typer.Option(
            help="a file, auto, or none for SWD alone", metavar="NAME|FILE", autocompletion=one_of("auto", "none")
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="seed of the first image; the next ones count up", metavar="SEED")] = 0,
    batch_size: Annotated[int | None, typer.Option(help="images at a time [default: 64]", metavar="N")] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure FID, KID, IS and SWD of an artifact."""
    from wgan.serve.backends.pytorch.device import torch_device, why_cpu
    from wgan.serve.base.progress import counter
    from wgan.serve.sampling.sampler import batch_size_for

    _check_range(n, seed)
    path, kind = find_model(model, run, backend, device=device)
    detail(f"{path}, by the backend {kind}")
    need_training()
    import torch

    from wgan.training.measures.evaluate import Samples
    from wgan.training.measures.evaluate import evaluate as measure

    chosen = torch.device(torch_device(device))
    with open_model(path, kind, device, changed=model is not None) as opened, counter() as progress:
        doubt = opened.assumes or unproven(path, opened.metadata) or edited(path, opened.metadata)
        say_once([why_cpu(device), opened.notice, doubt])
        reals = _reals(opened, run, data)
        size = batch_size_for(opened, batch_size)
        measured = measure(
            opened,
            reals,
            Samples(seed, n, size, say if batch_size is None else None),
            inception=_inception(inception_weights, chosen, progress),
            cache=_cache(path),
            device=chosen,
            progress=progress,
        )
    emit(measured.to_dict(), measured.to_text(), as_json)
    onward(as_json, after_images(path, kind, opened.metadata))


def _check_range(n: int, seed: int) -> None:
    if n < 2:
        raise ConfigError(f"-n {n} is not at least 2")
    if n > 2**63:
        raise ConfigError(f"-n {n} is more than there are seeds, 2^63")
    if not 0 <= seed <= 2**63 - n:
        raise ConfigError(f"--seed {seed} is outside its range, 0 to 2^63 - n")


def _run_of(path: Path) -> Path:
    """The run, if the artifact lies in its export folder."""
    return path.resolve().parent.parent


def _cache(path: Path) -> Path:
    """Where decoded images are kept: beside the run."""
    from wgan.serve.artifacts.find import ROOT

    folder = _run_of(path)
    return (folder.parent if (folder / "config.yaml").is_file() else ROOT) / ".cache"


def _reals(opened: "Backend", run: Path | None, data: str | None) -> "Reals":
    """The real images to compare with: ``data``, or what the artifact was trained on. Raises ConfigError."""
    from wgan.training.measures.evaluate import Reals, trained_on
    from wgan.training.records.folder import RunFolder

    known = trained_on(opened, RunFolder(run or _run_of(opened.path)))
    if data is not None:
        return Reals(data, known.fit, known.background, known.seed) if known else Reals(data)
    if known is None:
        raise ConfigError(f"{opened.path} does not say what it was trained on: name the real images with --data")
    if not known.data:
        raise ConfigError(f"{opened.path} is in no run that says where its images lie: name them with --data")
    return known


def _inception(weights: str, device: "torch.device", progress: "Callback") -> "Inception | str":
    """The network that FID, KID and IS need, or why they are not measured."""
    from wgan.training.measures.inception import inception_or_reason

    if weights == "none":
        return "no FID: asked for by --inception-weights none"
    return inception_or_reason(weights, device, progress)
