"""Schedules are pure functions of the step."""

import math

import pytest
import torch

from segbench.core.errors import ConfigError
from segbench.training.schedules import Cosine, OneCycle, Plateau, Poly, Schedule, Step


def factors(schedule, total=100):
    return [schedule.factor(step, total) for step in range(total)]


def test_constant_and_warm_up():
    assert factors(Schedule()) == [1.0] * 100
    rising = factors(Schedule(warmup=0.1))
    assert rising[0] == pytest.approx(1 / 11)
    assert rising[9] == pytest.approx(10 / 11)
    assert rising[10:] == [1.0] * 90


def test_cosine_is_torchs():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100, eta_min=0.1)
    for ours in factors(Cosine(final=0.1)):
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        theirs.step()


def test_poly_and_step_by_hand():
    assert Poly(power=0.9).factor(50, 100) == pytest.approx(0.5**0.9)
    assert Poly().factor(100, 100) == 0
    step = factors(Step(milestones=[0.5, 0.75], gamma=0.1))
    assert step[49] == 1
    assert step[50] == pytest.approx(0.1)
    assert step[75] == pytest.approx(0.01)


def test_one_cycle_rises_and_falls():
    values = factors(OneCycle(rise=0.3, start=25, end=1e4), 1000)
    assert values[0] == pytest.approx(1 / 25)
    assert max(values) == values[300] == 1.0
    assert values == sorted(values[:301]) + sorted(values[301:], reverse=True)
    assert values[-1] < 1e-3


def test_plateau_waits_then_falls_and_remembers():
    plateau = Plateau(patience=1, gamma=0.5, threshold=0.0)
    for score, expected in ((0.5, 1), (0.6, 1), (0.6, 1), (0.6, 0.5), (0.7, 0.5), (0.1, 0.5), (0.1, 0.25)):
        plateau.observe(score)
        assert plateau.factor(5, 10) == expected
    other = Plateau(patience=1, gamma=0.5)
    other.load_state_dict(plateau.state_dict())
    assert other.state_dict() == plateau.state_dict()
    assert all(math.isfinite(value) for value in plateau.state_dict().values())


@pytest.mark.parametrize(
    "make",
    [lambda: Schedule(1.0), lambda: Step(milestones=[2.0]), lambda: OneCycle(rise=0), lambda: OneCycle(start=0.5)],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(ConfigError):
        make()
