"""Every loss on depth in conf/loss/depth: the contract and its edges, above all where the depth is unknown."""

import math
from functools import cache
from itertools import product

import pytest
import torch
from omegaconf import OmegaConf

from segbench.config.instantiate import build
from segbench.config.paths import conf_dir

LOSSES = sorted(path.stem for path in (conf_dir() / "loss" / "depth").glob("*.yaml"))
each = pytest.mark.parametrize("name", LOSSES)


@cache
def make(name):
    path = conf_dir() / "loss" / "depth" / f"{name}.yaml"
    return build(OmegaConf.to_container(OmegaConf.load(path)), where="loss.depth")


def batch(height=20, width=24):
    """Return predicted and true depths in [1, 9]."""
    draw = torch.Generator().manual_seed(0)
    predicted, truth = (1 + 8 * torch.rand(2, 1, height, width, generator=draw) for _ in range(2))
    return predicted, truth


def value(loss, predicted, truth):
    return loss({"depth": predicted}, {"depth": truth})[0]


def test_the_losses_are_found():
    assert {"l1", "mse", "rmse", "ssim", "edge", "l1_ssim", "l1_ssim_edge"} <= set(LOSSES)


@each
def test_works_on_depth_whatever_the_classes(name):
    loss = make(name)
    loss.check(["a", "b"])
    loss.check(list("abcdefghijk"))
    assert loss.heads == ("depth",)
    assert not loss.wants_class_weights


@each
@pytest.mark.parametrize("elsewhere", [77.0, -1e6])
def test_unknown_depth_changes_nothing(name, elsewhere):
    predicted, truth = batch()
    truth[:, :, 2:4, 3:8] = math.nan
    other = predicted.clone()
    other[:, :, 2:4, 3:8] = elsewhere
    other.requires_grad_()
    result = value(make(name), other, truth)
    assert torch.equal(result, value(make(name), predicted, truth))
    assert result.isfinite()
    assert result > 0
    result.backward()
    assert (other.grad[:, :, 2:4, 3:8] == 0).all()
    assert (other.grad[:, :, :2] != 0).any()
    assert other.grad.isfinite().all()


@each
@pytest.mark.parametrize("size", [(20, 24), (7, 9), (2, 2), (1, 1)])
def test_nothing_known_costs_nothing(name, size):
    predicted, truth = batch(*size)
    predicted.requires_grad_()
    result = value(make(name), predicted, torch.full_like(truth, math.nan))
    result.backward()
    assert result.item() == 0
    assert (predicted.grad == 0).all()


@each
@pytest.mark.parametrize("size", [(12, 13), (7, 9), (2, 2), (1, 1)])
def test_finite_on_every_edge(name, size):
    predicted, truth = batch(*size)
    for factor, true in product((0.0, 1e-3, 1.0, 1e4), (truth, torch.full_like(truth, 10.0), torch.zeros_like(truth))):
        guess = (predicted * factor).requires_grad_()
        result = value(make(name), guess, true)
        result.backward()
        assert result.isfinite()
        assert result >= 0
        assert guess.grad.isfinite().all()


@each
def test_the_truth_is_free_and_has_a_finite_gradient(name):
    _, truth = batch()
    guess = truth.clone().requires_grad_()
    result = value(make(name), guess, truth)
    result.backward()
    assert result.item() == pytest.approx(0, abs=1e-6)
    assert guess.grad.isfinite().all()


@each
def test_right_is_cheaper_than_wrong(name):
    predicted, truth = batch()
    near = truth + 0.01 * (predicted - truth)
    assert value(make(name), near, truth) < 0.1 * value(make(name), predicted, truth)


@each
def test_half_precision_is_computed_in_single(name):
    predicted, truth = batch(257, 256)  # more pixels than half precision can count
    predicted = predicted.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        low = value(make(name), predicted, truth)
    assert low.dtype == torch.float32
    assert torch.equal(low, value(make(name), predicted.float(), truth))


@each
def test_terms_are_the_ones_announced(name):
    predicted, truth = batch()
    loss = make(name)
    total, terms = loss({"depth": predicted.requires_grad_()}, {"depth": truth})
    assert tuple(terms) == loss.terms == tuple(name.split("_"))
    assert not any(term.requires_grad for term in terms.values())
    assert total.requires_grad
    assert total.shape == ()
