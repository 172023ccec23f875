"""Windows of TIFFs, against the whole picture as tifffile reads it."""

import numpy as np
import pytest
import tifffile

from segbench.core.errors import DataError
from segbench.data import windows
from segbench.data.windows import TiffWindows, Window

WRITERS = {
    "tiles": {"tile": (32, 48)},
    "tiles, deflate": {"tile": (32, 48), "compression": "zlib", "predictor": True},
    "bands apart": {"tile": (32, 48), "planarconfig": "separate"},
    "strips": {"rowsperstrip": 7},
    "strips, deflate": {"rowsperstrip": 7, "compression": "zlib"},
    "one strip": {},
    "BigTIFF": {"tile": (64, 64), "bigtiff": True},
}


def values(bands, dtype):
    drawn = np.random.default_rng(0).integers(0, 250, (90, 110, bands))
    return (drawn / 7).astype(dtype) if dtype == np.float32 else drawn.astype(dtype)


def write(path, array, **settings):
    if array.dtype == np.float32:  # its predictor needs a package that is not asked for
        settings.pop("predictor", None)
    apart = settings.get("planarconfig") == "separate" and array.shape[2] > 1
    if array.shape[2] == 1:
        array, settings = array[..., 0], {**settings, "planarconfig": None}
    elif not apart:
        settings = {**settings, "planarconfig": "contig"}
    tifffile.imwrite(path, np.moveaxis(array, -1, 0) if apart else array, photometric="minisblack", **settings)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_window_is_that_part_of_the_picture(tmp_path, writer, bands, dtype):
    array = values(bands, dtype)
    write(tmp_path / "a.tif", array, **WRITERS[writer])
    with TiffWindows(tmp_path / "a.tif") as reader:
        assert (reader.tiff.size, reader.tiff.bands, reader.dtype) == ((90, 110), bands, np.dtype(dtype))
        for top, left, height, width in [(0, 0, 90, 110), (5, 11, 1, 1), (31, 40, 33, 60), (89, 0, 1, 110)]:
            found = reader.read(Window(top, left, height, width))
            assert found.dtype == dtype
            assert np.array_equal(found, array[top : top + height, left : left + width])


def test_few_pieces_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "KEPT", 3 * 16 * 16)
    array = values(1, np.uint8)
    write(tmp_path / "a.tif", array, tile=(16, 16))
    with TiffWindows(tmp_path / "a.tif") as reader:
        assert np.array_equal(reader.read(Window(0, 0, 90, 110)), array)
        assert len(reader._decoded) == 3


def test_a_picture_in_one_large_piece_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "LARGEST_PIECE", 1000)
    write(tmp_path / "a.tif", values(1, np.uint8))
    with pytest.raises(DataError, match=r"90 x 110 pixels.*save it in tiles"):
        TiffWindows(tmp_path / "a.tif")


def test_several_pages_are_refused_and_overviews_are_not(tmp_path):
    array = values(1, np.uint8)[..., 0]
    with tifffile.TiffWriter(tmp_path / "pages.tif") as pages, tifffile.TiffWriter(tmp_path / "pyramid.tif") as pyramid:
        for writer, kind in ((pages, 0), (pyramid, 1)):
            writer.write(array, tile=(32, 32), metadata=None)
            writer.write(array[::2, ::2], tile=(32, 32), metadata=None, subfiletype=kind)
    with pytest.raises(DataError, match="several pages"):
        TiffWindows(tmp_path / "pages.tif")
    with TiffWindows(tmp_path / "pyramid.tif") as reader:
        assert np.array_equal(reader.read(Window(0, 0, 90, 110))[..., 0], array)


def test_a_file_that_ends_too_soon_is_refused_before_anything_is_predicted(tmp_path):
    write(tmp_path / "a.tif", values(3, np.uint8), tile=(32, 48))
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-5000])
    with pytest.raises(DataError, match="damaged: the file is shorter than its header says"):
        TiffWindows(tmp_path / "a.tif")


@pytest.mark.parametrize("content", [b"", b"II*\0", b"no TIFF at all", b"II*\0\x08\0\0\0\xff\xff"])
def test_no_tiff_is_refused(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DataError, match="not a TIFF"):
        TiffWindows(tmp_path / "a.tif")


def test_a_compression_that_cannot_be_read_is_named(tmp_path):
    from PIL import Image

    Image.fromarray(values(1, np.uint8)[..., 0]).save(tmp_path / "a.tif", compression="tiff_lzw")
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        with pytest.raises(DataError, match=r"LZW.*install imagecodecs"):
            TiffWindows(tmp_path / "a.tif")
    else:
        assert TiffWindows(tmp_path / "a.tif").tiff.size == (90, 110)
