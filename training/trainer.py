"""One iteration of WGAN-GP: n_critic critic steps, then one generator step (seed document, section 3.1)."""

from typing import Any

import torch
from torch import Tensor

from wgan.serve.errors import CheckpointError
from wgan.serve.latents import latents
from wgan.training.config import Config
from wgan.training.data.augment import Augmentation, prepare
from wgan.training.data.stream import BatchStream
from wgan.training.ema import Ema
from wgan.training.losses import critic_loss, generator_loss
from wgan.training.networks import Critic, Generator
from wgan.training.precision import MixedPrecision
from wgan.training.schedule import rate_factor

# Rows of the latent table that training looks at; users' seeds start at 0.
CALIBRATION_ROWS = 2**40
CALIBRATION_BATCHES, CALIBRATION_BATCH = 8, 128

WATCHED = ("wasserstein", "penalty", "grad_norm", "critic_loss", "generator_loss")


class Trainer:
    """Networks, optimizers, random streams and sums: all that a checkpoint holds but the data's position."""

    def __init__(self, config: Config, device: torch.device):
        self.config, self.device = config, device
        with torch.random.fork_rng(devices=[]):
            # drawn on the CPU, so that every device starts from the same weights
            torch.manual_seed(config.seed)
            generator = Generator(config.image_size, config.latent_dim, config.base_channels, config.channels)
            critic = Critic(config.image_size, config.base_channels, config.channels)
        self.generator, self.critic = generator.to(device), critic.to(device)
        self.ema = Ema(self.generator, config.ema_decay)
        betas = (config.beta1, config.beta2)
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), config.lr_g, betas, fused=True)
        self.optimizer_d = torch.optim.Adam(self.critic.parameters(), config.lr_d, betas, fused=True)
        self.precision_g = MixedPrecision(config.precision, device)
        self.precision_d = MixedPrecision(config.precision, device)
        self.random = torch.Generator(device).manual_seed(config.seed)
        self.augmentation = Augmentation(
            enlarge=config.augment_enlarge,
            flip=config.augment_flip,
            brightness=config.augment_brightness,
            contrast=config.augment_contrast,
        )
        self.step = 0
        # sums since the last record, on the device, so that no step waits for them
        self.sums = torch.zeros(len(WATCHED), device=device)
        self.counts = torch.zeros(len(WATCHED), device=device)

    def iterate(self, reals: BatchStream) -> None:
        """One step of the loop: a fresh real batch for each critic step, then the generator."""
        self._set_rates()
        for _ in range(self.config.n_critic):
            images, _labels = reals.next()
            self._critic_step(prepare(images, self.augmentation, self.random))
        self._generator_step()
        self.step += 1
        self.ema.update(self.generator, self.step)

    def _set_rates(self) -> None:
        config = self.config
        factor = rate_factor(self.step, config.steps, config.lr_schedule, config.lr_warmup)
        for optimizer, rate in ((self.optimizer_g, config.lr_g), (self.optimizer_d, config.lr_d)):
            for group in optimizer.param_groups:
                group.update(lr=rate * factor, betas=(config.beta1, config.beta2))

    def _noise(self) -> Tensor:
        shape = (self.config.batch_size, self.config.latent_dim)
        return torch.randn(shape, generator=self.random, device=self.device)

    def _score(self, images: Tensor) -> Tensor:
        with self.precision_d.autocast():
            scores: Tensor = self.critic(images)
        return scores.float()

    def _fake(self) -> Tensor:
        with self.precision_g.autocast():
            images: Tensor = self.generator(self._noise())
        return images.float()

    def _critic_step(self, real: Tensor) -> None:
        with torch.no_grad():  # no generator graph
            fake = self._fake()
        epsilon = torch.rand(len(real), generator=self.random, device=self.device)
        scale = self.precision_d.scale(real)
        result = critic_loss(self._score, real, fake, epsilon, self.config.lambda_gp, scale)
        self.precision_d.step(result.loss, self.optimizer_d)
        self._watch(0, [result.wasserstein, result.penalty, result.grad_norm, result.loss])

    def _generator_step(self) -> None:
        self.critic.requires_grad_(False)
        loss = generator_loss(self._score, self._fake())
        self.precision_g.step(loss, self.optimizer_g)
        self.critic.requires_grad_(True)
        self._watch(4, [loss])

    def _watch(self, first: int, values: list[Tensor]) -> None:
        found = torch.stack(values).detach()
        counted = torch.ones_like(found)
        if self.precision_d.scaled:  # there an overflow is a step left out, not the end of the run
            counted = torch.isfinite(found).all().expand_as(found).float()
            found = torch.where(counted > 0, found, 0)
        self.sums[first : first + len(values)] += found
        self.counts[first : first + len(values)] += counted

    def finite(self) -> bool:
        """Whether every loss since the last record is a number, and the weights that came of them."""
        # a NaN in one weight is in every later loss, but the last update has no later loss yet
        parameters = [*self.generator.parameters(), *self.critic.parameters()]
        norms = torch.stack(torch._foreach_norm([p.detach() for p in parameters]))
        numbers = bool(torch.isfinite(self.sums).all() & torch.isfinite(norms).all())
        return numbers and not self.precision_d.lost and not self.precision_g.lost

    def drain(self) -> dict[str, float]:
        """Means of what is watched since the last call."""
        means = (self.sums / self.counts.clamp(min=1)).tolist()
        self.sums.zero_()
        self.counts.zero_()
        return dict(zip(WATCHED, means, strict=True))

    def deployable(self) -> Generator:
        """The averaged generator with its own BatchNorm statistics, in eval mode."""
        rows = latents(CALIBRATION_ROWS, CALIBRATION_BATCHES * CALIBRATION_BATCH, self.config.latent_dim)
        self.ema.calibrate(list(torch.from_numpy(rows).to(self.device).split(CALIBRATION_BATCH)))
        module = self.ema.module
        assert isinstance(module, Generator)
        return module

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs for the next step to be the same to the bit."""
        return {
            "step": self.step,
            "generator": self.generator.state_dict(),
            "critic": self.critic.state_dict(),
            "ema": self.deployable().state_dict(),
            "optimizer_g": self.optimizer_g.state_dict(),
            "optimizer_d": self.optimizer_d.state_dict(),
            "random": self.random.get_state(),
            "sums": self.sums,
            "counts": self.counts,
            "precision_g": self.precision_g.state_dict(),
            "precision_d": self.precision_d.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from ``state``.

        Raises:
            CheckpointError: it belongs to other networks or another kind of device.
        """
        try:
            self.generator.load_state_dict(state["generator"])
            self.critic.load_state_dict(state["critic"])
            self.ema.module.load_state_dict(state["ema"])
            self.optimizer_g.load_state_dict(state["optimizer_g"])
            self.optimizer_d.load_state_dict(state["optimizer_d"])
            self.random.set_state(state["random"])
            self.sums.copy_(state["sums"])
            self.counts.copy_(state["counts"])
            self.precision_g.load_state_dict(state["precision_g"])
            self.precision_d.load_state_dict(state["precision_d"])
            self.step = state["step"]
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"the checkpoint does not fit this configuration or device: {reason}") from None
