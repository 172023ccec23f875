"""Data sets of files: found and paired by name, checked as a whole, decoded once, served from arrays."""
