"""Metrics: integer counts accumulated on the device over a whole split, computed once."""
