"""Damaged, odd and changing files in every data set of files: refused by name or converted as documented."""

import io
import os
import shutil
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from segbench.core.errors import DataError
from segbench.data.files.camvid import CamVid
from segbench.data.files.folder import Folder
from segbench.data.files.masks import MaskReader
from segbench.data.pictures import read_cutout, read_rgb
from segbench.data.scenes import sources
from segbench.data.scenes.digits import read_digits, read_photos
from segbench.data.scenes.sources import read_backgrounds, read_depth_maps, read_foregrounds
from tests.support.faulty_files import (
    COMMON,
    coco_case,
    first_image,
    folder_case,
    frames,
    noise,
    png,
    saved,
    turned,
    write_photos,
)
from tests.support.tiny_files import write_camvid, write_folder
from tests.support.tiny_generated import write_mnist
from tests.support.tiny_sources import write_pictures

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools"),
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
]
REFUSED = {
    "truncated JPEG": (lambda h, w: saved(noise(h, w), "JPEG", quality=95)[: h * w // 2], "damaged: "),
    "truncated PNG": (lambda h, w: saved(noise(h, w))[: h * w], "damaged: "),
    "header of a PNG": (lambda h, w: saved(noise(h, w))[:33], "damaged: |not a PNG"),
    "empty": (lambda h, w: b"", "not a PNG, JPEG"),
    "zeros": (lambda h, w: bytes(5000), "not a PNG, JPEG"),
    "HTML": (lambda h, w: b"<!DOCTYPE html><html><body>404</body></html>", "not a PNG, JPEG"),
    "PDF": (lambda h, w: b"%PDF-1.7\n1 0 obj\n", "not a PNG, JPEG"),
    "bomb": (lambda h, w: png(20000, 20000, 8, 2, [b"\0\0\0"]), "20000 x 20000 pixels, which takes 6.4 GB"),
    "a bit too large": (lambda h, w: png(8001, 8000, 8, 0, [b"\0"]), "8001 x 8000 pixels, which takes 1.0 GB"),
    "APNG": (lambda h, w: frames("PNG"), "an animation or several pages"),
    "animated GIF": (lambda h, w: frames("GIF"), "an animation or several pages"),
    "animated WebP": (lambda h, w: frames("WEBP"), "an animation or several pages"),
    "TIFF of pages": (lambda h, w: frames("TIFF"), "an animation or several pages"),
    "floats": (lambda h, w: saved(Image.new("F", (w, h), 0.5), "TIFF"), "mode F|floating-point"),
    "32 bit": (lambda h, w: saved(Image.fromarray(np.full((h, w), 7, np.int32)), "TIFF"), "mode I|32-bit"),
    "12 of 16 bit": (
        lambda h, w: saved(Image.fromarray(np.full((h, w), 200, np.uint16))),
        "largest value is 200|mode I;16",
    ),
}

CONVERTED = {
    "JPEG named .png": (lambda h, w: saved(Image.new("RGB", (w, h), (200, 40, 90)), "JPEG", quality=95), (200, 40, 90)),
    "BMP named .png": (lambda h, w: saved(Image.new("RGB", (w, h), (200, 40, 90)), "BMP"), (200, 40, 90)),
    "GIF of one frame": (
        lambda h, w: saved(
            Image.new(
                "P",
                (w, h),
                1,
            ).quantize(2),
            "GIF",
        ),
        (0, 0, 0),
    ),
    "16-bit grey": (lambda h, w: saved(Image.fromarray(np.full((h, w), 0x9C40, np.uint16))), (0x9C,) * 3),
    "16-bit RGB": (
        lambda h, w: png(w, h, 16, 2, [struct.pack(">3H", 0xC801, 0x2802, 0x5AFF) * w] * h),
        (0xC8, 0x28, 0x5A),
    ),
    "2-bit grey": (lambda h, w: png(w, h, 2, 0, [b"\xaa" * (-(-w // 4))] * h), (170,) * 3),
    "CMYK": (lambda h, w: saved(Image.new("CMYK", (w, h), (0, 255, 255, 0)), "JPEG", quality=95), (255, 0, 0)),
    "grey": (lambda h, w: saved(Image.new("L", (w, h), 77)), (77,) * 3),
    "black and white": (lambda h, w: saved(Image.new("1", (w, h), 1)), (255,) * 3),
    "palette": (lambda h, w: saved(Image.new("RGB", (w, h), (10, 200, 30)).quantize(4)), (10, 200, 30)),
    "transparent": (lambda h, w: saved(Image.new("RGBA", (w, h), (200, 100, 50, 0))), (0, 0, 0)),
    "EXIF upright": (lambda h, w: saved(Image.new("RGB", (w, h), (200, 40, 90)), exif=turned(1)), (200, 40, 90)),
}


# every data set: the picture that is replaced, its height and width, and what reads it and returns it as RGB


def camvid_case(root):
    write_camvid(root)
    classes = [f"c{k}" for k in range(11)]
    data = CamVid(root=str(root), classes=classes, size=[36, 48], official=False, **COMMON)
    return root / "train" / "f000.png", (36, 48), lambda: first_image(data)


def backgrounds_case(root):
    folder = write_pictures(root)["backgrounds"]
    return folder / "b0.png", (50, 70), lambda: np.asarray(read_backgrounds(str(folder)).images[0])


def photos_case(root):
    write_photos(root)
    return root / "train" / "a" / "0.png", (32, 32), lambda: read_photos(str(root), None, download=False).images[0]


def digits_case(root):
    write_mnist(root, train=3, test=2, form="png")
    return root / "train" / "0" / "00000.png", (28, 28), lambda: read_digits(str(root), None, download=False).images[0]


def foregrounds_case(root):
    folder = write_pictures(root)["foregrounds"]
    return folder / "f0.png", (40, 60), lambda: np.asarray(read_foregrounds(str(folder)).images[0])


CASES = {
    "folder": folder_case,
    "camvid": camvid_case,
    "coco": coco_case,
    "backgrounds": backgrounds_case,
    "photos": photos_case,
    "digits": digits_case,
    "foregrounds": foregrounds_case,
}


OF_FILES = ("folder", "camvid", "coco")


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_read_is_refused_by_name(case, tmp_path, monkeypatch):
    monkeypatch.setattr("segbench.data.pictures.available_memory", lambda: 10**9)
    victim, size, load = CASES[case](tmp_path / "data")
    load()
    for name, (make, message) in REFUSED.items():
        victim.write_bytes(make(*size))
        with pytest.raises(DataError) as caught:
            load()
        text = str(caught.value)
        if case == "foregrounds" and name in ("floats", "32 bit", "12 of 16 bit"):
            message = "no alpha channel"
        if case in OF_FILES and name in ("floats", "32 bit", "12 of 16 bit"):  # among pictures of 8 bit
            message = "pictures of different types|values of int32"
        assert victim.name in text, name
        assert any(part in text for part in message.split("|")), (name, text)
        assert "\n" not in text
        assert "Traceback" not in text


@pytest.mark.parametrize("case", [case for case in CASES if case != "foregrounds"])
def test_what_is_odd_is_converted_as_documented(case, tmp_path):
    victim, size, load = CASES[case](tmp_path / "data")
    for name, (make, colour) in CONVERTED.items():
        victim.write_bytes(make(*size))
        if case in OF_FILES and name.startswith("16-bit"):
            with pytest.raises(DataError, match="pictures of different types.*uint16"):
                load()
            continue
        if case in OF_FILES and name == "transparent":
            colour = (200, 100, 50)  # transparency is a band that nobody has chosen
        found = load()
        wanted = np.array(colour)
        if case == "digits":  # grey, by the weights of ITU-R 601
            wanted = np.round(wanted @ (0.299, 0.587, 0.114))
        middle = found[found.shape[0] // 2, found.shape[1] // 2].astype(int)
        assert np.abs(middle - wanted).max() <= 3, (name, middle)


def test_what_is_not_a_file_is_refused_and_never_waited_for(tmp_path):
    for case in ("folder", "camvid", "coco", "backgrounds"):
        victim, _, load = CASES[case](tmp_path / case)
        for make in (os.mkfifo, lambda path: path.symlink_to(path.parent / "nowhere.png")):
            victim.unlink()
            make(victim)
            with pytest.raises(DataError, match=victim.name):
                load()


def test_an_image_that_is_turned_without_saying_so_has_another_size(tmp_path):
    victim, (height, width), load = folder_case(tmp_path / "d")
    victim.write_bytes(saved(noise(width, height)))
    with pytest.raises(DataError, match=r"the image has 48 x 40 pixels \(height x width\), the mask 40 x 48"):
        load()


def test_turns_are_pillows_own(tmp_path):
    """All eight EXIF orientations against ImageOps.exif_transpose."""
    for orientation in range(1, 9):
        (tmp_path / "a.png").write_bytes(saved(noise(5, 7), exif=turned(orientation)))
        with Image.open(tmp_path / "a.png") as picture:
            assert np.array_equal(read_rgb(tmp_path / "a.png"), ImageOps.exif_transpose(picture))


def test_damaged_bytes_never_get_further_than_a_data_error(tmp_path):
    """1,000 pictures of eight formats with random bytes changed or cut off: read, or refused in a sentence."""
    draw = np.random.default_rng(5)
    picture = noise(12, 9)
    grey = Image.fromarray(np.arange(108, dtype=np.uint16).reshape(12, 9) * 600)
    whole = [
        saved(picture, "JPEG", exif=turned(6)),
        saved(picture),
        saved(picture.quantize(8)),
        saved(grey),
        saved(picture, "WEBP"),
        saved(picture, "WEBP", lossless=True),
        saved(picture.quantize(8), "GIF"),
        saved(picture, "BMP"),
        saved(picture, "TIFF"),
        saved(picture, "TIFF", compression="tiff_lzw"),
        saved(picture.convert("RGBA"), exif=turned(3)),
    ]
    path, refused = tmp_path / "x.png", 0
    reader = MaskReader("auto", ["a", "b"])

    def refusal(read):
        try:
            read(path)
        except DataError as error:
            return str(error)
        return None

    for number in range(1000):
        content = bytearray(whole[number % len(whole)])
        for _ in range(draw.integers(1, 6)):
            content[draw.integers(0, min(len(content), 400))] = draw.integers(0, 256)
        path.write_bytes(content[: draw.integers(1, len(content) + 1)] if number % 3 == 0 else content)
        texts = [text for read in (read_rgb, read_cutout, reader.read) if (text := refusal(read))]
        assert not any("\n" in text for text in texts)
        refused += len(texts)
    assert refused > 500


def test_damaged_depth_maps(tmp_path):
    path = tmp_path / "b0.npy"

    def load():
        return read_depth_maps(str(tmp_path), ["b0"], size=(4, 6), far=10.0)

    np.save(path, np.full((4, 6), 2.5, np.float32))
    assert load().tolist() == np.full((1, 4, 6), 2.5).tolist()
    whole = path.read_bytes()
    huge = whole.replace(b"(4, 6)", b"(999999, 999999)")[: len(whole)]
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(3))
    infinite, objects = io.BytesIO(), io.BytesIO()
    np.save(infinite, np.full((4, 6), np.inf))
    np.save(objects, np.array([{}], dtype=object), allow_pickle=True)
    damaged = [b"", whole[:-1], huge, objects.getvalue(), b"\x80\x04."]
    cases = [(content, "no .npy") for content in damaged]
    for content, message in (*cases, (stream.getvalue(), "archive"), (infinite.getvalue(), "finite")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            load()
        assert "b0.npy" in str(caught.value)


# files that change


def test_a_file_that_changes_between_its_digest_and_its_reading(tmp_path, monkeypatch):
    victim, size, load = folder_case(tmp_path / "d")
    read = Folder.read
    changes = [victim.unlink, lambda: victim.write_bytes(saved(noise(*size)))]

    def late(self, item):
        found = read(self, item)
        if item.image == victim:
            changes.pop()()
        return found

    monkeypatch.setattr(Folder, "read", late)
    while changes:
        with pytest.raises(DataError, match="p00.png was changed or removed after segbench had looked at it"):
            load()


def test_what_was_read_at_the_start_stays(tmp_path):
    """In memory and from a cache: the files are not needed any more, and the cache may be cleared."""
    root = write_folder(tmp_path / "d", count=12, binary=False)
    settings = {"root": str(root), "classes": ["a", "b"], "size": [40, 48], "val_share": 0.3, "test_share": 0.3}
    sets = [Folder(cache=cache, **settings, **COMMON) for cache in ("memory", str(tmp_path / "cache"))]
    for data in sets:
        data.prepare()
    before = [data.sample("train", epoch=0, index=0)["image"].tobytes() for data in sets]
    shutil.rmtree(root)
    shutil.rmtree(tmp_path / "cache")
    assert [data.sample("train", epoch=0, index=0)["image"].tobytes() for data in sets] == before == [before[0]] * 2


@pytest.mark.parametrize("damage", ["cut", "written"])
def test_a_cache_that_is_written_into(tmp_path, damage):
    root = write_folder(tmp_path / "d", count=12, binary=False)
    data = Folder(
        root=str(root),
        classes=["a", "b"],
        size=[40, 48],
        val_share=0.3,
        test_share=0.3,
        cache=str(tmp_path / "cache"),
        num_workers=1,
        **COMMON,
    )
    data.prepare()
    path = next((tmp_path / "cache").rglob("pixels.bin"))
    with path.open("r+b") as file:
        if damage == "cut":
            file.truncate(100)  # touching a page beyond the end would be a SIGBUS
        else:
            file.seek(500)
            file.write(bytes(100))
    message = "pixels.bin was changed while it was in use; remove its folder and start again"
    with pytest.raises(DataError, match=message):
        data.sample("val", epoch=0, index=0)
    with pytest.raises(DataError, match=message):
        list(data.loader("val"))


@pytest.mark.parametrize("change", ["removed", "replaced", "mask"])
def test_files_that_are_read_when_they_are_asked_for(tmp_path, change):
    """`data check` and `export` serve what can be used straight from the files."""
    victim, size, _ = folder_case(tmp_path / "d")
    data = Folder(root=str(tmp_path / "d"), classes=["a", "b"], size=[40, 48], missing_test="val", **COMMON)
    assert not data.problems()
    gone = victim.parent.parent / "masks" / "p00.png" if change == "mask" else victim
    if change == "replaced":
        victim.write_bytes(saved(noise(*size)))
    else:
        gone.unlink()
    with pytest.raises(DataError) as caught:
        data.sample("train", epoch=0, index=0)
    assert f"{gone} was changed or removed after segbench had looked at it" in str(caught.value)
    assert data.sample("val", epoch=0, index=0)["mask"].shape == (40, 48)


def test_sources_that_change_while_they_are_read(tmp_path, monkeypatch):
    victim, size, load = backgrounds_case(tmp_path / "d")
    read = sources.digest_files

    def late(files):
        found = read(files)
        victim.write_bytes(saved(noise(*size)))
        return found

    monkeypatch.setattr(sources, "digest_files", late)
    with pytest.raises(DataError, match=r"data.backgrounds: b0.png changed while .* was read; start again"):
        load()
