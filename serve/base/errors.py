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

    ``extra`` names the package extra to install, where one helps.
    """

    def __init__(self, message: str, extra: str | None = None):
        hint = f": pip install 'wgan[{extra}]'" if extra else ""
        super().__init__(message + hint)
        self.extra = extra


class BackendOutOfMemory(BackendError):
    """Memory ran out; a smaller batch may do."""


class OutputError(WganError):
    """The result cannot be written."""


class FolderInUse(OutputError):
    """Another process writes there now."""
