"""Losses: each maps (prediction, batch) to a scalar and its named terms."""
