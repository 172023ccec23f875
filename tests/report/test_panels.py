"""Panels of pictures name what they show."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.report.panels import draw_panel, sample_row, shortened


@pytest.mark.parametrize(
    ("name", "room", "shown"),
    [
        ("images/a.png", 20, "images/a.png"),
        ("a/long/folder/images/a.png", 12, "a.png"),
        ("x/owl.webp + y/petra.webp", 21, "owl.webp + petra.webp"),
        ("owl.webp + petra.webp", 15, "...+ petra.webp"),
        ("one_of_many_0001.png", 11, "...0001.png"),
        ("line\nbreak.png", 20, r"line\nbreak.png"),
        ("图片.png", 20, "??.png"),
        ("abc", 0, "..."),
    ],
)
def test_a_name_is_shortened_from_its_beginning(name, room, shown):
    assert shortened(name, lambda text: len(text) <= room) == shown


def test_names_stand_below_the_rows_and_leave_the_pictures_alone(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    rows = [sample_row({"image": image, "mask": np.zeros((96, 96), np.uint8)}, ["a", "b"]) for _ in range(2)]
    draw_panel(rows, ["a", "b"], path=tmp_path / "with.png", names=["first.png", "second.png"])
    draw_panel(rows, ["a", "b"], path=tmp_path / "without.png")
    sheet, bare = (np.array(Image.open(tmp_path / f"{kind}.png")) for kind in ("with", "without"))
    assert sheet.shape[0] - bare.shape[0] == 2 * (18 - 4)
    for top in (18, 18 + 96 + 18):
        assert (sheet[top : top + 96, 4:100] == image).all()
        below = sheet[top + 96 : top + 96 + 18]
        assert (below < 100).any()  # ink


def test_a_run_names_its_samples(command, tiny, monkeypatch):
    from segbench.training.callbacks import sample_panels

    told = {}
    monkeypatch.setattr(
        sample_panels, "draw_panel", lambda rows, classes, path, names: told.update({path.name: (len(rows), names)})
    )
    assert command(*tiny, "hydra.run.dir=run").code == 0
    count, names = told["test.png"]
    lines = Path("run/test_images.csv").read_text().splitlines()[1:]
    assert names == [line.split(",")[1] for line in lines][:count]
    assert len(names) == count > 0
    rows, names = told["epoch-0001.png"]
    lines = Path("run/val_images.csv").read_text().splitlines()[1:]
    assert names == [line.split(",")[1] for line in lines][:rows]


def test_pictures_of_several_sizes_keep_their_shapes_and_large_ones_are_drawn_smaller(tmp_path):
    shapes = [(96, 200), (2000, 1000), (30, 40)]
    rows = [{"input": np.full((*shape, 3), 7, np.uint8)} for shape in shapes]
    draw_panel(rows, ["a", "b"], path=tmp_path / "panel.png")
    sheet = np.array(Image.open(tmp_path / "panel.png"))
    cell = 640 + 4
    assert sheet.shape[:2] == (3 * cell + 2 * 18 + 4, 320 + 2 * 4)
    for line, (height, width) in enumerate([(96, 200), (640, 320), (120, 160)]):
        drawn = np.argwhere((sheet[18 + line * cell : 18 + line * cell + 640] == 7).all(axis=2))
        assert drawn.max(axis=0).tolist() == [height - 1, 4 + width - 1]
