"""A Triton model repository around one proven artifact."""

from wgan.export.formats.triton.config import QUEUE_DELAY, config_text
from wgan.export.formats.triton.repository import Written, write_repository
from wgan.export.formats.triton.run_line import run_line
from wgan.export.formats.triton.seeds import seeds_config, seeds_name
from wgan.export.formats.triton.settings import FORMATS_OF, QUEUE_IMAGES, WAIT, Settings

__all__ = [
    "FORMATS_OF",
    "QUEUE_DELAY",
    "QUEUE_IMAGES",
    "WAIT",
    "Settings",
    "Written",
    "config_text",
    "run_line",
    "seeds_config",
    "seeds_name",
    "write_repository",
]
