"""The picture pack of the fgbg data set: complete, licensed, small, and fit to be composed."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench

ASSETS = Path(segbench.__file__).parent / "data/scenes/assets"
FOREGROUNDS = sorted((ASSETS / "foregrounds").glob("*"))
BACKGROUNDS = sorted((ASSETS / "backgrounds").glob("*"))
KINDS = {"person", "cat", "dog", "animal"}
ALLOWED = {"MIT", "CC0-1.0", "Public Domain", "CC-BY-2.0", "CC-BY-3.0", "CC-BY-4.0", "BSD-3-Clause"}
MAX_BYTES = 3_000_000


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with (ASSETS / "LICENSES.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_table_lists_every_picture_once(rows):
    listed = [row["file"] for row in rows]
    present = [path.relative_to(ASSETS).as_posix() for path in FOREGROUNDS + BACKGROUNDS]
    assert sorted(listed) == sorted(present)
    assert len(set(listed)) == len(listed)


def test_every_picture_has_an_allowed_licence_and_an_origin(rows):
    assert {row["licence"] for row in rows} <= ALLOWED
    for row in rows:
        assert row["title"], row
        assert row["author"], row
        assert row["source"], row
        if row["licence"].startswith("CC-BY"):
            assert row["url"].startswith("http"), row


def test_mit_notice_is_in_the_pack():
    text = (ASSETS / "LICENSE-fluent-emoji.txt").read_text(encoding="utf-8")
    assert "Permission is hereby granted" in text


def test_counts(rows):
    kinds = Counter(row["kind"] for row in rows)
    assert set(kinds) == KINDS | {"background"}
    assert sum(kinds[kind] for kind in KINDS) >= 48
    assert min(kinds[kind] for kind in KINDS) >= 5
    assert kinds["background"] >= 32


def test_kind_is_the_first_word_of_a_foreground(rows):
    for row in rows:
        folder, name = row["file"].split("/")
        assert row["kind"] == (name.partition("_")[0] if folder == "foregrounds" else "background")


def test_size_of_the_pack():
    assert sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()) <= MAX_BYTES


def test_no_two_pictures_are_the_same():
    seen: dict[str, str] = {}
    for path in FOREGROUNDS + BACKGROUNDS:
        with Image.open(path) as image:
            digest = hashlib.sha256(f"{image.size}".encode() + image.convert("RGBA").tobytes()).hexdigest()
        assert digest not in seen, f"{path.name} is {seen[digest]}"
        seen[digest] = path.name


@pytest.mark.parametrize("path", FOREGROUNDS, ids=lambda path: path.stem)
def test_foreground_is_a_cut_out(path):
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("WEBP", "RGBA")
        assert max(image.size) == 192
        alpha = np.asarray(image)[..., 3]
    assert (alpha == 0).any()
    assert (alpha == 255).any()
    assert ((alpha > 0) & (alpha < 255)).any()
    for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
        assert edge.any(), "not cropped to what can be seen"


@pytest.mark.parametrize("path", BACKGROUNDS, ids=lambda path: path.stem)
def test_background_is_a_photograph_of_the_right_size(path):
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("WEBP", "RGB")
        assert min(image.size) >= 160
        assert max(image.size) <= 320
        assert np.asarray(image).std() > 5
