"""`latest.json`: the checkpoints that a run has written, each with its size and SHA-256, and which of them is the best.

Only files that it lists are ever removed, and a file that is not as it is listed is damaged.
"""

from __future__ import annotations

import hashlib
import logging
import re
import stat
from pathlib import Path
from typing import TypedDict

from segbench.core.errors import CheckpointError
from segbench.core.files import write_json
from segbench.core.plain import Plain
from segbench.runs.folder import read_json

BEST = "best.ckpt"
POINTER = "latest.json"
STEP = re.compile(r"step-([0-9]{8,12})\.ckpt")
log = logging.getLogger("segbench")


class Record(TypedDict):
    """What is written of a checkpoint."""

    file: str
    """Its name."""
    step: int
    """Optimizer steps that it has seen."""
    bytes: int
    """Its size."""
    sha256: str
    """Its digest."""


def step_checkpoints(folder: Path) -> list[Path]:
    """Return the step-numbered checkpoints of a run, oldest first; regular files only, no links."""
    found = [(int(named[1]), path) for path in folder.glob("step-*.ckpt") if (named := STEP.fullmatch(path.name))]
    return [path for _, path in sorted(found) if is_regular(path)]


def as_record(name: str, *, size: int, sha256: str) -> Record:
    """Return what is to be written of a checkpoint called `name`, of so many bytes with this digest."""
    named = STEP.fullmatch(name)
    step = int(named[1]) if named else 0
    return {"file": name, "step": step, "bytes": size, "sha256": sha256}


def record_of(path: Path) -> Record:
    """Return what is to be written of a file, which is read for it."""
    return as_record(path.name, size=path.stat().st_size, sha256=digest(path))


def is_as_recorded(path: Path, record: Record | None) -> bool:
    """Whether a file has the size and the digest that were written of it; without a record it is taken as it is."""
    return record is None or (record["bytes"] == path.stat().st_size and record["sha256"] == digest(path))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def kept(folder: Path) -> dict[str, Record]:
    """Return what `latest.json` says of each step checkpoint, by the file's name."""
    content = _content(folder)
    listed = content.get("kept", [])
    entries = [content, *(listed if isinstance(listed, list) else [])]
    sound = [record for entry in entries if (record := _sound(entry)) is not None]
    return {record["file"]: record for record in sound}


def best_record(folder: Path) -> Record | None:
    """Return what `latest.json` says of best.ckpt, under the name of the step checkpoint that it is; None: nothing."""
    return _sound(_content(folder).get("best"))


def has_best(folder: Path) -> bool:
    """Whether a run has had a best epoch, whatever has become of its checkpoint since."""
    return (folder / BEST).is_file() or best_record(folder) is not None


def note_written(folder: Path, record: Record) -> None:
    """List a checkpoint as this run's own; what is the newest stays."""
    _write(folder, _content(folder), added=[record])


def point_to(path: Path, step: int) -> None:
    """Make `latest.json` beside `path` name it as the newest, and list it."""
    written = kept(path.parent).get(path.name)  # its digest has mostly been read already
    if written is None or written["bytes"] != path.stat().st_size:
        written = record_of(path)
    newest: Record = {**written, "step": step}
    _write(path.parent, {**_content(path.parent), **newest}, added=[newest])


def note_best(path: Path) -> None:
    """Note the digest of the step checkpoint that best.ckpt is going to be."""
    record = kept(path.parent).get(path.name) or record_of(path)
    _write(path.parent, {**_content(path.parent), "best": record}, added=[])


def prune(folder: Path, keep: int) -> None:
    """Remove the step checkpoints that this run wrote, beyond the newest `keep` (at least one).

    Only files that `latest.json` lists and whose size is still the one written there are removed, and never what a
    link leads to. Whatever else lies in the folder stays.
    """
    known = kept(folder)
    ours = [path for path in step_checkpoints(folder) if path.name in known]
    gone = [path for path in ours[: -max(keep, 1)] if path.stat().st_size == known[path.name]["bytes"]]
    for path in gone:
        path.unlink(missing_ok=True)
    if gone:
        _write(folder, _content(folder), added=[])


def is_regular(path: Path) -> bool:
    """Whether there is a file that is no link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _content(folder: Path) -> Plain:
    path = folder / POINTER
    try:
        if not path.exists():
            return {}
        return read_json(path)
    except CheckpointError as error:
        log.warning("%s; the checkpoints are taken without their digests", error)
        return {}


def _sound(entry: object) -> Record | None:
    match entry:
        case {"file": str(file), "step": int(step), "bytes": int(size), "sha256": str(sha256)} if STEP.fullmatch(file):
            return {"file": file, "step": step, "bytes": size, "sha256": sha256}
    return None


def _write(folder: Path, content: Plain, *, added: list[Record]) -> None:
    known = {name: entry for name, entry in kept(folder).items() if is_regular(folder / name)}
    known.update({entry["file"]: entry for entry in added if STEP.fullmatch(entry["file"])})
    listed = sorted(known.values(), key=lambda entry: entry["step"])
    write_json(folder / POINTER, {**content, "kept": listed})
