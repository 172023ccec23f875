"""Exports hold what the samples are: read back from folders and shards, and counted in the manifest."""

import hashlib
import io
import json
import tarfile

import numpy as np
import pandas
import pyarrow.parquet
import pytest
from omegaconf import OmegaConf
from PIL import Image

from segbench.config.instantiate import build
from segbench.config.paths import conf_dir
from segbench.data.export import manifest
from segbench.data.export.encode import Encoder
from segbench.data.export.options import chunks
from segbench.report.palette import palette
from tests.support.exports import export_data

SIZES = {"train": 11, "val": 4, "test": 3}


def read(content, suffix):
    return np.load(io.BytesIO(content)) if suffix == ".npy" else np.asarray(Image.open(io.BytesIO(content)))


def test_folder_reads_back_what_sample_gives(config, data, tmp_path):
    message = export_data(config, tmp_path / "out", chunk=4)
    assert message.startswith("exported 18 samples (train 11, val 4, test 3), ")
    places = {
        "image": "images/{}.png",
        "mask": "masks/{}.png",
        "depth": "depth/{}.npy",
        "background": "backgrounds/{}.png",
    }
    written = 0
    for split, size in SIZES.items():
        names = sorted(path.stem for path in (tmp_path / "out" / split / "images").iterdir())
        assert names == [f"{index:08d}" for index in range(size)]
        for index, name in enumerate(names):
            for kind, array in data.sample(split, epoch=0, index=index).items():
                path = tmp_path / "out" / split / places[kind].format(name)
                again = read(path.read_bytes(), path.suffix)
                assert again.dtype == array.dtype
                assert again.tobytes() == array.tobytes(), (split, index, kind)
                written += path.stat().st_size
    assert f"{written / 1e6:,.1f} MB" in message
    assert {item.name for item in (tmp_path / "out").iterdir()} == {*SIZES, "manifest.parquet", "dataset.json"}


def folder_data(root, **settings):
    """The exported folder as the data set `folder` reads it."""
    data = OmegaConf.to_container(
        OmegaConf.merge(OmegaConf.load(conf_dir() / "data" / "folder.yaml"), {"augment": None})
    )
    made = build({**data, "root": str(root), "batch_size": 1, **settings}, where="data")
    made.prepare()
    return made


def test_data_folder_reads_an_export_identically(config, data, tmp_path):
    export_data(config, tmp_path / "out")
    again = folder_data(tmp_path / "out", size=[24, 20])
    for split, size in SIZES.items():
        assert again.num_samples(split) == size
        for index in range(size):
            expected, found = data.sample(split, epoch=0, index=index), again.sample(split, epoch=0, index=index)
            assert (found["image"] == expected["image"]).all() and (found["mask"] == expected["mask"]).all()


def test_files_with_ignored_pixels_go_round_twice(tmp_path):
    draw = np.random.default_rng(0)
    for split in SIZES:
        for kind in ("images", "masks"):
            (tmp_path / "own" / split / kind).mkdir(parents=True)
        for name in ("zebra", "apple"):
            image, mask = draw.integers(0, 256, (9, 7, 3)), draw.choice([0, 1, 2, 255], (9, 7))
            Image.fromarray(image.astype(np.uint8)).save(tmp_path / "own" / split / "images" / f"{name}.png")
            Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "own" / split / "masks" / f"{name}.png")
    settings = OmegaConf.to_container(
        OmegaConf.merge(OmegaConf.load(conf_dir() / "data" / "folder.yaml"), {"augment": None})
    )
    shape = {"size": [9, 7], "classes": ["a", "b", "c"]}
    config = {"data": {**settings, "root": str(tmp_path / "own"), **shape}, "plugins": []}
    export_data(config, tmp_path / "out")  # its 2 pictures are fewer than the 16 of a batch, which there is none of
    first, second = folder_data(tmp_path / "own", **shape), folder_data(tmp_path / "out", **shape)
    for split in SIZES:
        for index in range(2):
            one, two = first.sample(split, epoch=0, index=index), second.sample(split, epoch=0, index=index)
            assert all((one[kind] == two[kind]).all() for kind in ("image", "mask")) and (two["mask"] == 255).any()
    table = pandas.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert table["source"].tolist() == ["apple.png", "zebra.png"] * 3
    assert table["ignored_pixels"][0] == (first.sample("train", epoch=0, index=0)["mask"] == 255).sum()
    assert not [name for name in table.columns if name.startswith(("plan_", "depth"))]


