"""A run on four bands of 16 bit: it learns from the contrast of 12, and a kill changes nothing."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from segbench.api import load
from segbench.commands.predict import Wanted, predict_images
from segbench.core.errors import DataError
from tests.support import killing, tiny_bands

NETWORK = ["model=fcn", "loss=bce_dice", "optimizer.lr=0.02", "trainer.checkpoint_every=1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The data and a run on it."""
    from segbench.api import train

    folder = tmp_path_factory.mktemp("bands")
    root = tiny_bands.write_bands(folder / "d")
    words = [*tiny_bands.words(root), *NETWORK, "trainer.max_epochs=12", f"hydra.run.dir={folder / 'run'}"]
    return root, train(*words, quiet=True)


def test_an_object_of_120_counts_in_65536_is_learned(trained):
    _, run = trained
    results = json.loads(run.results.read_text())
    assert results["metrics"]["test/iou/foreground"]["best"] > 0.8
    assert results["values"]["kind"] == "uint16"
    assert 525 < min(results["values"]["low"]) < max(results["values"]["high"]) < 685
    assert [len(results["normalisation"][name]) for name in ("mean", "std")] == [4, 4]


def test_a_loaded_run_takes_files_and_arrays_of_its_bands_and_refuses_others(trained, tmp_path):
    root, run = trained
    network = load(run)
    path = sorted((root / "images").iterdir())[0]
    array = tifffile.imread(path)
    assert (network(path).mask == network(array).mask).all()
    truth = np.asarray(Image.open(root / "masks" / f"{path.stem}.png"))
    assert (network(path).mask == truth).mean() > 0.9
    with pytest.raises(DataError, match="the pictures are uint8, but the run was trained on uint16"):
        network((array // 4).astype(np.uint8))
    with pytest.raises(DataError, match=r"3 bands; data.bands=\[0, 1, 2, 3\] needs 4 of them"):
        network(array[..., :3])


def test_predict_says_which_pictures_are_brighter_than_all_of_the_training(trained, tmp_path):
    root, run = trained
    (tmp_path / "in").mkdir()
    array = np.array(tifffile.imread(sorted((root / "images").iterdir())[0]))
    few = array.copy()
    few[0, :2] = 60_000  # less than a twentieth
    for name, picture in {"usual": array, "bright": array + 5_000, "few": few}.items():
        np.save(tmp_path / "in" / f"{name}.npy", picture.astype(np.uint16))
    said = predict_images(str(run.path), [str(tmp_path / "in")], wanted=Wanted(tmp_path / "out", device="cpu"))
    assert said.startswith("3 of 3 pictures predicted")
    assert said.endswith(
        "; of 1, more than 5 % of the values lie beyond those of the training, and were clipped: bright.npy"
    )


@pytest.mark.slow
def test_killed_and_continued_to_the_same_end(command, tmp_path):
    root = tiny_bands.write_bands(tmp_path / "d", count=16)
    words = [*tiny_bands.words(root), *NETWORK, "trainer.max_epochs=3", "data.train_size=8"]
    run = killing.Run(tmp_path / "run", words)
    assert run.killed_at("step", 4, "data.num_workers=1")
    peace = tmp_path / "peace"
    assert command(*run.words, f"hydra.run.dir={peace}").code == 0
    assert command(f"resume={run.folder}", "data.num_workers=0").code == 0
    assert list(killing.differences(peace, run.folder)) == []
