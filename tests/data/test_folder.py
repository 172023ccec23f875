"""folder: pairing by name, kinds of masks, splits, fitting, the cache, and all offenders named together."""

import multiprocessing
from itertools import chain

import numpy as np
import pytest
import yaml
from PIL import Image

from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError, DataError
from segbench.data.files.folder import Folder
from segbench.data.files.groups import Division
from segbench.data.files.masks import MaskReader
from segbench.data.loading.views import TrainingView
from segbench.data.pictures import read_rgb
from segbench.data.problems import Problems
from tests.support.tiny_files import write_folder

SPLITS = ("train", "val", "test")


def folder(root, prepare=True, **settings):
    node = yaml.safe_load((conf_dir() / "data" / "folder.yaml").read_text())
    node.update({"augment": None, "root": str(root), "batch_size": 1, "size": [40, 48], **settings})
    del node["_target_"]
    data = Folder(**node)
    if prepare:
        data.prepare()
    return data


def names(data):
    return {split: [data.describe_sample(split, k) for k in range(data.num_samples(split))] for split in SPLITS}


def bytes_of(data):
    samples = (data.sample(split, epoch=0, index=k) for split in SPLITS for k in range(data.num_samples(split)))
    return [(s["image"].tobytes(), s["mask"].tobytes()) for s in samples]


def write_split(root, split, images):
    """images: name -> (image, mask), as root/split/images and root/split/masks."""
    for kind, place in (("images", 0), ("masks", 1)):
        (root / split / kind).mkdir(parents=True)
        for name, pair in images.items():
            Image.fromarray(pair[place]).save(root / split / kind / f"{name}.png")


def flat(value, size=(6, 8)):
    return np.full((*size, 3), value, np.uint8)


# pairing


def test_a_mask_follows_its_name_however_the_files_are_ordered(tmp_path):
    """Seed S2 shuffled the list of images and the list of masks apart; each picture here carries its own number."""
    draw = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for number in draw.permutation(30).tolist():
            value = np.full((4, 4), number, np.uint8)
            suffix = ".tif" if kind == "images" and number % 2 else ".png"
            ending = "_L" if kind == "masks" else ""
            Image.fromarray(value).save(tmp_path / kind / f"n{number}{ending}{suffix}")
    classes = [f"c{k}" for k in range(30)]
    data = folder(tmp_path, classes=classes, size=[4, 4], mask_suffixes=["_L"])
    seen = []
    for split in SPLITS:
        for index in range(data.num_samples(split)):
            sample = data.sample(split, epoch=0, index=index)
            number = int(sample["mask"][0, 0])
            assert (sample["image"] == number).all()
            assert data.describe_sample(split, index).split(".")[0] == f"n{number}"
            seen.append(number)
    assert sorted(seen) == list(range(30))


def test_lists_that_were_shuffled_apart_are_refused(tmp_path):
    root = write_folder(tmp_path / "d", count=6)
    (root / "train.txt").write_text("p00.png p01.png\np01.png p00.png\n")
    (root / "val.txt").write_text("# a comment\np02\n\nimages/p03.png masks/p03.png\n")
    (root / "test.txt").write_text("p04\n")
    with pytest.raises(
        DataError, match="2 problems: list: train.txt pairs it with the mask p01, but there is a mask of its own"
    ):
        folder(root, masks="binary")
    (root / "train.txt").write_text("p05 p05.png\np00\n")
    data = folder(root, masks="binary")
    assert names(data) == {"train": ["p00.png", "p05.png"], "val": ["p02.png", "p03.png"], "test": ["p04.png"]}


def test_a_list_may_name_a_mask_of_another_name(tmp_path):
    root = write_folder(tmp_path / "d", count=3)
    (root / "masks" / "p00.png").rename(root / "masks" / "label a.png")
    for split, line in (("train", "p00 label"), ("val", "p01"), ("test", "p02")):
        (root / f"{split}.txt").write_text(line)
    with pytest.raises(DataError, match="missing: label: train.txt lists a mask that is not there"):
        folder(root, masks="binary")
    (root / "masks" / "label a.png").rename(root / "masks" / "label.png")
    assert folder(root, masks="binary").num_samples("train") == 1


