"""Sends run folders to experiment trackers, live or later. No torch."""
