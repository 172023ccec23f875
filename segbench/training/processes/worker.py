"""What a further process of a data-parallel run does: the same steps on its share of every batch, without files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from segbench.config.pretrained import without_pretrained
from segbench.config.schema import RunConfig
from segbench.core.errors import SegbenchError
from segbench.inference.trainer import prepare_torch
from segbench.runs.folder import RunFolder
from segbench.training.length import Length
from segbench.training.loop import Session
from segbench.training.parts import build_experiment
from segbench.training.processes.launch import READY, Request, end_with, join, leave
from segbench.training.processes.signals import StopSignals, Unheard


def main() -> None:
    """Run the request on standard input; end with the exit status of the error."""
    request = Request(**json.load(sys.stdin))
    end_with(os.getppid())
    signals = Unheard()
    signals.install()
    try:
        _run(request, signals)
    except SegbenchError as error:
        print(f"segbench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        leave()


def _run(request: Request, signals: StopSignals) -> None:
    config = RunConfig.of(request.config)
    settings = config.trainer
    join(request.rank, settings.devices, request.port)
    prepare_torch(settings)
    torch.set_num_threads(request.threads)
    experiment = build_experiment(without_pretrained(config) if request.checkpoint else config)
    experiment.read_data()
    length = Length(request.steps, request.epochs)
    run = RunFolder(Path(request.run))
    session = Session(settings, experiment, run, signals, length, rank=request.rank)
    print(READY, flush=True)
    os.dup2(2, 1)  # whatever else is said goes to the log
    session.fit(Path(request.checkpoint) if request.checkpoint else None)
    session.evaluate_best()


if __name__ == "__main__":
    main()