def test_a_plan_with_layers_is_json(tmp_path):
    settings = OmegaConf.merge(OmegaConf.load(conf_dir() / "data" / "synthetic.yaml"), {"augment": None})
    config = {"data": {**OmegaConf.to_container(settings), "size": [24, 20]}, "plugins": []}
    export_data(config, tmp_path / "out", count=2)
    table = pandas.read_parquet(tmp_path / "out" / "manifest.parquet")
    layers = [json.loads(text) for text in table["plan_layers"]]
    assert len(layers) == 6 and all(3 <= len(scene) <= 4 for scene in layers)


def test_masks_are_index_pictures_with_the_colours_of_the_classes():
    mask = np.array([[0, 1, 255], [11, 254, 1]], np.uint8)
    content = Encoder("png", 95, palette(12).tobytes())({"mask": mask})["mask"]
    picture = Image.open(io.BytesIO(content))
    assert picture.mode == "P" and content[24] == 8  # the bit depth in the PNG's header
    assert (np.asarray(picture) == mask).all()
    assert (np.asarray(picture.convert("RGB")) == palette(12)[mask]).all()


def test_unknown_depth_stays_unknown():
    depth = np.array([[1.5, np.nan], [np.float32(0.1), 10]], np.float32)
    again = np.load(io.BytesIO(Encoder("png", 95, bytes(768))({"depth": depth})["depth"]))
    assert again.dtype == np.float32 and again.tobytes() == depth.tobytes()


def test_jpeg_is_close_and_its_quality_is_used(config, data, tmp_path):
    export_data(config, tmp_path / "good", splits=["val"], image_format="jpeg", quality=95)
    export_data(config, tmp_path / "poor", splits=["val"], image_format="jpeg", quality=20)
    image = data.sample("val", epoch=0, index=2)["image"].astype(float)
    errors = {}
    for name in ("good", "poor"):
        picture = Image.open(tmp_path / name / "val" / "images" / "00000002.jpg")
        assert picture.format == "JPEG"
        errors[name] = np.abs(np.asarray(picture) - image).mean()
        mask = Image.open(tmp_path / name / "val" / "masks" / "00000002.png")
        assert (np.asarray(mask) == data.sample("val", epoch=0, index=2)["mask"]).all()
    assert errors["good"] < 8 < errors["poor"]  # of noise, the hardest picture there is


@pytest.mark.parametrize("format", ["folder", "webdataset"])
def test_the_manifest_says_what_is_there(config, data, tmp_path, format, digest):
    out = tmp_path / "out"
    export_data(config, out, format=format, chunk=4, count=5)
    table = pandas.read_parquet(out / "manifest.parquet")
    expected = [(split, index) for split, size in SIZES.items() for index in range(min(size, 5))]
    assert list(zip(table["split"], table["index"], strict=True)) == expected
    for row in table.to_dict("records"):
        scene = data.scene(row["split"], epoch=0, index=row["index"])
        assert all(row[f"plan_{name}"] == value for name, value in vars(scene).items())
        files = files_of(out, row)
        assert hashlib.sha256(files["image"]).hexdigest() == row["image_sha256"]
        assert hashlib.sha256(files["mask"]).hexdigest() == row["mask_sha256"]
        assert sum(map(len, files.values())) == row["bytes"]
        assert (read(files["mask"], ".png") == 1).sum() == row["foreground_pixels"]
        assert row["ignored_pixels"] == 0 and row["name"] == f"{row['index']:08d}"
        assert row["source"] == f"{row['split']} {row['index']}"
    assert table["foreground_pixels"].min() > 0


