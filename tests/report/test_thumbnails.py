"""Thumbnails of the worst pictures: which ones are kept, and what they show."""

from __future__ import annotations

import numpy as np
from PIL import Image

from segbench.report.panels import sample_row
from segbench.report.thumbnails import WorstPictures, thumbnail


def row(shade, size=(64, 128)):
    image = np.full((*size, 3), shade, np.uint8)
    mask = np.zeros(size, np.uint8)
    prediction = mask.copy()
    prediction[:, size[1] // 2 :] = 1
    return sample_row({"image": image, "mask": mask, "prediction": prediction}, ["ground", "box"])


def test_the_lowest_scores_are_kept_and_only_they_are_drawn(tmp_path):
    drawn = []
    worst = WorstPictures(count=2)
    for index, iou in enumerate([0.5, 0.9, 0.2, float("nan"), 0.2, 0.8, 0.2]):
        worst.consider(iou, index, row=lambda index=index: drawn.append(index) or row(10 * index))
    worst.write(tmp_path / "worst")
    (tmp_path / "worst" / "000077.png").write_bytes(b"of an earlier evaluation")
    worst.write(tmp_path / "worst")
    assert sorted(path.name for path in (tmp_path / "worst").iterdir()) == ["000002.png", "000004.png"]
    assert drawn == [0, 1, 2, 4]
    assert Image.open(tmp_path / "worst" / "000004.png").getpixel((0, 0)) == (40, 40, 40)


def test_four_pictures_stand_in_one(tmp_path):
    picture = np.asarray(thumbnail(row(200, (640, 1280))))
    assert picture.shape == (2 * 64 + 2, 2 * 128 + 2, 3)
    assert (picture[:64, :128] == 200).all() and (picture[:64, 130:] == 0).all()
    assert (picture[66:, :64] == 0).all() and (picture[66:, 64:128] == (86, 180, 233)).all()
    assert (picture[66:, 130:194] == 255).all() and (picture[66:, 194:] == (213, 94, 0)).all()


def test_nothing_is_written_where_nothing_was_scored(tmp_path):
    WorstPictures().write(tmp_path / "worst")
    assert not (tmp_path / "worst").exists()