def test_names_in_two_splits_and_unknown_ones(tmp_path):
    root = write_folder(tmp_path / "d", count=4)
    (root / "train.txt").write_text("p00\np01\np00\n")
    (root / "val.txt").write_text("p01\nq7\n")
    (root / "test.txt").write_text("p03\n")
    with pytest.raises(DataError) as caught:
        folder(root, masks="binary")
    text = str(caught.value)
    assert "3 problems" in text
    assert "p00: train.txt lists it more than once" in text
    assert "p01: it is in train and in val" in text
    assert "q7: val.txt lists an image that is not there" in text


# kinds of masks


def reader(tmp_path, mode, picture, name="m.png", classes=("a", "b", "c"), **settings):
    picture.save(tmp_path / name)
    made = MaskReader(mode, classes, **settings)
    made.prepare()
    return made.read(tmp_path / name)


def test_palette_masks_give_their_indices(tmp_path):
    picture = Image.fromarray(np.array([[0, 1, 2], [2, 255, 0]], np.uint8), "P")
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0] + [7] * 753)  # grey, red, green: colours say nothing
    for mode in ("palette", "auto"):
        assert reader(tmp_path, mode, picture).tolist() == [[0, 1, 2], [2, 255, 0]]
    with pytest.raises(DataError, match="data.masks=palette reads it"):
        reader(tmp_path, "index", picture)
    with pytest.raises(DataError, match="no palette picture"):
        reader(tmp_path, "palette", Image.new("L", (2, 2)))


def test_index_masks_of_8_and_16_bit_and_ignored_ids(tmp_path):
    small = Image.fromarray(np.array([[0, 2], [255, 11]], np.uint8))
    assert reader(tmp_path, "index", small, ignore=[11]).tolist() == [[0, 2], [255, 255]]
    deep = Image.fromarray(np.array([[0, 2], [255, 11]], np.uint16))
    assert reader(tmp_path, "index", deep, ignore=[11]).tolist() == [[0, 2], [255, 255]]
    wrapping = Image.fromarray(np.array([[0, 256], [257, 257]], np.uint16))  # would be 0, 0, 1, 1 in 8 bit
    with pytest.raises(DataError, match=r"ids 257 at 2 pixels, 256 at 1 pixel are no classes \(0 to 2\)"):
        reader(tmp_path, "index", wrapping)
    with pytest.raises(DataError, match=r"ids 3 at 1 pixel are"):
        reader(tmp_path, "index", Image.fromarray(np.array([[3, 0]], np.uint8)))


def test_colour_masks_go_by_the_class_dict(tmp_path):
    table = tmp_path / "classes.csv"
    table.write_text("name, r, g, b\nb,0, 128,0\na,128,0,0\nVoid,0,0,0\nc,5,6,7\nc,8,9,10\n")
    colours = np.array([[(128, 0, 0), (0, 128, 0), (0, 0, 0)], [(5, 6, 7), (8, 9, 10), (128, 0, 0)]], np.uint8)
    settings = {"class_dict": table, "ignore": ["Void"]}
    assert reader(tmp_path, "rgb", Image.fromarray(colours), **settings).tolist() == [[0, 1, 255], [2, 2, 0]]
    quantized = Image.fromarray(colours).quantize(8)
    assert (np.asarray(quantized.convert("RGB")) == colours).all()  # the oracle needs the exact colours
    assert reader(tmp_path, "rgb", quantized, **settings).tolist() == [[0, 1, 255], [2, 2, 0]]
    smooth = colours.copy()
    smooth[0, 1] = (64, 64, 0)
    with pytest.raises(DataError, match=r"colours \(64, 64, 0\) at 1 pixel are not in classes.csv"):
        reader(tmp_path, "rgb", Image.fromarray(smooth), **settings)
    with pytest.raises(DataError, match="names 'Void', which is neither in data.classes nor in data.ignore"):
        reader(tmp_path, "rgb", Image.fromarray(colours), class_dict=table)
    with pytest.raises(DataError, match="no colour for the class 'Voyd'; did you mean 'Void'"):
        reader(tmp_path, "rgb", Image.fromarray(colours), classes=("a", "Voyd"), **settings)
    table.write_text("name,r,g,b\na,1,2\n")
    with pytest.raises(DataError, match="line 2 of"):
        reader(tmp_path, "rgb", Image.fromarray(colours), **settings)


