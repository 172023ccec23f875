"""What is scored is the mask at its own size: training, evaluate, predict and score count the same pixels."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench
from segbench.commands.predict import Wanted, predict_images
from segbench.commands.score import score_predictions
from segbench.core.errors import ConfigError
from tests.support.tiny_files import scene

CLASSES = ["ground", "box", "other"]
SIZES = [(40, 48), (64, 64), (33, 71), (90, 52), (24, 30), (64, 64)]
"""Heights and widths of the pictures of test; none is that of the network's input but the second and the last."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder data set whose pictures differ in size."""
    place = tmp_path_factory.mktemp("pictures")
    number = 0
    for split, sizes in {"train": SIZES[:4], "val": SIZES[1:4], "test": SIZES}.items():
        for kind in ("images", "masks"):
            (place / kind / split).mkdir(parents=True)
        for size in sizes:
            image, mask = scene(number, *size, classes=3)
            mask[0] = 255
            Image.fromarray(image).save(place / "images" / split / f"p{number}.png")
            Image.fromarray(mask).save(place / "masks" / split / f"p{number}.png")
            number += 1
    return place


def settings(root, **changes):
    given = {
        "data": "folder",
        "data.root": root,
        "data.classes": f"[{','.join(CLASSES)}]",
        "data.split": "folders",
        "data.size": "[64,64]",
        "data.batch_size": 4,
        "trainer.accelerator": "cpu",
        "trainer.max_epochs": 2,
        "trainer.threads": 1,
        "model": "unet",
        "model.width": 4,
        "optimizer.lr": 0.01,
    }
    return [f"{key}={value}" for key, value in (given | changes).items()]


def trained(root, folder, **changes):
    return segbench.train(*settings(root, **changes), f"hydra.run.dir={folder}", quiet=True)


def counted(root, predicted, split="test"):
    """The confusion matrix of predicted masks, by hand: rows are the truth."""
    counts = np.zeros((len(CLASSES), len(CLASSES)), int)
    for file in sorted((root / "masks" / split).iterdir()):
        truth = np.array(Image.open(file))
        guess = np.array(Image.open(predicted / f"{file.stem}_mask.png"))
        assert guess.shape == truth.shape
        np.add.at(counts, (truth[truth != 255], guess[truth != 255]), 1)
    return counts


def predict(run, root, out, split="test"):
    predict_images(str(run.path), [str(root / "images" / split)], wanted=Wanted(out, device="cpu"))
    return out


@pytest.mark.parametrize(
    ("fit", "workers", "batch"), [("stretch", 0, 4), ("pad", 2, 4), ("crop", 0, 2), ("crop", 2, 3)]
)
def test_pictures_predicted_and_counted_by_hand_are_the_integers_of_the_results(root, tmp_path, fit, workers, batch):
    changes = {"data.fit": fit, "data.num_workers": workers, "data.batch_size": batch}
    run = trained(root, tmp_path / "run", **changes)
    results = run.read_results()
    counts = counted(root, predict(run, root, tmp_path / "predicted"))
    assert counts.tolist() == results["confusion"]["test"]
    hits = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - hits
    assert results["metrics"]["test/mean_iou"]["best"] == pytest.approx(np.nanmean(hits / union), abs=1e-12)
    assert results["scored_at"]["test"] == "own sizes, 24 x 30 to 90 x 52"
    rows = list(csv.DictReader(run.per_image("test").open()))
    for kind, wanted in (("tp", hits), ("fp", counts.sum(0) - hits), ("fn", counts.sum(1) - hits)):
        assert [sum(int(row[f"{kind}/{name}"]) for row in rows) for name in CLASSES] == wanted.tolist()


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    return trained(root, tmp_path_factory.mktemp("run") / "run")


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluate_gives_the_numbers_of_the_results_to_the_last_digit(run, split):
    again = segbench.evaluate(run, split)
    recorded = {
        name: value["best"] for name, value in run.read_results()["metrics"].items() if name.startswith(f"{split}/")
    }
    assert again["scores"].keys() == recorded.keys()
    assert not [name for name, value in again["scores"].items() if recorded[name] not in (value, None)]
    assert again["scored_at"] == run.read_results()["scored_at"][split]


def test_segbench_score_counts_predicted_pictures_the_same(root, run, tmp_path):
    predicted = predict(run, root, tmp_path / "predicted")
    words = [word for word in settings(root) if word.startswith("data")]
    scored = score_predictions(words, predicted, out=tmp_path / "scored").read_results()
    results = run.read_results()
    assert scored["confusion"] == results["confusion"]
    for name, value in scored["metrics"].items():
        assert value["best"] == results["metrics"][name]["best"]
    assert scored["scored_at"]["test"] == results["scored_at"]["test"]
    assert scored["data_fingerprint"]["test"] == results["data_fingerprint"]["test"]


