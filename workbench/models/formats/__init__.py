"""One file per checkpoint format: what a folder must hold and how it is read."""
