"""The confusion matrix as a picture: readable with few classes, and of a size that can be opened with many."""

import numpy as np
import pytest
from PIL import Image

from segbench.report.curves import draw_confusion


def drawn(tmp_path, classes):
    """The picture of a matrix in which each class is taken for the next one."""
    counts = np.roll(np.eye(classes, dtype=np.int64), 1, axis=1) * 1000
    draw_confusion(counts, [f"class {number}" for number in range(classes)], path=tmp_path / "confusion.png")
    return np.array(Image.open(tmp_path / "confusion.png").convert("RGB")).astype(int)


@pytest.mark.parametrize("classes", [2, 32, 150])
def test_each_wrong_class_is_a_dark_cell_and_the_picture_no_larger_than_a_poster(tmp_path, classes):
    picture = drawn(tmp_path, classes)
    assert max(picture.shape) < 3000
    dark_blue = (picture - (8, 48, 107) == 0).all(axis=2)  # the end of matplotlib's Blues
    rows, columns = np.nonzero(dark_blue)
    assert len(rows) > classes * 30, "cells of at least some pixels"
    assert np.ptp(rows) > 0.5 * picture.shape[0] or classes == 2, "from the first class to the last"
    assert np.ptp(columns) > 0.5 * picture.shape[1] or classes == 2
