"""Bands and bit depth: every container gives the values that were written, and what becomes 0 and 1 is stated."""

import re

import cv2
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError, DataError
from segbench.data.channels import Channels
from segbench.data.files.folder import Folder
from segbench.data.rasters import read_raster
from segbench.data.tiffs import Tiff
from segbench.data.windows import TiffWindows
from tests.data.test_faults import png
from tests.support.tiny_files import write_folder

TYPES = {"uint8": (0, 255), "uint16": (0, 65535), "int16": (-32768, 32767), "float32": (-2.5, 7.5)}


def values(dtype, bands, size=(12, 9)):
    """Values over the whole range of a type, its ends included, `[H,W,C]`."""
    low, high = TYPES[dtype]
    found = np.linspace(low, high, size[0] * size[1] * bands).reshape(*size, bands).astype(dtype)
    return found[..., ::-1].copy()


def folder(root, prepare=True, **settings):
    node = yaml.safe_load((conf_dir() / "data" / "folder.yaml").read_text())
    shares = {"val_share": 0.25, "test_share": 0.25}
    node.update({"augment": None, "root": str(root), "batch_size": 1, "size": [12, 9], **shares, **settings})
    del node["_target_"]
    data = Folder(**node)
    if prepare:
        data.setup()
    return data


def write(root, images, suffix=".tif", **options):
    """root/images and root/masks; the mask of every picture has both classes."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    mask = np.zeros(images[0].shape[:2], np.uint8)
    mask[2:6, 2:6] = 1
    for number, image in enumerate(images):
        path = root / "images" / f"p{number:02d}{suffix}"
        if suffix == ".npy":
            np.save(path, image)
        else:
            tifffile.imwrite(path, image, **options)
        Image.fromarray(mask).save(root / "masks" / f"p{number:02d}.png")
    return root


# reading

TIFFS = {
    "strips": {},
    "tiled": {"tile": (16, 16)},
    "planar": {"planarconfig": "separate"},
    "big": {"bigtiff": True},
    "deflate": {"compression": "zlib"},
    "predicted": {"compression": "zlib", "predictor": True},
    "big-endian": {"byteorder": ">"},
}


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("dtype", TYPES)
def test_a_tiff_gives_the_values_that_were_written(dtype, bands, tmp_path):
    written = values(dtype, bands)
    for name, options in TIFFS.items():
        if name == "predicted" and dtype == "float32":
            continue  # needs imagecodecs to be written
        if bands == 1 and name == "planar":
            continue
        array = np.moveaxis(written, -1, 0) if name == "planar" else written if bands > 1 else written[..., 0]
        path = tmp_path / f"{name}.tif"
        plain = {} if bands == 1 else {"planarconfig": "contig"}
        tifffile.imwrite(path, array, photometric="minisblack", **{**plain, **options})
        found = read_raster(path)
        assert found.values.dtype == np.dtype(dtype)
        assert found.values.dtype.isnative
        assert (found.values == written).all(), name
        assert found.rgb == (bands == 3)
        assert not found.alpha


@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("dtype", TYPES)
def test_an_npy_gives_the_values_that_were_written(dtype, bands, tmp_path):
    written = values(dtype, bands)
    np.save(tmp_path / "a.npy", written)
    assert (read_raster(tmp_path / "a.npy").values == written).all()
    np.save(tmp_path / "b.npy", written[..., 0])
    assert (read_raster(tmp_path / "b.npy").values == written[..., :1]).all()


@pytest.mark.parametrize(("kind", "bands"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_a_png_of_16_bit_gives_all_of_them(kind, bands, tmp_path):
    written = values("uint16", bands)
    rows = [row.astype(">u2").tobytes() for row in written]
    (tmp_path / "a.png").write_bytes(png(9, 12, 16, kind, rows))
    found = read_raster(tmp_path / "a.png")
    assert found.values.dtype == np.uint16
    assert (found.values == written).all()
    assert found.alpha == (bands in (2, 4))


def test_colours_of_other_kinds_are_as_pillow_has_them(tmp_path):
    colours = values("uint8", 3)
    Image.fromarray(colours).quantize(200).save(tmp_path / "palette.png")
    wanted = np.asarray(Image.open(tmp_path / "palette.png").convert("RGB"))
    assert (read_raster(tmp_path / "palette.png").values == wanted).all()
    Image.fromarray(colours).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    assert (read_raster(tmp_path / "lzw.tif").values == colours).all()
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bits.png")
    assert read_raster(tmp_path / "bits.png").values[..., 0].tolist() == [[255, 0]]
    Image.fromarray(colours).save(tmp_path / "turned.tif", tiffinfo={274: 6})
    assert (read_raster(tmp_path / "turned.tif").values == np.rot90(colours, -1)).all()


def test_what_cannot_be_served_is_refused_in_a_sentence(tmp_path):
    cases = {
        "int32.npy": (np.zeros((4, 4), np.int32), "values of int32; save it as uint8, uint16, int16 or float32"),
        "four.npy": (np.zeros((2, 2, 2, 2), np.uint8), r"an array \[2, 2, 2, 2\]; save it as \[height, width, bands\]"),
        "objects.npy": (np.array([{}], dtype=object), "not a NPY array"),
    }
    for name, (array, message) in cases.items():
        np.save(tmp_path / name, array)
        with pytest.raises(DataError, match=message):
            read_raster(tmp_path / name)
    for name, pages in (("pages.tif", [np.zeros((4, 4), np.uint16)] * 2),):
        tifffile.imwrite(tmp_path / name, np.stack(pages), photometric="minisblack")
        with pytest.raises(DataError, match="several pages; export one frame"):
            read_raster(tmp_path / name)
    tifffile.imwrite(tmp_path / "cut.tif", np.zeros((64, 64, 5), np.uint16), photometric="minisblack")
    whole = (tmp_path / "cut.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) - 4000])
    with pytest.raises(DataError):
        read_raster(tmp_path / "cut.tif")
    unknown = values("float32", 1)
    unknown[0, :2] = np.nan
    np.save(tmp_path / "nan.npy", unknown)
    with pytest.raises(DataError, match="values that are not finite at 2 pixels; fill them with a number"):
        Channels((0,)).chosen(read_raster(tmp_path / "nan.npy"))


# bands


@pytest.mark.parametrize("tag", ["unassalpha", "assocalpha", "unspecified"])
def test_a_fourth_band_darkens_no_other_and_is_one_where_it_is_chosen(tag, tmp_path):
    pictures = [values("uint8", 4) + np.uint8(number) for number in range(12)]
    root = write(tmp_path / "d", pictures, photometric="rgb", extrasamples=[tag])
    three, four = folder(root), folder(root, bands=[3, 0, 1, 2], display=[0, 1, 2])
    for index in range(three.num_samples("train")):
        number = int(three.describe_sample("train", index)[1:3])
        assert (three.original("train", index)["image"] == pictures[number][..., :3]).all()
        image = four.original("train", index)["image"]
        assert (image == pictures[number][..., [3, 0, 1, 2]]).all()
        assert (four.channels.shown(image) == pictures[number][..., :3]).all()
    assert [len(data.mean) for data in (three, four)] == [3, 4]
    assert "12 of 12 pictures have more than red, green and blue" in " ".join(three.notes)
    assert not [note for note in four.notes if note.startswith("bands:")]


def test_bands_that_nobody_chose_are_refused_with_what_would_work(tmp_path):
    root = write(tmp_path / "d", [values("uint8", 5)] * 12, photometric="minisblack", planarconfig="contig")
    with pytest.raises(DataError, match=r"5 bands that are not red, green and blue .*data.bands=\[0,1,2,3,4\] gives"):
        folder(root)
    with pytest.raises(DataError, match=r"5 bands .*data.bands=\[0, 6\] needs 7 of them"):
        folder(root, bands=[0, 6])
    assert folder(root, bands=[4]).original("val", 0)["image"].shape == (12, 9, 1)
    for wrong in ([], [0, 0], [-1], [0.5]):
        with pytest.raises(ConfigError, match="data.bands must be null or different numbers"):
            folder(root, bands=wrong)
    with pytest.raises(ConfigError, match=r"data.display=\[0, 1, 4\] must be one or three of the bands \[0, 1, 2\]"):
        folder(root, display=[0, 1, 4])
    with pytest.raises(ConfigError, match="data.mean must be 2 numbers"):
        folder(root, bands=[0, 1], mean=[0.5] * 3, std=[0.5] * 3)


# ranges


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_auto_measures_the_training_split_and_says_so(dtype, suffix, tmp_path):
    draw = np.random.default_rng(0)
    pictures = [draw.integers([500, 1500], [760, 1760], (12, 9, 2)).astype(dtype) for _ in range(20)]
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    root = write(tmp_path / "d", pictures, suffix, **({} if suffix == ".npy" else options))
    data = folder(root, bands=[0, 1])
    numbers = [int(data.describe_sample("train", k)[1:3]) for k in range(data.num_samples("train"))]
    training = np.stack([pictures[number] for number in numbers]).astype(np.float64)
    low, high = training.min((0, 1, 2)), training.max((0, 1, 2))
    shares = (training - low) / (high - low)
    for index in range(len(numbers)):
        image = data.original("train", index)["image"]
        assert image.dtype == np.float32
        assert np.abs(image - shares[index]).max() < 1e-6
    assert data.mean == pytest.approx(shares.mean((0, 1, 2)), abs=1e-6)
    assert data.std == pytest.approx(shares.std((0, 1, 2)), abs=1e-6)
    assert data.values_record() == {"kind": dtype, "low": low.tolist(), "high": high.tolist(), "given": False}
    note = next(note for note in data.notes if note.startswith("values:"))
    assert note.startswith(
        f"values: {dtype}, of which {low[0]:g} to {high[0]:g}, {low[1]:g} to {high[1]:g} become 0 to 1"
    )
    assert "training split (data.range=auto)" in note


def test_a_given_range_and_percentiles(tmp_path):
    pictures = [values("uint16", 1)[..., 0] for _ in range(12)]
    root = write(tmp_path / "d", pictures)
    given = folder(root, bands=[0], range=[10000, 30000]).original("val", 0)["image"][..., 0]
    assert np.abs(given - np.clip((pictures[0] - 10000.0) / 20000, 0, 1)).max() < 1e-6
    data = folder(root, bands=[0], range="percentile")
    measured, copies = data.values_record(), [pictures[0].astype(float)] * data.num_samples("train")
    assert [*measured["low"], *measured["high"]] == pytest.approx(np.percentile(copies, [0.5, 99.5]).tolist())
    bytes_ = [values("uint8", 1)[..., 0]] * 12
    eight = folder(write(tmp_path / "e", bytes_), bands=[0], range=[0, 255]).original("val", 0)["image"]
    assert np.abs(eight[..., 0] - bytes_[0] / 255).max() < 1e-6
    for wrong in ([1], [5, 5], [[0, 1], [0, 1]], ["a", "b"], [0, float("inf")]):
        with pytest.raises(ConfigError, match="data.range must be auto, percentile"):
            folder(root, bands=[0], range=wrong)
    with pytest.raises(ConfigError, match="data.range=percentil is no range; did you mean 'percentile'"):
        folder(root, range="percentil")


def test_values_that_are_clipped_or_stretch_the_range_are_told(tmp_path):
    draw = np.random.default_rng(0)
    pictures = [draw.integers(100, 200, (12, 9, 2)).astype(np.int16) for _ in range(20)]
    usual = folder(write(tmp_path / "a", pictures, ".npy"), bands=[0, 1])
    training = {int(usual.describe_sample("train", k)[1:3]) for k in range(usual.num_samples("train"))}
    held_out = sorted(set(range(20)) - training)
    assert not [note for note in usual.notes if "small part" in note or "beyond" in note]

    pictures[held_out[0]][3, 4, 1] = 900  # of val or test: beyond what training knows
    pictures[min(training)][0, 0, 1] = -9999
    notes = folder(write(tmp_path / "b", pictures, ".npy"), bands=[0, 1]).notes
    (clipped,) = [note for note in notes if "beyond that range" in note]
    assert re.fullmatch(r"values: 1 of \d pictures of (val|test) hold some beyond .*clipped to it", clipped)
    (stretched,) = [note for note in notes if "small part" in note]
    assert stretched.startswith("values: 99 % of those of band 1 are 1")
    assert "data.range=percentile" in stretched

    given = folder(write(tmp_path / "c", pictures, ".npy"), bands=[1, 0], range=[100, 1000]).notes
    assert [note for note in given if "beyond that range" in note] == [
        f"values: 1 of {len(training)} pictures of train hold some beyond that range, which are clipped to it"
    ], "900 lies within"
    assert not [note for note in given if "small part" in note], "what was given is meant"


def test_types_that_are_mixed_are_refused_by_name_unless_a_range_is_given(tmp_path):
    pictures = [values("uint16", 1)[..., 0]] * 11 + [values("uint8", 1)[..., 0]]
    root = write(tmp_path / "d", pictures)
    with pytest.raises(DataError, match=r"pictures of different types.*: p11.tif of uint8, but 11 of uint16"):
        folder(root)
    (problem,) = folder(root, prepare=False).problems()
    assert "p11.tif of uint8" in str(problem)
    assert folder(root, range=[0, 65535]).original("val", 0)["image"].dtype == np.float32


def test_a_trained_range_is_taken_and_other_types_are_refused(tmp_path):
    root = write(tmp_path / "d", [values("uint16", 1)[..., 0]] * 12)
    trained = {"kind": "uint16", "low": [100.0], "high": [200.0], "given": False}
    data = folder(root, prepare=False, bands=[0])
    data.adopt_values(trained)
    data.setup()
    assert data.values_record() == trained
    other = folder(root, prepare=False, bands=[0])
    other.adopt_values({"kind": "uint8", "low": [], "high": []})
    with pytest.raises(DataError, match="the pictures are uint16, but the run was trained on uint8 as they are"):
        other.setup()
    for wrong in ({}, {"kind": "uint16", "low": [2.0], "high": [1.0]}, {"kind": "x", "low": [], "high": []}):
        with pytest.raises(DataError, match="cannot be understood"):
            folder(root, prepare=False, bands=[0]).adopt_values(wrong)
    with pytest.raises(DataError, match="trained on 1 bands, not on 2"):
        folder(root, prepare=False, bands=[0, 1]).adopt_values(trained)


@pytest.mark.parametrize("cache", [None, "memory", "disk"])
def test_every_cache_and_number_of_workers_gives_the_same_bytes(cache, tmp_path):
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 4096, (12, 9, 4)).astype(np.uint16) for _ in range(16)]
    root = write(tmp_path / "d", pictures, photometric="minisblack", planarconfig="contig")
    kept = str(tmp_path / "kept") if cache == "disk" else cache
    plain = folder(root, bands=[0, 1, 2, 3], cache="auto", size=[8, 8])
    for _ in range(2):  # the second time from the disk
        data = folder(root, bands=[0, 1, 2, 3], cache=kept, size=[8, 8], num_workers=2)
        assert (data.mean, data.std, data.values_record()) == (plain.mean, plain.std, plain.values_record())
        for split in ("train", "val"):
            for one, other in zip(data.loader(split), plain.loader(split), strict=True):
                assert one["image"].numpy().tobytes() == other["image"].numpy().tobytes()


@pytest.mark.parametrize("bands", [3, 4])
def test_a_tiff_of_which_pillow_has_the_upper_bits_alone_is_refused(bands, tmp_path, monkeypatch):
    """As without imagecodecs, for LZW: cv2 writes 16 bit a band, of which Pillow hands out 8."""
    cv2.imwrite(str(tmp_path / "a.tif"), values("uint16", bands), [cv2.IMWRITE_TIFF_COMPRESSION, 5])

    def missing(self):
        raise ValueError("requires the 'imagecodecs' package")

    monkeypatch.setattr(Tiff, "values", missing)
    with pytest.raises(DataError, match="cannot be decoded here.*; pip install imagecodecs"):
        read_raster(tmp_path / "a.tif")


def test_a_tiff_whose_writer_left_all_of_it_out_is_damaged(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values("uint16", 3))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages[0].tags["StripOffsets"].overwrite(0)
        file.pages[0].tags["StripByteCounts"].overwrite(0)
    with pytest.raises(DataError, match="damaged: its header says that none of its pixels were written"):
        read_raster(tmp_path / "a.tif")
    with pytest.raises(DataError, match="none of its pixels were written"), TiffWindows(tmp_path / "a.tif"):
        pass


@pytest.mark.parametrize("range", ["auto", "percentile"])
@pytest.mark.parametrize(("dtype", "mark"), [("float32", -9999), ("uint16", 65535)])
def test_a_mark_of_missing_data_on_many_pixels_is_said(range, dtype, mark, tmp_path):
    root = write_folder(tmp_path / "d", count=24, binary=False)
    for path in sorted((root / "images").iterdir()):
        grey = np.asarray(Image.open(path))[..., 0].astype(dtype)
        grey[:6] = mark
        tifffile.imwrite(path.with_suffix(".tif"), grey)
        path.unlink()
    data = folder(root, bands=[0], range=range)
    assert any(f"15.0% of those of band 0 are {mark}, and nearly all others" in note for note in data.notes)
    other = folder(root, bands=[0], range=[0, 255])
    assert not any("missing data" in note for note in other.notes)
