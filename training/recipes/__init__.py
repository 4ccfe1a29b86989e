"""What a run starts from where no preset was named: a preset that fits the images, the device and the time."""

from wgan.training.recipes.look import Look, look_at
from wgan.training.recipes.recipe import MINUTES, Recipe, recipe_for, recipe_for_data

__all__ = ["MINUTES", "Look", "Recipe", "look_at", "recipe_for", "recipe_for_data"]
