"""One iteration of WGAN-GP: n_critic critic steps, then one generator step (Gulrajani et al. 2017, algorithm 1)."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from wgan.serve.backends.pytorch.device import threads
from wgan.training.config import Config
from wgan.training.config.schedule import rate_factor
from wgan.training.data.augment import Augmentation, prepare
from wgan.training.distributed import World
from wgan.training.networks import Critic, Generator, LiveStage, Stage
from wgan.training.networks.precision import MixedPrecision
from wgan.training.step.batch import CriticBatch, GeneratorBatch, Reals, ScoredBatch, cut
from wgan.training.step.calibration import calibration_batches
from wgan.training.step.ema import Ema
from wgan.training.step.fast import Compiled, CudaRecorder, Fast, Graphs
from wgan.training.step.growth import at_stage, stage_at
from wgan.training.step.lanes import Backward, Lanes, lanes_for
from wgan.training.step.losses import CriticLoss, critic_loss, generator_loss, gradient_penalty, score_pair
from wgan.training.step.state import saved, take_up
from wgan.training.step.warm_start import start_from
from wgan.training.step.watch import Watch, Watched


class Trainer:
    """Networks, optimizers, random streams and sums: all that a checkpoint holds but the data's position.

    Args:
        config: all settings.
        device: where to train.
        shares: how much of the data each class is; empty for a run without labels.
        world: the processes that train together.
    """

    def __init__(self, config: Config, device: torch.device, shares: Sequence[float] = (), world: World | None = None):
        self.config, self.device, self.shares, self.world = config, device, tuple(shares), world or World()
        with torch.random.fork_rng(devices=[]):
            # drawn on the CPU, so that every device starts from the same weights
            torch.manual_seed(config.seed)
            generator, critic = Generator(config, len(shares)), Critic(config, len(shares))
        self.fast = Fast(config, device, self.world)
        self.generator, self.critic = self.fast.laid_out(generator.to(device)), self.fast.laid_out(critic.to(device))
        self.ema = Ema(self.generator, config.ema_decay)
        if self.world.size > 1 and device.type == "cuda":  # a batch has one mean, wherever its images are
            self.generator = nn.SyncBatchNorm.convert_sync_batchnorm(self.generator, self.world.computing)
        self.compute_in(lanes_for(config, device, self.world.size, possible=not self.fast.compile))
        betas = (config.beta1, config.beta2)
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), config.lr_g, betas, fused=True)
        self.optimizer_d = torch.optim.Adam(self.critic.parameters(), config.lr_d, betas, fused=True)
        self._rates = torch.zeros(2, device=device)  # where a recorded step reads them
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
        self.images = 0  # real images that the critic has seen
        self.watch = Watch(device, lenient=self.precision_d.scaled, world=self.world)
        self._alpha = torch.ones((), device=device)
        recorder = CudaRecorder(device, self.random) if self.fast.graphs else None
        self.replay = Graphs(self.fast, [self.optimizer_g, self.optimizer_d], recorder)
        self._make_fake = Compiled(self.fake, self.fast, self.fast.compile_generator)
        self._critic_loss_of = Compiled(self.critic_loss, self.fast)
        self._generator_loss_of = Compiled(self.generator_loss, self.fast, self.fast.compile_generator)
        self.enter(stage_at(0, config))

    def compute_in(self, lanes: Lanes) -> None:
        """Shares each batch among ``lanes`` from now on."""
        self.lanes = lanes
        self.generator.compute_in(lanes)

    def start_from_others(self) -> list[str]:
        """Takes the weights that `init_generator` and `init_critic` name; lines that say where a best was missing."""
        notes = start_from(self.config, self.generator, self.critic)
        self.ema.copy(self.generator)
        return notes

    def iterate(self, reals: Reals) -> None:
        """One step of the loop: a fresh real batch for each critic step, then the generator."""
        self.set_rates()
        self._grow()
        self.learn(reals)

    def learn(self, reals: Reals) -> None:
        """The step itself, at the rates and the stage that are set."""
        with threads(self.lanes.threads):
            for _ in range(self.config.n_critic):
                images, label = reals.next()
                label = label if self.shares else None
                self.replay(("critic", self._penalised), self.critic_step_on, images, label)
                self.images += self.config.batch_size
            self.replay("generator", self.generator_step, label)  # fakes of the labels that real images have
            self.step += 1
            self.ema.update(self.generator, self.step)

    def critic_step_on(self, images: Tensor, label: Tensor | None) -> None:
        """A critic step on uint8 images (N, H, W, C) as the data has them, and their labels int64 (N,)."""
        real = prepare(images, self.augmentation, self.random, self.world)
        self.critic_step(at_stage(real, self.critic.stage), label)

    def critic_step(self, real: Tensor, label: Tensor | None = None) -> None:
        """Descends L_D once (Gulrajani et al. 2017, algorithm 1, lines 3 to 10), on real images (N, C, H, W)."""
        z = self.noise()
        epsilon = self._epsilon() if self._penalised else None
        scale = self.precision_d.scale(real)

        def descend(backward: Backward, lane: CriticBatch) -> Iterator[Watched]:
            with torch.no_grad():  # x̃ = G(z), without the generator's graph
                fake = self._make_fake(lane.z, lane.label)
            for part in cut(ScoredBatch(lane.real, fake, lane.epsilon, lane.label), self.config.accumulate):
                loss = self._critic_loss_of.then(
                    lambda result: self.precision_d.backward(result.loss / self._cuts, backward), *part, scale
                )
                yield loss.watched()

        batch = CriticBatch(real, z, epsilon, label)
        for watched in self.lanes.differentiate(self.critic.parameters(), descend, batch):
            self.watch.add(**watched)
        self.world.average_gradients(self.critic.parameters())
        self.precision_d.update(self.optimizer_d)
        self.critic.iterate_spectral_norms()

    def critic_loss(
        self, real: Tensor, fake: Tensor, epsilon: Tensor | None, label: Tensor | None, scale: Tensor
    ) -> CriticLoss:
        """L_D = E[D(x̃)] - E[D(x)] + λ E[(‖∇D(x̂)‖ - 1)²], where x̂ lies ε of the way from x̃ to x."""
        config, critic = self.config, partial(self.score, label=label)
        real_scores, fake_scores = score_pair(critic, real, fake, together=self.fast.together)
        penalty = None if epsilon is None else gradient_penalty(critic, real, fake, epsilon, scale)
        return critic_loss(real_scores, fake_scores, penalty, config.lambda_gp * config.penalty_every, config.drift)

    def generator_step(self, label: Tensor | None = None) -> None:
        """Descends L_G = -E[D(G(z))] once (the same algorithm, lines 11 and 12), on fakes of these labels."""
        self.critic.requires_grad_(False)

        def descend(backward: Backward, lane: GeneratorBatch) -> Iterator[Watched]:
            for part in cut(lane, self.config.accumulate):
                loss = self._generator_loss_of.then(
                    lambda result: self.precision_g.backward(result / self._cuts, backward), *part
                )
                yield {"generator_loss": loss}

        batch = GeneratorBatch(self.noise(), label)
        for watched in self.lanes.differentiate(self.generator.parameters(), descend, batch):
            self.watch.add(**watched)
        self.world.average_gradients(self.generator.parameters())
        self.precision_g.update(self.optimizer_g)
        self.generator.iterate_spectral_norms()
        self.critic.requires_grad_(True)

    def generator_loss(self, z: Tensor, label: Tensor | None) -> Tensor:
        """L_G = -E[D(G(z))]."""
        return generator_loss(partial(self.score, label=label), self.fake(z, label))

    def score(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """D of images (N, C, H, W), as float32 (N,)."""
        if label is not None and len(images) > len(label):
            label = label.repeat(2)  # real and fake together
        with self.precision_d.autocast():
            scores: Tensor = self.critic(images, label)
        return scores.float()

    def fake(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """G of z (N, Z), as float32 (N, C, H, W)."""
        with self.precision_g.autocast():
            images: Tensor = self.generator(z, label)
        return images.float()

    def noise(self) -> Tensor:
        """This process's share of the next z (N, Z)."""
        shape = (self.config.batch_size, self.config.latent_dim)
        return self.world.share(torch.randn(shape, generator=self.random, device=self.device))

    def _epsilon(self) -> Tensor:
        """This process's share of the next ε (N,) in [0, 1)."""
        return self.world.share(torch.rand(self.config.batch_size, generator=self.random, device=self.device))

    @property
    def _penalised(self) -> bool:
        """Whether the next critic step has a penalty: each, or each ``penalty_every``-th."""
        return self.images // self.config.batch_size % self.config.penalty_every == 0

    @property
    def _cuts(self) -> int:
        """Into how many equal parts a batch is cut: its loss is the mean of theirs."""
        return self.config.accumulate * self.lanes.count

    def set_rates(self) -> None:
        """Gives both optimizers the learning rates of this step."""
        config = self.config
        factor = rate_factor(self.step, config.steps, config.lr_schedule, config.lr_warmup)
        both = ((self.optimizer_g, config.lr_g), (self.optimizer_d, config.lr_d))
        for (optimizer, rate), held in zip(both, self._rates, strict=True):
            lr = held.fill_(rate * factor) if self.fast.graphs else rate * factor
            for group in optimizer.param_groups:
                group.update(lr=lr, betas=(config.beta1, config.beta2))

    def _grow(self) -> None:
        """Moves to the stage of this iteration; a new resolution starts with optimizers that remember nothing."""
        stage = stage_at(self.images, self.config)
        if stage.resolution != self.stage.resolution:
            self.optimizer_g.state.clear()
            self.optimizer_d.state.clear()
        self.enter(stage)

    def enter(self, stage: Stage) -> None:
        """Goes on at this stage of growth."""
        self.stage = self.ema.module.stage = stage
        self._alpha.fill_(stage.alpha)
        shown: Stage | LiveStage = stage
        if self.fast.static:
            shown, now = LiveStage(stage.resolution, stage.fading, self._alpha), self.critic.stage
            if isinstance(now, LiveStage) and (now.resolution, now.fading) == (shown.resolution, shown.fading):
                return  # alpha alone has moved
            self.fast.renew()
            self.forget_recorded()
        self.generator.stage = self.critic.stage = shown

    def finite(self) -> bool:
        """Whether every loss since the last record is a number, and the weights that came of them."""
        # a NaN in one weight is in every later loss, but the last update has no later loss yet
        parameters = [*self.generator.parameters(), *self.critic.parameters()]
        norms = torch.stack(torch._foreach_norm([p.detach() for p in parameters]))
        numbers = bool(self.watch.finite() & torch.isfinite(norms).all())
        return numbers and not self.precision_d.lost and not self.precision_g.lost

    def deployable(self) -> Generator:
        """The averaged generator with its own BatchNorm statistics, in eval mode."""
        self.ema.calibrate(self.generator, calibration_batches(self.config, self.device, self.shares))
        return self.ema.module

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs for the next step to be the same to the bit."""
        return saved(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from ``state``, of this version or an earlier one.

        Raises:
            CheckpointError: it belongs to other networks or another kind of device.
        """
        take_up(self, state)

    def forget_recorded(self) -> None:
        """Drops recorded steps: networks or moments are no longer those of the recording."""
        self.replay.forget()
