"""Dice, Jaccard and Tversky: by hand, against one another, and where a class does not occur."""

import math

import pytest
import torch

from segbench.core.errors import ConfigError
from segbench.losses.dice import Dice
from segbench.losses.jaccard import Jaccard
from segbench.losses.tversky import Tversky

# probabilities and truth of a 2 x 2 picture: overlap 1.4, 0.3 found wrongly, 0.6 missed
PROBABILITIES, TRUTH = [[0.8, 0.1], [0.6, 0.2]], [[1, 0], [1, 0]]
HITS, WRONG, MISSED = 1.4, 0.3, 0.6


def value(loss, logits, mask):
    return loss({"mask": logits}, {"mask": mask})[0]


def small():
    """Return the logits and ids of the picture above."""
    return torch.tensor([[PROBABILITIES]]).logit(), torch.tensor([TRUTH])


def batch(channels):
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(3, channels, 7, 9, generator=draw)
    mask = torch.randint(0, max(2, channels), (3, 7, 9), generator=draw)
    mask[1] = mask[1].clamp(max=1)
    mask[2, :5] = 255
    return logits, mask


ALL = [Dice, Jaccard, Tversky]
every = pytest.mark.parametrize("kind", ALL)
channels_1_and_4 = pytest.mark.parametrize("channels", [1, 4])


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        (Dice(smooth=1.0), 1 - (2 * HITS + 1) / (2 * HITS + WRONG + MISSED + 1)),
        (Dice(smooth=0.5, log=True), -math.log((2 * HITS + 0.5) / (2 * HITS + WRONG + MISSED + 0.5))),
        (Jaccard(smooth=1.0), 1 - (HITS + 1) / (HITS + WRONG + MISSED + 1)),
        (Tversky(0.3, 0.7, smooth=1.0), 1 - (HITS + 1) / (HITS + 0.3 * WRONG + 0.7 * MISSED + 1)),
        (Tversky(0.9, 0.2, smooth=2.0), 1 - (HITS + 2) / (HITS + 0.9 * WRONG + 0.2 * MISSED + 2)),
    ],
)
def test_by_hand(loss, by_hand):
    assert value(loss, *small()).item() == pytest.approx(by_hand, rel=1e-5)


@every
def test_two_softmax_classes_by_hand(kind):
    """The background has the same picture with hits and misses of the other side: a mean of both classes."""
    logits, mask = small()
    pair = torch.cat([torch.zeros_like(logits), logits], dim=1)
    foreground = value(kind(smooth=1.0), logits, mask)
    background = value(kind(smooth=1.0), -logits, 1 - mask)
    assert value(kind(smooth=1.0), pair, mask).item() == pytest.approx((foreground + background).item() / 2, rel=1e-5)


@channels_1_and_4
@pytest.mark.parametrize("smooth", [0.1, 1.0, 3.0])
def test_tversky_holds_dice_and_jaccard(channels, smooth):
    drawn = batch(channels)
    dice, jaccard = value(Dice(2 * smooth), *drawn), value(Jaccard(smooth), *drawn)
    assert value(Tversky(0.5, 0.5, smooth=smooth), *drawn).item() == pytest.approx(dice.item(), rel=1e-5)
    assert value(Tversky(1.0, 1.0, smooth=smooth), *drawn).item() == pytest.approx(jaccard.item(), rel=1e-5)
    assert jaccard > dice


@pytest.mark.parametrize("smooth", [0.1, 1.0])
def test_jaccard_is_a_function_of_dice(smooth):
    """Of the overlaps, J = D / (2 - D); of the losses, 1 - J = 2 (1 - D) / (1 + (1 - D)), smoothed alike."""
    drawn = batch(1)
    dice, jaccard = value(Dice(2 * smooth), *drawn).item(), value(Jaccard(smooth), *drawn).item()
    assert 1 - jaccard == pytest.approx((1 - dice) / (2 - (1 - dice)), rel=1e-5)
    assert jaccard == pytest.approx(2 * dice / (1 + dice), rel=1e-5)


@pytest.mark.parametrize("gamma", [4 / 3, 2.0])
def test_focal_tversky_is_a_root_of_each_class(gamma):
    logits, mask = batch(1)
    plain = value(Tversky(), logits, mask).item()
    # within the floor that keeps the root's gradient finite
    assert value(Tversky(gamma=gamma), logits, mask).item() == pytest.approx(
        plain ** (1 / gamma) - 1e-6 ** (1 / gamma), rel=1e-4
    )
    several, mask = batch(4)
    of_the_mean = value(Tversky(), several, mask).item() ** (1 / gamma)
    assert value(Tversky(gamma=gamma), several, mask).item() < of_the_mean


