"""huggingface: rows of Parquet and of save_to_disk are read as files are, and no other machine is asked."""

import multiprocessing
import os
import signal
import socket
import sys

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from segbench.core.choices import SPLITS
from segbench.core.errors import ConfigError, DataError
from segbench.data.files import index as looked_up
from segbench.data.files import looking, stamps
from segbench.data.files.folder import Folder
from segbench.data.files.huggingface import HuggingFace
from tests.support.tiny_files import png_of, rows, scene, write_parquet

COMMON = {"classes": ["a", "b"], "size": [40, 48], "mean": [0.5] * 3, "std": [0.25] * 3, "batch_size": 2}


@pytest.fixture(autouse=True)
def _no_other_machine(monkeypatch, tmp_path):
    connect = socket.socket.connect

    def local(self, address):
        assert self.family == socket.AF_UNIX, "another machine was asked"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)
    monkeypatch.delattr(socket, "getaddrinfo")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(stamps, "YOUNG", 0)  # tests need not wait for the files that they write


def test_a_file_that_has_just_been_written_is_waited_for_before_it_is_unpacked(tmp_path, monkeypatch):
    root = write_parquet(tmp_path / "set")
    monkeypatch.setattr(stamps, "YOUNG", 2_000_000_000)
    waited = []
    monkeypatch.setattr(stamps.time, "sleep", waited.append)
    found = opened(root)
    assert found.num_samples("train") == 8
    assert len(waited) == 7  # three files, the tables unpacked from them, and the files once more: no time passes here
    assert all(0 < seconds <= 2 for seconds in waited)
    assert waited[0] > 1


def opened(name, **settings):
    data = HuggingFace(name=str(name), **{**COMMON, **settings})
    data.prepare()
    return data


def everything(data):
    return {
        data.image_name(split, index): tuple(array.tobytes() for array in data.original(split, index).values())
        for split in SPLITS
        for index in range(data.num_samples(split))
    }


def expected(first, count, split):
    found = {}
    for number in range(first, first + count):
        image, mask = scene(number, 40, 48, classes=2)
        found[f"{split}/p{number:02d}.png"] = image.tobytes(), mask.tobytes()
    return found


PARTS = {"train": (0, 8), "val": (8, 4), "test": (12, 4)}
ALL = {name: value for split, part in PARTS.items() for name, value in expected(*part, split).items()}


def saved(root, *, as_images):
    features = None
    if as_images:
        features = datasets.Features(
            {"image": datasets.Image(), "label": datasets.Image(), "patient": datasets.Value("string")}
        )
    names = {"train": "train", "validation": "val", "test": "test"}
    parts = {name: datasets.Dataset.from_list(rows(*PARTS[split]), features) for name, split in names.items()}
    datasets.DatasetDict(parts).save_to_disk(str(root))
    return root


@pytest.mark.parametrize("kind", ["parquet", "parquet of datasets", "disk", "disk of images"])
def test_rows_are_the_pictures_that_were_saved(kind, tmp_path):
    if kind == "parquet":
        root = write_parquet(tmp_path / "set")
    elif kind == "parquet of datasets":
        root = tmp_path / "set"
        found = datasets.load_from_disk(str(saved(tmp_path / "disk", as_images=True)))
        for split, table in found.items():
            table.to_parquet(str(root / f"{split}.parquet"))
    else:
        root = saved(tmp_path / "set", as_images=kind == "disk of images")
    data = opened(root)
    assert [data.num_samples(split) for split in SPLITS] == [8, 4, 4]
    assert everything(data) == ALL
    assert data.locate_sample("val", 1) == f"row 1 of val in {root}"


def test_one_file_is_split_by_share(tmp_path):
    pq.write_table(pa.Table.from_pylist(rows(0, 24)), tmp_path / "all.parquet")
    data = opened(tmp_path / "all.parquet", val_share=0.3, test_share=0.3)
    assert everything(data) == {name.removeprefix("/"): value for name, value in expected(0, 24, "").items()}


