"""Make the picture pack of the `fgbg` data set again from the packages it comes from.

The script reads `assets_selection.csv` beside it (one row a picture: where it lies in which package, title, author,
licence), cuts, crops and resizes the pictures with Pillow alone, and writes `foregrounds/*.webp`,
`backgrounds/*.webp` and `LICENSES.csv`. The same sources and the same Pillow give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import re
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

COMMANDS = """
The sources are fetched with the ordinary clients:

  npm pack @lobehub/fluent-emoji-3d@1.1.0
  apt-get download gcompris-qt-data=3.1-2
  pip download --no-deps scikit-image==0.26.0 scikit-learn==1.9.1

The two wheels may be left out where both packages are installed. The pack in the repository was made with
Pillow 13.0.0; to compare: diff -r DIR segbench/data/scenes/assets
"""

SELECTION = Path(__file__).with_name("assets_selection.csv")
SOURCES = {
    "emoji": "npm package @lobehub/fluent-emoji-3d 1.1.0",
    "gcompris": "Debian package gcompris-qt-data 3.1-2",
    "scikit-image": "Python package scikit-image 0.26.0",
    "scikit-learn": "Python package scikit-learn 1.9.1",
}
COLUMNS = ["file", "kind", "title", "author", "licence", "source", "url"]
LICENCES = {"MIT", "CC0-1.0", "Public Domain", "CC-BY-2.0"}
FOREGROUND_SIDE = 192  # longest side of a cut-out
BACKGROUND_SHORT = 192  # shorter side of a background
BACKGROUND_LONG = 320  # longest side of a background
QUALITY = 88
OVERSAMPLING = 4  # outlines are drawn this much larger, for soft edges

Row = dict[str, str]
Reader = Callable[[str], bytes]


class AssetError(Exception):
    """A source or the selection table is not what it should be; the message is one sentence."""


def read_deb(path: Path) -> dict[str, bytes]:
    """Return the Qt resource files of a Debian package, keyed by file name."""
    data = path.read_bytes()
    if not data.startswith(b"!<arch>\n"):
        raise AssetError(f"{path} is not a Debian package.")
    position = 8
    while position + 60 <= len(data):
        name = data[position : position + 16].decode("ascii").strip().rstrip("/")
        size = int(data[position + 48 : position + 58])
        position += 60
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(data[position : position + size])) as tar:
                members = [m for m in tar.getmembers() if m.isfile() and m.name.endswith(".rcc")]
                return {Path(m.name).name: _extract(tar, m) for m in members}
        position += size + size % 2
    raise AssetError(f"{path} has no data archive.")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    handle = tar.extractfile(member)
    if handle is None:
        raise AssetError(f"{member.name} is not a regular file of the archive.")
    return handle.read()


def walk_rcc(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) for each file of a Qt resource file (format versions 1 to 3)."""
    if data[:4] != b"qres":
        raise AssetError("A .rcc file of the Debian package is not a Qt resource file.")
    version, tree, payload, names = struct.unpack_from(">4I", data, 4)
    node_size = 14 if version == 1 else 22

    def walk(index: int, parent: str) -> Iterator[tuple[str, bytes]]:
        node = tree + index * node_size
        name_offset, flags = struct.unpack_from(">IH", data, node)
        path = parent
        if index:
            start = names + name_offset
            length = struct.unpack_from(">H", data, start)[0]
            path = f"{parent}/{data[start + 6 : start + 6 + 2 * length].decode('utf-16-be')}"
        if flags & 2:  # a folder
            count, first = struct.unpack_from(">II", data, node + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
            return
        start = payload + struct.unpack_from(">I", data, node + 10)[0]
        content = data[start + 4 : start + 4 + struct.unpack_from(">I", data, start)[0]]
        if flags & 4:
            raise AssetError(f"{path} is packed with zstd, which this script does not read.")
        yield path, zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, "")


