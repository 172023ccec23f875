"""Serving samples by the data law: sample (seed, split, epoch, index) is the same bytes however it is read."""
