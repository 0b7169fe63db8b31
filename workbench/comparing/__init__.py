"""Checkpoints compared on one data set: read one at a time onto the disk, then set beside each other without any model."""
