"""Does a step make the CPU wait for the GPU? Every precision, with all that the data path does."""

import numpy as np
import torch

from gpu.rows import Here
from gpu.training import WAYS, settings
from wgan.training.data import ImageSet
from wgan.training.data.stream import BatchStream
from wgan.training.step.trainer import Trainer

AUGMENTED = {"augment_flip": 0.5, "augment_enlarge": 1.125, "augment_brightness": 0.2, "augment_contrast": 0.2}


def run(here: Here) -> None:
    """An eager iteration under torch's own guard, which raises at the first wait."""
    for precision in ("fp32", "bf16", "fp16"):
        config = settings(here.tiny, precision=precision, batch_size=8, n_critic=2, **AUGMENTED, **WAYS["eager"])
        shape = (64, config.image_size, config.image_size, config.channels)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        reals = BatchStream(ImageSet(pixels, None, None, "noise", ""), config.batch_size, 0, here.device)
        trainer = Trainer(config, here.device)
        trainer.iterate(reals)  # kernels are chosen, moments allocated
        if not here.cuda:
            trainer.iterate(reals)
            here.not_run(precision, "the step ran; whether it waits can be asked of a GPU alone")
            continue
        try:
            torch.cuda.set_sync_debug_mode("error")
            trainer.iterate(reals)
        except RuntimeError as error:
            here.tell(precision, ok=False, why=" ".join(str(error).split())[:200])
        else:
            here.tell(precision, ok=True, waits=0)
        finally:
            torch.cuda.set_sync_debug_mode("default")
