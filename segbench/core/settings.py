"""Which settings make an experiment what it is, and which only say where and how it is run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

PLACES = (
    *("root", "name", "foregrounds", "backgrounds", "depth.from_folder", "mnist", "cifar", "class_dict"),
    *("images", "val_images", "test_images", "mask_files"),
    *("annotations", "val_annotations", "test_annotations", "panoptic"),
)
"""Where data lies, by its setting's name: it may have been moved, its fingerprint says whether it is the same."""

READING = ("num_workers", "pin_memory", "download", "cache", "cache_gb", "storage")
"""Settings of the data that decide how samples are read, but not what is in them."""

SHOWN = ("data.display", "evaluate.boundary", "metrics")
"""Settings that decide what is drawn or reported besides, and no number that a run is chosen or compared by."""

LABELS = ("name", "tags", "note", "predictions")
"""Settings that name a run and do nothing."""

TRAINED = (
    "precision",
    "accumulate",
    "gradient_clip",
    "val_every",
    "ema",
    "ema_warmup",
    "freeze",
    "unfreeze_at",
    "sync_batchnorm",
)
"""Settings of the trainer that decide what a step trains, or which epoch is chosen."""

LENGTH = ("max_epochs", "max_steps", "patience", "non_finite")
"""Settings of the trainer that decide how long is trained; a resume may change them."""

SURROUNDINGS = (
    *LABELS,
    *("about", "experiment", "launcher", "logger", "plugins", "resume", "sweep", "weights"),
    *SHOWN,
    *(f"data.{name}" for name in (*PLACES, *READING)),
)
"""Settings that do not decide what is trained or scored, with all below them."""

ADDED: Mapping[str, object] = {
    "callbacks": {},
    "metrics": {},
    "model.init_from": None,
    "optimizer.encoder_lr_factor": 1.0,
    "optimizer.layer_decay": 1.0,
    "trainer.freeze": None,
    "trainer.unfreeze_at": None,
    "trainer.sync_batchnorm": False,
    "trainer.plots": True,
    "trainer.profile": False,
}
"""Settings that the first run folders lack, and the values by which such a run was trained."""


def unwritten(names: Collection[str], *, decays: bool) -> dict[str, object]:
    """Return the settings that a run lacks since there were none yet, with the values by which it was trained.

    Args:
        names: The settings that it has, by dotted name.
        decays: Whether its optimizer has a weight decay, which was then one of all weights.
    """
    values = {**ADDED, "optimizer.decay_norms": decays}
    return {name: value for name, value in values.items() if name not in names}


def is_surrounding(key: str) -> bool:
    """Whether a setting by its dotted name is one of `SURROUNDINGS`, or lies below one."""
    return any(key == name or key.startswith(f"{name}.") for name in SURROUNDINGS)


@lru_cache(maxsize=10_000)  # thousands of runs have the same few names
def is_experimental(key: str) -> bool:
    """Whether a setting by its dotted name decides the outcome: runs that differ in no such setting are one group.

    Of the trainer, the steps and their number count; devices, threads, memory layout and how often something is
    written move no more than the last bits.
    """
    group, _, name = key.partition(".")
    if group == "trainer":
        return name in (*TRAINED, *LENGTH)
    return not is_surrounding(key)
