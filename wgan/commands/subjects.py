"""What `wgan bench` measures: which files, on which backends, in which precisions and batch sizes."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from wgan.serve.base.address import Place
from wgan.serve.base.command import command
from wgan.serve.base.errors import ConfigError

if TYPE_CHECKING:
    from wgan.serve.bench.side_by_side import Subject


def batch_sizes_of(text: str) -> list[int]:
    """The numbers of `--batch-size`. Raises ConfigError."""
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,6}", word) and 1 <= int(word) <= 65_536 for word in words):
        raise ConfigError(f"--batch-size {text} is not a list such as 1,16,64 of numbers from 1 to 65,536")
    return sorted({int(word) for word in words})


def files_of(models: list[Place] | None, run: Path | None, backends: str | None) -> list[tuple[Path, str]]:
    """Artifacts and the names of their backends."""
    from wgan.serve.artifacts.artifact import holds_artifacts, list_folder
    from wgan.serve.artifacts.find import find_artifact, named, newest_run
    from wgan.serve.artifacts.formats import BACKENDS, CHECKPOINT, backends_of, check_backend, format_by_ending
    from wgan.serve.artifacts.remote import local

    wanted = list(BACKENDS) if backends is None else [word.strip() for word in backends.split(",")]
    for word in wanted:
        check_backend(word, "--backend")
    paths = [local(model) for model in models] if models else [(run or newest_run()) / "export"]
    where = "what --model names" if models else str(paths[0])
    files: list[Path] = []
    for path in paths:
        if models and (named(path) != path or not holds_artifacts(path)):
            files.append(find_artifact(path, None, None)[0])
            continue
        files += list_folder(path)
        if (reference := path / CHECKPOINT.file).is_file():
            files.append(reference)
    pairs = []
    for path in files:
        if (row := format_by_ending(path)) is not None:
            pairs += [(path, backend.name) for backend in backends_of(row.name) if backend.name in wanted]
    if not pairs:
        way = command("export", "--format", "all", *(() if models else ("--run", paths[0].parent)))
        raise ConfigError(f"no artifact for {', '.join(wanted)} in {where}: run `{way}` first")
    return sorted(pairs, key=lambda pair: wanted.index(pair[1]))


def subjects_of(
    files: list[tuple[Path, str]], precisions: list[str] | None, providers: list[str] | None
) -> "list[Subject]":
    """Each file once, but a checkpoint in each precision and an ONNX file by each provider."""
    from wgan.serve.artifacts.formats import CHECKPOINT, is_checkpoint
    from wgan.serve.backends.onnxrt.backend import PROVIDERS
    from wgan.serve.bench.side_by_side import Subject

    checkpoint = any(is_checkpoint(path) for path, _ in files)
    known = {
        "--precision": (precisions, CHECKPOINT.precisions, checkpoint, "checkpoints"),
        "--provider": (providers, PROVIDERS, any(kind == "onnx" for _, kind in files), "the onnx backend"),
    }
    chosen: dict[str, list[str]] = {}
    for option, (asked, names, there, what) in known.items():
        chosen[option] = list(dict.fromkeys(word.strip() for text in asked or [] for word in text.split(",")))
        if unknown := [word for word in chosen[option] if word not in names]:
            raise ConfigError(f"{option} {unknown[0]} is not one of {', '.join(names)}")
        if asked and not there:
            raise ConfigError(f"{option} is for {what}, and nothing here is: add a --model that is")
    subjects = []
    for path, kind in files:
        if is_checkpoint(path):
            subjects += [Subject(path, kind, word) for word in chosen["--precision"] or ["fp32"]]
        else:
            ways = chosen["--provider"] if kind == "onnx" else []
            subjects += [Subject(path, kind, provider=word or None) for word in ways or [""]]
    return subjects