def test_samples_are_those_of_a_folder_of_the_same_files(tmp_path):
    """Crops, bands, workers, caches and own sizes are the code of every set of files."""
    for split, (first, count) in PARTS.items():
        for row in rows(first, count):
            for kind, column in (("images", "image"), ("masks", "label")):
                path = tmp_path / "files" / split / kind / row["image"]["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(row[column]["bytes"])
    settings = {"view": "crop", "size": [16, 16], "bands": [2, 0], "mean": [0.5] * 2, "std": [0.25] * 2}
    settings |= {"labels": {0: "b", 1: "a"}}
    plain = Folder(root=str(tmp_path / "files"), **{**COMMON, **settings})
    plain.prepare()
    root = write_parquet(tmp_path / "set")
    for further in ({}, {"cache": "none", "num_workers": 2}, {"cache": str(tmp_path / "kept")}):
        data = opened(root, **settings, **further)
        for one, other in zip(data.loader("train"), plain.loader("train"), strict=True):
            assert all((one[name] == other[name]).all() for name in ("image", "mask", "index"))
        assert (data.original("test", 2)["mask"] == plain.original("test", 2)["mask"]).all()


def test_groups_and_folds_are_of_a_column(tmp_path):
    pq.write_table(pa.Table.from_pylist(rows(0, 24, names=False)), tmp_path / "all.parquet")
    seen = []
    for fold in range(3):
        data = opened(tmp_path / "all.parquet", group="patient", folds=3, fold=fold)
        homes = {}
        for split in SPLITS:
            for index in range(data.num_samples(split)):
                homes.setdefault(data.units(split, index)["group"], set()).add(split)
        assert all(len(found) == 1 for found in homes.values())
        assert len(homes) == 12
        seen += [data.image_name("test", index) for index in range(data.num_samples("test"))]
    assert sorted(seen) == [f"{number:07d}" for number in range(24)]


def test_a_second_start_looks_at_no_row_and_another_content_is_another_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "home"))
    monkeypatch.setattr(stamps, "YOUNG", -(10**12))
    root = write_parquet(tmp_path / "set")
    first = [opened(root).fingerprint(split) for split in SPLITS]
    looks = []
    read = HuggingFace.read
    monkeypatch.setattr(HuggingFace, "read", lambda self, item: looks.append(item) or read(self, item))
    assert [opened(root).fingerprint(split) for split in SPLITS] == first
    assert not looks
    changed = rows(8, 4)
    changed[2]["label"]["bytes"] = png_of(np.zeros((40, 48), np.uint8))
    pq.write_table(pa.Table.from_pylist(changed), next((root / "data").glob("validation*")))
    again = [opened(root).fingerprint(split) for split in SPLITS]
    assert [one == other for one, other in zip(first, again, strict=True)] == [True, False, True]


def _killed_at_row_15(path):
    read = HuggingFace.read

    def deadly(self, item):
        if item.label[1] == 15:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, item)

    HuggingFace.read = deadly
    opened(path, val_share=0.3, test_share=0.3)


def test_a_first_start_that_is_killed_has_kept_what_it_found_of_a_table_that_it_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "home"))
    monkeypatch.setattr(stamps, "YOUNG", 300_000_000)
    monkeypatch.setattr(looked_up, "KEEP_AFTER", 0.0)
    monkeypatch.setattr(looking, "THREADS", 1)
    pq.write_table(pa.Table.from_pylist(rows(0, 24)), tmp_path / "all.parquet")
    process = multiprocessing.get_context("fork").Process(target=_killed_at_row_15, args=(tmp_path / "all.parquet",))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    looks = []
    read = HuggingFace.read
    monkeypatch.setattr(HuggingFace, "read", lambda self, item: looks.append(item.label[1]) or read(self, item))
    assert everything(opened(tmp_path / "all.parquet", val_share=0.3, test_share=0.3, cache=None))
    looked_at = looks[: looks.index(23) + 1]
    assert 15 in looked_at
    assert 5 not in looked_at


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "home"))
    monkeypatch.setattr(stamps, "YOUNG", -(10**12))


def labelled_pixels(data):
    return int((data.index.table.labels.values["id"] == 1).sum())


def test_another_column_of_masks_is_looked_at_anew(tmp_path, home):
    made = rows(0, 24)
    for row in made:
        row["other"] = {"bytes": png_of(np.zeros((40, 48), np.uint8)), "path": None}
    pq.write_table(pa.Table.from_pylist(made), tmp_path / "all.parquet")
    shares = {"val_share": 0.3, "test_share": 0.3}
    assert labelled_pixels(opened(tmp_path / "all.parquet", **shares)) == 24
    assert labelled_pixels(opened(tmp_path / "all.parquet", mask="other", **shares)) == 0


