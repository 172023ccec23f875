"""A trained network as a file for other programs: what is in it, how it is written and checked, and how it is read."""
