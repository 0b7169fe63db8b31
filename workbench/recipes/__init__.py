"""Ways to train a think-then-embed model: one file per recipe, one loop, one configuration for all."""