def test_parquet_that_changed_with_the_same_time_of_change_is_read_anew(tmp_path, home):
    path, shares = tmp_path / "all.parquet", {"val_share": 0.3, "test_share": 0.3}
    pq.write_table(pa.Table.from_pylist(rows(0, 24)), path)
    before, first = path.stat(), everything(opened(path, **shares))
    pq.write_table(pa.Table.from_pylist(rows(24, 24)), path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = everything(opened(path, **shares))
    assert not first.keys() & found.keys()
    assert found == {name.removeprefix("/"): value for name, value in expected(24, 24, "").items()}


def test_files_that_rows_name_are_looked_at_when_they_change(tmp_path, home):
    made = rows(0, 24)
    for number, row in enumerate(made):
        mask = tmp_path / f"m{number}.png"
        mask.write_bytes(row["label"]["bytes"])
        row["label"] = {"bytes": None, "path": str(mask)}
    pq.write_table(pa.Table.from_pylist(made), tmp_path / "all.parquet")
    settings = {"val_share": 0.3, "test_share": 0.3, "cache": None}
    first = opened(tmp_path / "all.parquet", **settings)
    assert labelled_pixels(first) == 24
    for number in range(24):
        (tmp_path / f"m{number}.png").write_bytes(png_of(np.zeros((40, 48), np.uint8)))
    with pytest.raises(DataError, match=r"m\d+.png was changed or removed"):
        first.original("train", 0)
    assert labelled_pixels(opened(tmp_path / "all.parquet", **settings)) == 0
    (tmp_path / "m3.png").unlink()
    os.mkfifo(tmp_path / "m3.png")
    with pytest.raises(DataError, match="not a regular file"):  # and is not waited for
        opened(tmp_path / "all.parquet", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "{set}", "image": "img"}, "there is no column data.image=img.*did you mean 'image'"),
        ({"name": "{set}", "mask": "patient"}, "the column data.mask=patient holds .*string.*, no images"),
        ({"name": "{set}", "group": "place"}, "there is no column data.group=place"),
        ({"name": "{set}", "splits": {"train": "all"}}, "its splits are test, train, val; give data.splits="),
        ({"name": "{empty}"}, "holds no Parquet files and is no folder of save_to_disk"),
        ({"name": "owner/set"}, "is no file or folder here, .*data.download=true fetches one of that name"),
        ({"name": "https://example.com/set"}, "is no file or folder here"),
        ({"name": "s3://bucket/set"}, "is no file or folder here"),
        ({"name": "{broken}"}, "data.name=.*broken.parquet: "),
        ({"name": "{mixed}"}, "data.name=.*mixed: its Parquet cannot be read: "),
        ({"name": "{mixed}/train-1.parquet"}, "the column data.image=image holds .*string.*, no images"),
        ({"name": "{without_rows}"}, "data.name=.*none.parquet: its Parquet cannot be read: "),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(settings, message, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    (tmp_path / "mixed").mkdir()
    pq.write_table(pa.Table.from_pylist(rows(0, 2)), tmp_path / "mixed" / "train-0.parquet")
    pq.write_table(pa.Table.from_pylist([{"image": "x", "label": "y"}]), tmp_path / "mixed" / "train-1.parquet")
    pq.write_table(pa.Table.from_pylist(rows(0, 2)).slice(0, 0), tmp_path / "none.parquet")
    places = {
        "set": write_parquet(tmp_path / "set"),
        "empty": tmp_path / "empty",
        "broken": tmp_path / "broken.parquet",
        "mixed": tmp_path / "mixed",
        "without_rows": tmp_path / "none.parquet",
    }
    with pytest.raises(DataError, match=message) as caught:
        opened(settings.pop("name").format(**places), **settings)
    assert "\n" not in str(caught.value)


def test_bad_rows_are_named(tmp_path):
    bad = rows(0, 12)
    bad[3]["image"]["bytes"] = b"no picture"
    bad[5]["label"]["bytes"] = png_of(np.full((40, 48), 7, np.uint8))
    bad[7]["label"] = None
    pq.write_table(pa.Table.from_pylist(bad), tmp_path / "train.parquet")
    with pytest.raises(DataError) as caught:
        opened(tmp_path, missing_test="val")
    text = str(caught.value)
    for part in ("p03.png", "not a PNG", "p05.png", "ids 7 at 1,920 pixels", "p07.png", "the row has no label"):
        assert part in text


def test_without_a_name_or_the_package_a_sentence_says_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="data.name is not set"):
        HuggingFace(**COMMON).prepare()
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'segbench\[huggingface\]'"):
        opened(tmp_path)


def test_a_set_is_fetched_where_that_is_asked_for_alone(tmp_path, monkeypatch):
    asked = []
    table = datasets.Dataset.from_list(rows(0, 24))

    def load(name):
        asked.append((name, datasets.config.HF_HUB_OFFLINE))
        return datasets.DatasetDict({"train": table})

    before = datasets.config.HF_HUB_OFFLINE
    monkeypatch.setattr(datasets, "load_dataset", load)
    for download in (False, True):
        data = HuggingFace(name="owner/set", download=download, test_share=0.3, missing_test="val", **COMMON)
        data.prepare()
    assert asked == [("owner/set", True), ("owner/set", before)]
    assert before == datasets.config.HF_HUB_OFFLINE


def test_masks_of_palettes_and_pictures_of_16_bit(tmp_path):
    made = rows(0, 12)
    for number, row in enumerate(made):
        image, mask = scene(number, 40, 48, classes=2)
        palette = Image.fromarray(mask).convert("P")
        palette.putpalette([0, 0, 0, 9, 9, 9] + [0] * 762)
        palette.save(tmp_path / "x.png")
        row["label"]["bytes"] = (tmp_path / "x.png").read_bytes()
        Image.fromarray(image[..., 0].astype(np.uint16) * 257).save(tmp_path / "x.png")
        row["image"]["bytes"] = (tmp_path / "x.png").read_bytes()
    pq.write_table(pa.Table.from_pylist(made), tmp_path / "all.parquet")
    data = opened(tmp_path / "all.parquet", bands=[0], mean=[0.5], std=[0.25], val_share=0.3, test_share=0.3)
    assert data.values.kind == "uint16"
    assert set(np.unique(data.original("train", 0)["mask"])) == {0, 1}
