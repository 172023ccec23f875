"""Sums of losses, also of mask and depth, and weights of classes that come from the data."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segbench.core.errors import ConfigError
from segbench.losses.cross_entropy import BCE, CrossEntropy
from segbench.losses.dice import Dice
from segbench.losses.distances import L1, MSE
from segbench.losses.weighted_sum import WeightedSum

WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 3.0])


def drawn(channels=4):
    """Return predictions and a batch of masks and depths, both unknown in part."""
    draw = torch.Generator().manual_seed(0)
    prediction = {
        "mask": torch.randn(2, channels, 7, 9, generator=draw),
        "depth": torch.rand(2, 1, 7, 9, generator=draw),
    }
    mask = torch.randint(0, max(2, channels), (2, 7, 9), generator=draw)
    mask[0, :3] = 255
    depth = torch.rand(2, 1, 7, 9, generator=draw)
    depth[1, :, 4:] = math.nan
    return prediction, {"mask": mask, "depth": depth}


def test_the_sum_by_hand():
    prediction, batch = drawn()
    parts = {"ce": CrossEntropy(), "dice": Dice()}
    total, terms = WeightedSum(parts, {"ce": 0.25, "dice": 3})(prediction, batch)
    ce, dice = (part(prediction, batch)[0].item() for part in parts.values())
    assert total.item() == pytest.approx(0.25 * ce + 3 * dice, rel=1e-6)
    assert {name: term.item() for name, term in terms.items()} == {"cross_entropy": ce, "dice": dice}


def test_the_gradient_is_the_sum_of_gradients():
    prediction, batch = drawn()
    logits = prediction["mask"].requires_grad_()
    WeightedSum({"ce": CrossEntropy(), "dice": Dice()}, {"ce": 0.25, "dice": 3.0})(prediction, batch)[0].backward()
    alone = [torch.autograd.grad(loss(prediction, batch)[0], logits)[0] for loss in (CrossEntropy(), Dice())]
    torch.testing.assert_close(logits.grad, 0.25 * alone[0] + 3 * alone[1])


def test_mask_and_depth_together():
    prediction, batch = drawn()
    loss = WeightedSum({"mask": CrossEntropy(), "depth": L1("depth")}, {"mask": 1.0, "depth": 0.1})
    assert loss.heads == ("mask", "depth")
    assert loss.terms == ("cross_entropy", "l1")
    total, terms = loss(prediction, batch)
    known = ~batch["depth"].isnan()
    ce = F.cross_entropy(prediction["mask"], batch["mask"], ignore_index=255).item()
    l1 = F.l1_loss(prediction["depth"][known], batch["depth"][known]).item()
    assert total.item() == pytest.approx(ce + 0.1 * l1, rel=1e-5)
    assert terms["l1"].item() == pytest.approx(l1, rel=1e-5)
    assert not any(term.requires_grad for term in terms.values())


def test_heads_are_those_of_the_parts():
    assert WeightedSum({"a": Dice(), "b": MSE()}, {"a": 1, "b": 1}).heads == ("mask",)
    assert WeightedSum({"a": L1("depth"), "b": MSE("depth")}, {"a": 1, "b": 1}).heads == ("depth",)
    assert WeightedSum({"a": L1("depth"), "b": MSE()}, {"a": 1, "b": 1}).heads == ("mask", "depth")


def test_terms_of_one_name_are_told_apart():
    prediction, batch = drawn()
    loss = WeightedSum({"mask": MSE(), "depth": MSE("depth"), "area": Dice()}, {"mask": 1, "depth": 1, "area": 1})
    assert loss.terms == ("mask_mse", "depth_mse", "dice")
    total, terms = loss(prediction, batch)
    assert tuple(terms) == loss.terms
    assert terms["depth_mse"].item() == MSE("depth")(prediction, batch)[0].item()
    assert total.item() == pytest.approx(sum(term.item() for term in terms.values()), rel=1e-6)


def test_sums_may_hold_sums():
    prediction, batch = drawn()
    inner = WeightedSum({"ce": CrossEntropy(), "dice": Dice()}, {"ce": 1.0, "dice": 2.0})
    outer = WeightedSum({"mask": inner, "depth": L1("depth")}, {"mask": 0.5, "depth": 4.0})
    assert outer.terms == ("cross_entropy", "dice", "l1")
    ce, dice, l1 = (loss(prediction, batch)[0].item() for loss in (CrossEntropy(), Dice(), L1("depth")))
    assert outer(prediction, batch)[0].item() == pytest.approx(0.5 * (ce + 2 * dice) + 4 * l1, rel=1e-6)


def test_a_loss_of_torch_can_be_a_part():
    prediction, batch = drawn()
    loss = WeightedSum({"torch": nn.CrossEntropyLoss(ignore_index=255), "dice": Dice()}, {"torch": 2.0, "dice": 1.0})
    loss.check(["background", "foreground"] if prediction["mask"].shape[1] == 1 else list("abcd"))
    assert loss.terms == ("external", "dice")
    expected = 2 * CrossEntropy()(prediction, batch)[0] + Dice()(prediction, batch)[0]
    assert loss(prediction, batch)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_every_part_is_checked():
    with pytest.raises(ConfigError, match="loss=bce works on two classes, but the data has 4"):
        WeightedSum({"dice": Dice(), "bce": BCE()}, {"dice": 1.0, "bce": 1.0}).check(list("abcd"))
    with pytest.raises(ConfigError, match="has 2 numbers, but the data has 4 classes"):
        WeightedSum({"dice": Dice(), "ce": CrossEntropy([1, 2])}, {"dice": 1, "ce": 1}).check(list("abcd"))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"dice": 1.0}, r"loss\.weights\.bce must be a number of at least 0, got None"),
        ({"bce": -1.0, "dice": 1.0}, r"loss\.weights\.bce must be a number of at least 0, got -1\.0"),
        ({"bce": math.nan, "dice": 1.0}, r"loss\.weights\.bce must be a number of at least 0, got nan"),
        ({"bce": "much", "dice": 1.0}, r"loss\.weights\.bce must be a number of at least 0, got much"),
        ({"bce": 0.0, "dice": 0.0}, "nothing to learn from"),
        ({"bce": math.inf, "dice": 1.0}, r"loss\.weights\.bce must be a number of at least 0, got inf"),
        (None, r"loss\.weights must have a number for each of bce, dice, got None"),
        ([1.0, 1.0], r"loss\.weights must have a number for each of bce, dice, got"),
        ({"bce": 1.0, "dice": 1.0, "dise": 1.0}, r"no loss called 'dise'.*dice"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights, message):
    with pytest.raises(ConfigError, match=message):
        WeightedSum({"bce": BCE(), "dice": Dice()}, weights)


def test_a_sum_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="at least one loss"):
        WeightedSum({}, {})
    with pytest.raises(ConfigError, match=r"loss\.losses\.dice must be a loss, .*got None"):
        WeightedSum({"bce": BCE(), "dice": None}, {"bce": 1.0, "dice": 1.0})


def test_a_part_may_have_any_name():
    """Also that of a method of torch's module containers."""
    prediction, batch = drawn()
    parts = {"type": Dice(), "keys": L1("depth"), "a.b": MSE()}
    total, terms = WeightedSum(parts, dict.fromkeys(parts, 1.0))(prediction, batch)
    assert total.item() == pytest.approx(sum(term.item() for term in terms.values()), rel=1e-6)


