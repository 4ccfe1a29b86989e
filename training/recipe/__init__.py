"""What a run starts from where no preset was named: a preset that fits the images, the device and the time."""

from wgan.training.recipe.look import Look, look_at
from wgan.training.recipe.recipe import MINUTES, Recipe, recipe_for, recipe_for_data

__all__ = ["MINUTES", "Look", "Recipe", "look_at", "recipe_for", "recipe_for_data"]
