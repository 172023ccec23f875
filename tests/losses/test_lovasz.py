"""Lovász losses against the formula of Berman et al. (2018), one pixel after the other, and against the IoU."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from segbench.losses.lovasz import Lovasz


def value(logits, mask, per_image=False):
    return Lovasz(per_image)({"mask": logits}, {"mask": mask})[0]


def batch(channels, images=2, ignored=True):
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(images, channels, 5, 6, generator=draw)
    mask = torch.randint(0, max(2, channels), (images, 5, 6), generator=draw)
    if ignored:
        mask[:, 1:3, 2:5] = 255
    return logits, mask


def extension(errors, truth):
    """Return the Lovász extension of the Jaccard loss: sum_i m_i (D({p_1..p_i}) - D({p_1..p_i-1})), m sorted.

    D(M) = |M| / |truth or M| is the Jaccard loss of a prediction that is wrong exactly on the pixels M.
    """
    actual, before, total = {i for i, true in enumerate(truth) if true}, 0.0, 0.0
    wrong = set()
    for pixel in np.argsort(-errors, kind="stable"):
        wrong.add(int(pixel))
        now = len(wrong) / len(actual | wrong)
        total += errors[pixel] * (now - before)
        before = now
    return total


def hinge(logits, mask):
    """Return the Lovász hinge of one logit over all labelled pixels."""
    logits, mask = logits.double().numpy().ravel(), mask.numpy().ravel()
    logits, truth = logits[mask != 255], mask[mask != 255] == 1
    return extension(np.maximum(1 - logits * (2.0 * truth - 1), 0), truth)


def softmax(logits, mask):
    """Return Lovász-softmax over all labelled pixels, a mean over the classes that occur."""
    p = logits.double().softmax(1).movedim(1, 0).flatten(1).numpy()
    labelled = mask.numpy().ravel()
    p, labelled = p[:, labelled != 255], labelled[labelled != 255]
    values = []
    for number in range(len(p)):
        truth = labelled == number
        if truth.any():
            values.append(extension(np.where(truth, 1 - p[number], p[number]), truth))
    return float(np.mean(values)) if values else 0.0


def oracle(logits, mask):
    return (hinge if logits.shape[1] == 1 else softmax)(logits, mask)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("ignored", [False, True])
def test_is_the_papers_formula(channels, ignored):
    logits, mask = batch(channels, ignored=ignored)
    assert value(logits, mask).item() == pytest.approx(oracle(logits, mask), rel=1e-5)


def test_only_classes_that_occur_count():
    logits, mask = batch(5)
    mask[mask == 3] = 0
    assert value(logits, mask).item() == pytest.approx(softmax(logits, mask), rel=1e-5)
    mask[mask != 255] = 2
    assert value(logits, mask).item() == pytest.approx(softmax(logits, mask), rel=1e-5)


@pytest.mark.parametrize("channels", [1, 5])
def test_per_image(channels):
    """A mean over images, and in each over the classes that occur there."""
    logits, mask = batch(channels, images=3)
    mask[1] = mask[1].where(mask[1] == 255, mask[1].clamp(max=1))
    alone = [oracle(logits[i : i + 1], mask[i : i + 1]) for i in range(3)]
    assert value(logits, mask, per_image=True).item() == pytest.approx(np.mean(alone), rel=1e-5)
    assert value(logits, mask).item() != pytest.approx(np.mean(alone), rel=1e-4)


def test_of_hard_predictions_is_one_minus_the_iou():
    """Where probabilities are 0 and 1 the extension equals the function itself."""
    _, mask = batch(5)
    guess = mask.roll(1, dims=-1).where(mask.roll(1, dims=-1) != 255, torch.tensor(4))
    labelled = mask != 255
    iou = []
    for number in mask[labelled].unique():
        a, b = (guess == number) & labelled, (mask == number) & labelled
        iou.append(((a & b).sum() / (a | b).sum()).item())
    logits = F.one_hot(guess, 5).movedim(-1, 1).float() * 200
    assert value(logits, mask).item() == pytest.approx(1 - np.mean(iou), rel=1e-5)


def test_the_hinge_of_hard_predictions_is_twice_one_minus_the_iou():
    """Logits of 1 and -1 have a hinge of 0 where they are right and of 2 where they are wrong."""
    _, mask = batch(1)
    guess = mask.roll(1, dims=-1).clamp(max=1)
    labelled = mask != 255
    a, b = (guess == 1) & labelled, (mask == 1) & labelled
    iou = ((a & b).sum() / (a | b).sum()).item()
    assert value(guess[:, None].float() * 2 - 1, mask).item() == pytest.approx(2 * (1 - iou), rel=1e-5)


def test_an_empty_mask_has_the_hinge_of_its_largest_error():
    logits, mask = batch(1)
    empty = mask.where(mask == 255, 0)
    largest = 1 + logits[:, 0][empty == 0].max().item()
    assert value(logits, empty).item() == pytest.approx(largest, rel=1e-6)


@pytest.mark.parametrize("channels", [1, 5])
def test_ignored_pixels_are_as_good_as_cut_off(channels):
    logits, mask = batch(channels, ignored=False)
    padded = F.pad(logits, (3, 2, 1, 4), value=9.0), F.pad(mask, (3, 2, 1, 4), value=255)
    assert value(*padded).item() == pytest.approx(value(logits, mask).item(), rel=1e-6)


@pytest.mark.parametrize("channels", [1, 5])
def test_gradient_is_that_of_finite_differences(channels):
    logits, mask = batch(channels, images=1)
    logits.requires_grad_()
    value(logits, mask).backward()
    step = 1e-5
    for place in [(0, 0, 0, 1), (0, channels - 1, 4, 4), (0, 0, 2, 3)]:
        more, less = logits.detach().double(), logits.detach().double()
        more[place] += step
        less[place] -= step
        slope = (oracle(more, mask) - oracle(less, mask)) / (2 * step)
        assert logits.grad[place].item() == pytest.approx(slope, abs=1e-6, rel=1e-3)


class Sums(TorchDispatchMode):
    """Takes note of the types of all cumulative sums."""

    def __init__(self):
        super().__init__()
        self.types = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if "cumsum" in str(func):
            self.types.add(result.dtype)
        return result


@pytest.mark.parametrize("channels", [1, 5])
def test_counts_in_integers(channels):
    """CUDA refuses a cumsum of floats under deterministic algorithms, and floats count no further than 2^24."""
    logits, mask = batch(channels)
    with Sums() as sums:
        value(logits.requires_grad_(), mask).backward()
    assert sums.types == {torch.int64}


def large(channels, dtype=torch.float64):
    """Return logits and a mask of more pixels than are sorted by comparing them, and how often each id occurs."""
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(2, channels, 150, 160, generator=draw, dtype=torch.float64)
    mask = torch.randint(0, max(2, channels), (2, 150, 160), generator=draw)
    mask[:, 20:30, 40:90] = 255
    return logits.to(dtype), mask


def by_ranks(errors, truth):
    """Return the extension and its gradient by the errors, of any number of pixels: differences of the loss itself."""
    order = np.argsort(-errors, kind="stable")
    wrong = np.arange(1, len(order) + 1)
    missed = np.cumsum(truth[order])
    losses = wrong / (truth.sum() + wrong - missed)
    shares = np.empty(len(order))
    shares[order] = np.diff(losses, prepend=0.0)
    return (errors * shares).sum(), shares


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("per_image", [False, True])
def test_many_pixels_have_the_value_and_the_gradient_of_the_formula(layout, per_image):
    logits, mask = large(3)
    logits = logits.contiguous(memory_format=layout).requires_grad_()
    valid = mask != 255
    found = Lovasz(per_image).compute(logits, mask.where(valid, 0), valid=valid)
    found.backward()
    shares = torch.zeros_like(logits)
    p = logits.detach().softmax(1)
    wanted = 0.0
    groups = [[0], [1]] if per_image else [[0, 1]]
    for group in groups:
        for number in range(3):
            labels = mask[group][valid[group]].numpy()
            score = p[group, number][valid[group]].numpy()
            truth = labels == number
            extension_value, share = by_ranks(np.abs(score - truth), truth)
            wanted += extension_value / 3 / len(groups)
            signed = torch.from_numpy(np.where(truth, -share, share) / 3 / len(groups))
            for_group = torch.zeros(len(group), 150, 160, dtype=torch.float64)
            for_group[valid[group]] = signed
            shares[group, number] = for_group
    gradient = p * (shares - (p * shares).sum(1, keepdim=True))
    assert found.item() == pytest.approx(wanted, rel=1e-12)
    assert torch.allclose(logits.grad, gradient, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("channels", [1, 3])
def test_single_precision_keeps_the_gradient_of_many_pixels(channels):
    """Differences of two nearly equal losses would keep a digit or two of the shares of single pixels."""
    logits, mask = large(channels)
    exact = logits.clone().requires_grad_()
    valid = mask != 255
    Lovasz().compute(exact, mask.where(valid, 0), valid=valid).backward()
    single = logits.float().requires_grad_()
    value(single, mask).backward()
    # neighbours in the order may change places by rounding: all but a few are near
    near = torch.isclose(single.grad.double(), exact.grad, rtol=1e-3, atol=1e-12)
    assert near.double().mean() > 0.999


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("per_image", [False, True])
def test_backward_is_that_of_finite_differences_in_double_precision(channels, per_image):
    logits, mask = batch(channels)
    valid = mask != 255

    def loss(given):
        return Lovasz(per_image).compute(given, mask.where(valid, 0), valid=valid)

    assert torch.autograd.gradcheck(loss, (logits.double().requires_grad_(),))
