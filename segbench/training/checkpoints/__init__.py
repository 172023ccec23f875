"""Checkpoints on disk, and what a resume takes from them."""
