"""Test-time augmentation and ensembles: means of probabilities, against the same worked out in numpy."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segbench.data.loading.views import EvaluationView
from segbench.inference.ensemble import MeanAnswer
from segbench.inference.forward import Answer
from segbench.inference.tta import Look, Mean, averaged, looks_of


def softmax(logits):
    exponents = np.exp(logits.double().numpy() - logits.double().numpy().max(axis=-3, keepdims=True))
    return exponents / exponents.sum(axis=-3, keepdims=True)


def slanted(channels):
    """A network that is not symmetric: what it says depends on the place of a pixel."""
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, channels, 5, padding=2)

    def network(batch):
        with torch.no_grad():
            return {"mask": convolution(batch["image"].float() / 255), "depth": batch["image"][:, :1].float()}

    return network


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return {
        "image": torch.randint(0, 256, (2, 3, 12, 17), dtype=torch.uint8, generator=generator),
        "index": torch.arange(2),
    }


def test_the_looks_are_all_combinations():
    assert looks_of([]) == [Look()]
    assert looks_of(["hflip"]) == [Look(), Look(flips=(-1,))]
    assert len(looks_of(["hflip", "vflip", 0.5, 2.0])) == 3 * 4
    assert looks_of([1, 0.5]) == [Look(), Look(0.5)]


def test_mirrored_looks_are_averaged_as_probabilities(batch):
    network = slanted(4)
    found = averaged(network, looks_of(["hflip"]))(batch)
    mirrored = network({"image": batch["image"].flip(-1)})["mask"].flip(-1)
    expected = (softmax(network(batch)["mask"]) + softmax(mirrored)) / 2
    assert np.allclose(found["mask"].softmax(dim=1).numpy(), expected, atol=1e-6)
    assert np.allclose(found["mask"].exp().numpy(), expected, atol=1e-6), "logits are logarithms of probabilities"
    assert torch.equal(found["depth"], batch["image"][:, :1].float())


def test_one_logit_is_averaged_as_a_probability(batch):
    network = slanted(1)
    found = averaged(network, looks_of(["vflip"]))(batch)["mask"]
    assert found.shape == (2, 1, 12, 17)
    mirrored = network({"image": batch["image"].flip(-2)})["mask"].flip(-2)
    expected = (network(batch)["mask"].sigmoid() + mirrored.sigmoid()) / 2
    assert torch.allclose(found.sigmoid(), expected, atol=1e-6)


def test_scales_are_seen_and_brought_back(batch):
    sizes = []

    def network(seen):
        assert seen["image"].dtype == torch.uint8
        assert "index" not in seen
        sizes.append(tuple(seen["image"].shape[-2:]))
        return {"depth": seen["image"][:, :1].float()}

    flat = {"image": torch.full((1, 3, 12, 17), 77, dtype=torch.uint8), "index": torch.tensor([0])}
    found = averaged(network, looks_of([0.5, 2.0]))({**flat})["depth"]
    assert sizes[1:] == [(6, 8), (24, 34)]
    assert torch.equal(found, torch.full((1, 1, 12, 17), 77.0))


def test_no_looks_leave_the_network_as_it_is():
    network = slanted(2)
    assert averaged(network, looks_of([])) is network


def test_certain_networks_stay_certain():
    mean = Mean("mask")
    for value in (60.0, 90.0):
        mean.add(torch.full((1, 1, 1, 1), value))
    assert 60 < float(mean.value()) < 61, "the probability of either is 1 in float32"


@pytest.mark.parametrize("channels", [1, 5])
def test_an_ensemble_is_the_mean_of_probabilities_at_the_pictures_own_size(channels):
    generator = torch.Generator().manual_seed(3)
    logits = [torch.randn(1, channels, *size, generator=generator) * 3 for size in ((8, 8), (10, 6))]
    views = [EvaluationView((8, 8)), EvaluationView((10, 6))]
    answers = [Answer({"mask": m, "depth": m[:, :1]}, view, (21, 33)) for m, view in zip(logits, views, strict=True)]
    large = [F.interpolate(m, (21, 33), mode="bilinear", align_corners=False)[0] for m in logits]
    if channels == 1:
        foreground = np.mean([m[0].sigmoid().numpy() for m in large], axis=0)
        expected = np.stack([1 - foreground, foreground])
    else:
        expected = np.mean([softmax(m) for m in large], axis=0)
    found = MeanAnswer(answers)
    assert np.allclose(found.probabilities().numpy(), expected, atol=1e-5)
    assert found.ids().dtype == torch.uint8
    assert np.mean(found.ids().numpy() == expected.argmax(axis=0)) == 1
    assert np.allclose(found.depth().numpy(), np.mean([m[0].numpy() for m in large], axis=0), atol=1e-6)
    assert any(not torch.equal(found.ids(), answer.ids()) for answer in answers)
    assert torch.equal(MeanAnswer(answers[:1]).ids(), answers[0].ids())
