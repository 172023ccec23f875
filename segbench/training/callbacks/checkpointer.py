"""When checkpoints are written, which are kept, and what happens on a signal."""

from __future__ import annotations

import math
import shlex
import time
from functools import partial
from pathlib import Path

import pytorch_lightning as pl

from segbench.core.errors import NonFiniteError
from segbench.data.loading.loader import Batch
from segbench.models.digest import weights_digest
from segbench.models.sharded import is_sharded
from segbench.runs.checkpoints import point_to, prune, step_checkpoints
from segbench.training.callbacks.recorder import Recorder
from segbench.training.checkpoints.beside import Writer
from segbench.training.checkpoints.best import make_best
from segbench.training.checkpoints.digests import DigestLog
from segbench.training.distributed.ranks import Ranks
from segbench.training.finite import all_finite
from segbench.training.signals import StopSignals, interrupted
from segbench.training.trainer_state import comes_before_last, ends_epoch, in_training

FIRST = 1
"""The step after which a run has a checkpoint for the first time, so that a kill in a long first epoch loses little."""

LONG = 20.0
"""Seconds that a validation may still take after a signal; a scheduler mostly kills some 30 after its own."""


class Checkpointer(pl.Callback):
    """Writes a step-numbered checkpoint after the first step, every epoch, `every` steps or `minutes`, and on a signal.

    None is written at the last step of an epoch before its validation: one from there would skip the validation when
    it is resumed. The epoch's checkpoint comes after validation and holds its outcome. Where validations are long, one
    comes before the last step, so that a signal within a validation need not wait for its end. When a checkpoint is
    written changes nothing about the training, so a clock may decide it.

    Args:
        folder: The run's checkpoint folder.
        recorder: Knows whether the epoch was the best; its state travels in the checkpoint.
        signals: Tells whether the user or the scheduler wants the run to stop.
        digests: Takes the digest of the weights of each checkpoint.
        ranks: The processes of the run, which stop and write together.
        writer: Writes them; whoever trains waits for it at the end.
        every: Steps between checkpoints within an epoch; 0 for none.
        minutes: Minutes without a checkpoint after which one is written; 0 for never.
        keep: How many step-numbered checkpoints are kept, beside the best.
    """

    def __init__(
        self,
        folder: Path,
        recorder: Recorder,
        *,
        signals: StopSignals,
        digests: DigestLog,
        ranks: Ranks,
        writer: Writer,
        every: int = 0,
        minutes: float = 0,
        keep: int = 2,
    ) -> None:
        self.folder = folder
        self.recorder = recorder
        self.signals = signals
        self.digests = digests
        self.ranks = ranks
        self.writer = writer
        self.every = every
        self.seconds = minutes * 60
        self.keep = keep
        self._written = time.monotonic()
        self._begun = math.inf
        """When the validation began; infinite before the first."""
        self._longest = 0.0
        """Seconds of the longest validation so far."""
        self._stopping: float | None = None
        """When a signal was first noticed within a validation; None for never."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over again from Lightning, which would end with exit status 0, or wait for ever."""
        self.signals.install()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over again."""
        self.signals.install()
        self._begun = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note how long it took."""
        self._longest = max(self._longest, time.monotonic() - self._begun)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over again."""
        self.signals.install()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Write a checkpoint if one is due, and stop if a signal came; only between two optimizer steps."""
        self.writer.check()
        if ends_epoch(trainer) or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        late, number = self._agree(trainer, before_last=comes_before_last(trainer, batch_idx))
        due = trainer.global_step == FIRST or (self.every and trainer.global_step % self.every == 0)
        if late or number or due:
            self._save(trainer, pl_module)
        self._stop(trainer, number)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's checkpoint; the best one so far is also kept as best.ckpt."""
        self._save(trainer, pl_module, is_best=self.recorder.improved)
        self._stop(trainer, self._agree(trainer, ended=True)[1])

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: object) -> None:
        """Stop the final test at a signal: every checkpoint has been written."""
        self._stop_evaluation(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: object) -> None:
        """Stop the final validation at a signal; one within the training is finished first, unless that takes long."""
        if not in_training(trainer):
            self._stop_evaluation(trainer)
        elif self.signals.wanted:
            now = time.monotonic()
            self._stopping = self._stopping or now
            if now - self._stopping >= LONG:
                raise interrupted(self._unfinished(), self.signals.wanted)

    def _stop_evaluation(self, trainer: pl.Trainer) -> None:
        if self.signals.wanted:  # it reaches all processes within a second
            said = "stopped while the best epoch was scored; the training is complete"
            raise interrupted(said, self.signals.wanted)

    def _unfinished(self) -> str:
        self.writer.wait()
        kept = step_checkpoints(self.folder)
        last = f"{kept[-1].name} is the last one" if kept else "there is none yet"
        return f"stopped within a validation that takes long, so without a new checkpoint; {last}; {self._continued}"

    def _agree(self, trainer: pl.Trainer, *, before_last: bool = False, ended: bool = False) -> tuple[bool, int]:
        """Return whether a checkpoint is late and the signal that stops the run, the same in all processes."""
        late = bool(self.seconds) and time.monotonic() - self._written > self.seconds
        late = late or (before_last and self._longest >= LONG)
        self.signals.listen()  # the thread that watches may not have looked since
        number = int(self.signals.wanted or 0)
        return self.ranks.agree(trainer.global_step, late, number=number, always=before_last or ended)

    def _save(self, trainer: pl.Trainer, module: pl.LightningModule, *, is_best: bool = False) -> None:
        self.recorder.flush(trainer)
        step = trainer.global_step
        if not all_finite(module):
            raise NonFiniteError(f"the weights are not finite any more at step {step}, so no checkpoint was written")
        path = self.folder / f"step-{step:08d}.ckpt"
        trainer.save_checkpoint(path, storage_options=self.writer.save)
        self._written = time.monotonic()
        if not (trainer.is_global_zero or is_sharded(module)):
            return
        digest = weights_digest(module)  # all processes take part where each has a part of the weights
        if trainer.is_global_zero:
            self.writer.then(partial(self._list, path, step, digest=digest, is_best=is_best))

    def _list(self, path: Path, step: int, *, digest: str, is_best: bool) -> None:
        """Make a checkpoint the newest, and the best one where it is that, and remove older ones."""
        point_to(path, step)
        self.digests.add(step, digest)
        prune(self.folder, self.keep)
        if is_best:
            make_best(path)

    def _stop(self, trainer: pl.Trainer, number: int) -> None:
        if number:
            self.writer.wait()
            raise interrupted(f"stopped at step {trainer.global_step} with a checkpoint; {self._continued}", number)

    @property
    def _continued(self) -> str:
        return f"segbench resume {shlex.quote(str(self.folder.parent))} continues it"
