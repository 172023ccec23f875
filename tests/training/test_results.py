"""What results.json counts."""

import pytest

from segbench.training.results import batches_seen


@pytest.mark.parametrize(
    ("steps", "batches", "accumulate", "seen"),
    [(0, 5, 2, 0), (2, 5, 2, 4), (3, 5, 2, 5), (4, 5, 2, 7), (6, 5, 2, 10), (7, 4, 1, 7), (1, 3, 8, 3), (2, 3, 8, 6)],
)
def test_the_last_step_of_an_epoch_takes_what_is_left(steps, batches, accumulate, seen):
    """By hand: an epoch of 5 batches in steps of 2 has steps of 2, 2 and 1."""
    assert batches_seen(steps, batches=batches, accumulate=accumulate) == seen
