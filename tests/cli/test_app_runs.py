"""`segbench app` with trained runs: it shows what `segbench predict` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segbench import cli
from segbench.commands import app_runs
from segbench.commands.app import AppServer
from segbench.commands.app_runs import load_runs
from tests.support.served import post, serving
from tests.support.tiny_files import png_of, scene


def served(*words, side=None):
    return serving(AppServer(load_runs(words, side=side, device="cpu", plugins=[]), 0, host="127.0.0.1"))


def write_pictures():
    """One picture of 40 x 52 pixels in the forms that are read, upright and turned."""
    folder = Path("in")
    folder.mkdir()
    image, _ = scene(3, 40, 52, classes=2)
    Image.fromarray(image).save(folder / "png.png")
    Image.fromarray(image).convert("P").save(folder / "palette.gif")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(folder / "turned.jpg", exif=exif)
    tifffile.imwrite(folder / "tiles.tif", image, tile=(16, 16), compression="deflate")
    np.save(folder / "array.npy", image)
    np.save(folder / "grey.npy", image[..., 0])
    return sorted(folder.iterdir())


def test_the_integers_are_those_of_predict(command, tiny, made):
    run = made("run", *tiny)
    files = write_pictures()
    outcome = command("predict", str(run), "in", "--out", "out", "--probabilities", "--uncertainty", entry=cli.main)
    assert outcome.code == 0, outcome.err
    with served(str(run)) as server:
        for file in files:
            status, answer = post(server, file.read_bytes(), name=file.name)
            assert status == 200, answer
            size = (answer["height"], answer["width"])
            assert size == ((52, 40) if file.stem == "turned" else (40, 52))
            maps = {name: values.reshape(*size, -1).squeeze() for name, values in answer["maps"].items()}
            assert list(maps) == ["picture", "mask", "entropy", "class0", "class1"]
            for name in ("mask", "entropy"):
                with Image.open(f"out/{file.stem}_{name}.png") as written:
                    assert np.array_equal(maps[name], np.array(written)), file
            written = np.load(f"out/{file.stem}.npz")["probabilities"]
            found = np.stack([maps["class0"], maps["class1"]])
            assert np.abs(found - 255 * written).max() <= 0.51
            if file.stem in ("png", "tiles", "array"):
                assert np.array_equal(maps["picture"], scene(3, 40, 52, classes=2)[0])


def test_settings_and_the_side_are_heeded(command, tiny, made):
    run = made("run", *tiny)
    content = png_of(scene(3, 40, 52, classes=2)[0])
    with served(str(run)) as server:
        plain = post(server, content)[1]["maps"]["class1"]
    with served(str(run), "evaluate.tta=hflip") as server:
        mirrored = post(server, content)[1]["maps"]["class1"]
    with served(str(run), side=16) as server:
        small = post(server, content)[1]["maps"]["class1"]
    assert not np.array_equal(plain, mirrored) and not np.array_equal(plain, small)


def test_depth_and_a_background(command, tiny, made, monkeypatch):
    run = made("run", *tiny, "task=mask_depth", "inputs=image+background")
    image, behind = (scene(number, 40, 52, classes=2)[0] for number in (3, 4))
    for name, values in (("in", image), ("behind", behind)):
        Path(name).mkdir()
        Image.fromarray(values).save(f"{name}/a.png")
    assert command("predict", str(run), "in", "--backgrounds", "behind", "--out", "out", entry=cli.main).code == 0
    first, second = (Path(name, "a.png").read_bytes() for name in ("in", "behind"))
    with served(str(run)) as server:
        assert server.runs[0].facts["background"]
        assert post(server, first)[1] == (
            "this run is also given the scene without its foreground: choose its background as well"
        )
        status, answer = post(server, first + second, name="a.png", behind=len(second), behind_name="a.png")
        assert status == 200
        assert np.array_equal(answer["maps"]["depth"], np.load("out/a_depth.npy").ravel())
        with Image.open("out/a_mask.png") as mask:
            assert np.array_equal(answer["maps"]["mask"], np.array(mask).ravel())
        other = png_of(behind[:30])
        said = post(server, first + other, behind=len(other), behind_name="a.png")
        assert said == (422, "its background has another size ((30, 52) instead of (40, 52))")


def test_pictures_that_cannot_be_shown(command, tiny, made, monkeypatch):
    run = made("run", *tiny)
    deep = np.full((8, 8), 1000, np.uint16)
    good = png_of(np.zeros((8, 9, 3), np.uint8))
    with served(str(run)) as server:
        for content, said in (
            (b"no picture", "not a PNG"),
            (png_of(scene(3, 40, 52, classes=2)[0])[:200], "damaged"),
            (png_of(deep), "values of uint16, but the run was trained on 8 bit; save it with 8 bit"),
        ):
            status, text = post(server, content, name="a.png")
            assert status == 422, said
            assert said in text and "\n" not in text and "/" not in text
        assert "not a NPY array" in post(server, good, name="a.npy")[1]
        monkeypatch.setattr(app_runs, "MOST_VALUES", 100)
        said = "9 x 8 pixels in 2 classes, more than a browser holds; segbench predict writes its mask"
        assert post(server, good, name="a.png") == (422, said)
        assert post(server, png_of(np.zeros((5, 9, 3), np.uint8)), name="a.png")[0] == 200


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 4, "there is no run folder at"),
        (["evaluate.tta=hflip"], 2, "app needs a run folder"),
        (["run", "--side", "9000"], 2, "--side must be at most 8,192 pixels, got 9,000"),
        (["run", "--device", "abacus"], 2, "there is no device 'abacus'"),
        (["run", "evaluate.tta=upside"], 2, "upside"),
        ([], 2, "missing argument"),
    ],
)
def test_words_that_cannot_be_used(command, tiny, made, words, code, said):
    made("run", *tiny)
    outcome = command("app", *words, entry=cli.main)
    assert outcome.code == code and said in outcome.err and len(outcome.err.splitlines()) == 1
