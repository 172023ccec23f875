"""`best.ckpt`: made of the checkpoint of the best epoch, held against its digest, and made again where it can be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from segbench.core.errors import CheckpointError
from segbench.core.files import sync_folder
from segbench.inference.checkpoints import Checkpoint, load_whole
from segbench.runs.checkpoints import BEST, Record, best_record, is_regular, kept, note_best, step_checkpoints
from segbench.training.callbacks.recorder import Recorder
from segbench.training.checkpoints.storage import Found


class BestLostError(CheckpointError):
    """The best epoch's checkpoint is damaged or gone, and nothing that it could be made of is there."""


class BestAheadError(BestLostError):
    """The same, but the epoch lies after the newest checkpoint that is whole, and is going to be trained again."""


def make_best(path: Path) -> None:
    """Make best.ckpt of a step checkpoint. Its digest comes first: after a kill in between, the link is made again."""
    note_best(path)
    target = path.with_name(BEST)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, temporary)
    temporary.replace(target)
    temporary.unlink(missing_ok=True)  # a rename between two links of one file does nothing
    sync_folder(target.parent)


def source_of_best(newest: Found) -> Path | None:
    """Return the step checkpoint that best.ckpt has to be made of before a run goes on; None where it is as it should.

    Raises:
        BestAheadError: if it was damaged together with newer checkpoints: its epoch is trained again.
        BestLostError: if it cannot be made again.
        CheckpointError: if the checkpoint does not say where the training stood.
    """
    epoch = best_epoch(newest.content)
    folder = newest.path.parent
    if epoch < 0:
        return None
    if _is_end_of(newest.content, epoch):
        return newest.path  # a kill may have come before best.ckpt was made of it
    record = best_record(folder)
    reason = _fault(folder / BEST, record, epoch=epoch)
    if reason is None:
        return None
    for path in step_checkpoints(folder):
        if path not in newest.damaged and _fault(path, kept(folder).get(path.name), epoch=epoch) is None:
            return path
    if record is not None and record["step"] > newest.content["global_step"]:
        raise BestAheadError(f"{folder / BEST} cannot be used ({reason}), and its epoch is trained again")
    raise BestLostError(
        f"{folder / BEST} cannot be used ({reason}), and the step checkpoint that it was made of is gone; restore the"
        " file, or give resume.force=true to choose the best of the epochs still to come"
    )


def best_epoch(checkpoint: Checkpoint) -> int:
    """Return the number of the best epoch so far, -1 for none; a CheckpointError says that it is not known."""
    try:
        checkpoint["epoch_is_over"], checkpoint["epoch"], int(checkpoint["global_step"])
        return int(checkpoint["callbacks"][Recorder.__qualname__]["best_epoch"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError("the checkpoint is not one of a training: it does not say where it stood") from None


def _fault(path: Path, record: Record | None, *, epoch: int) -> str | None:
    """Return why a file is not the whole checkpoint at the end of an epoch, else None."""
    if not is_regular(path):
        return "it is gone"
    try:
        content = load_whole(path, record)
    except (CheckpointError, OSError) as error:
        return str(error).rsplit(": ", 1)[-1]
    if _is_end_of(content, epoch):
        return None
    return "it is of another epoch than the best"


def _is_end_of(checkpoint: Checkpoint, epoch: int) -> bool:
    return bool(checkpoint.get("epoch_is_over")) and checkpoint.get("epoch") == epoch
