"""Generated sets: a plan of a few numbers for each scene, and renderers that turn plans into pixels."""
