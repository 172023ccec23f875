"""What is read of Lightning beyond its documented interface; the upper bound in pyproject.toml is for this file.

Lightning keeps its counters of epochs and batches in the loops of a trainer, and writes them into checkpoints under the
loops' names. Nothing public says how many batches of the running epoch are done, which a resume in the middle of an
epoch begins at.
"""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.loops.progress import _ProcessedTracker

from segbench.inference.checkpoints import Checkpoint


def batches_begun(trainer: pl.Trainer) -> int:
    """Return the batches of the running epoch that have been asked for so far."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.ready)


def epoch_is_over(trainer: pl.Trainer) -> bool:
    """Whether the running epoch has seen its last batch, but has not been counted as completed."""
    progress = trainer.fit_loop.epoch_progress.current
    assert isinstance(progress, _ProcessedTracker)
    return progress.processed > progress.completed


def epochs_processed(checkpoint: Checkpoint) -> int:
    """Return the epochs whose last batch was seen; raises KeyError, TypeError or ValueError for other files."""
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def epochs_completed(checkpoint: Checkpoint) -> int:
    """Return the epochs that have ended; raises as `epochs_processed` does."""
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["completed"])


def batches_ready(checkpoint: Checkpoint) -> int:
    """Return the batches that the epoch of a checkpoint has begun; raises as `epochs_processed` does."""
    return int(checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"])


def complete_epoch(checkpoint: Checkpoint) -> None:
    """Count the epoch of a checkpoint as completed: Lightning would end it a second time and count it twice."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]
    epochs = progress["current"]["processed"]
    for counts in (progress["current"], progress["total"]):
        counts.update(dict.fromkeys(counts, epochs))
