"""`wgan eval`."""

from pathlib import Path
from typing import Annotated

import typer

from wgan.commands.console import Device, Json, Run, need_training
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.terminal import emit, say, say_once


def evaluate(
    n: Annotated[int, typer.Option("-n", help="how many images")] = 10_000,
    data: Annotated[
        str | None, typer.Option(help="real images: faces, a folder or a .zip [default: as trained on]")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="torch, torchscript, onnx or trt [default: by --model, else onnx]")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="artifact [default: in the run's export/]")] = None,
    run: Run = None,
    inception_weights: Annotated[str, typer.Option(help="a file, auto, or none for SWD alone")] = "auto",
    seed: Annotated[int, typer.Option(help="seed of the first image; the next ones count up")] = 0,
    batch_size: Annotated[int | None, typer.Option(help="images at a time [default: 64]")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure FID, KID, IS and SWD of an artifact."""
    from wgan.commands.sample import open_model, unproven
    from wgan.serve.artifacts.find import ROOT, find_artifact
    from wgan.serve.backends.pytorch.device import torch_device, why_cpu
    from wgan.serve.base.progress import counter
    from wgan.serve.sampling.sampler import batch_size_for

    if n < 2:
        raise ConfigError(f"-n {n} is not at least 2")
    if not 0 <= seed <= 2**63 - n:
        raise ConfigError(f"--seed {seed} is outside its range, 0 to 2^63 - n")
    path, kind = find_artifact(model, run, backend)
    need_training()
    import torch

    from wgan.training.measures import evaluate as evaluation
    from wgan.training.measures.inception import Inception, inception_or_reason
    from wgan.training.records.folder import RunFolder

    chosen = torch.device(torch_device(device))
    folder = path.resolve().parent.parent  # of the run, if the artifact lies in its export folder
    cache = (folder.parent if (folder / "config.yaml").is_file() else ROOT) / ".cache"
    with open_model(path, kind, device) as opened, counter() as progress:
        say_once([why_cpu(device), opened.notice])
        doubt = opened.assumes or unproven(path, opened.metadata)
        if doubt is not None:
            say(doubt)
        known = evaluation.trained_on(opened, RunFolder(run or folder))
        if data is not None:
            known = evaluation.Reals(data, known.fit, known.seed) if known else evaluation.Reals(data)
        if known is None:
            raise ConfigError(f"{path} does not say what it was trained on: name the real images with --data")
        if not known.data:
            raise ConfigError(f"{path} is in no run that says where its images lie: name them with --data")
        size = batch_size_for(opened, batch_size)
        if inception_weights == "none":
            inception: Inception | str = "no FID: asked for by --inception-weights none"
        else:
            inception = inception_or_reason(inception_weights, chosen, progress)
        result = evaluation.evaluate(
            opened,
            known,
            evaluation.Samples(seed, n, size, say if batch_size is None else None),
            inception=inception,
            cache=cache,
            device=chosen,
            progress=progress,
        )
    emit(result.to_dict(), result.to_text(), as_json)