def licences_of(readme: str) -> dict[str, str]:
    """Return file name -> licence as a gcompris resource README states it."""
    found: dict[str, str] = {}
    for block in re.split(r"\n\s*\n", readme):
        licence = re.search(r"^License:[ \t]*(.+?)\s*$", block, re.MULTILINE)
        files = re.search(r"^Files:\s*(.*)", block, re.MULTILINE | re.DOTALL)
        if licence and files:
            text = licence[1].replace("CC-BY ", "CC-BY-").replace("Public domain", "Public Domain")
            found.update(dict.fromkeys(files[1].split(), text))
    return found


class Gcompris:
    """The pictures of the gcompris package, handed out only under the licence that its READMEs state."""

    def __init__(self, path: Path, rows: list[Row]) -> None:
        self.expected = {row["member"]: row["licence"] for row in rows if row["origin"] == "gcompris"}
        self.resources = read_deb(path)
        self.open: dict[str, dict[str, bytes]] = {}
        self.stated: dict[str, str] = {}

    def __call__(self, member: str) -> bytes:
        """Return the content of `member`, a path below the package's `activities` folder."""
        activity = member.split("/")[0]
        if activity not in self.open:
            if f"{activity}.rcc" not in self.resources:
                raise AssetError(f"The Debian package has no {activity}.rcc.")
            files = walk_rcc(self.resources[f"{activity}.rcc"])
            self.open[activity] = {path.partition("/activities/")[2]: content for path, content in files}
            for path, content in self.open[activity].items():
                folder, _, name = path.rpartition("/")
                if name == "README":
                    for file, licence in licences_of(content.decode("utf-8")).items():
                        self.stated[f"{folder}/{file}"] = licence
        if member not in self.open[activity]:
            raise AssetError(f"The Debian package has no picture {member}.")
        stated, expected = self.stated.get(member), self.expected[member]
        if stated != expected:
            raise AssetError(f"{member} is under {stated}, but the selection says {expected}.")
        return self.open[activity][member]


def emoji_reader(path: Path) -> Reader:
    """Return a reader of the pictures of the emoji package."""
    with tarfile.open(path) as tar:
        files = {m.name: _extract(tar, m) for m in tar.getmembers() if m.isfile() and m.name.endswith(".webp")}

    def read(member: str) -> bytes:
        if f"package/assets/{member}" not in files:
            raise AssetError(f"{path} has no picture {member}.")
        return files[f"package/assets/{member}"]

    return read


def package_reader(package: str, wheel: Path | None) -> Reader:
    """Return a reader of a Python package's files, from a wheel or from the installed package."""

    def read(member: str) -> bytes:
        if wheel is not None:
            with zipfile.ZipFile(wheel) as archive:
                if member not in archive.namelist():
                    raise AssetError(f"{wheel} has no file {member}.")
                return archive.read(member)
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise AssetError(f"{package} is not installed; install it or pass its wheel.")
        path = Path(spec.origin).parents[1] / member
        if not path.is_file():
            raise AssetError(f"The installed {package} has no file {member}.")
        return path.read_bytes()

    return read


def cut_out(image: Image.Image, outline: str) -> Image.Image:
    """Return the picture with everything outside the outline transparent, with a soft edge.

    Args:
        image: The photograph.
        outline: Corners of one polygon, `x,y x,y ...`, in thousandths of the width and the height.
    """
    width, height = image.size
    scale = 2 * OVERSAMPLING * FOREGROUND_SIDE / max(width, height)
    size = (round(width * scale), round(height * scale))
    points = [tuple(int(v) for v in corner.split(",")) for corner in outline.split()]
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon([(x * size[0] / 1000, y * size[1] / 1000) for x, y in points], fill=255)
    mask = mask.filter(ImageFilter.MinFilter(5)).filter(ImageFilter.GaussianBlur(OVERSAMPLING))
    cut = image.convert("RGB").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    cut.putalpha(mask)
    return cut


