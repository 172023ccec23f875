"""Every loss in conf/loss: hand values, identities with independent implementations, and the contract's edges."""

import math
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch.nn import functional as F

from segbench.config.instantiate import build
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError
from segbench.losses.cross_entropy import BCE, CrossEntropy, Focal
from segbench.losses.dice import Dice
from segbench.losses.external import as_loss

LOSSES = sorted(path.stem for path in Path(conf_dir() / "loss").glob("*.yaml"))
BINARY_ONLY = {"bce"}


def make(name):
    return build(OmegaConf.to_container(OmegaConf.load(conf_dir() / "loss" / f"{name}.yaml")), where="loss")


def batch(channels, seed=0, dtype=torch.float32):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, channels, 7, 9, generator=draw).to(dtype)
    mask = torch.randint(0, max(2, channels), (2, 7, 9), generator=draw)
    return logits, mask


def value(loss, logits, mask):
    return loss({"mask": logits}, {"mask": mask})[0]


cases = pytest.mark.parametrize(
    ("name", "channels"), [(n, k) for n in LOSSES for k in (1, 4) if k == 1 or n not in BINARY_ONLY]
)


@cases
def test_ignored_pixels_change_nothing(name, channels):
    logits, mask = batch(channels)
    mask[:, 2:4] = 255
    other = logits.clone()
    other[:, :, 2:4] = 77.0
    other.requires_grad_()
    loss = make(name)
    result = value(loss, other, mask)
    assert torch.equal(result, value(loss, logits, mask))
    result.backward()
    assert (other.grad[:, :, 2:4] == 0).all()
    assert (other.grad[:, :, :2] != 0).any()


@cases
@pytest.mark.parametrize("fill", [0, 1, 255])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_finite_on_every_edge(name, channels, fill, size):
    logits = (batch(channels)[0] * size).requires_grad_()
    result = value(make(name), logits, torch.full((2, 7, 9), fill))
    result.backward()
    assert math.isfinite(result.item())
    assert torch.isfinite(logits.grad).all()
    if fill == 255:
        assert result.item() == 0


@cases
def test_half_precision_is_computed_in_single(name, channels):
    logits, mask = batch(channels)
    logits = logits.to(torch.bfloat16)
    big = logits.repeat(1, 1, 60, 60), mask.repeat(1, 60, 60)
    low, high = value(make(name), *big), value(make(name), big[0].float(), big[1])
    assert low.dtype == torch.float32
    assert torch.equal(low, high)


@cases
def test_terms_are_the_ones_announced(name, channels):
    loss = make(name)
    total, terms = loss({"mask": batch(channels)[0]}, {"mask": batch(channels)[1]})
    assert tuple(terms) == loss.terms != ()
    assert not any(term.requires_grad for term in terms.values())
    assert total.shape == ()


@cases
def test_right_is_cheaper_than_wrong(name, channels):
    _, mask = batch(channels)
    right = F.one_hot(mask, max(2, channels)).movedim(-1, 1).float() * 20 - 10
    right = right[:, 1:] if channels == 1 else right
    assert value(make(name), right, mask) < 0.05
    assert value(make(name), -right, mask) > 0.5


def test_cross_entropy_is_torchs():
    logits, mask = batch(4)
    mask[0, :3] = 255
    weights = [0.5, 1.0, 2.0, 3.0]
    for smoothing in (0.0, 0.1):
        for given in (None, weights):
            ours = value(CrossEntropy(given, smoothing), logits, mask)
            tensor = None if given is None else torch.tensor(given)
            theirs = F.cross_entropy(logits, mask, tensor, ignore_index=255, label_smoothing=smoothing)
            assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_one_logit_is_two_classes():
    logits, mask = batch(1)
    pair = torch.cat([torch.zeros_like(logits), logits], dim=1)
    for loss in (CrossEntropy(), CrossEntropy([1.0, 3.0], 0.2), Focal(1.5)):
        assert value(loss, logits, mask).item() == pytest.approx(value(loss, pair, mask).item(), rel=1e-5)
    binary = F.binary_cross_entropy_with_logits(logits[:, 0], mask.float())
    assert value(BCE(), logits, mask).item() == pytest.approx(binary.item(), rel=1e-5)
    weighted = F.binary_cross_entropy_with_logits(logits[:, 0], mask.float(), pos_weight=torch.tensor(3.0))
    assert value(BCE(3.0), logits, mask).item() == pytest.approx(weighted.item(), rel=1e-5)