def test_binary_masks_and_thresholds(tmp_path):
    two = ("background", "object")
    grey = Image.fromarray(np.array([[0, 1, 127, 128, 255]], np.uint8))
    assert reader(tmp_path, "binary", grey, classes=two).tolist() == [[0, 1, 1, 1, 1]]
    assert reader(tmp_path, "binary", grey, classes=two, threshold=128).tolist() == [[0, 0, 0, 1, 1]]
    assert reader(tmp_path, "binary", grey, classes=two, ignore=[127]).tolist() == [[0, 1, 255, 1, 1]]
    rgba = Image.fromarray(np.array([[(0, 0, 0, 255), (0, 9, 0, 0)]], np.uint8))
    assert reader(tmp_path, "binary", rgba, classes=two).tolist() == [[0, 1]]  # alpha says nothing
    with pytest.raises(DataError, match="a JPEG.*data.threshold=128"):
        reader(tmp_path, "binary", grey, name="m.jpg", classes=two)
    assert reader(tmp_path, "binary", Image.new("L", (8, 8), 250), "m.jpg", two, threshold=128).all()
    with pytest.raises(ConfigError, match="has two classes, but data.classes names 3"):
        MaskReader("binary", "abc")


def test_0_and_255_as_ids_are_refused_with_the_setting_that_reads_them(tmp_path):
    root = write_folder(tmp_path / "d", count=20)
    with pytest.raises(DataError, match="nothing but 0 and 255.*data.masks=binary"):
        folder(root)
    assert set(np.unique(folder(root, masks="binary").sample("train", epoch=0, index=0)["mask"])) == {0, 1}


# splits


def test_shares_go_by_name_so_that_a_new_picture_moves_no_other(tmp_path):
    root = write_folder(tmp_path / "d", count=30, size=(4, 5))
    before = names(folder(root, masks="binary", size=[4, 5]))
    assert sorted(chain(*before.values())) == [f"p{k:02d}.png" for k in range(30)]
    for kind in ("images", "masks"):
        (root / kind / "p00.png").unlink()
        Image.new("L", (5, 4), 255).save(root / kind / "a_new_one.png")
    after = names(folder(root, masks="binary", size=[4, 5]))
    assert all(set(before[split]) - {"p00.png"} == set(after[split]) - {"a_new_one.png"} for split in SPLITS)
    assert names(folder(root, masks="binary", size=[4, 5], seed=1)) != after


def test_a_subset_is_the_same_every_time_and_grows(tmp_path):
    root = write_folder(tmp_path / "d", count=40, size=(4, 5))
    settings = {"masks": "binary", "size": [4, 5]}
    few, more = (folder(root, train_size=size, **settings) for size in (5, 9))
    assert few.num_samples("train") == 5
    assert set(names(few)["train"]) < set(names(more)["train"])
    assert names(few) == names(folder(root, train_size=5, **settings))
    assert few.fingerprint("train") != more.fingerprint("train")
    assert few.fingerprint("val") == more.fingerprint("val")
    with pytest.raises(DataError, match="data.train_size: 99 are asked for, but there are"):
        folder(root, train_size=99, **settings)
    with pytest.raises(ConfigError, match="data.val_size must be null or a whole number of at least 1"):
        folder(root, val_size=0, **settings)


@pytest.mark.parametrize("outer", [True, False])
def test_split_folders_either_way_round(tmp_path, outer):
    for split, value in (("train", 10), ("val", 20), ("test", 30)):
        for kind, pixel in (("images", value), ("masks", 1)):
            place = tmp_path / split / kind if outer else tmp_path / kind / split
            (place / "town").mkdir(parents=True)
            Image.new("L", (8, 6), pixel).save(place / "town" / "same.png")
    data = folder(tmp_path, size=[6, 8])
    assert [int(data.sample(split, epoch=0, index=0)["image"][0, 0, 0]) for split in SPLITS] == [10, 20, 30]


def test_a_missing_test_split(tmp_path):
    for split in ("train", "val"):
        write_split(tmp_path, split, {f"{split}1": (flat(len(split)), np.ones((6, 8), np.uint8))})
    with pytest.raises(DataError, match="there is no test split; give data.missing_test=val"):
        folder(tmp_path, size=[6, 8])
    data = folder(tmp_path, size=[6, 8], missing_test="val")
    assert data.describe("test") == "1 pictures of val (the data has no test split)"
    assert data.fingerprint("test") == data.fingerprint("val")


# offenders


