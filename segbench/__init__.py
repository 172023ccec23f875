"""segbench: honest, exact, fast comparison of semantic segmentation experiments.

    import segbench

    run = segbench.train("model=unet", "loss=dice", "data=fgbg")
    found = segbench.load(run)("picture.jpg")  # found.mask, found.probabilities, found.depth

Importing it is light: torch is imported when something first needs it. See docs/python.md.
"""

from typing import TYPE_CHECKING

from segbench.core.lazy import lazy

if TYPE_CHECKING:
    from segbench import data as data
    from segbench import losses as losses
    from segbench import metrics as metrics
    from segbench import models as models
    from segbench.api import compare as compare
    from segbench.api import evaluate as evaluate
    from segbench.api import load as load
    from segbench.api import resume as resume
    from segbench.api import train as train

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "compare",
    "data",
    "evaluate",
    "load",
    "losses",
    "metrics",
    "models",
    "resume",
    "train",
]

# `compare` is also a room of the house, which can be called for that reason: see segbench/compare/__init__.py
__getattr__, __dir__ = lazy(
    __name__,
    dict.fromkeys(("train", "resume", "evaluate", "load"), "api")
    | {name: name for name in ("compare", "data", "losses", "metrics", "models")},
)