def test_focal_without_gamma_is_cross_entropy():
    for channels in (1, 4):
        logits, mask = batch(channels)
        assert torch.equal(value(Focal(0.0), logits, mask), value(CrossEntropy(), logits, mask))


def test_focal_is_per_pixel():
    """By hand: two pixels with p = 0.5 and 0.9. Scaling the batch's mean instead (an old project's) gives another."""
    logits = torch.tensor([0.0, math.log(9.0)]).view(1, 1, 1, 2)
    mask = torch.ones(1, 1, 2, dtype=torch.long)
    by_hand = (0.25 * -math.log(0.5) + 0.01 * -math.log(0.9)) / 2
    mean = (-math.log(0.5) - math.log(0.9)) / 2
    of_the_mean = (1 - math.exp(-mean)) ** 2 * mean
    assert value(Focal(2.0), logits, mask).item() == pytest.approx(by_hand, rel=1e-5)
    assert abs(by_hand - of_the_mean) > 0.01
    assert value(Focal(2.0, alpha=0.25), logits, mask).item() == pytest.approx(by_hand / 4, rel=1e-5)


def test_dice_by_hand():
    logits = torch.tensor([[30.0, 30.0], [-30.0, -30.0]]).view(1, 1, 2, 2)
    mask = torch.tensor([[[1, 0], [1, 0]]])
    # overlap 1, areas 2 + 2
    assert value(Dice(smooth=1.0), logits, mask).item() == pytest.approx(1 - (2 + 1) / (4 + 1))
    assert value(Dice(smooth=1e-6), logits, mask).item() == pytest.approx(0.5, abs=1e-5)


def test_dice_of_absent_classes():
    """Empty truth: predicting nothing is free, predicting something costs nearly 1 and has a gradient."""
    empty = torch.zeros(1, 32, 32, dtype=torch.long)
    assert value(Dice(), torch.full((1, 1, 32, 32), -30.0), empty) < 1e-3
    wrong = torch.full((1, 1, 32, 32), 2.0, requires_grad=True)
    loss = value(Dice(), wrong, empty)
    loss.backward()
    assert loss > 0.99
    assert wrong.grad.abs().sum() > 0


def test_dice_per_image_is_the_mean_over_images():
    logits, mask = batch(3)
    alone = [value(Dice(), logits[i : i + 1], mask[i : i + 1]) for i in range(2)]
    assert value(Dice(per_image=True), logits, mask).item() == pytest.approx(torch.stack(alone).mean().item(), rel=1e-6)
    assert value(Dice(), logits, mask).item() != pytest.approx(torch.stack(alone).mean().item(), rel=1e-4)


def test_losses_run_under_deterministic_algorithms():
    torch.use_deterministic_algorithms(True)
    for name in LOSSES:
        logits, mask = batch(1)
        value(make(name), logits.requires_grad_(), mask).backward()


def test_impossible_combinations_are_refused():
    eleven = [f"c{i}" for i in range(11)]
    with pytest.raises(
        ConfigError, match=r"loss=bce works on two classes, but the data has 11; use loss=cross_entropy"
    ):
        make("bce").check(eleven)
    with pytest.raises(ConfigError, match="3 numbers, but the data has 11"):
        CrossEntropy([1.0, 2.0, 3.0]).check(eleven)
    with pytest.raises(ConfigError, match="alpha"):
        Focal(alpha=0.5).check(eleven)
    for make_it in (lambda: Focal(-1), lambda: Dice(0.0), lambda: BCE(0.0), lambda: CrossEntropy(label_smoothing=1.0)):
        with pytest.raises(ConfigError):
            make_it()


def test_a_loss_of_torch_is_wrapped():
    logits, mask = batch(4)
    mask[0] = 255
    wrapped = as_loss(torch.nn.CrossEntropyLoss(ignore_index=255))
    assert value(wrapped, logits, mask).item() == pytest.approx(value(CrossEntropy(), logits, mask).item(), rel=1e-5)