def test_all_offenders_are_listed_together(tmp_path):
    root = write_folder(tmp_path / "d", count=12)
    (root / "images" / "p00.png").write_bytes((root / "images" / "p00.png").read_bytes()[:900])  # truncated
    (root / "masks" / "p01.png").write_text("no picture")
    (root / "masks" / "p02.png").unlink()
    Image.new("L", (9, 9)).save(root / "masks" / "p03.png")
    Image.new("L", (9, 9)).save(root / "masks" / "stray.png")
    Image.new("RGB", (48, 40)).save(root / "images" / "p05.jpg")
    data = folder(root, prepare=False, masks="binary", val_share=0.3, test_share=0.3)
    with pytest.raises(DataError) as caught:
        data.prepare()
    text = str(caught.value)
    assert "6 problems" in text
    for part in (
        "duplicate: p05.png: it has the name of another file, p05.jpg",
        "unpaired: p02.png: an image without a mask of its name",
        "unpaired: stray.png: a mask without an image of its name",
        "unreadable: p00.png: ",
        "unreadable: p01.png: not a PNG",
        "the image has 40 x 48 pixels (height x width), the mask 9 x 9",
    ):
        assert part in text
    checked = folder(root, prepare=False, masks="binary", val_share=0.3, test_share=0.3)
    assert len(checked.problems()) == 6
    assert sum(map(len, names(checked).values())) == 8  # what is left can still be counted


def test_of_equal_offenders_three_are_named(tmp_path):
    root = write_folder(tmp_path / "d", count=30, size=(4, 5))
    for number in range(25):
        (root / "masks" / f"p{number:02d}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"25 problems: .* \(25 files in masks: p00.png, .* and 22 more\)$"):
        folder(root, masks="binary")


def test_missing_folders_say_where_to_put_what(tmp_path):
    write_folder(tmp_path / "pictures")
    with pytest.raises(DataError, match="there is no folder .*; did you mean 'pictures'"):
        folder(tmp_path / "picture")
    with pytest.raises(ConfigError, match="data.root is not set; give data.root=DIR"):
        Folder(classes=["a", "b"], size=[4, 4], mean=[0, 0, 0], std=[1, 1, 1], batch_size=1).prepare()
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"no pictures that fit train/images/\{path\}.* put images and masks into two folders"
    ):
        folder(tmp_path / "empty")


def test_exif_turned_images_lie_as_their_masks_lie_or_are_refused(tmp_path):
    stored = np.zeros((4, 6, 3), np.uint8)
    stored[0, 0] = 255  # stored 4 x 6; orientation 6 shows it as 6 x 4 with the white corner at the top right
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    image, mask = tmp_path / "images" / "a.png", tmp_path / "masks" / "a.png"
    Image.fromarray(stored).save(image, exif=exif)
    data = folder(tmp_path, prepare=False, size=[6, 4])

    def corner(height, width):
        Image.new("L", (width, height), 1).save(mask)
        picture, _ = data.read(data.find(Problems())["train"][0])
        return picture.values.shape[:2], np.argwhere(picture.values[..., 0] == 255).tolist()

    data.division = Division(0, 0.0, 0.0)
    assert corner(6, 4) == ((6, 4), [[0, 3]])  # drawn on the upright picture
    assert corner(4, 6) == ((4, 6), [[0, 0]])  # drawn on the stored one
    exif[0x0112] = 3
    Image.fromarray(stored).save(image, exif=exif)
    with pytest.raises(DataError, match="EXIF orientation 3 leaves open whether the mask is turned too"):
        corner(4, 6)
    Image.new("L", (6, 4), 1).save(mask, exif=exif)  # a mask that is turned by its own
    picture, _ = data.read(data.find(Problems())["train"][0])
    assert np.argwhere(picture.values[..., 0] == 255).tolist() == [[3, 5]]


def test_a_camera_picture_with_a_second_frame_is_the_first(tmp_path):
    first, second = (Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (200, 20))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert abs(read_rgb(tmp_path / "a.jpg").getpixel((4, 4))[0] - 200) < 4


def test_pictures_without_a_range_of_values_are_refused(tmp_path):
    Image.new("F", (4, 4), 0.5).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="floating-point values; save it with 8 or 16 bit"):
        read_rgb(tmp_path / "a.tif")
    pages = [Image.new("L", (4, 4), shade) for shade in (1, 2)]
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match="several pages; export one frame"):
        read_rgb(tmp_path / "b.tif")


