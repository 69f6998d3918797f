"""Checkpoints: from a file, folder or hub address to a strictly loaded network."""