def torchs(prediction, batch, smoothing=0.0):
    return F.cross_entropy(
        prediction["mask"], batch["mask"], WEIGHTS, ignore_index=255, label_smoothing=smoothing
    ).item()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weights_of_the_data_give_torchs_weighted_cross_entropy(smoothing):
    prediction, batch = drawn()
    loss = CrossEntropy("median_frequency", smoothing)
    assert loss.wants_class_weights
    loss.set_class_weights(WEIGHTS.double())
    assert not loss.wants_class_weights
    loss.check(list("abcd"))
    assert loss(prediction, batch)[0].item() == pytest.approx(torchs(prediction, batch, smoothing), rel=1e-5)
    assert loss.to(torch.float64).class_weights.dtype == torch.float64  # moves with the module


def test_weights_of_two_classes_and_one_logit():
    """By torch's rule for two logits: the weighted sum over the sum of the weights."""
    prediction, batch = drawn(1)
    pair = F.pad(prediction["mask"], (0, 0, 0, 0, 1, 0))
    loss = CrossEntropy("median_frequency")
    loss.set_class_weights(torch.tensor([0.6, 3.0]))
    expected = F.cross_entropy(pair, batch["mask"], torch.tensor([0.6, 3.0]), ignore_index=255)
    assert loss(prediction, batch)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_of_the_data_reach_the_part_that_wants_them():
    prediction, batch = drawn()
    own = CrossEntropy([1.0, 1.0, 1.0, 9.0])
    parts = {"own": own, "data": CrossEntropy("median_frequency"), "dice": Dice()}
    loss = WeightedSum({"mask": WeightedSum(parts, dict.fromkeys(parts, 1.0))}, {"mask": 1.0})
    assert loss.wants_class_weights
    loss.set_class_weights(WEIGHTS)
    assert not loss.wants_class_weights
    terms = loss(prediction, batch)[1]
    assert terms["data_cross_entropy"].item() == pytest.approx(torchs(prediction, batch), rel=1e-5)
    assert terms["own_cross_entropy"].item() == own(prediction, batch)[0].item()
    assert own.class_weights.tolist() == [1.0, 1.0, 1.0, 9.0]


def test_only_median_frequency_asks_for_weights():
    assert not CrossEntropy().wants_class_weights
    assert not CrossEntropy([1.0, 2.0]).wants_class_weights
    assert not WeightedSum({"dice": Dice()}, {"dice": 1.0}).wants_class_weights
    with pytest.raises(ConfigError, match=r"class_weights must be null, median_frequency or .*'median'"):
        CrossEntropy("median")
