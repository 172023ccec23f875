"""Whether what a data set gives is what `Source` says, found by looking at its first sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from segbench.core.errors import ConfigError
from segbench.core.tasks import IGNORE_INDEX

PICTURE = (np.uint8, np.float32)
KINDS: dict[str, tuple[type[np.generic], ...]] = {
    "image": PICTURE,
    "background": PICTURE,
    "mask": (np.uint8,),
    "depth": (np.float32,),
}


def check_sample(sample: object, *, where: str, entries: Sequence[str], channels: int, classes: Sequence[str]) -> None:
    """Raise a ConfigError for a sample that no batch could be made of.

    Args:
        sample: What `sample` of a data set returned.
        where: Which one it is, for messages.
        entries: The arrays that it must have.
        channels: Channels of a picture.
        classes: Names of the classes.
    """
    if not isinstance(sample, Mapping):
        raise ConfigError(f"{where} must be a dict of {', '.join(entries)}, got {type(sample).__name__}")
    missing = [name for name in entries if name not in sample]
    if missing:
        raise ConfigError(f"{where} has no {', '.join(missing)}; entries says that it has {', '.join(entries)}")
    for name in entries:
        _check_array(sample[name], name, where=f"{where}: {name}", channels=channels)
    sizes = {name: sample[name].shape[:2] for name in entries}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {height} x {width}" for name, (height, width) in sizes.items())
        raise ConfigError(f"{where}: all arrays must be of one height and width, got {told}")
    if "mask" in entries:
        unknown = sorted({*np.unique(sample["mask"]).tolist()} - {*range(len(classes)), IGNORE_INDEX})
        if unknown:
            raise ConfigError(
                f"{where}: mask holds {', '.join(map(str, unknown[:5]))}; ids are 0 to {len(classes) - 1}, places in"
                f" data.classes, or {IGNORE_INDEX}"
            )


def _check_array(array: object, name: str, *, where: str, channels: int) -> None:
    kinds = KINDS.get(name, PICTURE)
    shape = "[H,W]"
    if kinds is PICTURE:
        shape = f"[H,W,{channels}]"
    wanted = f"{' or '.join(kind.__name__ for kind in kinds)} {shape}"
    if not isinstance(array, np.ndarray):
        raise ConfigError(f"{where} must be an array of numpy, {wanted}, got {type(array).__name__}")
    if kinds is PICTURE:
        fits = array.ndim == 3 and array.shape[2] == channels
    else:
        fits = array.ndim == 2
    if array.dtype not in kinds or not fits:
        raise ConfigError(f"{where} must be {wanted}, got {array.dtype} {list(array.shape)}")
