"""Where the time of a session goes: phases within phases by a clock of the test's own, and the table of a run."""

from pathlib import Path

import pytest
import torch
from torch import nn

from segbench.training.profile import ACTIONS, Phase, PhaseProfiler


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_moment_counts_for_the_innermost_phase():
    clock = Clock()
    profiler = PhaseProfiler(clock)

    def after(seconds, what, *arguments):
        clock.now += seconds
        what(*arguments)

    after(1, profiler.start, "run_training_epoch")
    after(2, profiler.start, "[_TrainingEpochLoop].train_dataloader_next")
    after(4, profiler.stop, "[_TrainingEpochLoop].train_dataloader_next")
    after(8, profiler.start, "[LightningModule]SegmentationModule.optimizer_step")
    after(16, profiler.start, "[Strategy]SingleDeviceStrategy.training_step")
    after(32, profiler.enter, Phase.LOSS)
    after(64, profiler.leave)
    after(128, profiler.stop, "[Strategy]SingleDeviceStrategy.training_step")
    after(256, profiler.start, "[Strategy]SingleDeviceStrategy.backward")
    after(512, profiler.start, "[Callback]Recorder.on_after_backward")  # of another name: part of where it lies
    after(1024, profiler.stop, "[Callback]Recorder.on_after_backward")
    after(2048, profiler.stop, "[Strategy]SingleDeviceStrategy.backward")
    after(4096, profiler.stop, "[LightningModule]SegmentationModule.optimizer_step")
    after(8192, profiler.stop, "run_training_epoch")
    seconds = {phase: value for phase, value in profiler.seconds.items() if value}
    assert seconds == {
        Phase.DATA: 4,
        Phase.OPTIMIZER: 16 + 256 + 4096,
        Phase.FORWARD: 32 + 128,
        Phase.LOSS: 64,
        Phase.BACKWARD: 512 + 1024 + 2048,
        Phase.REST: 1 + 2 + 8 + 8192,
    }
    assert profiler.times[Phase.BACKWARD] == profiler.times[Phase.LOSS] == 1
    assert profiler.line().startswith("all else 50%, optimizer 27%, backward 22%, forward 1%")
    row = next(line for line in profiler.table().splitlines() if line.startswith("backward"))
    assert row.split() == ["backward", "3584.00", "21.9%", "1", "3584000.00"]


def test_calls_of_the_network_are_told_apart_where_pictures_are_scored():
    clock = Clock()
    profiler = PhaseProfiler(clock)

    class Slow(nn.Module):
        def forward(self, image):
            clock.now += 3
            return image

    network, loss = Slow(), Slow()
    profiler.watch(network, loss)
    network(torch.zeros(1))
    profiler.start("[Strategy]SingleDeviceStrategy.validation_step")
    loss(network(torch.zeros(1)))
    profiler.stop("[Strategy]SingleDeviceStrategy.validation_step")
    told = {phase: value for phase, value in profiler.seconds.items() if value}
    assert told == {Phase.FORWARD: 3, Phase.SCORED_FORWARD: 3, Phase.METRICS: 3}


def test_a_run_says_where_its_time_went(command, tiny):
    """Every phase comes as often as it must, which also says that Lightning still calls its actions so."""
    outcome = command(*tiny, "trainer.profile=true", "trainer.max_epochs=1", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    lines = Path("run/profile.txt").read_text().splitlines()
    times = {line[:26].strip(): line[26:].split() for line in lines[3:]}
    assert set(times) == {*Phase}
    count = {phase: int(values[2]) for phase, values in times.items() if len(values) > 2}
    assert count[Phase.FORWARD] == 2
    assert count[Phase.LOSS] == count[Phase.BACKWARD] == count[Phase.OPTIMIZER] == 2
    assert count[Phase.DATA] >= 2
    assert count[Phase.SCORED_FORWARD] >= 3  # one of the epoch, then the best of val and test
    assert count[Phase.CHECKPOINT] >= 2
    assert "time: " in outcome.out
    assert sum(float(values[0]) for values in times.values()) == pytest.approx(float(lines[0].split()[2]), abs=0.2)


def test_every_phase_has_an_action_or_a_call():
    assert {*ACTIONS.values()} | {Phase.LOSS, Phase.SCORED_FORWARD, Phase.REST} == {*Phase}
