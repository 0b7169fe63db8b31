"""Data sets: readers of other people's, and the Shapes world of our own."""
