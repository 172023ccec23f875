"""Runs that were trained on crops: scored and predicted on whole pictures, in tiles, with further looks, together."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segbench import cli
from segbench.api import evaluate
from segbench.commands.predict import Wanted, predict_images
from segbench.core.errors import DataError
from tests.support.tiny_files import scene

CLASSES = ["ground", "box", "disc"]
SIZES = ((70, 90), (64, 100), (130, 70))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two small runs on crops of pictures of three sizes, which look at them in tiles of different sizes, and the data.

    The second one also looks at mirrored and at smaller pictures.
    """
    import segbench

    place = tmp_path_factory.mktemp("crops")
    for number in range(24):
        image, mask = scene(number, *SIZES[number % 3], classes=3)
        for name, array in (("images", image), ("masks", mask)):
            (place / "data" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(place / "data" / name / f"p{number:02d}.png")
    words = ["data=folder", f"data.root={place / 'data'}", f"data.classes=[{','.join(CLASSES)}]", "data.size=[48,48]"]
    words += ["data.view=crop", "data.batch_size=4", "model.width=4", "model.depth=2", "loss=cross_entropy"]
    words += ["trainer=debug", "trainer.threads=1", "trainer.max_epochs=10", "optimizer.lr=3e-2"]
    looks = (["evaluate.tile=64"], ["evaluate.tile=80", "evaluate.tta=[hflip,0.75]"])
    found = []
    for number, look in enumerate(looks):
        own = [*look, f"seed={number}", f"hydra.run.dir={place / str(number)}"]
        found.append(segbench.train(*words, *own, quiet=True).path)
    return found, place / "data"


def predicted(run, data, out, further=(), probabilities=False):
    words = [*map(str, further), str(data / "images")]
    predict_images(str(run), words, wanted=Wanted(out, device="cpu", probabilities=probabilities))
    return {path.stem.removesuffix("_mask"): np.array(Image.open(path)) for path in sorted(out.glob("*_mask.png"))}


def counted(masks, run, data, split):
    """The confusion matrix of the masks of a split, by hand."""
    confusion = np.zeros((3, 3), np.int64)
    with (run / f"{split}_images.csv").open() as file:
        names = [Path(row["image"]).stem for row in csv.DictReader(file)]
    for name in names:
        truth = np.array(Image.open(data / "masks" / f"{name}.png"))
        np.add.at(confusion, (truth.ravel(), masks[name].ravel()), 1)
    return confusion


@pytest.mark.parametrize("number", [0, 1])
def test_masks_of_predict_give_the_integers_of_the_run(runs, tmp_path, number):
    run, data = runs[0][number], runs[1]
    masks = predicted(run, data, tmp_path / "out")
    assert {mask.shape for mask in masks.values()} == set(SIZES)
    results = json.loads((run / "results.json").read_text())
    assert results["confusion"]["test"] == counted(masks, run, data, "test").tolist()
    assert len(np.unique(np.concatenate([mask.ravel() for mask in masks.values()]))) > 1


def test_further_looks_change_the_scores_and_not_the_data(runs):
    run = runs[0][0]
    plain, looked = (evaluate(run, "test", changes=changes) for changes in ([], ["evaluate.tta=[hflip,0.75]"]))
    assert plain["scores"]["test/mean_iou"] != looked["scores"]["test/mean_iou"]
    assert plain["data_fingerprint"] == looked["data_fingerprint"]


def test_an_ensemble_is_the_mean_of_its_runs(runs, tmp_path):
    (first, second), data = runs
    alone = {}
    for number, run in enumerate((first, second)):
        predicted(run, data, tmp_path / str(number), probabilities=True)
        alone[number] = {path.stem: np.load(path)["probabilities"] for path in (tmp_path / str(number)).glob("*.npz")}
    masks = predicted(first, data, tmp_path / "both", further=[second], probabilities=True)
    for name, mask in masks.items():
        expected = (alone[0][name].astype(np.float64) + alone[1][name]) / 2
        found = np.load(tmp_path / "both" / f"{name}.npz")["probabilities"]
        assert np.allclose(found, expected, atol=1e-6)
        assert (mask == expected.argmax(axis=0)).mean() > 0.9999
    assert any((mask != alone[0][name].argmax(axis=0)).any() for name, mask in masks.items())


def test_runs_that_do_not_go_together_are_refused(runs, command, tiny):
    (first, _), data = runs
    assert command(*tiny, "hydra.run.dir=other").code == 0
    outcome = command("predict", str(first), "other", str(data), "--out", "out", entry=cli.main)
    assert outcome.code == 2
    assert "other cannot be averaged with" in outcome.err
    assert "its classes ['background', 'foreground'] instead of ['ground', 'box', 'disc']" in outcome.err
    outcome = command("predict", str(first), "other", "--out", "out", entry=cli.main)
    assert outcome.code == 2
    assert "needs pictures after the runs" in outcome.err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("evaluate.tile=16", "evaluate.tile must be a whole number of at least 32 or null"),
        ("evaluate.tile=big", "evaluate.tile must be a whole number"),
        ("evaluate.overlap=0.7", "from 0 to 0.5 (the default is 0.25), got 0.7"),
        ("evaluate.tta=hflop", "did you mean 'hflip'"),
        ("evaluate.tta=[hflip,9]", "scales from 0.25 to 4"),
        ("evaluate.tta=true", "evaluate.tta must be a list"),
    ],
)
def test_settings_that_cannot_be_are_refused(command, tiny, setting, message):
    outcome = command(*tiny, setting)
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())


def test_a_large_tiff_is_predicted_by_windows_as_a_whole(runs, tmp_path, monkeypatch):
    both = runs[0]
    image, _ = scene(5, 150, 210, classes=3)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", image, tile=(64, 64), photometric="rgb")
    opaque = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    tifffile.imwrite(tmp_path / "in/b.tif", opaque, tile=(64, 64), photometric="rgb", extrasamples=["unassalpha"])
    for further in ([], [both[1]]):
        words = [*map(str, further), str(tmp_path / "in")]
        predict_images(str(both[0]), words, wanted=Wanted(tmp_path / "whole", device="cpu"))
        with monkeypatch.context() as patched:
            patched.setattr("segbench.commands.predict_large.MAX_PIXELS", 30_000)
            predict_images(str(both[0]), words, wanted=Wanted(tmp_path / "windows", device="cpu"))
            with pytest.raises(DataError, match="leave out --overlay, --probabilities and --uncertainty"):
                predict_images(str(both[0]), words, wanted=Wanted(tmp_path / "none", device="cpu", overlay=True))
        whole = np.array(Image.open(tmp_path / "whole/a_mask.png"))
        windows = tifffile.imread(tmp_path / "windows/a_mask.tif")
        assert windows.shape == (150, 210)
        assert (tifffile.imread(tmp_path / "windows/b_mask.tif") == windows).all(), "transparency is left out"
        assert (windows == whole).all(), "each network has seen the same tiles"
        assert len(np.unique(whole)) > 1
