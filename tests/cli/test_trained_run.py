"""`segbench evaluate` and `segbench predict`: a trained run at work, from its folder alone."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def photo(path, height=70, width=50, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("split", ["test", "val"])
def test_evaluate_gives_the_numbers_of_the_training(segbench, run, split):
    recorded = json.loads((run / "results.json").read_text())["metrics"]
    moved = run.rename("moved")
    outcome = segbench("evaluate", moved, "--split", split, "--out", "scores.json")
    assert outcome.code == 0, outcome.err
    assert f"the same as the run's own {split} scores" in outcome.out
    scores = json.loads(Path("scores.json").read_text())["scores"]
    for name, value in recorded.items():
        if name.startswith(f"{split}/") and name != f"{split}/loss":
            assert scores[name] == value["best"], name


def test_a_run_and_its_evaluation_state_baselines_and_numbers_of_pictures(segbench, run):
    results = json.loads((run / "results.json").read_text())
    assert results["images"] == {"train": 8, "val": 4, "test": 4}
    with (run / "test_images.csv").open() as file:
        rows = list(csv.DictReader(file))
    truth = [sum(int(row[f"tp/{name}"]) + int(row[f"fn/{name}"]) for row in rows) for name in results["classes"]]
    most = results["baselines"]["test"]["most_frequent"]
    assert most["class"] == results["classes"][int(np.argmax(truth))]
    assert most["accuracy"] == pytest.approx(max(truth) / sum(truth))
    assert most["mean_iou"] == pytest.approx(max(truth) / sum(truth) / 2)
    assert results["baselines"]["test"]["all_foreground"]["iou/foreground"] == pytest.approx(truth[1] / sum(truth))
    for row in rows:
        assert row["image"] == f"{row['unit/foreground']} + {row['unit/background']}"
    outcome = segbench("evaluate", run, "--out", "scores.json")
    assert "most frequent (background)" in " ".join(outcome.out.split())
    assert "all foreground" in outcome.out
    report = json.loads(Path("scores.json").read_text())
    assert report["baselines"] == results["baselines"]["test"]
    assert report["images_with_class"] == results["images_with_class"]["test"] == {"background": 4, "foreground": 4}


def test_evaluate_says_how_sure_the_network_is(segbench, run):
    outcome = segbench("evaluate", run, "--out", "scores.json", "--reliability", "sure.png")
    assert outcome.code == 0, outcome.err
    results = json.loads((run / "results.json").read_text())
    counts = np.array(results["confusion"]["test"])
    found = json.loads(Path("scores.json").read_text())["calibration"]
    assert found["accuracy"] == counts.diagonal().sum() / counts.sum()
    assert sum(one["pixels"] for one in found["bins"]) == counts.sum()
    assert all(one["pixels"] == 0 for one in found["bins"][:7])  # of two classes the likelier one has half at least
    assert f"expected calibration error {found['expected_calibration_error']:.4f}" in outcome.out
    assert Image.open("sure.png").width > 300


def test_evaluate_says_when_it_scored_otherwise(segbench, run):
    outcome = segbench("evaluate", run, "evaluate.tta=hflip")
    assert "scored with other settings (evaluate.tta=hflip), so the recorded scores do not compare" in outcome.out


def test_evaluate_says_why_there_is_nothing_to_compare_with(segbench, run):
    (run / "results.json").unlink()
    outcome = segbench("evaluate", run)
    assert outcome.code == 0, outcome.err
    assert "there is no results.json to compare with: it was removed" in outcome.out
    (run / "status.json").write_text(json.dumps({"state": "interrupted"}))
    assert "there is no results.json to compare with: the run has not finished" in segbench("evaluate", run).out


def test_evaluate_says_when_the_data_is_another(segbench, run):
    outcome = segbench("evaluate", run, "data.seed=5")
    assert outcome.code == 0, outcome.err
    assert "not the data of the training" in outcome.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 4, "there is no run folder"),
        (["run", "--split", "tests"], 2, "did you mean 'test'"),
        (["run", "data.seeed=5"], 2, "did you mean 'seed'"),
        (["run", "data.seed.x=5"], 2, "there is no setting"),
        (["run", "trainer=gpu"], 2, "'trainer' is a group"),
        (["run", "data.seed=1,2"], 2, "takes one value"),
        (["run", "--out", "/proc/none/x.json"], 3, "cannot be made a folder"),
    ],
)
def test_evaluate_refuses(segbench, run, words, code, message):
    before = sorted(Path().rglob("*"))
    outcome = segbench("evaluate", *words)
    assert outcome.code == code
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert sorted(Path().rglob("*")) == before


def test_a_run_without_its_best_checkpoint_or_with_another_network(segbench, run):
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("width: 4", "width: 8"))
    outcome = segbench("evaluate", run)
    assert outcome.code == 4
    assert "does not fit the network" in outcome.err
    (run / "config.yaml").write_text(text)
    for name in ("best.ckpt", "latest.json"):
        (run / "checkpoints" / name).unlink()
    outcome = segbench("evaluate", run)
    assert outcome.code == 4
    assert "has no checkpoints/best.ckpt yet" in outcome.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [1]\nb: *a\n", "it uses aliases"),
        ("model:\n  _target_: !!python/name:os.system\n", "it uses tags"),
        ("seed: 1\n", "is not the configuration of a run"),
        (
            "{data: 1, model: 5, loss: 1, optimizer: 1, scheduler: 1, trainer: {}, seed: 0, task: mask, inputs: image,"
            " depth_weight: 1, resolution: null, logger: {}, tags: [], note: null}",
            "must describe a part",
        ),
        ("x" * 1_000_001, "larger than the"),
    ],
)
def test_a_hostile_configuration_is_refused(segbench, run, text, message):
    (run / "config.yaml").write_text(text)
    outcome = segbench("evaluate", run)
    assert outcome.code == 2
    assert message in outcome.err


def test_settings_of_the_trainer_that_are_missing_or_foreign(segbench, run):
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("  val_every:", "  val_evry:"))
    outcome = segbench("evaluate", run)
    assert outcome.code == 2
    assert "there is no setting 'trainer.val_evry'; did you mean 'val_every'?" in outcome.err


@pytest.mark.parametrize("lost", ["origin", "mean"])
def test_a_checkpoint_that_lacks_something_is_refused(segbench, run, lost):
    import torch

    for path in run.glob("checkpoints/*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        checkpoint.pop(lost, None)
        checkpoint["state_dict"].pop(lost, None)  # best.ckpt is a second name of one of the others
        torch.save(checkpoint, path)
    (run / "checkpoints/latest.json").unlink()
    outcome = segbench("evaluate", run)
    assert outcome.code == 4
    assert {"origin": "does not say how it began", "mean": "mean is none in the checkpoint"}[lost] in outcome.err


def test_a_configuration_cannot_read_the_environment_or_name_any_class(segbench, run, monkeypatch):
    monkeypatch.setenv("SECRET", "1234567")
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("name: unet-dice-fgbg", "name: ${oc.env:SECRET}"))
    outcome = segbench("evaluate", run)
    assert outcome.code == 2
    assert "1234567" not in outcome.err + outcome.out
    (run / "config.yaml").write_text(text.replace("segbench.models.unet.UNet", "os.system"))
    outcome = segbench("evaluate", run)
    assert outcome.code == 2
    assert "is not in a package" in outcome.err


def test_predict_writes_masks_at_the_original_size(segbench, run):
    photo(Path("in/one.png"))
    photo(Path("in/two.jpg"), 33, 90, 1)
    photo(Path("more/one.png"), 40, 40, 2)
    outcome = segbench("predict", run, "in", "more/*.png", "--out", "out", "--overlay")
    assert outcome.code == 0, outcome.err
    assert "3 of 3 pictures predicted" in outcome.out
    sizes = {"one": (50, 70), "two": (90, 33), "more_one": (40, 40)}
    assert {path.name for path in Path("out").iterdir()} == {
        f"{name}_{kind}.png" for name in sizes for kind in ("mask", "overlay")
    }
    for name, size in sizes.items():
        mask = Image.open(f"out/{name}_mask.png")
        assert mask.size == size
        assert mask.mode == "P"
        assert set(np.unique(np.array(mask))) <= {0, 1}
        assert Image.open(f"out/{name}_overlay.png").size == size


def test_a_picture_of_the_training_size_gets_the_prediction_of_the_training(segbench, run):
    import torch

    from segbench.inference.load import load_trained

    path = photo(Path("one.png"), 32, 32)
    assert segbench("predict", run, path, "--out", "out").code == 0
    module = load_trained(run).module
    image = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = (module({"image": image})["mask"][0, 0] > 0).numpy()
    assert np.array_equal(np.array(Image.open("out/one_mask.png")) == 1, expected)


def test_broken_pictures_are_listed_at_the_end_and_the_rest_is_done(segbench, run):
    photo(Path("in/good.png"))
    Path("in/broken.png").write_bytes(b"rubbish")
    half = photo(Path("in/half.png"), seed=3)
    half.write_bytes(half.read_bytes()[:200])
    outcome = segbench("predict", run, "in", "--out", "out")
    assert outcome.code == 3
    for text in ("1 of 3 pictures predicted", "broken.png: not a PNG", "half.png:"):
        assert text in outcome.err
    assert Path("out/good_mask.png").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["missing.png"], 3, "there is no such picture"),
        (["x*.png"], 3, "there is no such picture"),
        (["one.png", "--side", "0"], 2, "--side must be at least 1"),
        (["one.png", "--device", "tpu"], 2, "there is no device"),
        (["one.png", "--backgrounds", "."], 2, "is given the image alone"),
    ],
)
def test_predict_refuses(segbench, run, words, code, message):
    photo(Path("one.png"))
    outcome = segbench("predict", run, *words, "--out", "out")
    assert outcome.code == code
    assert message in outcome.err


def test_depth_and_background(segbench, command, tiny):
    assert command(*tiny, "task=mask_depth", "inputs=image+background", "hydra.run.dir=run").code == 0
    photo(Path("in/one.png"), 40, 60)
    photo(Path("bg/one.png"), 40, 60, 1)
    assert "also needs the scene" in segbench("predict", "run", "in", "--out", "out").err
    outcome = segbench("predict", "run", "in", "--backgrounds", "bg", "--out", "out")
    assert outcome.code == 0, outcome.err
    depth = np.load("out/one_depth.npy")
    assert depth.shape == (40, 60)
    assert depth.dtype == np.float32
    assert Image.open("out/one_mask.png").size == Image.open("out/one_depth.png").size == (60, 40)
    photo(Path("bg/one.png"), 40, 61, 1)
    assert "another size" in segbench("predict", "run", "in", "--backgrounds", "bg", "--out", "out").err


def test_results_and_tables_of_depth(command, tiny):
    assert command(*tiny, "task=depth", "loss.depth=l1", "hydra.run.dir=run").code == 0
    results = json.loads(Path("run/results.json").read_text())
    assert results["monitor"] == "val/depth/rmse"
    for name in ("rmse", "mae", "abs_rel", "delta1", "ssim"):
        assert np.isfinite(results["metrics"][f"test/depth/{name}"]["best"]), name
    assert "test/mean_iou" not in results["metrics"]
    header, first = Path("run/test_images.csv").read_text().splitlines()[:2]
    assert header == "index,image,unit/foreground,unit/background,depth/squared_error,depth/pixels"
    assert first.split(",")[5] == str(32 * 32)
    assert results["images_with_class"] == {"val": {}, "test": {}}
    assert list(results["baselines"]["test"]) == ["mean_depth"]
    rows = [row for row in Path("run/metrics.csv").read_text().splitlines() if row.startswith("epoch")]
    assert len(rows) == 2


def test_progressive_resolution_trains_small_and_validates_at_full_size(command, tiny, monkeypatch):
    from segbench.inference.module import ScoredModule

    sizes = []
    original = ScoredModule.forward

    def forward(self, batch):
        sizes.append((self.training, tuple(batch["image"].shape[-2:])))
        return original(self, batch)

    monkeypatch.setattr(ScoredModule, "forward", forward)
    assert command(*tiny, "resolution=16,32").code == 0
    assert [size for training, size in sizes if training] == [(16, 16)] * 2 + [(32, 32)] * 2
    assert {size for training, size in sizes if not training} == {(32, 32)}
    outcome = command(*tiny, "resolution=[16,64]")
    assert outcome.code == 2
    assert "data's shorter side, 32" in outcome.err