# fitting


def test_every_band_is_fitted_as_a_grey_picture_is():
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (9, 14, 5)).astype(np.uint8)
    floats = draw.random((9, 14, 2), np.float32)
    for fit in ("stretch", "crop", "pad"):
        fitting = TrainingView((6, 6), fit)
        for band in range(5):
            alone = fitting.image(np.repeat(image[..., band, None], 3, axis=2))
            assert (fitting.image(image)[..., band] == alone[..., 0]).all()
        found = fitting.image(floats)
        assert found.dtype == np.float32
        assert found.shape == (6, 6, 2)
        bytes_ = fitting.image(np.rint(floats * 255).astype(np.uint8))
        assert abs(found * 255 - bytes_).max() < 1.5


def test_a_picture_of_the_size_is_not_touched(tmp_path):
    root = write_folder(tmp_path / "d", count=20, binary=False)
    data = folder(root)
    name = data.describe_sample("train", 0)
    sample = data.sample("train", epoch=0, index=0)
    assert (sample["image"] == np.asarray(Image.open(root / "images" / name))).all()
    assert (sample["mask"] == np.asarray(Image.open(root / "masks" / name))).all()


def test_fitting_by_hand():
    image = np.repeat(np.array([[0, 100, 200, 40], [100, 200, 0, 60]], np.uint8)[..., None], 3, 2)
    mask = np.array([[0, 1, 2, 3], [4, 5, 6, 7]], np.uint8)
    assert TrainingView((4, 8)).mask(mask)[::2, ::2].tolist() == mask.tolist()
    assert TrainingView((4, 8)).mask(mask)[1::2, 1::2].tolist() == mask.tolist()
    assert TrainingView((2, 2), "crop").image(image)[..., 0].tolist() == [[100, 200], [200, 0]]
    assert TrainingView((2, 2), "crop").mask(mask).tolist() == [[1, 2], [5, 6]]
    padded = TrainingView((4, 4), "pad")
    assert padded.mask(mask).tolist() == [[255] * 4, [0, 1, 2, 3], [4, 5, 6, 7], [255] * 4]
    assert padded.image(image)[..., 0].tolist() == [[0] * 4, [0, 100, 200, 40], [100, 200, 0, 60], [0] * 4]
    flat_ = np.full((48, 64, 3), (10, 20, 30), np.uint8)
    assert (TrainingView((7, 5)).image(flat_) == (10, 20, 30)).all()
    stripes = np.tile(np.array([0, 255], np.uint8)[:, None], (64, 32, 3))
    assert abs(TrainingView((8, 8)).image(stripes)[2:6, 2:6].astype(int) - 128).max() <= 2  # antialiased: no moire
    with pytest.raises(ConfigError, match="no data.fit 'croop'.*did you mean 'crop'"):
        TrainingView((4, 4), "croop")


def test_resized_masks_hold_no_new_ids(tmp_path):
    root = write_folder(tmp_path / "d", count=20, binary=False)
    for fit in ("stretch", "crop", "pad"):
        data = folder(root, size=[29, 31], fit=fit)
        masks = [data.sample("train", epoch=0, index=k)["mask"] for k in range(data.num_samples("train"))]
        found = set().union(*map(np.unique, masks))
        assert found == ({0, 1, 255} if fit == "pad" else {0, 1})


# serving


def test_repeated_samples_are_the_same_bytes_and_may_be_changed(tmp_path):
    data = folder(write_folder(tmp_path / "d", count=20), masks="binary")
    first = data.sample("train", epoch=0, index=1)
    kept = {name: array.copy() for name, array in first.items()}
    first["image"][:], first["mask"][:] = 7, 7
    again = data.sample("train", epoch=5, index=1)
    assert all((again[name] == kept[name]).all() for name in kept)


