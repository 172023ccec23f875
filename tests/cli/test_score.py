"""`segbench score`: masks of other programs beside our own runs."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from segbench.commands.predict import Wanted, predict_images
from segbench.commands.score import score_predictions
from segbench.compare.comparison import compare_runs
from segbench.config.saved import read_saved_config
from segbench.core.errors import ConfigError, DataError
from segbench.runs.folder import RunFolder
from tests.support.tiny_files import scene, write_folder, write_parquet

SIZE = (40, 48)
SETTINGS = ["data=folder", "data.size=[40,48]", "data.classes=[ground,box]", "data.split=folders"]


@pytest.fixture
def pictures(tmp_path):
    """A folder data set of ids, with 3 pictures of train, 2 of val and 4 of test."""
    root = tmp_path / "pictures"
    number = 0
    for split, count in {"train": 3, "val": 2, "test": 4}.items():
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for _ in range(count):
            image, mask = scene(number, *SIZE, classes=2)
            mask[0] = 255
            Image.fromarray(image).save(root / "images" / split / f"p{number}.png")
            Image.fromarray(mask).save(root / "masks" / split / f"p{number}.png")
            number += 1
    return root


def truth(root, split="test"):
    return {path.stem: np.array(Image.open(path)) for path in sorted((root / "masks" / split).iterdir())}


def guess(mask, number):
    """What another program might say: the truth moved by some pixels, and something at unlabelled ones too."""
    return np.roll(np.where(mask == 255, 1, mask), 2 + number, axis=1).astype(np.uint8)


def write_guesses(root, folder, save):
    folder.mkdir(parents=True)
    guesses = {name: guess(mask, number) for number, (name, mask) in enumerate(truth(root).items())}
    for name, mask in guesses.items():
        save(folder, name, mask)
    return guesses


def by_hand(root, guesses):
    """Foreground and mean IoU over the whole split, by numpy alone."""
    masks = truth(root)
    known = {name: masks[name] != 255 for name in masks}
    each = []
    for value in (0, 1):
        both = sum(((guesses[n] == value) & (masks[n] == value) & known[n]).sum() for n in masks)
        any_of = sum((((guesses[n] == value) | (masks[n] == value)) & known[n]).sum() for n in masks)
        each.append(both / any_of)
    return each[1], sum(each) / 2


def score(root, predictions, out, *words, **more):
    return score_predictions([*SETTINGS, f"data.root={root}", *words], predictions, out=out, **more)


def results(run):
    return json.loads(run.results.read_text())


def save_grey(folder, name, mask):
    Image.fromarray(mask).save(folder / f"{name}.png")


def save_palette(folder, name, mask):
    picture = Image.fromarray(mask, mode="P")
    picture.putpalette([9, 9, 9, 250, 0, 0])
    picture.save(folder / f"{name}_mask.png")
    Image.new("RGB", SIZE[::-1]).save(folder / f"{name}_overlay.png")


def save_all(folder, name, mask):
    save_palette(folder, name, mask)
    save_npz(folder, name, 1 - mask)  # where there is a mask, it counts


def save_binary(folder, name, mask):
    Image.fromarray(mask * 255).save(folder / f"{name}.png")


def save_npz(folder, name, mask):
    foreground = 0.2 + 0.6 * mask.astype(np.float32)
    np.savez(folder / f"{name}.npz", probabilities=np.stack([1 - foreground, foreground]))


def save_channels_last(folder, name, mask):
    np.savez(folder / f"{name}.npz", np.stack([0.8 - 0.6 * mask, 0.2 + 0.6 * mask], axis=2))


def save_npy(folder, name, mask):
    np.save(folder / f"{name}.npy", mask.astype(np.int64))


@pytest.mark.parametrize(
    ("save", "more"),
    [
        (save_grey, {}),
        (save_palette, {}),
        (save_all, {}),
        (save_binary, {"masks": "binary"}),
        (save_npz, {}),
        (save_channels_last, {}),
        (save_npy, {}),
    ],
)
def test_masks_of_any_form_give_the_numbers_worked_out_by_hand(pictures, tmp_path, save, more):
    guesses = write_guesses(pictures, tmp_path / "theirs", save)
    run = score(pictures, tmp_path / "theirs", tmp_path / "run", **more)
    foreground, mean = by_hand(pictures, guesses)
    metrics = results(run)["metrics"]
    assert metrics["test/iou/box"]["best"] == pytest.approx(foreground, abs=1e-12)
    assert metrics["test/mean_iou"]["best"] == pytest.approx(mean, abs=1e-12)


def test_the_folder_is_a_run_that_compare_takes_like_any_other(pictures, tmp_path):
    write_guesses(pictures, tmp_path / "nnunet", save_grey)
    for seed in (1, 2):
        score(pictures, tmp_path / "nnunet", tmp_path / f"runs/n{seed}", f"seed={seed}", "tags=theirs", "note=v2")
    write_guesses(pictures, tmp_path / "yolo", save_binary)
    score(pictures, tmp_path / "yolo", tmp_path / "runs/y1", "seed=1", masks="binary")
    found = compare_runs([tmp_path / "runs"])
    assert found.columns == ["model"]
    assert {group.label: len(group.runs) for group in found.groups} == {"model=nnunet": 2, "model=yolo": 1}
    assert len({group.data for group in found.groups}) == 1
    assert found.runs[0].tags == ["theirs"] and found.runs[0].note == "v2"
    table = list(csv.DictReader((tmp_path / "runs/n1/test_images.csv").open()))
    assert len(table) == 4 and {"index", "image", "mean_iou", "tp/box", "fn/ground"} <= set(table[0])
    assert RunFolder(tmp_path / "runs/n1").read_status()["state"] == "completed"
    assert RunFolder(tmp_path / "runs/n1").read_results()["images"] == {"test": 4}
    assert results(RunFolder(tmp_path / "runs/n1"))["test_is_val"] is False
    assert results(RunFolder(tmp_path / "runs/n1"))["baselines"]["test"]["most_frequent"]["class"] == "ground"


def test_predictions_of_predict_give_the_runs_own_numbers_to_the_digit(command, tmp_path):
    root = write_folder(tmp_path / "data", size=(32, 32), binary=False)
    words = ["data=folder", f"data.root={root}", "data.size=[32,32]", "data.classes=[ground,box]"]
    small = ["trainer=debug", "trainer.threads=1", "trainer.max_epochs=8", "model.width=4", "model.depth=2"]
    small += ["data.batch_size=4", "optimizer.lr=2e-2", "data.test_size=6"]
    assert command(*words, *small, f"hydra.run.dir={tmp_path}/run").code == 0
    predict_images(str(tmp_path / "run"), [str(root / "images")], wanted=Wanted(tmp_path / "masks", device="cpu"))
    splits = ("val", "test")
    run = score_predictions([], tmp_path / "masks", splits=splits, out=tmp_path / "scored", like=tmp_path / "run")
    own, scored = results(RunFolder(tmp_path / "run")), results(run)
    tested = {name: value["best"] for name, value in own["metrics"].items() if name.startswith("test/")}
    del tested["test/loss"]  # masks have none
    assert 0.2 < tested["test/iou/box"] < 0.999
    assert {name: scored["metrics"][name]["best"] for name in tested} == tested
    assert scored["data_fingerprint"]["test"] == own["data_fingerprint"]["test"]
    assert (tmp_path / "run/test_images.csv").read_text() == (run.path / "test_images.csv").read_text()
    assert scored["images"] == {"val": 4, "test": 6}
    assert own["test_is_val"] is False
    found = compare_runs([tmp_path / "run", run.path])
    assert found.columns == ["model"]  # not every setting that masks do not have


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "val is the test"), (["data.val_size=1"], "val and test share images")],
)
def test_a_test_that_was_taken_from_val_is_marked(pictures, tmp_path, words, said):
    for kind in ("images", "masks"):
        (pictures / kind / "test").rename(tmp_path / kind)
    guesses = tmp_path / "guesses"
    guesses.mkdir()
    for number, (name, mask) in enumerate(truth(pictures, "val").items()):
        save_grey(guesses, name, guess(mask, number))
    run = score(pictures, guesses, tmp_path / "runs/a", "data.missing_test=val", *words, splits=("val", "test"))
    assert results(run)["test_is_val"] is True
    (group,) = compare_runs([tmp_path / "runs"]).groups
    assert group.flattered == said


def test_all_that_does_not_fit_is_listed_together(pictures, tmp_path):
    guesses = write_guesses(pictures, tmp_path / "theirs", save_grey)
    folder = tmp_path / "theirs"
    names = list(guesses)
    (folder / f"{names[0]}.png").unlink()
    Image.fromarray(np.zeros((7, 9), np.uint8)).save(folder / f"{names[1]}.png")
    Image.fromarray(np.full(SIZE, 5, np.uint8)).save(folder / f"{names[2]}.png")
    Image.fromarray(np.full(SIZE, 255, np.uint8)).save(folder / f"{names[3]}.png")
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(folder / "nobody.png")
    with pytest.raises(DataError) as error:
        score(pictures, folder, tmp_path / "run")
    said = str(error.value)
    for words in (
        f"missing (1): {names[0]}.png",
        "surplus (1): nobody.png",
        f"wrong size (1): {names[1]}.png (7 x 9 instead of 40 x 48)",
        f"label (1): {names[2]}.png (ids 5",
        f"no class (1): {names[3]}.png (255 at 1,872 labelled pixels; give --masks binary",
    ):
        assert words in said
    assert not (tmp_path / "run").exists()


def test_names_may_come_with_folders_and_other_splits_are_left_alone(pictures, tmp_path):
    guesses = write_guesses(pictures, tmp_path / "theirs/test", save_grey)
    for name, mask in truth(pictures, "val").items():
        (tmp_path / "theirs/val").mkdir(exist_ok=True)
        save_grey(tmp_path / "theirs/val", name, np.where(mask == 255, 0, mask))
    run = score(pictures, tmp_path / "theirs", tmp_path / "run")
    assert results(run)["metrics"]["test/mean_iou"]["best"] == pytest.approx(by_hand(pictures, guesses)[1])
    words = [*SETTINGS, f"data.root={pictures}"]
    both = score_predictions(words, tmp_path / "theirs", splits=("val", "test"), out=tmp_path / "2")
    assert results(both)["metrics"]["val/mean_iou"]["best"] == 1.0


def test_a_prediction_at_the_size_of_the_network_comes_to_the_own_size_of_the_picture(pictures, tmp_path, capsys):
    (tmp_path / "theirs").mkdir()
    guesses = {}
    for name, mask in truth(pictures).items():
        small = Image.fromarray(np.where(mask == 255, 0, mask)).resize((24, 20), Image.Resampling.NEAREST)
        save_grey(tmp_path / "theirs", name, np.array(small))
        guesses[name] = np.array(small.resize((48, 40), Image.Resampling.NEAREST))
    run = score(pictures, tmp_path / "theirs", tmp_path / "run", "data.size=[20,24]")
    assert results(run)["metrics"]["test/mean_iou"]["best"] == pytest.approx(by_hand(pictures, guesses)[1])
    assert results(run)["metrics"]["test/mean_iou"]["best"] < 1
    assert results(run)["scored_at"] == {"test": "own size, 40 x 48"}
    said = " ".join(capsys.readouterr().out.split())
    assert "4 predictions for pictures at data.size=[20,24] were brought to their own size" in said


def test_a_prediction_at_own_size_is_scored_there_whatever_the_network_would_see(pictures, tmp_path):
    guesses = write_guesses(pictures, tmp_path / "theirs", save_grey)
    run = score(pictures, tmp_path / "theirs", tmp_path / "run", "data.size=[20,24]")
    assert results(run)["metrics"]["test/mean_iou"]["best"] == pytest.approx(by_hand(pictures, guesses)[1])


def test_generated_scenes_are_named_as_their_export_is(command, tmp_path):
    from segbench.commands.data_export import export_data
    from segbench.config.compose import compose_config, run_config

    words = ["data=fgbg", "data.size=[32,32]", "data.train_size=4", "data.val_size=3", "data.test_size=3"]
    words.append("data.batch_size=4")
    export_data(run_config(compose_config(words)).data, tmp_path / "export", splits=("val", "test"))
    run = score_predictions(words, tmp_path / "export" / "test" / "masks", out=tmp_path / "run")
    assert results(run)["metrics"]["test/mean_iou"]["best"] == 1.0


@pytest.mark.parametrize("kind", ["parquet", "folder"])
def test_pictures_may_be_named_as_their_export_names_them(kind, pictures, tmp_path, capsys):
    from segbench.commands.data_export import export_data
    from segbench.config.compose import compose_config, run_config

    words = [*SETTINGS, f"data.root={pictures}"]
    if kind == "parquet":
        root = write_parquet(tmp_path / "set")
        words = ["data=huggingface", f"data.name={root}", "data.size=[40,48]", "data.classes=[ground,box]"]
    export_data(run_config(compose_config(words)).data, tmp_path / "export")
    capsys.readouterr()
    run = score_predictions(words, tmp_path / "export" / "test" / "masks", out=tmp_path / "run")
    assert results(run)["metrics"]["test/mean_iou"]["best"] == 1.0
    assert "named by the numbers that segbench data export gives" in capsys.readouterr().out


def test_a_folder_without_masks_is_told_what_masks_may_be(pictures, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"no masks \(\.png, \.webp, \.tif, \.tiff, \.bmp, \.gif\) or arrays"):
        score(pictures, tmp_path / "nothing", tmp_path / "run")


def test_a_folder_of_scores_has_no_network_to_work_with(pictures, tmp_path):
    write_guesses(pictures, tmp_path / "theirs", save_grey)
    run = score(pictures, tmp_path / "theirs", tmp_path / "run")
    with pytest.raises(ConfigError, match="masks that another program made: there is no network in it"):
        read_saved_config(run.config)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=unet"], "'model=unet' says nothing about masks that were predicted elsewhere"),
        (["optimizer.lr=1"], "'optimizer.lr=1' says nothing"),
    ],
)
def test_settings_that_nothing_uses_are_refused(pictures, tmp_path, words, said):
    write_guesses(pictures, tmp_path / "theirs", save_grey)
    with pytest.raises(ConfigError, match=said):
        score(pictures, tmp_path / "theirs", tmp_path / "run", *words)


def test_places_are_checked(pictures, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        score(pictures, tmp_path / "nowhere", tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no masks"):
        score(pictures, tmp_path / "empty", tmp_path / "run")
    with pytest.raises(ConfigError, match="is not empty; give a new folder"):
        score(pictures, tmp_path / "empty", pictures)
