"""Data sets: generated scenes, files, and the loaders that serve them by the data law."""
