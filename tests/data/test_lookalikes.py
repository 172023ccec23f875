"""Copies and neighbours in different splits are found by what they show, and named; unrelated pictures are not."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from segbench.data.files.folder import Folder
from segbench.data.files.lookalikes import look, remarks
from tests.support.layouts import save

COMMON = {"classes": ["ground", "thing"], "mean": [0, 0, 0], "std": [1, 1, 1], "batch_size": 1, "size": [64, 80]}


def photo(number, size=(64, 80)):
    """A picture with structure at every scale, as photographs have."""
    draw = np.random.default_rng(number)
    layers = [Image.fromarray(draw.integers(0, 256, (k, k, 3), np.uint8)).resize(size[::-1], 3) for k in (3, 6, 12)]
    return np.mean([np.asarray(layer) for layer in layers], axis=0).astype(np.uint8)


def distance(one, other):
    return (int(look(one), 16) ^ int(look(other), 16)).bit_count()


def test_copies_differ_in_few_bits_and_other_pictures_in_many():
    image = Image.fromarray(photo(0))
    copies = [
        ImageEnhance.Brightness(image).enhance(1.1),
        image.resize((160, 128), Image.Resampling.BICUBIC),
        image.convert("L").convert("RGB"),
    ]
    assert max(distance(photo(0), np.asarray(copy)) for copy in copies) <= 7
    assert min(distance(photo(0), photo(k)) for k in range(1, 60)) > 20
    assert distance(photo(0).astype(np.float32) / 255, photo(0)) <= 2
    assert distance(photo(0).astype(np.uint16) * 16, photo(0)) == 0


def test_pairs_are_those_of_a_search_over_all():
    draw = np.random.default_rng(0)
    bits = draw.integers(0, 2, (200, 128)).astype(np.uint8)
    for number in range(40):  # copies with up to nine bits turned
        bits[100 + number] = bits[number]
        turned = draw.choice(128, number % 10, replace=False)
        bits[100 + number, turned] ^= 1
    names = [f"n{number:03}" for number in range(200)]
    said = remarks(names, ["train"] * 100 + ["val"] * 100, bits=np.packbits(bits, axis=1))
    apart = (bits[:100, None] != bits[None, 100:]).sum(axis=2)
    assert said[0].startswith(f"{(apart <= 7).sum()} pairs of pictures of different splits show nearly the same")
    assert (
        "n000 (train) and n100 (val); n001 (train) and n101 (val); n002 (train) and n102 (val) and 29 more" in said[0]
    )


def write(root, split, name, image):
    save(image, root / split / "images" / f"{name}.png")
    save(np.indices(image.shape[:2]).sum(axis=0).astype(np.uint8) % 2, root / split / "masks" / f"{name}.png")


def data_of(root):
    data = Folder(root=str(root), **COMMON)
    data.prepare()
    return data


def test_copies_across_splits_are_named(tmp_path):
    for number in range(6):
        write(tmp_path, "train", f"p{number}", photo(number))
    brighter = np.asarray(ImageEnhance.Brightness(Image.fromarray(photo(2))).enhance(1.1))
    for name, image in {"val": photo(20), "test": brighter}.items():
        write(tmp_path, name, "other", image)
    assert data_of(tmp_path).notes == [
        "1 pair of pictures of different splits show nearly the same, which flatters scores: test/other (test) and"
        " train/p2 (train)"
    ]


@pytest.mark.parametrize("scene", ["same", "other"])
def test_neighbours_in_time_are_named_where_they_look_alike(scene, tmp_path):
    wide = photo(0, (64, 400))

    def frame(number):
        return wide[:, 5 * number : 5 * number + 80] if scene == "same" else photo(number)

    for number in range(12):
        split = "val" if number == 4 else "test" if number == 11 else "train"
        write(tmp_path, split, f"clip_{number:03}", np.ascontiguousarray(frame(number)))
    notes = data_of(tmp_path).notes
    if scene == "other":
        assert notes == []
    else:
        assert any("train/clip_003 (train) and val/clip_004 (val)" in note for note in notes), notes


def test_flat_pictures_are_not_called_copies(tmp_path):
    for split in ("train", "val", "test"):
        for number in range(3):
            write(tmp_path, split, f"{split}{number}", np.full((64, 80, 3), 9, np.uint8))
    assert data_of(tmp_path).notes == []
