"""The picture decoder's rules."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segbench.core.errors import DataError
from segbench.data import pictures as room
from segbench.data.folders import list_pictures
from segbench.data.pictures import load_picture, open_picture, read_cutout, read_rgb
from segbench.data.rasters import read_raster
from segbench.data.scenes.sources import read_backgrounds, read_foregrounds

ROOT = Path(__file__).parents[2]


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20), (200, 0, 0)).save(tmp_path / "a.jpg", exif=exif)
    assert open_picture(tmp_path / "a.jpg").size == (20, 30)


def test_modes_become_rgb(tmp_path):
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "deep.png")
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "ink.jpg")
    Image.new("L", (4, 4), 77).save(tmp_path / "grey.png")
    Image.new("P", (4, 4)).save(tmp_path / "palette.png")
    Image.new("RGBA", (4, 4), (100, 100, 100, 0)).save(tmp_path / "clear.png")
    assert read_rgb(tmp_path / "deep.png").getpixel((0, 0)) == (156, 156, 156)
    red = read_rgb(tmp_path / "ink.jpg").getpixel((0, 0))
    assert red[0] > 200
    assert red[1] < 60
    assert read_rgb(tmp_path / "grey.png").getpixel((0, 0)) == (77, 77, 77)
    assert read_rgb(tmp_path / "palette.png").mode == "RGB"
    assert read_rgb(tmp_path / "clear.png").getpixel((0, 0)) == (0, 0, 0)


def test_cutout_is_cropped_to_what_is_visible(tmp_path):
    picture = Image.new("RGBA", (20, 20))
    picture.paste((9, 9, 9, 255), (5, 6, 11, 16))
    picture.putpixel((5, 6), (9, 9, 9, 128))
    picture.save(tmp_path / "a.png")
    assert read_cutout(tmp_path / "a.png").size == (6, 10)


def test_too_many_pixels_are_refused_by_the_header(tmp_path, monkeypatch):
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    monkeypatch.setattr(room, "MAX_PIXELS", 9999)
    assert open_picture(tmp_path / "a.png").size == (100, 100)  # there is memory for it
    monkeypatch.setattr(room, "available_memory", lambda: 2 * 16 * 10_000 - 1)
    with pytest.raises(DataError, match="100 x 100 pixels, which takes .* vips tiffsave IN OUT.tif --tile"):
        open_picture(tmp_path / "a.png")
    monkeypatch.setattr(room, "available_memory", lambda: 2 * 16 * 10_000)
    assert open_picture(tmp_path / "a.png").size == (100, 100)


def test_pillows_own_limit_is_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    assert open_picture(tmp_path / "a.png").size == (100, 100)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_the_content_of_a_file_reads_as_the_file(tmp_path):
    draw = np.random.default_rng(0)
    colours, deep = draw.integers(0, 256, (9, 7, 3), np.uint8), draw.integers(0, 65536, (9, 7, 4), np.uint16)
    Image.fromarray(colours).save(tmp_path / "a.png")
    Image.fromarray(colours).save(tmp_path / "b.jpg")
    tifffile.imwrite(tmp_path / "c.tif", deep)
    Image.fromarray(colours).save(tmp_path / "d.webp", lossless=True)
    for path in tmp_path.iterdir():
        of_file, of_content = read_raster(path), read_raster(path.read_bytes())
        assert (of_file.values == of_content.values).all()
        assert of_file.values.dtype == of_content.values.dtype
        assert (of_file.rgb, of_file.alpha) == (of_content.rgb, of_content.alpha)
    assert load_picture((tmp_path / "d.webp").read_bytes()).info["lossy"] is False
    with pytest.raises(DataError, match="not a PNG"):
        read_raster(b"nothing of that kind")


def test_animation_is_refused(tmp_path):
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 200)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="animation"):
        open_picture(tmp_path / "a.webp")


def test_folder_without_pictures(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        list_pictures(tmp_path / "photos", "data.backgrounds")
    with pytest.raises(DataError, match="did you mean 'photos'"):
        list_pictures(tmp_path / "fotos", "data.backgrounds")


def test_folders_of_cut_outs_are_offered_what_can_be_transparent(tmp_path):
    with pytest.raises(DataError, match=r"data.foregrounds: .* put \.png, \.webp, \.tif, \.tiff, \.gif files"):
        read_foregrounds(str(tmp_path))
    with pytest.raises(DataError, match=r"data.backgrounds: .* put \.png, \.jpg, "):
        read_backgrounds(str(tmp_path))


def test_the_first_picture_imports_no_reader_of_other_formats(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.webp")
    code = (
        "import sys; from pathlib import Path; from segbench.data.pictures import load_picture;"
        " before = {*sys.modules}; load_picture(Path(sys.argv[1]));"
        " print([name for name in {*sys.modules} - before if 'ImagePlugin' in name])"
    )
    command = [sys.executable, "-c", code, tmp_path / "a.webp"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
