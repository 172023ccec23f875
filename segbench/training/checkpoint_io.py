"""Reading and writing checkpoint files: never half of one, never code in one.

A file is written beside its place, flushed, and renamed over it. `latest.json` points to the newest with its size and
SHA-256, and lists the same of every other that was written and kept: only those are ever removed. Loading goes from the
newest to the oldest and takes the first that is whole.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from segbench.core.errors import CheckpointError, ConfigError
from segbench.core.files import replacing, write_json
from segbench.runs.folder import read_json

POINTER = "latest.json"
_STEP = re.compile(r"step-([0-9]{8,12})\.ckpt")
_TEMPORARY = re.compile(
    r"\.(?:step-[0-9]{8,12}\.ckpt|best\.ckpt|(?:latest|results|status|environment)\.json"
    r"|(?:config|hydra|overrides)\.yaml|(?:val|test)_images\.csv)\.([0-9]{1,7})\.tmp"
)

log = logging.getLogger("segbench")


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
    try:
        with replacing(path) as file:
            torch.save(checkpoint, file)
            file.flush()
            if _STEP.fullmatch(path.name):  # known as ours before it is there: a kill may come between the two
                _write_pointer(path.parent, _pointer(path.parent), [_record(Path(file.name), path.name)])
    except OSError as error:
        raise CheckpointError(f"the checkpoint {path} cannot be written: {error}; older ones are untouched") from error


def load_safely(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
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


def _load(path: Path, map_location: Any) -> Any:
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
        return torch.load(path, map_location=map_location, weights_only=True)
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


def point_to(path: Path, step: int) -> None:
    """Make `latest.json` beside `path` name it and list it as kept, with its size and digest."""
    written = _kept(_pointer(path.parent)).get(path.name)  # save_atomic has read it for its digest already
    if written is None or written["bytes"] != path.stat().st_size:
        written = _record(path, path.name)
    newest = {**written, "step": step}
    _write_pointer(path.parent, newest, [newest])


def prune(folder: Path, keep: int) -> None:
    """Remove the step checkpoints that this run wrote, beyond the newest `keep` (at least one).

    Only files that `latest.json` lists and whose size is still the one written there are removed, and never what a
    link leads to. Whatever else lies in the folder stays.
    """
    pointer = _pointer(folder)
    known = _kept(pointer)
    ours = [path for path in step_checkpoints(folder) if path.name in known]
    gone = [path for path in ours[: -max(keep, 1)] if path.stat().st_size == known[path.name]["bytes"]]
    for path in gone:
        path.unlink(missing_ok=True)
    if gone:
        _write_pointer(folder, pointer, [])


def sweep_temporary(folder: Path) -> None:
    """Remove the half-written files that a process of ours left here when it was killed."""
    for path in folder.iterdir() if folder.is_dir() else ():
        named = _TEMPORARY.fullmatch(path.name)
        if named and _is_regular(path) and not _alive(int(named[1])):
            with suppress(PermissionError):  # on Windows one that is open
                path.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def step_checkpoints(folder: Path) -> list[Path]:
    """Return the step-numbered checkpoints of a run, oldest first; regular files only, no links."""
    found = [(int(named[1]), path) for path in folder.glob("step-*.ckpt") if (named := _STEP.fullmatch(path.name))]
    return [path for _, path in sorted(found) if _is_regular(path)]


def newest_good(folder: Path) -> Path:
    """Return the newest checkpoint that is whole; damaged ones are set aside as `*.damaged` with a message.

    Raises:
        CheckpointError: if there is none.
    """
    damaged = []
    known = _kept(_pointer(folder))
    for path in reversed(step_checkpoints(folder)):
        reason = _damage(path, known.get(path.name))
        if reason is None:
            return path
        try:
            path.replace(path.with_suffix(".ckpt.damaged"))
        except OSError as error:
            raise CheckpointError(f"{path} is damaged ({reason}) and cannot be set aside: {error.strerror}") from None
        damaged.append(f"{path.name} ({reason})")
        log.warning("checkpoint %s is damaged (%s) and was set aside; the one before is used", path.name, reason)
    if damaged:
        raise CheckpointError(f"every checkpoint in {folder} is damaged: {', '.join(damaged)}; start a new run")
    raise CheckpointError(f"{folder} holds no checkpoint yet, so there is nothing to continue; start a new run")


def _damage(path: Path, record: dict[str, Any] | None) -> str | None:
    try:
        if record is not None and (record["bytes"] != path.stat().st_size or record["sha256"] != digest(path)):
            return "its digest differs from the one written with it"
        load_safely(path)
    except (CheckpointError, OSError) as error:
        return str(error).rsplit(": ", 1)[-1]
    return None


def _record(path: Path, name: str) -> dict[str, Any]:
    named = _STEP.fullmatch(name)
    step = int(named[1]) if named else 0
    return {"file": name, "step": step, "bytes": path.stat().st_size, "sha256": digest(path)}


def _pointer(folder: Path) -> dict[str, Any]:
    path = folder / POINTER
    try:
        return read_json(path) if path.exists() else {}
    except ConfigError as error:
        log.warning("%s; the checkpoints are taken without their digests", error)
        return {}


def _kept(pointer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what `latest.json` says of each file; those of earlier versions say it of the newest alone."""
    listed = pointer.get("kept", [])
    entries: Iterable[Any] = [pointer, *(listed if isinstance(listed, list) else [])]
    kinds = {"file": str, "step": int, "bytes": int, "sha256": str}
    sound = [entry for entry in entries if isinstance(entry, dict)
             and all(isinstance(entry.get(name), kind) for name, kind in kinds.items())]  # fmt: skip
    return {entry["file"]: {name: entry[name] for name in kinds} for entry in sound if _STEP.fullmatch(entry["file"])}


def _write_pointer(folder: Path, newest: dict[str, Any], added: list[dict[str, Any]]) -> None:
    known = {name: entry for name, entry in _kept(_pointer(folder)).items() if _is_regular(folder / name)}
    known.update({entry["file"]: entry for entry in added if _STEP.fullmatch(entry["file"])})
    about = {name: value for name, value in newest.items() if name != "kept"}
    write_json(folder / POINTER, {**about, "kept": sorted(known.values(), key=lambda entry: entry["step"])})


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _alive(process: int) -> bool:
    if not hasattr(os, "fork"):
        return False  # on Windows this call would end the process; a file that is open there cannot be removed anyway
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another person's
        pass
    return True
