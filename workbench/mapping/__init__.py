"""The map of latents: from vectors to places, and what the places are worth."""