def test_log_dice_is_the_log_of_each_class():
    logits, mask = batch(1)
    assert value(Dice(log=True), logits, mask).item() == pytest.approx(
        -math.log(1 - value(Dice(), logits, mask).item()), rel=1e-5
    )
    several, mask = batch(4)
    of_the_mean = -math.log(1 - value(Dice(), several, mask).item())
    assert value(Dice(log=True), several, mask).item() > of_the_mean


@every
@channels_1_and_4
def test_per_image_is_the_mean_over_images(kind, channels):
    logits, mask = batch(channels)
    alone = torch.stack([value(kind(), logits[i : i + 1], mask[i : i + 1]) for i in range(len(mask))]).mean().item()
    assert value(kind(per_image=True), logits, mask).item() == pytest.approx(alone, rel=1e-6)
    assert value(kind(), logits, mask).item() != pytest.approx(alone, rel=1e-4)


@every
def test_the_batch_is_one_large_image(kind):
    """Side by side in one picture the images have the value of the batch."""
    logits, mask = batch(4)
    wide = torch.cat(list(logits), dim=-1)[None], torch.cat(list(mask), dim=-1)[None]
    assert value(kind(), logits, mask).item() == pytest.approx(value(kind(), *wide).item(), rel=1e-6)


def test_per_image_by_hand():
    """One image all right, one all wrong: Dice 0 and 4 / 5 alone, (8 + 1 - (4 + 1)) / 9 together."""
    logits = torch.tensor([[30.0, 30.0], [-30.0, -30.0]]).view(1, 1, 2, 2).repeat(2, 1, 1, 1)
    mask = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [1, 1]]])
    assert value(Dice(per_image=True), logits, mask).item() == pytest.approx(0.4)
    assert value(Dice(), logits, mask).item() == pytest.approx(4 / 9)


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


@pytest.mark.parametrize("kind", ALL)
def test_absent_and_not_predicted_costs_nothing(kind):
    empty = torch.zeros(1, 8, 8, dtype=torch.long)
    assert value(kind(), torch.full((1, 1, 8, 8), -30.0), empty).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "make_it",
    [
        lambda: Dice(0.0),
        lambda: Jaccard(smooth=-1.0),
        lambda: Tversky(smooth=0.0),
        lambda: Tversky(alpha=-0.1),
        lambda: Tversky(alpha=0.0, beta=0.0),
        lambda: Tversky(gamma=0.5),
        lambda: Dice(math.nan),
        lambda: Tversky(gamma=math.nan),
        lambda: Tversky(beta=math.inf),
    ],
)
def test_what_is_not_defined_is_refused(make_it):
    with pytest.raises(ConfigError, match=r"loss\.(smooth|alpha)"):
        make_it()


def plainly(loss, logits, mask):
    """Return the same of maps of ones and zeros, which torch differentiates by itself."""
    counted = (mask != 255)[:, None]
    channels = logits.shape[1]
    predicted = (logits.sigmoid() if channels == 1 else logits.softmax(1)) * counted
    ids = torch.ones(1) if channels == 1 else torch.arange(channels)
    truth = (mask[:, None] == ids.view(1, -1, 1, 1)).float()
    over = (2, 3) if loss.per_image else (0, 2, 3)
    hits = (predicted * truth).sum(over)
    return loss.cost(hits=hits, wrong=predicted.sum(over) - hits, missed=truth.sum(over) - hits).mean()


@every
@channels_1_and_4
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_those_of_maps(kind, channels, per_image, layout):
    logits, mask = batch(channels)
    found, wanted = (logits.clone(memory_format=layout).requires_grad_() for _ in range(2))
    loss = kind(per_image=per_image)
    of_counts, of_maps = value(loss, found, mask), plainly(loss, wanted, mask)
    assert of_counts.item() == pytest.approx(of_maps.item(), rel=1e-6)
    of_counts.backward()
    of_maps.backward()
    assert torch.allclose(found.grad, wanted.grad, rtol=1e-4, atol=1e-8)
    assert (found.grad[mask[:, None].expand_as(logits) == 255] == 0).all()
