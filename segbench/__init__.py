"""segbench: honest, exact, fast comparison of semantic segmentation experiments."""

__version__ = "0.1.0"
