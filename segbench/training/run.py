"""The main job: train, select on val, test once from the best checkpoint, write everything into the run folder."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console

from segbench.config.pretrained import without_pretrained
from segbench.config.schema import RunConfig
from segbench.config.trainer_settings import TrainerSettings
from segbench.core.choices import SPLITS, NonFinite
from segbench.core.collector import heap_shared, release_heap
from segbench.core.errors import NonFiniteError
from segbench.core.text import duration
from segbench.data.loading.datamodule import SegmentationData, as_it_is
from segbench.data.loading.law import check_law
from segbench.inference.trainer import describe_device, device_kind, prepare_torch
from segbench.report.curves import draw_curves
from segbench.report.summary import print_summary
from segbench.runs.checkpoints import step_checkpoints
from segbench.runs.folder import COMPILATION, RunFolder, read_json
from segbench.runs.lock import locked
from segbench.runs.provenance import provenance_of_run
from segbench.runs.results import Results
from segbench.training.beginning import Beginning, begun, first_weights, refuse_without_effect
from segbench.training.checkpoints.conditions import conditions
from segbench.training.checkpoints.resumption import Differences, Resumption, pin_threads
from segbench.training.checkpoints.storage import newest_good, sweep_temporary
from segbench.training.distributed.follow import Plan
from segbench.training.distributed.ranks import Ranks, current
from segbench.training.faults import in_one_sentence
from segbench.training.finished import finished_results, say_finished
from segbench.training.length import Length, Position
from segbench.training.loggers import Loggers, make_loggers
from segbench.training.loop import Session, Watch
from segbench.training.parts import Experiment, build_experiment
from segbench.training.remarks import remarks
from segbench.training.results import collect_results
from segbench.training.schedule_free import ScheduleFreeNetwork
from segbench.training.shares import check_shares
from segbench.training.signals import interrupted
from segbench.training.speed.choosing import chosen_form, kept_decision
from segbench.training.speed.decision import Form

log = logging.getLogger("segbench")
MOST_ROLLBACKS = 3
"""How often `trainer.non_finite=rollback` goes back in a run."""


def train(
    config: RunConfig,
    run: RunFolder,
    *,
    begin: Callable[[RunFolder], None],
    console: Console,
    watch: Watch | None = None,
    shared: dict[str, SegmentationData] | None = None,
) -> Results:
    """Train the experiment of `config` in `run` and return its results.

    Nothing of a run that is continued changes before all that could be refused has been checked.

    Args:
        config: The checked configuration.
        run: The run folder; a stopped run in it is continued.
        begin: Makes the run folder; called once everything that can be refused has been checked.
        console: Where progress and the final table go.
        watch: Called after every validated epoch with its number from 0 and the monitored score, of which more is
            better; it may end the run with an error.
        shared: Data that earlier runs of this process have read; see `build_experiment`.

    Raises:
        SegbenchError: for everything the user can fix, with its exit code.
    """
    settings = config.trainer
    prepare_torch(settings)
    if device_kind(settings) == "cuda":
        torch.cuda.reset_peak_memory_stats()  # else it would be that of all jobs of a sweep so far
    experiment = build_experiment(without_pretrained(config) if run.has_begun() else config, shared)
    experiment.check_training(settings.devices)
    loggers = make_loggers(config, run)
    run.path.mkdir(parents=True, exist_ok=True)
    with heap_shared(), locked(run.path), in_one_sentence(run, settings, data=experiment.data):
        experiment.read_data()
        check_law(experiment.data, experiment.data.augment, seed=config.seed)
        check_shares(settings.devices, experiment.data)
        if run.exists():
            pin_threads(run, settings)
        try:
            return _trained(
                config, run, experiment=experiment, begin=begin, loggers=loggers, console=console, watch=watch
            )
        finally:  # the data may serve the next job, which needs the memory of this one's network
            experiment.data.trainer = experiment.data.position = None
            experiment.data.deliver = as_it_is


def _trained(
    config: RunConfig,
    run: RunFolder,
    *,
    experiment: Experiment,
    begin: Callable[[RunFolder], None],
    loggers: Loggers,
    console: Console,
    watch: Watch | None,
) -> Results:
    """Train with data that has been read, unless the run in the folder has nothing left to train."""
    now = conditions(config.trainer, config.seed, data=experiment.data, is_fused=experiment.is_fused)
    resumption = None
    if run.exists():
        differences = Differences.of(run, config, now=now)
        finished = finished_results(run, config.trainer)
        if finished:
            refuse_without_effect(run, differences.forced)
            say_finished(run)
            return finished
        if run.has_begun():
            resumption = Resumption.of(run, differences, experiment=experiment, force=config.resume.force)
    length = _length(config.trainer, experiment.data, resumption=resumption)
    found = {
        **now,
        **provenance_of_run(run, config.plugins),
        "weights": first_weights(run, experiment),
        COMPILATION: kept_decision(run, config.trainer),
    }
    ranks = current()
    with begun(run, ranks, begin=begin, loggers=loggers, now=found, resumption=resumption) as beginning:
        work = _Run(
            config=config,
            experiment=experiment,
            run=run,
            beginning=beginning,
            console=console,
            length=length,
            resumption=resumption,
            watch=watch,
            ranks=ranks,
        )
        return work.results()


def _length(settings: TrainerSettings, data: SegmentationData, *, resumption: Resumption | None) -> Length:
    position = Position() if resumption is None else resumption.position
    length = Length.of(settings, data.train_batches, position=position)
    if resumption is not None:
        resumption.check_not_beyond(length)
    return length


@dataclass(kw_only=True)
class _Run:
    """The sessions of one call: one, and a further one after each rollback."""

    config: RunConfig
    """The checked configuration."""

    experiment: Experiment
    """Data, network, loss and optimizer."""

    run: RunFolder
    """The run folder."""

    beginning: Beginning
    """What stops it, where it logs, and when it began."""

    console: Console
    """Where progress goes."""

    length: Length
    """How many steps and epochs it has."""

    resumption: Resumption | None
    """What is continued; None for a new run."""

    watch: Watch | None
    """Is told every validated score; None for nobody."""

    ranks: Ranks
    """The processes of the run."""

    @property
    def settings(self) -> TrainerSettings:
        """The section `trainer`."""
        return self.config.trainer

    def results(self) -> Results:
        """Train, from the newest checkpoint on if there is one, test, and write results, plots and tables."""
        for folder in (self.run.path, self.run.hydra, self.run.checkpoints):
            sweep_temporary(folder)
        checkpoint = None
        resumes = []
        if self.resumption:
            checkpoint = self.resumption.found.path
            resumes = self.resumption.records
        begun = 0
        if self.resumption:
            begun = self.resumption.position.step
        form = chosen_form(self.experiment, self.run, steps=self.length.steps - begun, stop=self._stop)
        self._bring_together(checkpoint, form)
        with self.ranks.connected(device_kind(self.settings)):
            session = self._fitted(checkpoint, form)
            scores = session.evaluate_best()
        results = collect_results(
            session.recorder,
            scores,
            module=session.module,
            trainer=session.trainer,
            data=session.data,
            flops=session.flops(),
        )
        environment = read_json(self.run.environment)
        results |= {
            "seconds": session.recorder.seconds,
            "cpu_seconds": session.recorder.cpu_seconds,
            "resumes": resumes,
            "weights": environment["weights"],
            "compilation": environment[COMPILATION],
            "rollbacks": session.module.rollbacks,
            "stopped_early": session.patience.over,
            "skipped_steps": session.module.finite.record(),
        }
        self.run.write_results(results)
        if self.settings.plots:
            draw_curves(self.run.metrics, self.run.plots)
        self._say_results(results)
        return results

    def _stop(self) -> None:
        """End a run that is asked to stop before its first step."""
        wanted = self.beginning.signals.wanted
        if wanted:
            raise interrupted("stopped before the first step of this session; nothing was lost", wanted)

    def _bring_together(self, checkpoint: Path | None, form: Form) -> None:
        """Tell the other processes of the run what to do, and wait until they can."""
        plan = Plan(
            config=self.config.plain(),
            run=str(self.run.path.absolute()),
            started=self.beginning.started,
            checkpoint=None if checkpoint is None else str(checkpoint.absolute()),
            threads=torch.get_num_threads(),
            steps=self.length.steps,
            epochs=self.length.epochs,
            form=form.value,
        )
        self.ranks.send_plan(asdict(plan))
        self.ranks.wait_until_ready()

    def _fitted(self, checkpoint: Path | None, form: Form) -> Session:
        """Return the session that has trained to the end, after as many rollbacks as it took."""
        rollbacks = 0
        while True:
            session = Session(
                self.settings,
                self.experiment,
                run=self.run,
                signals=self.beginning.signals,
                length=self.length,
                console=self.console,
                loggers=self.beginning.loggers,
                rollbacks=rollbacks,
                watch=self.watch,
                ranks=self.ranks,
                form=form,
            )
            if not rollbacks:
                self._header(session)
            try:
                session.fit(checkpoint)
                return session
            except NonFiniteError as error:
                if self.settings.non_finite != NonFinite.ROLLBACK:
                    raise
                rollbacks = session.module.rollbacks + 1
                if rollbacks > MOST_ROLLBACKS:
                    raise NonFiniteError(f"{error}; the run went back {MOST_ROLLBACKS} times before") from None
                log.warning("%s; going back to it with half the learning rate (%d)", error, rollbacks)
            release_heap()
            checkpoint = None
            if step_checkpoints(self.run.checkpoints):
                checkpoint = newest_good(self.run.checkpoints)
            self.experiment = build_experiment(without_pretrained(self.config) if checkpoint else self.config)
            self.experiment.read_data()

    def _header(self, session: Session) -> None:
        parameters = sum(parameter.numel() for parameter in session.module.network.parameters())
        log.info(
            "%s %s: %s parameters, %s",
            "resuming" if self.resumption else "training",
            self.config.name,
            f"{parameters:,}",
            describe_device(self.settings),
        )
        if self.resumption:
            self.resumption.say()
        for split in SPLITS:
            log.info("  %-5s %s", split, session.data.describe(split))
        for note in session.data.notes:
            log.warning("  %s", note)
        log.info(
            "  %s steps of %d images, run folder %s", f"{session.total_steps:,}", session.data.batch_size, self.run.path
        )
        experiment = self.experiment
        for sentence in remarks(
            self.settings,
            experiment.schedule,
            batches=session.data.train_batches,
            is_schedule_free=experiment.make_average is ScheduleFreeNetwork,
        ):
            log.warning("%s", sentence)

    def _say_results(self, results: Results) -> None:
        print_summary(self.console, results, classes=self.experiment.data.classes)
        if count := results["skipped_steps"]["count"]:
            numbers = ", ".join(map(str, results["skipped_steps"]["steps"]))
            log.warning(
                "%d of %d steps were left out, as their loss was not finite: %s", count, results["steps"], numbers
            )
        speed = results["images_per_second"]
        log.info(
            "best epoch %d; %s; %s in %s; %s",
            results["best_epoch"] + 1,
            "speed unknown" if speed is None or math.isnan(speed) else f"{speed:.0f} images/s trained",
            f"{results['images_trained']:,} images",
            duration(results["seconds"]),
            f"run folder {self.run.path}",
        )