@pytest.mark.parametrize("cache", [None, "auto", "memory", "disk"])
def test_a_picture_is_served_at_its_own_size_by_every_cache(cache, tmp_path, monkeypatch):
    draw, pictures = np.random.default_rng(0), {}
    for kind in ("images", "masks"):
        (tmp_path / "d" / kind).mkdir(parents=True)
    for number in range(12):
        height, width = draw.integers(5, 40, 2).tolist()
        image, mask = draw.integers(0, 256, (height, width, 3)), draw.integers(0, 2, (height, width))
        pictures[f"n{number}.png"] = image.astype(np.uint8), mask.astype(np.uint8)
        for kind, array in zip(("images", "masks"), pictures[f"n{number}.png"], strict=True):
            Image.fromarray(array).save(tmp_path / "d" / kind / f"n{number}.png")
    kept = str(tmp_path / "kept") if cache == "disk" else cache
    data = folder(tmp_path / "d", cache=kept, size=[8, 8], val_share=0.3, test_share=0.3, seed=1)
    decoded = []
    monkeypatch.setattr(data, "read", lambda item: decoded.append(item) or Folder.read(data, item))
    for split in SPLITS:
        for index in range(data.num_samples(split)):
            found = data.original(split, index)
            image, mask = pictures[data.describe_sample(split, index)]
            assert (found["image"] == image).all()
            assert (found["mask"] == mask).all()
            assert data.sample(split, epoch=0, index=index)["image"].shape == (8, 8, 3)
            row, table = data.rows(split)[index], data.index.table
            assert tuple(table.sizes[row]) == mask.shape
            assert table.labels[row].tolist() == list(zip(*np.unique(mask, return_counts=True), strict=True))
    assert len(decoded) == {None: 24, "disk": 0}.get(cache, 12)


def test_auto_keeps_all_pictures_or_none(tmp_path, monkeypatch):
    root = write_folder(tmp_path / "d", count=20)
    total = 20 * 40 * 48 * 4
    for free, kept in ((4 * total, 20), (4 * total - 4, 0)):
        monkeypatch.setattr("segbench.data.files.cache.available_memory", lambda free=free: free)
        data = folder(root, masks="binary")
        for split in SPLITS:
            for index in range(data.num_samples(split)):
                assert data.sample(split, epoch=0, index=index)["image"].shape == (40, 48, 3)
        assert sum(data.kept.get(number) is not None for number in range(20)) == kept


def test_a_fingerprint_is_of_the_pictures_and_labels_alone(tmp_path):
    root = write_folder(tmp_path / "d", count=20)
    first = folder(root, masks="binary")
    for other in ({"size": [20, 24]}, {"fit": "pad"}, {"cache": None}, {"train_size": 5}):
        changed = folder(root, masks="binary", **other)
        same = SPLITS[1:] if "train_size" in other else SPLITS
        assert [changed.fingerprint(split) for split in same] == [first.fingerprint(split) for split in same]
    for other in ({"threshold": 9}, {"classes": ["ground", "thing"]}):
        assert folder(root, masks="binary", **other).fingerprint("test") != first.fingerprint("test")


def test_the_cache_equals_memory_and_follows_the_files(tmp_path):
    root, store = write_folder(tmp_path / "d", count=20), tmp_path / "cache"
    settings = {"masks": "binary", "size": [24, 24]}
    memory, mapped = folder(root, **settings), folder(root, cache=str(store), **settings)
    assert isinstance(mapped.kept.get(0)[0], np.memmap)
    assert bytes_of(memory) == bytes_of(mapped)
    assert [memory.fingerprint(s) for s in SPLITS] == [mapped.fingerprint(s) for s in SPLITS]
    (written,) = store.glob("*/pixels.bin")
    stamp = written.stat().st_mtime_ns
    folder(root, cache=str(store), **settings)
    assert written.stat().st_mtime_ns == stamp  # used again, not written again

    changed = root / "masks" / mapped.describe_sample("train", 0)
    Image.new("L", (48, 40), 255).save(changed)
    fresh = folder(root, cache=str(store), **settings)
    assert (fresh.sample("train", epoch=0, index=0)["mask"] == 1).all()
    assert fresh.fingerprint("train") != mapped.fingerprint("train")
    assert fresh.fingerprint("val") == mapped.fingerprint("val")


def test_a_damaged_or_half_written_cache_is_made_again(tmp_path):
    root, store = write_folder(tmp_path / "d", count=20), tmp_path / "cache"
    first = folder(root, masks="binary", cache=str(store))
    (written,) = store.glob("*/pixels.bin")
    expected = bytes_of(first)
    written.write_bytes(written.read_bytes()[:5000])
    leftover = written.parent.with_name(f".{written.parent.name}.building")
    leftover.mkdir()
    (leftover / "pixels.bin").write_bytes(b"half")
    assert bytes_of(folder(root, masks="binary", cache=str(store))) == expected
    assert not leftover.exists()


