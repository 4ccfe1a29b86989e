"""What `wgan sample` says of the images that it made: an object for `--json`, and a line."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wgan.serve.base.terminal import counted

if TYPE_CHECKING:
    from wgan.serve.base.address import Place
    from wgan.serve.fleet.tally import Tally
    from wgan.serve.outputs.shards import ShardSet
    from wgan.serve.sampling.request import Request
    from wgan.serve.sampling.run import Job


@dataclass(frozen=True)
class Made:
    """How many images were made and where; of a sharded set how many files, and how many of them were there already."""

    images: int
    out: "Place"
    files: int | None = None
    there: int | None = None
    shards: "ShardSet | None" = None
    grid: Path | None = None  # beside a folder
    manifest: Path | None = None  # of a folder
    no_grid: str | None = None
    fleet: "Tally | None" = None  # what a cluster did for it


def result_of(asked: "Request", job: "Job", made: Made) -> dict[str, Any]:
    """What `--json` says of the images and of what made them; the command adds times and places."""
    source, opened = job.source, job.backend
    result: dict[str, Any] = {
        "count": made.images,
        "out": str(made.out),
        "first_seed": source.first if source.unit == "seed" else None,
        "label": asked.label,
        "truncation": None if asked.truncated is None else str(asked.truncated),
        "latents": None if asked.latents is None else str(asked.latents),
        "interpolate": asked.interpolate,
        "device": opened.device,
        "precision": opened.metadata.precision,
        "edited": None if opened.metadata.edited is None else dict(opened.metadata.edited),
        "provider": opened.provider,  # of ONNX Runtime
        "model": str(opened.path),
        "model_sha256": opened.digest,
        "origin": None if job.origin is None else job.origin.to_source(),
        "assumes": opened.assumes,
    }
    if made.manifest is not None:
        result |= {"manifest": str(made.manifest), "grid": None if made.grid is None else str(made.grid)}
    if made.shards is not None:
        there = {"manifest": str(made.shards.manifest), "shards": len(made.shards)}
        result |= there | {"made": made.files, "skipped": made.there}
    if made.fleet is not None:
        result |= made.fleet.to_json()
    return result


def text_of(job: "Job", made: Made, speed: float) -> str:
    """The same for people, in a line."""
    from wgan.serve.artifacts.find import typed

    source, place = job.source, str(made.out)
    last = source.first + source.count - 1
    which = f"{source.unit} {last}" if source.count == 1 else f"{source.unit}s {source.first} to {last}"
    if made.shards is not None:
        there = "1 was" if made.there == 1 else f"{made.there:,} were"
        which += f": {made.files} of {counted(len(made.shards), 'shard')}, {there} there"
        place = str(made.out.with_name(made.shards.name(0))) + " …"
    if made.grid is not None:
        place += f", a grid of them: {made.grid}"
    where = f"{job.backend.name} on {job.backend.device}"
    if made.fleet is not None and made.fleet.shards:
        where += f" ({made.fleet})"
    images = counted(made.images, "image")
    origin = "" if job.origin is None else f" ({job.origin})"
    return f"{images} ({which}) of {typed(job.backend.path)}{origin} with {where}, {speed:,.0f} images/s: {place}"
