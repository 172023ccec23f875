"""data check: counts by hand, colours, classes that never occur, and every kind of problem listed together."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.console import Console

from segbench import cli
from segbench.commands import data_check
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError, DataError
from segbench.data.statistics import Statistics, measure
from tests.support.tiny_files import write_camvid, write_coco, write_folder

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")


def check(tmp_path, option, **settings):
    """Return (printed text, JSON, DataError or None)."""
    node = yaml.safe_load((conf_dir() / "data" / f"{option}.yaml").read_text())
    node.update({"augment": None, "batch_size": 1, **settings})
    stream, out, error = io.StringIO(), tmp_path / "data-check.json", None
    try:
        console = Console(file=stream, width=120)
        code = data_check.check_data(SimpleNamespace(data=node, plugins=[]), out, console=console)
        assert code == 0
    except DataError as caught:
        error = caught
    return stream.getvalue(), json.loads(out.read_text()), error


def _comment():
    note = PngInfo()
    note.add_text("comment", "other bytes in the file, the same picture")
    return note


def write_by_hand(root):
    """Two training pictures of 2 x 4 pixels, one of val, one of test; three classes and void."""
    masks = {
        "train/a": [[0, 0, 0, 0], [1, 1, 255, 255]],
        "train/b": [[0, 0, 0, 0], [0, 0, 0, 0]],
        "val/c": [[2, 2, 2, 2], [2, 2, 2, 2]],
        "test/d": [[0, 1, 1, 1], [1, 1, 1, 255]],
    }
    images = {"train/a": (0, 51, 255), "train/b": (255, 51, 255), "val/c": (1, 2, 3), "test/d": (4, 5, 6)}
    for name in masks:
        split, stem = name.split("/")
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 2), images[name]).save(root / split / "images" / f"{stem}.png")
        Image.fromarray(np.array(masks[name], np.uint8)).save(root / split / "masks" / f"{stem}.png")
    return {"root": str(root), "size": [2, 4], "classes": ["road", "car", "sky"]}


def test_numbers_by_hand(tmp_path):
    settings = write_by_hand(tmp_path / "d")
    printed, report, error = check(tmp_path, "folder", **settings)
    assert error is None
    train = report["splits"]["train"]
    assert train["classes"] == {
        "road": {"pixels": 12, "share": 0.75, "pictures": 2},
        "car": {"pixels": 2, "share": 0.125, "pictures": 1},
        "sky": {"pixels": 0, "share": 0.0, "pictures": 0},
    }
    assert train["void"] == {"pixels": 2, "share": 0.125, "pictures": 1}
    never = {split: entry["never"] for split, entry in report["splits"].items()}
    assert never == {"train": ["sky"], "val": ["road", "car"], "test": ["sky"]}
    assert report["train"]["mean"] == pytest.approx([0.5, 0.2, 1.0])
    assert report["train"]["std"] == pytest.approx([0.5, 0.0, 0.0], abs=1e-9)
    # road: 12 of 16 pixels; car: 2 of the 8 of its one picture; their median is 0.5
    weights = report["train"]["median_frequency_weights"]
    assert weights == pytest.approx({"road": 0.5 / 0.75, "car": 2.0, "sky": 1.0})
    assert "train: never occurs: sky" in printed
    assert "val: never occurs: road, car" in printed
    assert "train mean of red, green, blue: 0.5000, 0.2000, 1.0000 (data.mean is null: this is used)" in printed
    assert "no problems found" in printed
    assert "75.00" in printed


def test_copies_of_one_source_are_a_note_and_not_nothing(tmp_path):
    root = write_folder(tmp_path / "d", count=18, binary=False)
    for path in root.glob("*/*.png"):
        number = int(path.stem[1:])
        path.rename(path.with_name(f"case{number // 3}_jpg.rf.{number:032x}.png"))
    printed, _, error = check(tmp_path, "folder", root=str(root), size=[32, 32], classes=["road", "car", "sky"])
    assert error is None
    assert "18 pictures are copies of 6 sources by their names" in " ".join(printed.split())
    assert "nothing has to be mended, but see the note" in printed
    assert "no problems found" not in printed


def test_the_same_picture_in_two_splits_is_an_offender(tmp_path):
    settings = write_by_hand(tmp_path / "d")
    copied, again = (tmp_path / "d" / name for name in ("train/images/b.png", "test/images/d.png"))
    Image.open(copied).save(again, pnginfo=_comment())
    assert copied.read_bytes() != again.read_bytes()
    _, report, error = check(tmp_path, "folder", **settings)
    assert "1 problem in the data: duplicate: d.png: it shows the same picture as b.png of train" in str(error)
    assert report["problems"] == ["duplicate: d.png: it shows the same picture as b.png of train"]


def test_every_kind_of_problem_is_listed_and_the_rest_is_counted(tmp_path):
    root = write_folder(tmp_path / "d", count=16, binary=False)
    Image.fromarray(np.full((40, 48), 9, np.uint8)).save(root / "masks" / "p00.png")
    (root / "images" / "p01.png").write_bytes(b"")
    Image.new("L", (7, 7)).save(root / "masks" / "p02.png")
    (root / "masks" / "p03.png").unlink()
    printed, report, error = check(tmp_path, "folder", root=str(root), val_share=0.3, test_share=0.3)
    assert isinstance(error, DataError)
    assert error.exit_code == 3
    kinds = sorted(text.split(":")[0] for text in report["problems"])
    assert kinds == ["label", "size", "unpaired", "unreadable"]
    assert all(text in str(error) for text in report["problems"])
    assert sum(split["looked_at"] for split in report["splits"].values()) == 12
    assert "share of pixels" in printed


def test_structural_problems_leave_no_table(tmp_path):
    printed, report, error = check(tmp_path, "folder", root=str(tmp_path / "nowhere"))
    assert "there is no folder" in str(error)
    assert (printed, report["splits"]) == ("", {})
    with pytest.raises(ConfigError, match="data.root is not set"):
        check(tmp_path, "coco")


def test_generated_sets_are_looked_at_in_part(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(data_check, "MAX_GENERATED", 5)
    sources = {name: str(folder) for name, folder in pictures.items()}
    printed, report, error = check(tmp_path, "fgbg", size=[32, 32], **sources)
    assert error is None
    assert "the first 5 are looked at" in printed
    assert report["splits"]["train"]["samples"] == 1280
    assert report["splits"]["train"]["looked_at"] == 5
    assert sum(entry["pixels"] for entry in report["splits"]["val"]["classes"].values()) == 5 * 32 * 32


def test_a_test_that_is_val_shares_its_pictures_by_choice(tmp_path):
    root = write_camvid(tmp_path / "c", test=False)
    settings = {"root": str(root), "official": False, "size": [36, 48], "missing_test": "val"}
    printed, report, error = check(tmp_path, "camvid", **settings)
    assert error is None
    assert "of val (the data has no test split)" in printed
    assert report["splits"]["train"]["void"]["pixels"] == 8 * 48


def test_coco_is_counted(tmp_path):
    root = write_coco(tmp_path / "c", count=20)
    _, report, error = check(tmp_path, "coco", root=str(root), size=[40, 48])
    assert error is None
    assert sum(split["samples"] for split in report["splits"].values()) == 20
    assert all(split["classes"]["person"]["pictures"] == split["samples"] for split in report["splits"].values())


def test_statistics_equal_numpy():
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (5, 8, 9, 3)).astype(np.uint8)
    masks = draw.choice([0, 1, 2, 7, 255], (5, 8, 9)).astype(np.uint8)

    class Source:
        def num_samples(self, split):
            return 5

        def original(self, split, index):
            return {"image": images[index], "mask": masks[index]}

    found = measure(Source(), "train")
    mean, std = found.mean_std()
    flat = images.reshape(-1, 3) / 255
    assert mean == pytest.approx(flat.mean(axis=0))
    assert std == pytest.approx(flat.std(axis=0))
    assert found.outside(3) == {7: int((masks == 7).sum())}
    assert found.void_share() == pytest.approx((masks == 255).mean())
    assert measure(Source(), "train", limit=2).samples == 2
    assert Statistics().void_share() == 0.0


def test_a_json_is_written_only_where_one_is_asked_for(command):
    words = [
        "data",
        "check",
        "data=fgbg",
        "data.size=[32,32]",
        "data.train_size=8",
        "data.val_size=5",
        "data.batch_size=4",
    ]
    outcome = command(*words, "data.test_size=4", entry=cli.main)
    assert outcome.code == 0, outcome.err
    assert list(Path.cwd().iterdir()) == []
    (row,) = (line.split() for line in outcome.out.splitlines() if line.split()[:1] == ["all"])
    assert row == ["all", "8", "5", "4"]  # pictures that the shares rest on
    assert command(*words, "data.test_size=4", "--out", "found.json", entry=cli.main).code == 0
    assert json.loads(Path("found.json").read_text())["splits"]["val"]["looked_at"] == 5
