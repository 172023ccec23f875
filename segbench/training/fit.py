"""The main job: train, select on val, test once from the best checkpoint, write everything into the run folder."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console

from segbench.config.instantiate import build
from segbench.core.errors import CheckpointError, Interrupted
from segbench.data.loading.datamodule import SegmentationData
from segbench.metrics.split_scores import SplitScores
from segbench.report.curves import draw_confusion, draw_curves
from segbench.report.summary import duration, print_summary
from segbench.runs.environment import machine, versions
from segbench.runs.folder import RunFolder, read_json
from segbench.runs.metrics_log import MetricsLog
from segbench.training.checkpoint_io import AtomicCheckpointIO, load_safely, newest_good
from segbench.training.checkpointer import BEST, Checkpointer, restore_best
from segbench.training.experiment import Experiment, build_experiment
from segbench.training.limits import Limits
from segbench.training.module import SegmentationModule, with_statistics
from segbench.training.progress import ProgressReport
from segbench.training.recorder import Recorder
from segbench.training.results import collect_results, write_per_image
from segbench.training.sample_panels import SamplePanels
from segbench.training.settings import TrainerSettings, make_trainer
from segbench.training.signals import StopSignals

log = logging.getLogger("segbench")


def train(
    config: Mapping[str, Any], run: RunFolder, begin: Callable[[RunFolder], None], console: Console
) -> dict[str, Any]:
    """Train the experiment of `config` in `run` and return its results.

    Args:
        config: The composed, checked and resolved configuration as plain data.
        run: The run folder; a stopped run in it is continued.
        begin: Makes the run folder; called once everything that can be refused has been checked.
        console: Where progress and the final table go.

    Raises:
        SegbenchError: for everything the person can mend, with its exit code.
    """
    settings = TrainerSettings.of(config)
    settings.prepare_torch()
    experiment = build_experiment(config)
    loggers = {name: build(node, plugins=config["plugins"], where=f"logger.{name}", save_dir=str(run.path))
               for name, node in (config["logger"] or {}).items()}  # fmt: skip
    experiment.read_data()
    resumed = run.exists()
    if resumed and (finished := _finished(run, settings, experiment)):
        log.info("this run is finished: %s; a larger trainer.max_epochs would extend it", run.path)
        return finished
    begin(run)
    with StopSignals() as signals, _true_status(run):
        return _Training(config, settings, experiment, run, list(loggers.values()), signals, console).run_all(resumed)


def _finished(run: RunFolder, settings: TrainerSettings, experiment: Experiment) -> dict[str, Any] | None:
    if run.read_status()["state"] != "completed" or not run.results.is_file():
        return None
    results = read_json(run.results)
    batches = experiment.data.num_samples("train") // experiment.data.batch_size
    return results if results["steps"] >= settings.total_steps(batches) else None


@contextmanager
def _true_status(run: RunFolder) -> Iterator[None]:
    """Keep status.json true whatever happens inside."""
    run.write_status("running", started=time.time())
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        run.write_status("interrupted", error=str(error))
        raise
    except BaseException as error:
        run.write_status("failed", error=f"{type(error).__name__}: {error}")
        raise
    run.write_status("completed", finished=time.time())


class _Training:
    """The steps of one run, with the objects they share."""

    def __init__(
        self,
        config: Mapping[str, Any],
        settings: TrainerSettings,
        experiment: Experiment,
        run: RunFolder,
        loggers: list[Any],
        signals: StopSignals,
        console: Console,
    ) -> None:
        self.config, self.settings, self.run, self.console = config, settings, run, console
        self.experiment, self.data = experiment, experiment.data
        batches = self.data.num_samples("train") // self.data.batch_size
        self.total_steps = settings.total_steps(batches)
        if settings.compile:
            experiment.network.compile()
        self.module = experiment.module(self.total_steps)
        columns = ["lr", "train/loss", *(f"train/{term}" for term in experiment.loss.terms), "val/loss",
                   *(f"val/{name}" for name in self.module.scores["val_split"].names)]  # fmt: skip
        self.recorder = Recorder(MetricsLog(run.metrics, columns), self.module.monitor, settings.log_every)
        self.checkpointer = Checkpointer(run.checkpoints, self.recorder, signals, settings.checkpoint_every)
        self.progress = ProgressReport(console, self.recorder)
        panels = SamplePanels(run, self.data.classes, self.module.fed, settings.panels_every)
        # the checkpointer comes last: its checkpoint holds what the others have noted
        limits = Limits(self.total_steps, settings.val_every)
        callbacks = [limits, self.recorder, panels, self.progress, self.checkpointer]
        self.trainer = make_trainer(settings, batches, run.path, callbacks, loggers, AtomicCheckpointIO())
        self.data.position = self._position

    def _position(self) -> tuple[int, int]:
        return self.trainer.current_epoch, self.trainer.fit_loop.epoch_loop.batch_progress.current.ready

    def run_all(self, resumed: bool) -> dict[str, Any]:
        """Train, test, and write results, plots and tables."""
        self._header(resumed)
        began = time.perf_counter()
        self.run.write_text(self.run.environment, _environment_text(self.trainer, self.config, self.data))
        checkpoint = newest_good(self.run.checkpoints) if resumed else None
        if checkpoint is not None:
            restore_best(checkpoint)
        self.trainer.fit(self.module, datamodule=self.data, ckpt_path=checkpoint, weights_only=True)
        self.progress.close()
        scores = self._evaluate_best()
        results = collect_results(self.recorder, scores, self.module, self.trainer, self.data)
        results["seconds"] = time.perf_counter() - began
        self.run.write_results(results)
        draw_curves(self.run.metrics, self.run.plots)
        self._say_results(results)
        return results

    def _evaluate_best(self) -> dict[str, dict[str, float]]:
        """Return the val and test scores of the best epoch's weights; the test is run once, here."""
        best = self.run.checkpoints / BEST
        if not best.is_file():
            raise CheckpointError("training ended without a validation, so there is no best checkpoint to test")
        self.module.load_state_dict(with_statistics(load_safely(best, self.module.device)["state_dict"], self.module))
        scores = {}
        for split in ("val", "test"):
            scores[split], metric = score_split(self.trainer, self.module, self.data, split)
            write_per_image(self.run.per_image(split), metric, self.data.classes)
            if split == "test" and metric.masks is not None:
                counts = metric.masks.counts.cpu().numpy()
                draw_confusion(counts, self.data.classes, self.run.plots / "confusion.png")
        return scores

    def _header(self, resumed: bool) -> None:
        parameters = sum(parameter.numel() for parameter in self.module.network.parameters())
        chosen = self.config["name"]
        log.info("%s %s: %s parameters, %s", "resuming" if resumed else "training", chosen, f"{parameters:,}",
                 self.settings.where(self.trainer))  # fmt: skip
        for split in ("train", "val", "test"):
            log.info("  %-5s %s", split, self.data.describe(split))
        log.info("  %s steps of %d images, run folder %s", f"{self.total_steps:,}", self.data.batch_size, self.run.path)

    def _say_results(self, results: Mapping[str, Any]) -> None:
        print_summary(self.console, results, self.data.classes)
        speed = results["images_per_second"]
        log.info(
            "best epoch %d; %s; %s in %s; %s", results["best_epoch"] + 1,
            "speed unknown" if speed is None or math.isnan(speed) else f"{speed:.0f} images/s trained",
            f"{results['images_trained']:,} images", duration(results["seconds"]), f"run folder {self.run.path}",
        )  # fmt: skip


def score_split(
    trainer: pl.Trainer, module: SegmentationModule, data: SegmentationData, split: str
) -> tuple[dict[str, float], SplitScores]:
    """Return the scores of `val` or `test` with the module's weights, and the metrics that hold the counts."""
    evaluate = trainer.validate if split == "val" else trainer.test
    evaluate(module, datamodule=data, verbose=False)
    return module.finish_split(split)


def _environment_text(trainer: pl.Trainer, config: Mapping[str, Any], data: Any) -> str:
    device = trainer.strategy.root_device
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    content = {
        **machine(),
        "versions": versions(),
        "device": str(device),
        "gpu": gpu,
        "cuda": torch.version.cuda if gpu else None,
        "cudnn": torch.backends.cudnn.version() if gpu else None,
        "threads": torch.get_num_threads(),
        "world_size": trainer.world_size,
        "precision": str(trainer.precision),
        "seed": config["seed"],
        "data_fingerprint": {split: data.fingerprint(split) for split in ("train", "val", "test")},
    }
    return json.dumps(content, indent=2) + "\n"
