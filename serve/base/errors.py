"""The errors a user can meet.

WganError                    the command line prints it as one line, exit code 2
├── ConfigError              a setting is unknown or out of its range
├── DatasetError             the images cannot be used
├── CheckpointError          a checkpoint is missing, broken or of another configuration
├── TrainingError            a run cannot go on
├── ArtifactError            an exported file is missing, damaged or not what it says
├── ExportError              an artifact could not be made
│   └── ParityError          an artifact does not match PyTorch (exit code 1)
├── BackendError             a runtime failed
│   ├── BackendUnavailable   a runtime is not installed, or this machine cannot run it
│   └── BackendOutOfMemory   memory ran out; a smaller batch may do
├── StoreError               object storage cannot be reached, or refuses
└── OutputError              the result cannot be written
    └── FolderInUse          another process writes there now

A third party's exception is turned into one of these where it enters.
"""


class WganError(Exception):
    """Something the user can mend. Its text is one line: what is wrong and what to do."""

    exit_code = 2


class ConfigError(WganError):
    """A setting is unknown or out of its range."""


class DatasetError(WganError):
    """The images cannot be used."""


class CheckpointError(WganError):
    """A checkpoint is missing, broken or of another configuration."""


class TrainingError(WganError):
    """A run cannot go on."""


class ArtifactError(WganError):
    """An exported file is missing, damaged or not what it says."""


class ExportError(WganError):
    """An artifact could not be made."""


class ParityError(ExportError):
    """An artifact does not match PyTorch."""

    exit_code = 1


class BackendError(WganError):
    """A runtime failed."""


class BackendUnavailable(BackendError):
    """A runtime is not installed, or this machine cannot run it.

    Args:
        why: what is missing. It alone is kept in files, which others read: what mends it may name folders.
        extra: the package's extra that brings it, where one does.
        mend: the command or step that mends it; by default the one that installs ``extra``.
    """

    def __init__(self, why: str, extra: str | None = None, mend: str | None = None):
        if extra is not None and mend is None:
            from wgan.serve.base.install import install_command

            mend = install_command(extra)
        super().__init__(why if mend is None else f"{why}: {mend}")
        self.why, self.extra, self.mend = why, extra, mend


class BackendOutOfMemory(BackendError):
    """Memory ran out; a smaller batch may do."""


class StoreError(WganError):
    """Object storage cannot be reached, or refuses."""


class OutputError(WganError):
    """The result cannot be written."""


class FolderInUse(OutputError):
    """Another process writes there now."""
