"""What is decided by measured seconds, and where optimizers are fused: by figures worked out by hand."""

from dataclasses import replace

import pytest
import torch

from segbench.config.compose import compose_config, run_config
from segbench.core.choices import Precision, Strategy
from segbench.training.speed.decision import LEAST_GAIN, WORTH, Decision, Form, Trial, decided, might_pay
from segbench.training.speed.fused import fused, is_fused


def trials(eager, compiled=None, graphs=None):
    found = {Form.EAGER: Trial(wait=0.0, step=eager)}
    for form, figures in ((Form.COMPILED, compiled), (Form.GRAPHS, graphs)):
        if figures:
            found[form] = Trial(wait=figures[0], step=figures[1])
    return found


@pytest.mark.parametrize(
    ("figures", "batches", "sizes", "form"),
    [
        (trials(1.0, (60.0, 0.5)), 1000, 1, Form.COMPILED),  # 560 s for 1,000
        (trials(1.0, (60.0, 0.5)), 120, 1, Form.EAGER),  # 120 s either way
        (trials(1.0, (60.0, 0.5)), 130, 1, Form.EAGER),  # 125 s for 130: 4 % are noise
        (trials(1.0, (60.0, 0.5)), 140, 1, Form.COMPILED),  # 130 s for 140: 7 %
        (trials(1.0, (60.0, 0.5)), 140, 3, Form.EAGER),  # three sizes are waited for
        (trials(1.0, (60.0, 1.1)), 10**6, 1, Form.EAGER),  # slower
        (trials(1.0, (60.0, 0.97)), 10**6, 1, Form.EAGER),  # a gain of 3 % is noise, however long it lasts
        (trials(0.01, (60.0, 0.008), (70.0, 0.004)), 10**5, 1, Form.GRAPHS),
        (trials(0.01, (60.0, 0.008), (700.0, 0.004)), 10**5, 1, Form.COMPILED),  # 860 s over 1,100
        (trials(1.0), 10**6, 1, Form.EAGER),  # nothing else works
    ],
)
def test_what_is_done_soonest_is_taken(figures, batches, sizes, form):
    found, reason = decided(figures, batches, sizes=sizes)
    assert found is form
    assert reason.startswith(f"as the {batches:,} batches left take ")
    assert all(f" {one} (" in reason for one in figures)


def test_the_least_gain_is_the_border():
    exact = 1000 * (1 - LEAST_GAIN)
    assert decided(trials(1.0, (0.0, exact / 1000)), 1000)[0] is Form.COMPILED
    assert decided(trials(1.0, (0.1, exact / 1000)), 1000)[0] is Form.EAGER


def test_short_trainings_do_not_wait_for_a_compiler():
    assert might_pay(WORTH / 100, 100)
    assert not might_pay(WORTH / 100, 99)


def test_the_record_has_all_figures():
    decision = Decision(
        form=Form.COMPILED, reason="as it is", device="cpu", steps=1000, trials=trials(1.0, compiled=(60.0, 0.5))
    )
    assert decision.record() == {
        "form": "compiled",
        "reason": "as it is",
        "device": "cpu",
        "steps_left": 1000,
        "seconds": {"eager": {"wait": 0.0, "step": 1.0}, "compiled": {"wait": 60.0, "step": 0.5}},
    }
    assert str(decision) == "trainer.compile=auto: compiled, as it is"


@pytest.fixture(scope="module")
def config():
    return run_config(compose_config(["optimizer=adamw"]))


class Own(torch.optim.AdamW):
    """A subclass may step in a way of its own."""


@pytest.mark.parametrize(
    ("kind", "arguments", "device", "changes", "expected"),
    [
        (torch.optim.AdamW, {"lr": 1.0}, "cuda", {}, True),
        (torch.optim.SGD, {}, "cuda", {}, True),
        (torch.optim.Adam, {"fused": None}, "cuda", {"precision": Precision.BF16_MIXED}, True),
        (torch.optim.Adam, {}, "cuda", {"gradient_clip": 1.0}, True),
        (torch.optim.AdamW, {}, "cpu", {}, False),
        (torch.optim.AdamW, {}, "mps", {}, False),
        (torch.optim.AdamW, {"fused": False}, "cuda", {}, False),
        (torch.optim.AdamW, {"foreach": True}, "cuda", {}, False),
        (torch.optim.AdamW, {"capturable": True}, "cuda", {}, False),
        (torch.optim.RMSprop, {}, "cuda", {}, False),
        (Own, {}, "cuda", {}, False),
        (torch.optim.AdamW, {}, "cuda", {"precision": Precision.FP16_MIXED}, False),
        (torch.optim.AdamW, {}, "cuda", {"strategy": Strategy.FSDP, "devices": 2}, False),
        (torch.optim.AdamW, {}, "cuda", {"strategy": Strategy.DDP, "devices": 2}, True),
    ],
)
def test_where_an_optimizer_is_fused(config, kind, arguments, device, changes, expected):
    settings = replace(config.trainer, **changes)
    assert is_fused(kind, arguments, settings=settings, device=device) is expected


def test_a_fused_optimizer_takes_what_the_user_gave(config):
    part = fused(config.optimizer)
    assert part.arguments == {**config.optimizer.arguments, "fused": True}
    assert part.target == config.optimizer.target
