"""The moving average of the weights: worked out by hand, and what is scored and saved."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from segbench.training.average import AveragedNetwork


def test_the_average_of_three_steps_by_hand():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(1.0)
    average = AveragedNetwork(network, 0.9)
    expected = 1.0
    for step, value in enumerate((2.0, 4.0, -3.0)):
        network.weight.data.fill_(value)
        average.update(network, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert average.network.weight.item() == pytest.approx(expected, rel=1e-6)
    network.weight.data.fill_(0.0)
    average.update(network, 10**6)  # long after the start the decay itself counts
    assert average.network.weight.item() == pytest.approx(0.9 * expected, rel=1e-6)


def test_buffers_are_those_of_the_network():
    network = nn.BatchNorm2d(2)
    average = AveragedNetwork(network, 0.9)
    network(torch.randn(4, 2, 3, 3))
    average.update(network, 0)
    assert torch.equal(average.network.running_mean, network.running_mean)
    assert average.network.num_batches_tracked == 1


def test_the_average_is_what_is_scored(command, tiny):
    """Validation and test use it, the training does not: the losses of the steps are the same, those of val are not."""
    plain = command(*tiny, "data.train_size=40", "hydra.run.dir=plain")
    averaged = command(*tiny, "data.train_size=40", "trainer.ema=0.99", "hydra.run.dir=averaged")
    assert plain.code == averaged.code == 0
    rows = [Path(f"{name}/metrics.csv").read_text().splitlines() for name in ("plain", "averaged")]
    steps = [[row for row in table if row.startswith("train,")] for table in rows]
    assert steps[0] == steps[1]
    losses = [json.loads(Path(f"{name}/results.json").read_text())["metrics"]["val/loss"]["last"]
              for name in ("plain", "averaged")]  # fmt: skip
    assert losses[0] != losses[1]


def test_evaluate_uses_the_average(command, tiny):
    from segbench.cli import main

    assert command(*tiny, "data.train_size=40", "trainer.ema=0.99", "hydra.run.dir=run").code == 0
    outcome = command("evaluate", "run", entry=main)
    assert "the same as the run's own test scores" in outcome.out
    state = torch.load("run/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    averaged = [name for name in state if name.startswith("average.network.")]
    assert len(averaged) == len([name for name in state if name.startswith("network.")])
    assert any(not torch.equal(state[name], state[name.removeprefix("average.")]) for name in averaged)
