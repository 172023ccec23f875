"""The moving average of the weights: worked out by hand, and what is scored and saved."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from segbench.training.average import AveragedNetwork, remark


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


def test_without_a_warmup_the_decay_counts_from_the_first_step():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(1.0)
    average = AveragedNetwork(network, 0.9, warmup=False)
    network.weight.data.fill_(2.0)
    average.update(network, 0)
    assert average.network.weight.item() == pytest.approx(0.9 * 1.0 + 0.1 * 2.0, rel=1e-6)


def _average_after(decay, warmup, steps):
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(1.0)
    average = AveragedNetwork(network, decay, warmup=warmup)
    for step in range(steps):
        network.weight.data.fill_(float(step))
        average.update(network, step)
    return average.network.weight.item()


@pytest.mark.parametrize("steps", [10, 80, 81, 82, 200])
def test_a_decay_that_never_comes_into_force_is_told(steps):
    """It does where another decay, no matter how near to 1, gives another average."""
    said = remark(0.9, True, steps=steps)
    assert (said is not None) == (_average_after(0.9, True, steps) == _average_after(0.9999, True, steps))
    if said:
        assert "trainer.ema=0.9 never comes into force: its warm-up takes 80 steps" in said


def test_an_average_that_is_still_untrained_is_told():
    assert "still make up 37% of the average" in remark(0.999, False, steps=1000)
    assert remark(0.999, False, steps=5000) is None


def test_the_warmup_changes_what_is_trained_and_is_told(command, tiny):
    words = [*tiny, "data.train_size=40", "trainer.ema=0.9999"]
    told = command(*words, "hydra.run.dir=warm")
    assert told.code == 0
    assert "never comes into force: its warm-up takes 89,990 steps and the training has 20" in " ".join(
        told.out.split()
    )
    assert "never comes into force" in Path("warm/run.log").read_text()
    assert command(*words, "trainer.ema_warmup=false", "hydra.run.dir=cold").code == 0
    losses = [
        json.loads(Path(f"{name}/results.json").read_text())["metrics"]["val/loss"]["last"] for name in ("warm", "cold")
    ]
    assert losses[0] != losses[1]
    refused = command("resume=warm", "trainer.ema_warmup=false", "trainer.max_epochs=3")
    assert refused.code == 2
    assert "trainer.ema_warmup (True -> False)" in refused.err


def test_a_warmup_without_an_average_is_refused(command, tiny):
    outcome = command(*tiny, "trainer.ema_warmup=false")
    assert outcome.code == 2
    assert "trainer.ema_warmup=false does nothing without trainer.ema" in outcome.err


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
    losses = [
        json.loads(Path(f"{name}/results.json").read_text())["metrics"]["val/loss"]["last"]
        for name in ("plain", "averaged")
    ]
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
