"""What `import wgan` offers: train, load and verify; export is in `wgan.export.from_run`, as it needs torch.

Nothing is imported here but what every command imports anyway.
"""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wgan.generator import Generator
    from wgan.results import Run, Verification
    from wgan.serve.base.paths import AnyPlace

AnyPath = str | os.PathLike[str]


def train(
    data: AnyPath | None = None,
    *,
    preset: AnyPath | None = None,
    run: AnyPath | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: bool = True,
    **settings: Any,
) -> "Run":
    """Trains on images, into a run folder: what `wgan train` does.

    Ctrl-C ends it after the step that it is at, with the state saved; a second one interrupts at once.

    Args:
        data: "faces" (built in), a folder, a .zip or .tar files of images; None: as the preset says, or as the run to
            go on with.
        preset: demo, faces-64, wgan-gp-64 (the papers' own), or a YAML file; None: a recipe by what the images are,
            how many, on which device, and how long it may take (``minutes=30``); it is said in a line.
        run: the run folder; None: a new one under runs/, or with ``resume`` the newest there. An address such as
            "s3://bucket/runs/photos": the run is trained in runs/photos and pushed there after each save.
        resume: go on with the run and its settings.
        device: auto, cpu or cuda.
        progress: show on stderr how far it has come.
        settings: any setting by name, such as ``steps=200, batch_size=32``.

    Returns:
        Where the run lies and how it ended; it may be given to `wgan.export` and `wgan.load`.

    Raises:
        ConfigError: an unknown setting (the text says which was meant), a value out of its range, or a folder in use.
        DatasetError: the images cannot be used.
        CheckpointError: nothing whole to resume from, or its images have changed (the text says how, and how to go on).
        TrainingError: a loss is not finite; the text says how to go on.
        OutputError: the disk is full; earlier checkpoints are whole. Or the run is whole, but could not be pushed.
        StoreError: the address of ``run`` cannot be reached.
        BackendUnavailable: a package is missing; the text names the extra to install.
    """
    from wgan.models import need_training

    need_training()
    from wgan.plan import plan_run
    from wgan.results import Run
    from wgan.serve.base.paths import named_place
    from wgan.serve.base.terminal import quiet

    if data is not None:
        settings["data"] = os.fspath(data)
    with quiet(not progress):
        plan = plan_run(
            settings,
            preset=None if preset is None else os.fspath(preset),
            run=None if run is None else named_place(run, "run"),
            resume=resume,
            device=device,
        )
        return Run.of(plan.train())


def load(
    path: "AnyPlace",
    *,
    device: str = "auto",
    backend: str | None = None,
    provider: str | None = None,
    threads: int | None = None,
    precision: str = "fp32",
) -> "Generator":
    """Opens a generator: any artifact, a checkpoint, or an ONNX file of another program.

    What a user should know of it (that it was not measured against PyTorch, say) is a `UserWarning`.

    Args:
        path: the file, here or at an address such as "s3://bucket/generator.onnx"; or a run folder (or what
            `wgan.train` returned), for the artifact in its export/; or "faces", the built-in generator.
        device: auto, cpu or cuda.
        backend: torch, torchscript, onnx, trt or browser; None: by the file's ending, in a run onnx.
        provider: of ONNX Runtime: cpu, cuda or tensorrt; None: by ``device``.
        threads: of ONNX Runtime on the CPU; None: one a core.
        precision: of a checkpoint: fp32, fp16, bf16, or auto (what is faster here). Artifacts have their own.

    Returns:
        A context manager; ``generator.sample(64, seed=0)`` gives uint8 (64, H, W, C).

    Raises:
        ArtifactError: the file is missing, damaged, or no generator of images.
        CheckpointError: the same of a checkpoint.
        ParityError: it was measured and does not match PyTorch.
        BackendUnavailable: its runtime is not installed, or cannot run here.
        ConfigError: an unknown device or backend, or an option that is not for this file.
        StoreError: object storage cannot be reached, or refuses.
    """
    from wgan.generator import Generator
    from wgan.models import cautions, find_model, open_model
    from wgan.serve.artifacts.artifact import holds_artifacts
    from wgan.serve.artifacts.find import BUILT_IN
    from wgan.serve.backends.base import Options
    from wgan.serve.base.fetched import as_typed, told_as_typed
    from wgan.serve.base.paths import named_place

    place = named_place(path, "path")
    folder = place if isinstance(place, Path) and holds_artifacts(place) and path != BUILT_IN else None
    with told_as_typed():
        file, kind = find_model(None if folder else place, folder, backend, device=device)
        opened = open_model(file, kind, device, precision, Options(provider, threads), changed=folder is None)
    try:
        for line in cautions(opened):
            warnings.warn(as_typed(line), UserWarning, stacklevel=2)
    except BaseException:
        opened.close()
        raise
    return Generator(opened)


def verify(
    path: "AnyPlace", *, device: str = "auto", reference: "AnyPlace | None" = None, adopt: bool = False
) -> "Verification":
    """Measures an artifact, or every artifact in a folder, against PyTorch again.

    One that a tool changed since its export (quantised, slimmed, …) is measured as it is now.

    Args:
        path: an artifact, a folder of them, here or at an address, or a run folder, whose export/ is taken.
        device: what to run them on: auto, cpu or cuda.
        reference: the generator that they were exported from, a checkpoint; None: `generator.pt` beside each.
        adopt: write the report into those that were changed and hold, which makes them artifacts again; not at an
            address.

    Returns:
        A report an artifact, in order of their names, and one verdict.

    Raises:
        ArtifactError: it is damaged, or was not exported from the ``reference``. In a folder such a file is a row of
            the result that says so.
        CheckpointError: there is no ``reference``; in a folder as above.
        BackendUnavailable: a package is missing, or the one artifact cannot run here.
        ConfigError: an unknown device.
        StoreError: object storage cannot be reached, or refuses.
    """
    from wgan.models import need_training

    need_training()
    from wgan.export.verify import refuse_adopting, verify_place
    from wgan.results import Verification
    from wgan.serve.artifacts.artifact import holds_artifacts
    from wgan.serve.artifacts.remote import local
    from wgan.serve.base.fetched import told_as_typed
    from wgan.serve.base.paths import named_place

    typed = named_place(path, "path")
    refuse_adopting(typed, adopt)
    with told_as_typed():
        place = local(typed, reference=reference is None)
        in_run = (place / "config.yaml").is_file()
        place = place / "export" if in_run else place
        made_from = None if reference is None else local(named_place(reference, "reference"))
        rows = verify_place(place, made_from, alone=not holds_artifacts(place), device=device, adopt=adopt)
    return Verification(tuple(rows))
