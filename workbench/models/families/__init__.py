"""One file per vision-language family: image tokens, grids, positions, visual features, text stack."""