def foreground(image: Image.Image, outline: str = "") -> Image.Image:
    """Return an RGBA cut-out, cropped to what can be seen, longest side `FOREGROUND_SIDE`."""
    image = cut_out(image, outline) if outline else image.convert("RGBA")
    image = image.crop(image.getchannel("A").point(lambda value: 255 if value >= 32 else 0).getbbox())
    scale = FOREGROUND_SIDE / max(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    alpha = image.getchannel("A").point(lambda value: 0 if value < 4 else 255 if value > 251 else value)
    image.putalpha(alpha)
    clear = Image.new("RGBA", image.size)  # the colour of invisible pixels must not depend on the source
    return ImageChops.composite(image, clear, alpha.point(lambda value: 255 if value else 0))


def background(image: Image.Image) -> Image.Image:
    """Return the center of a photograph, shorter side `BACKGROUND_SHORT`, longest at most `BACKGROUND_LONG`."""
    if min(image.size) < BACKGROUND_SHORT:
        raise AssetError(f"A background of {image.width} x {image.height} pixels is too small.")
    image = image.convert("RGB")
    scale = BACKGROUND_SHORT / min(image.size)
    width, height = (max(BACKGROUND_SHORT, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    left, top = max(0, width - BACKGROUND_LONG) // 2, max(0, height - BACKGROUND_LONG) // 2
    return image.crop((left, top, left + min(width, BACKGROUND_LONG), top + min(height, BACKGROUND_LONG)))


def encode(image: Image.Image) -> bytes:
    """Return the picture as WebP, without any metadata."""
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=QUALITY, alpha_quality=100, method=4, exif=b"", icc_profile=b"", xmp=b"")
    return stream.getvalue()


def read_selection(path: Path) -> list[Row]:
    """Return the rows of the selection table, sorted by file."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = sorted(csv.DictReader(stream), key=lambda row: row["file"])
    for row in rows:
        if row["origin"] not in SOURCES or row["licence"] not in LICENCES:
            raise AssetError(f"{path.name}: {row['file']} has an unknown origin or a licence that is not allowed.")
    return rows


def build(rows: list[Row], readers: dict[str, Reader], out: Path) -> int:
    """Write the pack below `out`; returns its size in bytes."""
    total = 0
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        is_foreground = row["file"].startswith("foregrounds/")
        with Image.open(io.BytesIO(readers[row["origin"]](row["member"]))) as image:
            picture = foreground(image, row["outline"]) if is_foreground else background(image)
        data = encode(picture)
        total += len(data)
        path = out / row["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        kind = path.name.partition("_")[0] if is_foreground else "background"
        writer.writerow([row["file"], kind, *(row[c] for c in COLUMNS[2:5]), SOURCES[row["origin"]], row["url"]])
    licences = table.getvalue().encode("utf-8")
    (out / "LICENSES.csv").write_bytes(licences)
    return total + len(licences)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and make the pack."""
    parser = argparse.ArgumentParser(
        description="Make the picture pack of the fgbg data set again from the packages it comes from.",
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--emoji", type=Path, required=True, help="the .tgz of @lobehub/fluent-emoji-3d")
    parser.add_argument("--gcompris", type=Path, required=True, help="the .deb of gcompris-qt-data")
    parser.add_argument("--scikit-image", type=Path, help="the wheel of scikit-image (default: the installed one)")
    parser.add_argument("--scikit-learn", type=Path, help="the wheel of scikit-learn (default: the installed one)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to, made when missing")
    args = parser.parse_args(argv)
    try:
        rows = read_selection(SELECTION)
        readers: dict[str, Reader] = {
            "emoji": emoji_reader(args.emoji),
            "gcompris": Gcompris(args.gcompris, rows),
            "scikit-image": package_reader("skimage", args.scikit_image),
            "scikit-learn": package_reader("sklearn", args.scikit_learn),
        }
        size = build(rows, readers, args.out)
    except (AssetError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        text = f"{error.filename}: {error.strerror}." if isinstance(error, OSError) and error.filename else error
        print(f"build_assets: {text}", file=sys.stderr)
        return 1
    print(f"{len(rows)} pictures, {size / 1e6:.2f} MB with LICENSES.csv, in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
