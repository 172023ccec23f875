"""Reading checkpoint files: whole ones only, tensors and plain containers only."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from segbench.core.errors import CheckpointError
from segbench.runs.checkpoints import BEST, Record, best_record, is_as_recorded, is_regular

Checkpoint = dict[str, Any]
"""What is in a checkpoint, as Lightning writes it. What reads it expects that a file of another program lacks it."""
MapLocation = str | torch.device | Callable[..., object] | dict[str, str] | None
"""Where tensors are loaded to, as `torch.load` takes it."""


def load_best(folder: Path) -> Checkpoint:
    """Return the checkpoint of the best epoch: best.ckpt, or where that is damaged the step checkpoint it was made of.

    Raises:
        CheckpointError: if there is none, or none that is whole.
    """
    record = best_record(folder)
    try:
        return load_whole(folder / BEST, record)
    except CheckpointError as error:
        source = folder / record["file"] if record else None
        if source is None or not is_regular(source):
            raise
        try:
            return load_whole(source, record)
        except CheckpointError:
            raise error from None


def load_whole(path: Path, record: Record | None) -> Checkpoint:
    """Return a checkpoint that is as `latest.json` says; a CheckpointError says what is wrong with the file."""
    content = load_safely(path)
    if not is_as_recorded(path, record):
        raise CheckpointError(f"the checkpoint {path} is damaged: its digest differs from the one written with it")
    return content


def load_safely(path: Path, map_location: MapLocation = "cpu") -> Checkpoint:
    """Return a checkpoint, loaded with `weights_only=True`; a CheckpointError says what is wrong with the file."""
    try:
        checkpoint = _load(path, map_location or "cpu")
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(f"the checkpoint {path} cannot be loaded: {_reason(error)}") from None
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(f"{path} is not a checkpoint: it has no state_dict")
    return checkpoint


def _load(path: Path, map_location: MapLocation) -> object:
    size = path.stat().st_size
    if not path.is_file():
        raise ValueError("it is not a regular file")
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise ValueError("it is compressed, as no checkpoint of segbench is")
    if sum(record.file_size for record in records) > size:
        raise ValueError("what is in it claims to be larger than the file")
    try:
        return torch.load(path, map_location=map_location, weights_only=True)  # type: ignore[arg-type]  # Lightning knows more
    except Exception:
        if names := torch.serialization.get_unsafe_globals_in_checkpoint(str(path)):
            raise ValueError(f"it asks for {', '.join(names)[:150]}, but only tensors are loaded") from None
        raise


def _reason(error: Exception) -> str:
    if isinstance(error, zipfile.BadZipFile):
        return "it is not a whole archive of tensors"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # torch begins with how to switch its protection off
    told = [line for line in lines if not line.startswith(("Weights only load failed", "Check the documentation"))]
    return (told or [type(error).__name__])[0][:200]
