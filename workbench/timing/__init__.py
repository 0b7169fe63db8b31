"""How long embedding takes, recipe by recipe, on one backbone."""
