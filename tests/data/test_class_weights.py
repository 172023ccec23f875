"""Median-frequency class weights by hand."""

import numpy as np
import pytest

from segbench.data.loading.datamodule import SegmentationData

MASKS = [
    np.array([[0, 0, 0, 1], [255, 255, 0, 0]], np.uint8),  # 5 of 8 pixels are class 0, 1 is class 1
    np.array([[0, 0, 2, 2], [2, 2, 2, 2]], np.uint8),  # 2 of 8 are class 0, 6 class 2
]


class Two(SegmentationData):
    """Two images of four classes; the last class never occurs."""

    def prepare(self):
        """Nothing to read."""

    def sample(self, split, epoch, index):
        """Return a mask."""
        return {"image": np.zeros((2, 4, 3), np.uint8), "mask": MASKS[index]}

    def num_samples(self, split):
        """Two of each."""
        return 2

    def fingerprint(self, split):
        """Always the same."""
        return "two"


def test_by_hand():
    data = Two(classes=list("abcd"), size=[2, 4], mean=[0.5] * 3, std=[0.5] * 3, batch_size=1)
    frequencies = np.array([7 / 16, 1 / 8, 6 / 8])  # of all pixels, labelled or not
    assert data.class_weights() == pytest.approx([*(7 / 16 / frequencies), 1.0])
