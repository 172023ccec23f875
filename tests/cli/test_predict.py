"""`segbench predict`: which pictures, under which names, and what is written."""

from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from segbench import cli
from segbench.commands.found_pictures import find_pictures
from segbench.core.errors import ConfigError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """in/a.png, in/a.jpg, in/one/a.png, in/one/two/b.png, in/.hidden/c.png and in/notes.txt."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "a.jpg", "one/a.png", "one/two/b.png", ".hidden/c.png"):
        path = Path("in", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    Path("in/notes.txt").write_text("no picture")


def names(*words, out="out"):
    return {name: str(PurePosixPath(path)) for name, path in find_pictures(words, Path(out)).files.items()}


def test_a_folder_is_walked_and_its_tree_kept(tree):
    assert names("in") == {
        "a": "in/a.jpg",
        "in_a": "in/a.png",
        "one/a": "in/one/a.png",
        "one/two/b": "in/one/two/b.png",
    }
    assert names("in/one") == {"a": "in/one/a.png", "two/b": "in/one/two/b.png"}


def test_a_pattern_keeps_the_tree_below_its_fixed_part(tree):
    assert names("in/**/*.png") == {"a": "in/a.png", "one/a": "in/one/a.png", "one/two/b": "in/one/two/b.png"}
    assert names("in/*/a.png") == {"one/a": "in/one/a.png"}


def test_files_are_called_by_their_names_and_none_comes_twice(tree):
    assert names("in/one/a.png", "in/a.png", "in/one", "in/a.png") == {
        "a": "in/one/a.png",
        "in_a": "in/a.png",
        "two/b": "in/one/two/b.png",
    }


def test_a_folder_of_parquet_is_told_how_its_pictures_are_written(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-0.parquet").write_bytes(b"PAR1")
    (missing,) = find_pictures([str(tmp_path)], tmp_path / "out").missing
    assert "segbench data export data=huggingface data.name=PATH out=DIR" in missing
    (missing,) = find_pictures([""], tmp_path / "out").missing
    assert "Parquet" not in missing


def test_what_lies_in_the_output_folder_is_no_input(tree):
    for name in ("in/out/a_mask.png", "in/out/one/a_mask.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(name)
    assert "out/a_mask" in names("in")
    for words in (["in"], ["in/**/*.png"]):
        assert not any("mask" in name for name in names(*words, out="in/out"))
        assert "one/two/b" in names(*words, out="in/out")
    assert names("in/a.png", out="in") == {"a": "in/a.png"}, "one file is no folder that is searched"


@pytest.mark.parametrize(
    ("word", "out"), [("in", "in"), ("in", "in/one/.."), ("in/*.png", "in"), ("in/**/*.png", "in")]
)
def test_the_output_folder_is_not_the_one_that_is_searched(tree, word, out):
    with pytest.raises(ConfigError, match="where the pictures of .* lie; give another folder"):
        find_pictures([word], Path(out))


def test_words_that_name_nothing_are_told(tree):
    found = find_pictures(["in/one", "nowhere", "", "in/*.bmp", "x" * 5000], Path("out"))
    assert set(found.files) == {"a", "two/b"}
    assert len(found.missing) == 4


def test_probabilities_overlays_and_masks_of_a_tree(command, tiny, tree):
    assert command(*tiny, "hydra.run.dir=run").code == 0
    outcome = command("predict", "run", "in", "--out", "out", "--probabilities", entry=cli.main)
    assert outcome.code == 0, outcome.err
    assert "4 of 4 pictures predicted" in outcome.out
    written = {path.relative_to("out").as_posix() for path in Path("out").rglob("*.*")}
    assert written == {f"{name}{end}" for name in ("a", "in_a", "one/a", "one/two/b") for end in (".npz", "_mask.png")}
    assert command("predict", "run", "run", "in", "--out", "unsure", "--uncertainty", entry=cli.main).code == 0
    probabilities = np.load("out/one/two/b.npz")["probabilities"]
    entropy = -(probabilities * np.log2(probabilities)).sum(0)
    with Image.open("unsure/one/two/b_entropy.png") as unsure:
        assert np.abs(np.array(unsure) - 255 * entropy).max() <= 0.51
    assert probabilities.shape == (2, 8, 8)
    assert probabilities.dtype == np.float32
    with Image.open("out/one/two/b_mask.png") as mask:
        assert np.array_equal(np.array(mask), probabilities.argmax(axis=0))
    for _ in range(2):
        again = command("predict", "run", "in", "--out", "in/masks", "--overlay", entry=cli.main)
        assert "4 of 4" in again.out, "masks of the call before are not taken for pictures"
    assert Path("in/masks/one/two/b_overlay.png").exists()
