"""The rows of `scripts/benchmark.py`, a file for each kind."""