def files_of(out, row):
    kinds = ("image", "mask", "depth", "background")
    if "shard" not in row:
        return {kind: (out / row[f"{kind}_file"]).read_bytes() for kind in kinds}
    with tarfile.open(out / row["shard"]) as tar:
        return {kind: tar.extractfile(row[f"{kind}_file"]).read() for kind in kinds}


def test_pixels_of_a_mask_are_counted_by_hand():
    mask = np.array([[0, 1, 255], [7, 255, 255]], np.uint8)
    assert manifest.pixel_counts(mask) == {"foreground_pixels": 2, "ignored_pixels": 3}


def test_the_record_says_what_it_is_made_of(config, data, tmp_path):
    export_data(config, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert record["classes"] == ["background", "foreground"] and record["size"] == [24, 20]
    assert record["samples"] == SIZES and record["ignore_index"] == 255
    assert record["fingerprint"] == {split: data.fingerprint(split) for split in SIZES}
    assert record["settings"]["train_size"] == 11 and "batch_size" not in record["settings"]


def test_shards_hold_whole_samples_in_order(config, data, tmp_path):
    out = tmp_path / "out"
    export_data(config, out, format="webdataset", chunk=4)
    assert sorted(path.name for path in (out / "train").glob("*.tar")) == [f"train-00000{n}.tar" for n in range(3)]
    index = 0
    for shard in sorted((out / "train").glob("*.tar")):
        with tarfile.open(shard) as tar:
            members = tar.getmembers()
            assert all((m.mtime, m.uid, m.gid, m.uname, m.mode) == (0, 0, 0, "", 0o644) for m in members)
            for start in range(0, len(members), 5):
                sample = {m.name.split(".", 1)[1]: tar.extractfile(m).read() for m in members[start : start + 5]}
                assert {m.name.split(".")[0] for m in members[start : start + 5]} == {f"{index:08d}"}
                arrays = data.sample("train", epoch=0, index=index)
                kinds = {"image": "png", "mask": "mask.png", "background": "background.png", "depth": "depth.npy"}
                for kind, ending in kinds.items():
                    assert read(sample[ending], f".{ending[-3:]}").tobytes() == arrays[kind].tobytes()
                assert json.loads(sample["json"])["plan_x"] == data.scene("train", epoch=0, index=index).x
                index += 1
    assert index == 11


def test_chunks_cover_every_sample_once():
    work = list(chunks({"train": 10, "val": 4, "test": 0}, 4))
    assert [(c.name, c.start, c.stop) for c in work] == [
        ("train-000000", 0, 4),
        ("train-000001", 4, 8),
        ("train-000002", 8, 10),
        ("val-000000", 0, 4),
    ]


def test_parquet_bytes_depend_on_the_rows_alone(tmp_path):
    rows = [{"split": "train", "index": 0, "bytes": 7}, {"split": "train", "index": 1, "bytes": 8}]
    parts = []
    for number, row in enumerate(rows):
        parts.append(tmp_path / f"{number}.parquet")
        manifest.write_rows(parts[-1], [row | {"plan_shift": [1, 2.5][number]}])
    manifest.join_parts(parts, tmp_path / "a.parquet")
    manifest.join_parts(parts, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table["plan_shift"].to_pylist() == [1.0, 2.5]
    assert manifest.total_bytes(tmp_path / "a.parquet") == 15


def test_plans_of_any_form_become_columns():
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Plan:
        digit: np.int64
        places: tuple[tuple[int, int], ...]
        kind: str | None

    columns = manifest.plan_columns(Plan(np.int64(3), ((1, 2), (3, 4)), None))
    assert columns == {"plan_digit": 3, "plan_places": "[[1, 2], [3, 4]]", "plan_kind": None}
    assert manifest.plan_columns(np.zeros(3)) == {}
