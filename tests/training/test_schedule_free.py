"""Optimizers that average: what is scored is their average, and reading it changes nothing of the training."""

import pytest
import torch
from torch import nn

from segbench.config.compose import compose_config, run_config
from segbench.core.errors import ConfigError
from segbench.training.parts import build_experiment
from segbench.training.schedule_free import ScheduleFreeNetwork, begin_training

schedulefree = pytest.importorskip("schedulefree", reason="an extra: pip install -e '.[schedulefree]'")
PICTURE = torch.linspace(-1, 1, 24).view(4, 6)


def stepped(kind, steps, *, settled=(), **options):
    """The network, its average and the optimizer after some steps; the average is read after those of `settled`."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    average = ScheduleFreeNetwork(network)
    optimizer = kind(network.parameters(), **options)
    begin_training(optimizer)
    for step in range(steps):
        optimizer.zero_grad()
        network(PICTURE).square().sum().backward()
        optimizer.step()
        if step in settled:
            average.settle(network, optimizer)
    return network, average, optimizer


@pytest.mark.parametrize("kind", [schedulefree.AdamWScheduleFree, schedulefree.SGDScheduleFree])
def test_reading_the_average_changes_no_bit_of_the_training(kind):
    alone, _, one = stepped(kind, 7, lr=0.01)
    read, _, two = stepped(kind, 7, lr=0.01, settled=(0, 1, 4, 6))
    for before, after in zip(alone.state_dict().values(), read.state_dict().values(), strict=True):
        assert torch.equal(before, after)
    for before, after in zip(one.state.values(), two.state.values(), strict=True):
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert [group["train_mode"] for group in two.param_groups] == [True]


def test_the_average_is_that_of_the_paper():
    """Of SGD on w ** 2 / 2, worked out: y = 0.1 z + 0.9 x, z falls by lr * y, x is the mean of all z so far."""
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(1.0)
    average = ScheduleFreeNetwork(network)
    optimizer = schedulefree.SGDScheduleFree(network.parameters(), lr=0.5, momentum=0.9)
    begin_training(optimizer)
    x = z = 1.0
    for step in range(5):
        optimizer.zero_grad()
        (network.weight**2 / 2).sum().backward()
        optimizer.step()
        z -= 0.5 * (0.1 * z + 0.9 * x)
        x += (z - x) / (step + 1)
    average.settle(network, optimizer)
    assert average.network.weight.item() == pytest.approx(x, rel=1e-5)
    assert network.weight.item() == pytest.approx(0.1 * z + 0.9 * x, rel=1e-5)


def test_the_average_has_the_statistics_of_the_network():
    network, average, _ = stepped(schedulefree.AdamWScheduleFree, 3, settled=(2,))
    assert torch.equal(average.network[1].running_mean, network[1].running_mean)
    assert not torch.equal(average.network[0].weight, network[0].weight)


def test_it_is_what_a_run_scores():
    module = build_experiment(run_config(compose_config(["optimizer=schedulefree", "data.size=[32,32]"]))).module()
    assert isinstance(module.evaluated, ScheduleFreeNetwork)


def test_two_averages_are_refused():
    words = ["optimizer=schedulefree", "trainer.ema=0.99", "data.size=[32,32]"]
    with pytest.raises(ConfigError, match=r"trainer\.ema=0\.99 averages weights that .* averages already"):
        build_experiment(run_config(compose_config(words)))