def test_a_data_set_with_offenders_is_never_cached(tmp_path):
    root, store = write_folder(tmp_path / "d", count=20), tmp_path / "cache"
    Image.new("L", (3, 3)).save(root / "masks" / "p03.png")
    for _ in range(2):
        with pytest.raises(DataError, match="size: p03.png"):
            folder(root, masks="binary", cache=str(store))
    assert not list(store.glob("*/pixels.bin"))


def _build(root, store, results):
    results.put(folder(root, masks="binary", cache=store).sample("train", epoch=0, index=0)["image"].tobytes())


def test_two_processes_may_write_the_cache_at_once(tmp_path):
    root, store = write_folder(tmp_path / "d", count=20), str(tmp_path / "cache")
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_build, args=(root, store, results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert found[0] == found[1] == folder(root, masks="binary").sample("train", epoch=0, index=0)["image"].tobytes()


def test_workers_share_the_arrays_and_give_the_same_batches(tmp_path):
    data = folder(write_folder(tmp_path / "d", count=20), masks="binary", batch_size=4)
    found = []
    for workers in (0, 2):
        data.num_workers = workers
        found.append(
            [(b["index"].tolist(), b["image"].sum().item(), b["mask"].sum().item()) for b in data.loader("train")]
        )
    assert found[0] == found[1]


def test_more_formats_are_read(tmp_path):
    root = write_folder(tmp_path / "d", count=6, size=(8, 8))
    for number, suffix in enumerate((".tif", ".bmp", ".gif", ".webp")):
        path = root / "images" / f"p{number:02d}.png"
        Image.open(path).save(path.with_suffix(suffix), lossless=True)
        path.unlink()
    data = folder(root, masks="binary", size=[8, 8], val_share=0.3, test_share=0.3, seed=1)
    assert sorted(name[-4:] for name in chain(*names(data).values())) == sorted(
        [".tif", ".bmp", ".gif", "webp", ".png", ".png"]
    )


# arrays


def written_as_arrays(root, masks):
    """Twelve pictures, each with its mask as numpy saves it."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for number, mask in enumerate(masks):
        Image.fromarray(flat(number, mask.shape[:2])).save(root / "images" / f"p{number:02d}.png")
        np.save(root / "masks" / f"p{number:02d}.npy", mask)
    return root


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_])
def test_masks_that_numpy_saved_are_ids(tmp_path, dtype):
    draw = np.random.default_rng(0)
    masks = [draw.integers(0, 2, (6, 8)).astype(dtype) for _ in range(12)]
    data = folder(written_as_arrays(tmp_path / "d", masks), classes=["a", "b"])
    for split in SPLITS:
        for index, name in enumerate(names(data)[split]):
            assert (data.original(split, index)["mask"] == masks[int(name[1:3])]).all()


def test_arrays_obey_the_kind_of_masks(tmp_path):
    numbers = np.arange(48, dtype=np.int32).reshape(6, 8)
    np.save(tmp_path / "a.npy", numbers)
    np.save(tmp_path / "shares.npy", numbers / 48)
    np.save(tmp_path / "bands.npy", np.zeros((6, 8, 3), np.uint8))
    binary = MaskReader("binary", ["a", "b"], threshold=20).read(tmp_path / "a.npy")
    assert binary.tolist() == (numbers >= 20).astype(int).tolist()
    mapped = MaskReader("auto", ["a", "b"], labels={0: "a", 7: "b", "other": "ignore"}).read(tmp_path / "a.npy")
    assert mapped.tolist() == np.select([numbers == 0, numbers == 7], [0, 1], 255).tolist()
    with pytest.raises(DataError, match=r"ids .*47.* are no classes \(0 to 1\)|are no classes \(0 to 1\)"):
        MaskReader("index", ["a", "b"]).read(tmp_path / "a.npy")
    for name, detail in (("shares", r"\[6, 8, 1\] of float64"), ("bands", r"\[6, 8, 3\] of uint8")):
        with pytest.raises(DataError, match=f"{detail}, which is no mask of ids; save whole numbers"):
            MaskReader("auto", ["a", "b"]).read(tmp_path / f"{name}.npy")
    with pytest.raises(DataError, match="an array, which has ids and no colours"):
        MaskReader("palette", ["a", "b"]).read(tmp_path / "a.npy")
