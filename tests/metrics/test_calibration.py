"""How sure a network is: counted by hand, and the probabilities of a network that is right as often as it says."""

import numpy as np
import pytest
import torch

from segbench.data.loading.views import EvaluationView
from segbench.inference.forward import Answer
from segbench.metrics.calibration import BINS, Calibration
from segbench.report.reliability import draw_reliability


def test_counted_by_hand():
    calibration = Calibration()
    ids = torch.tensor([[0, 1, 1], [2, 0, 0]], dtype=torch.uint8)
    confidence = torch.tensor([[0.9, 0.92, 0.5], [1.0, 0.35, 0.4]])
    truth = torch.tensor([[0, 0, 1], [2, 255, 0]], dtype=torch.uint8)
    calibration.update(ids[:1], confidence[:1], truth=truth[:1], classes=3)
    calibration.update(ids[1:], confidence[1:], truth=truth[1:], classes=3)
    record = calibration.record()
    assert [one["pixels"] for one in record["bins"]] == [0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 2, 1]
    both = record["bins"][13]
    assert (both["accuracy"], both["confidence"]) == (0.5, pytest.approx(0.91))
    assert record["accuracy"] == pytest.approx(4 / 5)
    assert record["mean_confidence"] == pytest.approx((0.9 + 0.92 + 0.5 + 1.0 + 0.4) / 5)
    assert record["expected_calibration_error"] == pytest.approx((0.6 + 0.5 + 2 * 0.41 + 0.0) / 5)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_network_that_is_right_as_often_as_it_says_has_no_error(power):
    """Classes are drawn by the probabilities; squared ones are surer than they may be."""
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet((1, 1, 1), 200_000)
    drawn = (probabilities.cumsum(1) > draw.random((200_000, 1))).argmax(1)
    said = probabilities**power / (probabilities**power).sum(1, keepdims=True)
    best = torch.from_numpy(said).max(1)
    calibration = Calibration()
    calibration.update(best.indices[None], best.values[None].float(), truth=torch.from_numpy(drawn)[None], classes=3)
    found = calibration.record()
    edges = np.minimum((said.max(1) * BINS).astype(int), BINS - 1)
    right = said.argmax(1) == drawn
    gaps = [abs((right[edges == n] - said.max(1)[edges == n]).sum()) for n in range(BINS)]
    assert found["expected_calibration_error"] == pytest.approx(sum(gaps) / 200_000, abs=1e-6)
    assert found["expected_calibration_error"] == pytest.approx((said.max(1) - probabilities.max(1)).mean(), abs=0.01)


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_the_confidence_of_an_answer_is_its_largest_probability(classes):
    view = EvaluationView((16, 24))
    answer = Answer({"mask": 3 * torch.randn(1, classes, 16, 24)}, view, (37, 50))
    assert torch.allclose(answer.confidence(), answer.probabilities().max(0).values, atol=1e-6)


def test_the_diagram_is_drawn(tmp_path):
    calibration = Calibration()
    calibration.update(
        torch.zeros(4, 4), torch.full((4, 4), 0.7), truth=torch.zeros(4, 4, dtype=torch.uint8), classes=2
    )
    draw_reliability(calibration.record(), tmp_path / "r.png", title="run, test")
    assert (tmp_path / "r.png").stat().st_size > 1000
