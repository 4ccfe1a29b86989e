"""All rules: each a symptom, when it shows, when it has gone, and the settings that are recommended against it.

Their thresholds come from runs on the built-in faces, healthy ones (lr 7e-4/1e-3 at 32 px, 1e-3 at 16 px) and
ones made to show each symptom; the figures stand beside them.
"""

from wgan.training.advice.convergence import Ahead, Plateau, Slow
from wgan.training.advice.rule import Rule
from wgan.training.advice.samples import Blurry, Collapse
from wgan.training.advice.stability import Gradient, Unstable

# those that explain others stand before them
RULES: tuple[Rule, ...] = (Gradient(), Unstable(), Collapse(), Blurry(), Ahead(), Slow(), Plateau())
