"""Planted checkpoints: small models of which it is certain what their thoughts do, to test the causal audit on."""
