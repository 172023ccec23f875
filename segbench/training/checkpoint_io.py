"""Reading and writing checkpoint files: never half of one, never code in one.

A file is written beside its place, flushed, and renamed over it; `latest.json` then points to it with its size and
SHA-256. Loading goes from the newest to the oldest and takes the first that is whole.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from segbench.core.errors import CheckpointError
from segbench.core.files import replacing, write_json
from segbench.runs.folder import read_json

POINTER = "latest.json"


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's door to the disk, without its detour over the temporary folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint in one step; an error leaves what was there before."""
        save_atomic(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Return a checkpoint; tensors and plain containers only, whatever was asked for."""
        return load_safely(Path(path), map_location)

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint file."""
        Path(path).unlink(missing_ok=True)


def save_atomic(checkpoint: dict[str, Any], path: Path) -> None:
    """Write `checkpoint` to `path` by way of a flushed temporary file in the same folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as file:
            torch.save(checkpoint, file)
    except OSError as error:
        raise CheckpointError(f"the checkpoint {path} cannot be written: {error}; older ones are untouched") from error


def load_safely(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Return a checkpoint, loaded with `weights_only=True`; a CheckpointError says what is wrong with the file."""
    try:
        checkpoint = torch.load(path, map_location=map_location or "cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(f"the checkpoint {path} cannot be loaded: {str(error).splitlines()[0][:200]}") from None
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise CheckpointError(f"{path} is not a checkpoint: it has no state_dict")
    return checkpoint


def point_to(path: Path, step: int) -> None:
    """Make `latest.json` beside `path` name it, with its size and digest."""
    write_json(path.parent / POINTER, {"file": path.name, "step": step, "bytes": path.stat().st_size,
                                       "sha256": digest(path)})  # fmt: skip


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def step_checkpoints(folder: Path) -> list[Path]:
    """Return the step-numbered checkpoints of a run, oldest first."""
    return sorted(folder.glob("step-*.ckpt"))


def newest_good(folder: Path) -> Path:
    """Return the newest checkpoint that is whole; damaged ones are set aside as `*.damaged` with a message.

    Raises:
        CheckpointError: if there is none.
    """
    damaged = []
    for path in reversed(step_checkpoints(folder)):
        reason = _damage(path)
        if reason is None:
            return path
        path.replace(path.with_suffix(".ckpt.damaged"))
        damaged.append(f"{path.name} ({reason})")
        print(f"checkpoint {path.name} is damaged ({reason}) and was set aside; the one before is used")
    if damaged:
        raise CheckpointError(f"every checkpoint in {folder} is damaged: {', '.join(damaged)}; start a new run")
    raise CheckpointError(f"{folder} holds no checkpoint yet, so there is nothing to continue; start a new run")


def _damage(path: Path) -> str | None:
    pointer = path.parent / POINTER
    if pointer.is_file():
        latest = read_json(pointer)
        if latest.get("file") == path.name and latest.get("sha256") != digest(path):
            return "its digest differs from the one written with it"
    try:
        load_safely(path)
    except CheckpointError as error:
        return str(error).rsplit(": ", 1)[-1]
    return None
