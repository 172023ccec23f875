"""One session of a training in one process: fit, choose the best epoch, test it. Several make up a resumed run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from rich.console import Console
from torch import nn

from segbench.config.trainer_settings import TrainerSettings
from segbench.core.choices import SCORED, NonFinite, Split
from segbench.core.errors import CheckpointError, NonFiniteError, Pruned
from segbench.inference.checkpoints import Checkpoint, load_best
from segbench.inference.module import score_split
from segbench.inference.trainer import device_kind, make_trainer
from segbench.inference.weights import scored_weights
from segbench.metrics.split_scores import SplitScores
from segbench.models.sharded import blocks_of, load_whole
from segbench.report.curves import draw_confusion
from segbench.runs.checkpoints import BEST, step_checkpoints
from segbench.runs.folder import RunFolder
from segbench.runs.metrics_log import MetricsLog
from segbench.training.callbacks.checkpointer import Checkpointer
from segbench.training.callbacks.limits import Limits, Patience
from segbench.training.callbacks.progress import ProgressReport
from segbench.training.callbacks.recorder import SKIPPED, Recorder
from segbench.training.callbacks.sample_panels import SamplePanels
from segbench.training.callbacks.worst_pictures import WorstThumbnails
from segbench.training.checkpoints.beside import Writer
from segbench.training.checkpoints.carry_over import carry_over
from segbench.training.checkpoints.digests import DigestLog
from segbench.training.checkpoints.storage import AtomicCheckpointIO
from segbench.training.distributed.ranks import ALONE, Ranks
from segbench.training.distributed.sharding import Sharding
from segbench.training.length import Length
from segbench.training.lightning_private import batches_begun
from segbench.training.parts import Experiment
from segbench.training.profile import PhaseProfiler
from segbench.training.results import count_flops, write_per_image
from segbench.training.signals import StopSignals
from segbench.training.speed.choosing import training_shapes
from segbench.training.speed.compiled import Compiled
from segbench.training.speed.decision import Form
from segbench.training.speed.device_batches import on_gpu

log = logging.getLogger("segbench")
Watch = Callable[[int, float], None]


class Session:
    """The parts of an experiment put together with a trainer and its callbacks.

    Args:
        settings: The trainer's settings.
        experiment: The parts, with their data read.
        run: The run folder; only the first of several processes writes into it.
        signals: Tells when to stop.
        length: Where the training ends.
        console: Where progress goes; None for nowhere.
        loggers: Lightning's loggers beside metrics.csv.
        ranks: The processes of the run.
        rollbacks: How often the run has gone back to a checkpoint; each time halves the learning rate.
        watch: Called after every validated epoch with its number and the monitored score; None for nobody.
        form: How the network runs in training steps.
    """

    def __init__(
        self,
        settings: TrainerSettings,
        experiment: Experiment,
        *,
        run: RunFolder,
        signals: StopSignals,
        length: Length,
        console: Console | None = None,
        loggers: list[Logger] | None = None,
        rollbacks: int = 0,
        watch: Watch | None = None,
        ranks: Ranks = ALONE,
        form: Form = Form.EAGER,
    ) -> None:
        self.settings = settings
        self.run = run
        self.ranks = ranks
        self.experiment = experiment
        self.data = experiment.data
        self.total_steps = length.steps
        self.module = experiment.module(self.total_steps)
        if form is not Form.EAGER:
            self.module.compiled = Compiled(self.module.network, form=form, shapes=training_shapes(experiment))
        self.module.rollbacks = rollbacks
        self._flops: int | None = None
        if settings.is_sharded:  # what needs the whole network comes first
            self.module.blocks = blocks_of(experiment.network, (2, experiment.channels, *self.data.size))
            self._flops = count_flops(self.module, self.data.size)
        self.recorder = Recorder(self._table(), self.module.monitor, log_every=settings.log_every)
        self.writer = Writer()
        self.profiler = self._profiler()
        self.patience = Patience(self.recorder, settings.patience)
        self.trainer = make_trainer(
            settings,
            run.path,
            epochs=length.epochs,
            callbacks=self._callbacks(signals, console, watch=watch),
            loggers=loggers,
            checkpoint_io=AtomicCheckpointIO(self._carry_over),
            profiler=self.profiler,
            sharding=Sharding(ranks.world.size) if settings.is_sharded else None,
        )
        self.data.position = self._position
        if device_kind(settings) == "cuda":
            self.data.deliver = on_gpu

    def _profiler(self) -> PhaseProfiler | None:
        if not (self.settings.profile and self.ranks.first):
            return None
        profiler = PhaseProfiler()
        profiler.watch(self.module.network, self.module.loss)
        if self.module.average is not None:
            profiler.watch(self.module.average, nn.Identity())
        return profiler

    def _table(self) -> MetricsLog | None:
        columns = [
            "lr",
            "train/loss",
            *(f"train/{term}" for term in self.experiment.loss.terms),
            "val/loss",
            *(f"val/{name}" for name in self.module.split_scores(Split.VAL).names),
        ]
        if self.settings.non_finite == NonFinite.SKIP:
            columns.append(SKIPPED)
        if not self.ranks.first:
            return None
        return MetricsLog(self.run.metrics, columns)

    def _callbacks(self, signals: StopSignals, console: Console | None, *, watch: Watch | None) -> list[pl.Callback]:
        settings = self.settings
        checkpointer = Checkpointer(
            self.run.checkpoints,
            self.recorder,
            signals=signals,
            digests=DigestLog(self.run.digests),
            ranks=self.ranks,
            writer=self.writer,
            every=settings.checkpoint_every,
            minutes=settings.checkpoint_minutes,
        )
        inputs = self.module.inputs
        shown: list[pl.Callback] = [
            SamplePanels(self.run, self.data, inputs=inputs, every=settings.panels_every, ranks=self.ranks),
            WorstThumbnails(self.run, self.data, inputs=inputs, ranks=self.ranks),
        ]
        if console is not None:
            shown.append(ProgressReport(console, self.recorder, steps=self.total_steps))
        # the checkpointer comes after those whose notes its checkpoint holds, before one that may end the run
        watched = []
        if watch is not None:
            watched = [_Watched(self.recorder, watch)]
        limits = Limits(self.total_steps, settings.val_every)
        own = self.experiment.callbacks  # what they log goes into the row that the recorder writes
        return [limits, *own, self.recorder, self.patience, *shown, checkpointer, *watched]

    def _carry_over(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return the checkpoint that is continued; a best epoch whose checkpoint was given up is forgotten."""
        lost = not (self.run.checkpoints / BEST).is_file()
        return carry_over(checkpoint, self.module, without_best=lost)

    def _position(self) -> tuple[int, int]:
        return self.trainer.current_epoch, batches_begun(self.trainer)

    def fit(self, checkpoint: Path | None) -> None:
        """Train, from the beginning or from a checkpoint; raises NonFiniteError with the last good one."""
        try:
            self._fit(checkpoint)
        except NonFiniteError as error:
            kept = step_checkpoints(self.run.checkpoints)
            last = kept[-1] if kept else "none yet"
            help = "a lower optimizer.lr or trainer.gradient_clip=1.0 may help"
            raise NonFiniteError(f"{error}; {help}; the last good checkpoint: {last}") from None

    def _fit(self, checkpoint: Path | None) -> None:
        try:
            with self.writer:
                self.trainer.fit(self.module, datamodule=self.data, ckpt_path=checkpoint, weights_only=True)
            self.trainer.strategy.barrier()  # the first process has written what others may read
        finally:
            if self.profiler is not None:
                self.profiler.write(self.run.profile)

    def flops(self) -> int:
        """Return the floating-point operations of one image's forward pass."""
        if self._flops is None:
            return count_flops(self.module, self.data.size)
        return self._flops

    def evaluate_best(self) -> dict[str, dict[str, float]]:
        """Return the val and test scores of the best epoch's weights; the test is run once, here."""
        if self.recorder.best_epoch < 0:
            raise CheckpointError("training ended without a validation, so there is no best checkpoint to test")
        if self.ranks.first or self.settings.is_sharded:  # else Lightning sends its weights to the other processes
            self._load_best()
        scores: dict[str, dict[str, float]] = {}
        for split in SCORED:
            scores[split], metric = score_split(self.trainer, self.module, data=self.data, split=split)
            if self.ranks.first:
                self._write_details(split, metric)
        if self.profiler is not None:
            self.profiler.write(self.run.profile)
            log.info("time: %s; %s", self.profiler.line(), self.run.profile)
        return scores

    def _load_best(self) -> None:
        best = load_best(self.run.checkpoints)
        if best.get("epoch") != self.recorder.best_epoch:
            raise CheckpointError(f"{self.run.checkpoints / BEST} is not of the best epoch, so it is not tested")
        load_whole(self.module, scored_weights(best, self.module))

    def _write_details(self, split: Split, metric: SplitScores) -> None:
        write_per_image(self.run.per_image(split), metric, data=self.data, split=split)
        if split == Split.TEST and metric.masks is not None and self.settings.plots:
            counts = metric.masks.counts.cpu().numpy()
            draw_confusion(counts, self.data.classes, path=self.run.plots / "confusion.png")


class _Watched(pl.Callback):
    """Tells a search the score of every validated epoch, again after a stop that may have come before it did.

    A run that has trained its last epoch is not ended by it: only its test would be saved, by which it is compared.
    """

    def __init__(self, recorder: Recorder, watch: Watch) -> None:
        self.recorder = recorder
        self.watch = watch

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.recorder.validated >= 0:
            self._tell(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.recorder.validated == trainer.current_epoch:
            self._tell(trainer)

    def _tell(self, trainer: pl.Trainer) -> None:
        epoch = self.recorder.validated
        try:
            self.watch(epoch, self.recorder.monitor.maximized(self.recorder.last))
        except Pruned:
            if not trainer.should_stop and epoch + 1 < (trainer.max_epochs or 0):
                raise
