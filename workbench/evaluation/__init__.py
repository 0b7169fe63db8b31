"""Measuring checkpoints: how good the thoughts and the embeddings are where the truth is known."""