def test_a_loaded_network_says_what_was_scored(root, run):
    model = segbench.load(run)
    counts = np.zeros((3, 3), int)
    for file in sorted((root / "images" / "test").iterdir()):
        truth = np.array(Image.open(root / "masks" / "test" / file.name))
        found = model(file)
        assert np.array_equal(found.probabilities.argmax(0), found.mask)
        np.add.at(counts, (truth[truth != 255], found.mask[truth != 255]), 1)
    assert counts.tolist() == run.read_results()["confusion"]["test"]


def test_the_best_epoch_is_chosen_by_scores_at_own_size_and_boundaries_come_at_the_end(run):
    results = run.read_results()
    header = Path(run.metrics).read_text().splitlines()[0].split(",")
    assert results["monitor"] == "val/mean_iou"
    assert "val/mean_iou" in header
    assert not [name for name in header if "boundary" in name]
    for split in ("val", "test"):
        assert 0 <= results["metrics"][f"{split}/mean_boundary_f1"]["best"] <= 1
    assert results["metrics"]["val/mean_boundary_f1"]["last"] is None


@pytest.mark.parametrize(("when", "in_epochs", "at_end"), [("epochs", True, True), ("never", False, False)])
def test_boundaries_are_scored_when_they_are_asked_for(root, tmp_path, when, in_epochs, at_end):
    run = trained(root, tmp_path / "run", **{"evaluate.boundary": when})
    assert ("val/mean_boundary_f1" in Path(run.metrics).read_text()) == in_epochs
    assert ("test/mean_boundary_f1" in run.read_results()["metrics"]) == at_end


def test_scores_at_the_input_say_so_in_their_names(root, run, tmp_path):
    at_input = segbench.evaluate(run, "test", changes=["evaluate.score_at=input"])
    assert at_input["scored_at"] == "input, 64 x 64"
    assert all(name.endswith("_at_input") for name in at_input["scores"] if name != "test/loss")
    data, counts = segbench.load(run)._predictor, np.zeros((3, 3), int)
    for file in sorted((root / "images" / "test").iterdir()):
        view = data.view
        seen = view.image(np.array(Image.open(file)))
        truth = view.mask(np.array(Image.open(root / "masks" / "test" / file.name)))
        guess = data(seen)["mask"]
        np.add.at(counts, (truth[truth != 255], guess[truth != 255]), 1)
    hits = counts.diagonal()
    wanted = np.nanmean(hits / (counts.sum(0) + counts.sum(1) - hits))
    assert at_input["scores"]["test/mean_iou_at_input"] == pytest.approx(wanted, abs=1e-12)
    assert at_input["scores"]["test/mean_iou_at_input"] != segbench.evaluate(run, "test")["scores"]["test/mean_iou"]


def test_words_that_evaluate_does_not_know_are_refused(root, tmp_path):
    for key, word, hint in (("score_at", "owm", "own"), ("boundary", "ends", "end")):
        with pytest.raises(ConfigError, match=rf"there is no evaluate\.{key} '{word}'; did you mean '{hint}'"):
            trained(root, tmp_path / "run", **{f"evaluate.{key}": word})


def test_runs_of_two_input_sizes_are_scored_on_the_same_pixels(root, run, tmp_path):
    other = trained(root, tmp_path / "run", **{"data.size": "[32,32]"}).read_results()
    ours = run.read_results()
    assert np.sum(other["confusion"]["test"], axis=1).tolist() == np.sum(ours["confusion"]["test"], axis=1).tolist()
    assert other["data_fingerprint"]["test"] == ours["data_fingerprint"]["test"]


def test_two_processes_count_what_one_predicts(root, tmp_path):
    """Of pictures of six sizes, of which the larger ones are seen in tiles."""
    crops = {"data.view": "crop", "data.size": "[32,32]", "evaluate.tile": 48}
    run = trained(root, tmp_path / "run", **{"trainer.devices": 2, "trainer.strategy": "ddp", **crops})
    results = run.read_results()
    assert counted(root, predict(run, root, tmp_path / "predicted")).tolist() == results["confusion"]["test"]
    assert results["scored_at"]["test"] == "own sizes, 24 x 30 to 90 x 52"
    assert sum(results["images_with_class"]["test"].values()) > 0


def test_two_input_sizes_are_compared_with_a_verdict(root, tmp_path):
    for seed in (0, 1):
        for side in (32, 64):
            settings = {"data.size": f"[{side},{side}]", "seed": seed, "trainer.max_epochs": 1}
            trained(root, tmp_path / "outputs" / f"{side}-{seed}", **settings)
    found = segbench.compare(tmp_path / "outputs")
    assert sorted(group.settings["data.size"] for group in found.groups) == ["[32,32]", "[64,64]"]
    assert found.groups[0].data == found.groups[1].data is not None
    (verdict,) = found.verdicts
    assert {verdict.first, verdict.second} == set(found.groups)
    assert verdict.difference is not None
