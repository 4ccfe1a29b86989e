"""Every setting of a run, as one flat, frozen dataclass: its meaning, its default and its bounds."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from wgan.serve.base.errors import ConfigError
from wgan.serve.base.paths import not_a_path
from wgan.training.config.checks import check_field, check_together, not_a_data_name, not_data
from wgan.training.config.colour import WHITE, not_a_colour
from wgan.training.config.schedule import SCHEDULES

AUTO = "auto"
ACCEPT = "accept"
OFTEN = {"sample_every": 10, "validate_every": 10, "checkpoint_every": 20}  # times in a run that does not say


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] = (),
    refuse: Callable[[str], str | None] | None = None,
    fixed: bool = False,
) -> Any:
    """A field with its meaning and its bounds.

    ``refuse`` says of a text what is wrong with it, and what to give. ``fixed``: a resumed run cannot change it.
    """
    metadata = {"help": help, "low": low, "high": high, "choices": choices, "refuse": refuse, "fixed": fixed}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """Every setting of a run. Networks default to DCGAN's shape (Radford et al. 2016), training to WGAN-GP's
    (Gulrajani et al. 2017, algorithm 1, with Adam's β₁ = 0, β₂ = 0.9 and five critic steps).
    """

    data: str = setting(
        "faces",
        "`faces` (built in), a folder, a .zip or .tar files of images, or the address of one in object storage",
        refuse=not_data,
        fixed=True,
    )
    data_name: str = setting(
        "auto", "what artifacts and reports call the data; `auto`: the last name of its path", refuse=not_a_data_name
    )
    fit: str = setting("crop", "`crop` keeps the aspect, `squash` does not", choices=("crop", "squash"), fixed=True)
    faces_count: int = setting(8192, "training images drawn for `data=faces`", low=64, high=1_000_000, fixed=True)
    data_changed: str = setting(
        "refuse",
        "a run that goes on with other images than it had: `accept` is for this once, and not kept",
        choices=("refuse", ACCEPT),
    )
    max_broken: float = setting(0.05, "largest share of unreadable images, above which a run ends", low=0, high=1)

    image_size: int = setting(64, "side of the square images, pixels", choices=(8, 16, 32, 64, 128, 256), fixed=True)
    channels: int = setting(
        3, "3 for colour, 1 for grey, 4 for colour and alpha: transparency is kept", choices=(1, 3, 4), fixed=True
    )
    background: str = setting(
        WHITE, "what transparent images are laid on with 1 or 3 channels: a name, or `#rrggbb`",
        refuse=not_a_colour, fixed=True,
    )  # fmt: skip
    latent_dim: int = setting(128, "length of the latent vector z", low=1, high=4096, fixed=True)
    base_channels: int = setting(
        64,
        "channels at the finest layer; doubles with each halving, up to 8 times",
        low=1,
        high=1024,
        fixed=True,
    )
    depth: int = setting(
        1, "convolutions at each resolution, in both networks; further ones add to the first", low=1, high=8, fixed=True
    )
    attention: int = setting(
        0,
        "resolution of a self-attention layer in both networks; 0 for none",
        choices=(0, 8, 16, 32, 64, 128),
        fixed=True,
    )
    upsampling: str = setting(
        "transposed",
        "how the generator doubles features: free 4x4 kernels, or smooth ones, which leave no chequered pattern",
        choices=("transposed", "smooth"),
        fixed=True,
    )
    spectral_norm: str = setting(
        "none",
        "spectral normalisation of convolutions and matrix products",
        choices=("none", "critic", "both"),
        fixed=True,
    )
    minibatch: str = setting(
        "none",
        "the critic sees how images of a group differ",
        choices=("none", "stddev", "discrimination"),
        fixed=True,
    )
    minibatch_group: int = setting(4, "images in such a group", low=2, high=1024, fixed=True)

    conditional: bool = setting(False, "class labels, from class folders, for both networks", fixed=True)
    generator_labels: str = setting(
        "join", "an embedding joined to z, or conditional BatchNorm", choices=("join", "batchnorm"), fixed=True
    )
    critic_labels: str = setting(
        "projection",
        "a projection of the features, or a map beside the image",
        choices=("projection", "map"),
        fixed=True,
    )
    critic_head: str = setting(
        "pool",
        "the score's features: each channel's mean over the image, or the 4x4 as it is, which sees where things are",
        choices=("pool", "flatten"),
        fixed=True,
    )
    label_dim: int = setting(32, "length of the embedding joined to z", low=1, high=4096, fixed=True)

    progressive: bool = setting(False, "grow from 8 pixels to image_size", fixed=True)
    phase_images: int = setting(
        600_000,
        "real images a growing resolution is faded in over, and as many again it is trained for",
        low=1,
        high=1_000_000_000,
        fixed=True,
    )

    init_generator: str = setting("none", "checkpoint that the generator starts from", refuse=not_a_path, fixed=True)
    init_critic: str = setting("none", "checkpoint that the critic starts from", refuse=not_a_path, fixed=True)

    steps: int = setting(40_000, "generator updates", low=1, high=100_000_000)
    minutes: float = setting(
        0.0,
        "train for about so long: `steps` becomes what this machine does in that time; 0: as `steps` says",
        low=0,
        high=1_000_000,
        fixed=True,
    )
    batch_size: int = setting(64, "images a critic step", low=1, high=65_536, fixed=True)
    n_critic: int = setting(5, "critic steps for each generator step", low=1, high=100)
    lambda_gp: float = setting(10.0, "weight of the gradient penalty", low=0, high=10_000)
    penalty_every: int = setting(1, "critic steps between penalties, each weighted as many times", low=1, high=1000)
    drift: float = setting(0.0, "weight of E[D(x)²], which keeps scores near zero", low=0, high=1000)
    lr_g: float = setting(1e-4, "Adam's learning rate, generator", low=0, high=1)
    lr_d: float = setting(1e-4, "Adam's learning rate, critic", low=0, high=1)
    lr_schedule: str = setting(
        "constant", "of both rates; all but constant end at zero, cooldown over the last 40%", choices=SCHEDULES
    )
    lr_warmup: int = setting(0, "steps over which both rates rise from zero", low=0, high=100_000_000)
    beta1: float = setting(0.0, "Adam's first momentum", low=0, high=0.999999)
    beta2: float = setting(0.9, "Adam's second momentum", low=0, high=0.999999)
    precision: str = setting(
        "fp32",
        "what the networks compute in; weights, losses and norms stay float32. `auto`: what is faster here, timed once",
        choices=("fp32", "bf16", "fp16", AUTO),
    )
    tf32: bool = setting(False, "on CUDA, float32 convolutions and products round what they multiply to TF32's 10 bits")
    accumulate: int = setting(1, "parts that a batch is computed in, to save memory", low=1, high=65_536)
    compile: str = setting(
        "auto", "`torch.compile` of the losses; `auto`: on CUDA, not on a CPU", choices=("auto", "on", "off")
    )
    cuda_graphs: str = setting(
        "auto", "steps recorded and replayed; `auto`: on one CUDA device", choices=("auto", "off")
    )
    convolutions: str = setting(
        "fastest",
        "on CUDA: the algorithms that were fastest when this process measured them, or repeatable ones, not measured",
        choices=("fastest", "repeatable"),
    )
    activation_checkpointing: bool = setting(False, "compute activations twice, to save memory")
    ema_decay: float = setting(
        0.999, "averaging of the generator's weights, per step; 0 turns it off", low=0, high=0.999999
    )

    augment_enlarge: float = setting(1.0, "enlarge by this and crop at random; usual is 1.125", low=1, high=2)
    augment_flip: float = setting(0.0, "probability of a horizontal flip; usual is 0.5", low=0, high=1)
    augment_brightness: float = setting(0.0, "brightness jitter, ±; usual is 0.2", low=0, high=1)
    augment_contrast: float = setting(0.0, "contrast jitter, ±; usual is 0.2", low=0, high=1)

    seed: int = setting(0, "of weights, noise and data order", low=0, high=2**31 - 1, fixed=True)
    log_every: int = setting(10, "steps between records in metrics.jsonl", low=1, high=1_000_000)
    sample_every: int = setting(500, "steps between sample grids", low=1, high=100_000_000)
    validate_every: int = setting(2000, "steps between sliced Wasserstein distances", low=1, high=100_000_000)
    validate_images: int = setting(1024, "images in a validation", low=16, high=100_000)
    inception_every: int = setting(0, "steps between FID, KID and Inception Score; 0: never", low=0, high=100_000_000)
    inception_images: int = setting(10_000, "images in those; a FID needs 2,048", low=2, high=1_000_000)
    inception_weights: str = setting(
        "auto", "`auto`: torch-fidelity's own, downloaded once; or a file", refuse=not_a_path
    )
    checkpoint_every: int = setting(500, "steps between checkpoints", low=1, high=100_000_000)
    keep_checkpoints: int = setting(3, "newest checkpoints kept, beside the best", low=1, high=10_000)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_field(field, getattr(self, field.name))
        check_together(self)
        if self.inception_weights != "auto" and not self.inception_every:
            raise ConfigError(
                f"inception_weights={self.inception_weights} is never used with inception_every=0: "
                "add inception_every=2000, or inception_weights=auto"
            )

    def replace(self, **changes: Any) -> "Config":
        """A copy with some settings changed, checked again."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        """As `config.yaml` holds it."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    def as_settled(self, saved: "Config") -> "Config":
        """This, with what a run that was begun with it, and saved so, has chosen for itself on its machine."""
        names = (*(("precision",) if self.precision == AUTO else ()), *(("steps", *OFTEN) if self.minutes else ()))
        return self.replace(**{name: getattr(saved, name) for name in names})

    @property
    def reals_per_step(self) -> int:
        """Real images that the critic sees in one step of the loop."""
        return self.batch_size * self.n_critic


FIELDS = {field.name: field for field in dataclasses.fields(Config)}
TEXTS = frozenset(name for name, field in FIELDS.items() if field.type is str and not field.metadata["choices"])
