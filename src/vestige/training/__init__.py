"""From a recipe to a model package. Needs the `train` extra."""
