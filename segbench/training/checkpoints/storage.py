"""Reading and writing checkpoint files: never half of one, never code in one.

A file is written beside its place, flushed, and renamed over it. `latest.json` has its digest before it has its name.
Loading goes from the newest to the oldest and takes the first that is whole.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from segbench.core.errors import CheckpointError
from segbench.core.files import disk_error, replacing
from segbench.inference.checkpoints import Checkpoint, MapLocation, load_safely, load_whole
from segbench.runs.checkpoints import (
    STEP,
    as_record,
    is_regular,
    kept,
    note_written,
    step_checkpoints,
)
from segbench.training.checkpoints.digested import digested

_TEMPORARY = re.compile(
    r"\.(?:step-[0-9]{8,12}\.ckpt|best\.ckpt|(?:latest|results|status|environment)\.json"
    r"|(?:config|hydra|overrides)\.yaml|(?:val|test)_images\.csv)\.([0-9]{1,7})\.tmp"
)

log = logging.getLogger("segbench")


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's door to the disk, without its detour over the temporary folder.

    Args:
        adapt: What is done to a checkpoint between its file and Lightning; None for nothing.
    """

    def __init__(self, adapt: Callable[[Checkpoint], Checkpoint] | None = None) -> None:
        self.adapt = adapt

    def save_checkpoint(self, checkpoint: Checkpoint, path: str | Path, storage_options: object = None) -> None:
        """Write a checkpoint in one step; an error leaves what was there before.

        Args:
            checkpoint: What is written.
            path: Where.
            storage_options: What writes it instead, given the checkpoint and its path; None: this.
        """
        if callable(storage_options):
            storage_options(checkpoint, Path(path))
        else:
            save_atomic(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: MapLocation = None, weights_only: bool | None = None
    ) -> Checkpoint:
        """Return a checkpoint; tensors and plain containers only, whatever was asked for."""
        checkpoint = load_safely(Path(path), map_location)
        if self.adapt is None:
            return checkpoint
        return self.adapt(checkpoint)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint file."""
        Path(path).unlink(missing_ok=True)


def save_atomic(checkpoint: Checkpoint, path: Path) -> None:
    """Write `checkpoint` to `path` by way of a flushed temporary file in the same folder."""
    try:
        with replacing(path) as file, digested(file) as written:
            torch.save(checkpoint, cast("BinaryIO", written))  # torch calls no more than it has
            written.flush()
            if STEP.fullmatch(path.name):  # known as ours before it is there: a kill may come between the two
                note_written(path.parent, as_record(path.name, size=written.bytes, sha256=written.sha256))
    except (OSError, RuntimeError) as error:
        refused = disk_error(error)  # torch closes its archive all the same, and complains of that instead
        if refused is None:
            raise
        reason = refused.strerror or refused
        raise CheckpointError(f"the checkpoint {path} cannot be written: {reason}; older ones are untouched") from error


def sweep_temporary(folder: Path) -> None:
    """Remove the half-written files that a process of ours left here when it was killed."""
    for path in folder.iterdir() if folder.is_dir() else ():
        named = _TEMPORARY.fullmatch(path.name)
        if named and is_regular(path) and not _alive(int(named[1])):
            with suppress(PermissionError):  # on Windows one that is open
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Found:
    """The newest checkpoint of a run that is whole, and those that are not."""

    path: Path
    """Its file."""
    content: Checkpoint
    """What is in it."""
    damaged: dict[Path, str] = field(default_factory=dict)
    """Newer ones, with what is wrong with each."""

    def set_damaged_aside(self) -> None:
        """Rename the damaged ones to `*.damaged`, with a message."""
        for path, reason in self.damaged.items():
            try:
                path.replace(path.with_suffix(".ckpt.damaged"))
            except OSError as error:
                said = f"{path} is damaged ({reason}) and cannot be set aside: {error.strerror}"
                raise CheckpointError(said) from None
            log.warning("checkpoint %s is damaged (%s) and was set aside; the one before is used", path.name, reason)


def find_newest(folder: Path) -> Found:
    """Return the newest checkpoint that is whole; nothing is changed.

    Raises:
        CheckpointError: if there is none.
    """
    damaged: dict[Path, str] = {}
    known = kept(folder)
    for path in reversed(step_checkpoints(folder)):
        try:
            return Found(path, load_whole(path, known.get(path.name)), damaged)
        except (CheckpointError, OSError) as error:
            damaged[path] = str(error).rsplit(": ", 1)[-1]
    if damaged:
        names = ", ".join(f"{path.name} ({reason})" for path, reason in damaged.items())
        raise CheckpointError(f"every checkpoint in {folder} is damaged: {names}; start a new run")
    raise CheckpointError(f"{folder} holds no checkpoint; start a new run")


def newest_good(folder: Path) -> Path:
    """Return the newest checkpoint that is whole, and set damaged ones aside; raises CheckpointError without one."""
    found = find_newest(folder)
    found.set_damaged_aside()
    return found.path


def _alive(process: int) -> bool:
    if not hasattr(os, "fork"):
        return False  # on Windows this call would end the process; a file that is open there cannot be removed anyway
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
