"""Every loss on masks in conf/loss: the contract and its edges; the pixel-wise ones against torch and by hand."""

import math
from functools import cache
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
BINARY_ONLY = {"bce", "bce_dice"}
# wrong by all means is 1 for the true class and 1 / 3 for each of three others: l1 = 2 / 4, mse = (1 + 3 / 9) / 4
BOUND = {("l1", 4): 0.5 - 1e-6, ("mse", 4): 1 / 3 - 1e-6, ("edge", 1): 0.3, ("edge", 4): 0.15}
TINY, LARGE = (7, 9), (20, 24)  # LARGE holds whole SSIM windows beside what a test ignores


@cache
def make(name):
    return build(OmegaConf.to_container(OmegaConf.load(conf_dir() / "loss" / f"{name}.yaml")), where="loss")


@pytest.fixture
def deterministic():
    """Deterministic algorithms, for one test."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def batch(channels, size=TINY):
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(2, channels, *size, generator=draw)
    mask = torch.randint(0, max(2, channels), (2, *size), generator=draw)
    return logits, mask


def value(loss, logits, mask):
    return loss({"mask": logits}, {"mask": mask})[0]


cases = pytest.mark.parametrize(
    ("name", "channels"), [(n, k) for n in LOSSES for k in (1, 4) if k == 1 or n not in BINARY_ONLY]
)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_two_classes_refuse_four(name):
    loss = make(name)
    loss.check(["background", "foreground"])
    if name in BINARY_ONLY:
        with pytest.raises(ConfigError, match="works on two classes, but the data has 4"):
            loss.check(list("abcd"))
    else:
        loss.check(list("abcd"))


def test_other_kinds_of_loss_live_in_folders():
    assert len(LOSSES) >= 15
    for name in LOSSES:
        assert make(name).heads == ("mask",)


@cases
def test_ignored_pixels_change_nothing(name, channels):
    logits, mask = batch(channels, LARGE)
    mask[:, 2:4, 3:8] = 255
    other = logits.clone()
    other[:, :, 2:4, 3:8] = 77.0
    other.requires_grad_()
    loss = make(name)
    result = value(loss, other, mask)
    assert torch.equal(result, value(loss, logits, mask))
    result.backward()
    assert (other.grad[:, :, 2:4, 3:8] == 0).all()
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
    big = logits.repeat(1, 1, 36, 36), mask.repeat(1, 36, 36)  # more pixels than half precision can count
    with torch.autocast("cpu", torch.bfloat16):
        low = value(make(name), *big)
    high = value(make(name), big[0].float(), big[1])
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
    _, mask = batch(channels, LARGE)
    right = F.one_hot(mask, max(2, channels)).movedim(-1, 1).float() * 20 - 10
    right = right[:, 1:] if channels == 1 else right
    cheap, dear = value(make(name), right, mask), value(make(name), -right, mask)
    assert cheap < 0.05
    assert dear > 1000 * cheap
    assert dear > BOUND.get((name, channels), 0.5)


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


def test_losses_run_under_deterministic_algorithms(deterministic):
    for name in LOSSES:
        for channels in (1,) if name in BINARY_ONLY else (1, 4):
            logits, mask = batch(channels)
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
    for make_it in (lambda: BCE(math.nan), lambda: BCE(math.inf), lambda: Focal(math.nan), lambda: Focal(2.0, 1.0)):
        with pytest.raises(ConfigError):
            make_it()


@pytest.mark.parametrize("given", [[-1.0, 1.0], [math.nan, 1.0], [math.inf, 1.0], [0.0, 0.0], [], ["a", "b"], 3.0])
def test_class_weights_that_make_no_sense_are_refused(given):
    with pytest.raises(ConfigError, match=r"loss\.class_weights must be null, .*not all 0, got "):
        CrossEntropy(given)


def test_a_loss_of_torch_is_wrapped():
    logits, mask = batch(4)
    mask[0] = 255
    wrapped = as_loss(torch.nn.CrossEntropyLoss())
    wrapped.check(list("abcd"))
    assert value(wrapped, logits, mask).item() == pytest.approx(value(CrossEntropy(), logits, mask).item(), rel=1e-5)


def test_a_wrapped_loss_is_computed_in_single_precision():
    class Product(torch.nn.Module):
        def forward(self, logits, mask):
            truth = torch.nn.functional.one_hot(mask, 4).movedim(-1, 1).float()
            return -(logits.softmax(1).flatten(1) @ truth.flatten(1).T).diagonal().mean()

    logits, mask = batch(4)
    wrapped = as_loss(Product())
    wrapped.check(list("abcd"))
    with torch.autocast("cpu", torch.bfloat16):
        low = value(wrapped, logits.bfloat16(), mask)
    assert low.dtype == torch.float32
    assert torch.equal(low, value(wrapped, logits.bfloat16().float(), mask))


@pytest.mark.parametrize("other", [None, 3, {"weight": 1.0}])
def test_what_is_not_a_loss_is_refused(other):
    with pytest.raises(ConfigError, match=r"loss must be a loss, a mapping with _target_, got"):
        as_loss(other)
