"""Shards serve what was exported, to the byte, from a folder and from object storage; what is not whole is named."""

import json
import shutil

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from segbench.config import resolvers
from segbench.config.instantiate import build
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError, DataError
from segbench.data.loading.batches import groups_of
from tests.data.export.conftest import config, data  # noqa: F401  - fixtures
from tests.support.exports import export_data
from tests.support.object_storage import object_storage

SIZES = {"train": 11, "val": 4, "test": 3}


@pytest.fixture
def shards(config, tmp_path):  # noqa: F811
    out = tmp_path / "bucket" / "set"
    export_data(config, out, format="webdataset", chunk=4)
    return out


def settings(root, **changes):
    resolvers.register()
    loaded = OmegaConf.load(conf_dir() / "data" / "shards.yaml")
    changed = {"augment": None, "root": str(root), "batch_size": 2, "block": 2, "window": 2, **changes}
    return OmegaConf.to_container(OmegaConf.merge(loaded, changed), resolve=True)


def opened(root, **changes):
    made = build(settings(root, **changes), where="data")
    made.prepare()
    return made


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        assert array.tobytes() == other[name].tobytes(), name


def test_samples_are_those_that_were_exported(data, shards):  # noqa: F811
    found = opened(shards)
    assert (found.classes, found.size) == (data.classes, data.size)
    for split, size in SIZES.items():
        assert found.num_samples(split) == size
        assert found.fingerprint(split) == data.fingerprint(split)
        for index in range(size):
            assert_same(found.original(split, index), data.sample(split, epoch=0, index=index))
            assert found.units(split, index) == data.units(split, index)
            assert found.describe_sample(split, index) == data.describe_sample(split, index)


def test_object_storage_gives_the_same_in_runs_of_bytes(data, shards, tmp_path):  # noqa: F811
    pytest.importorskip("s3fs", reason="reading s3:// needs s3fs")
    with object_storage(tmp_path) as (address, ranges):
        storage = {"endpoint_url": address, "key": "k", "secret": "s"}
        found = opened("s3://bucket/set", storage=storage, cache=str(tmp_path / "cache"))
        for split, size in SIZES.items():
            for index in range(size):
                assert_same(found.original(split, index), data.sample(split, epoch=0, index=index))
        asked = [run for run in ranges if ".tar" in run[0] and ".index" not in run[0]]
        assert len(asked) == len(set(asked)) == 2 + 2 + 2 + 2 + 2, "each block of two samples is fetched once"
        loader = opened("s3://bucket/set", storage=storage, num_workers=2).loader("val")
        images = [image for batch in loader for image in batch["image"]]
    for index, image in enumerate(images):
        assert image.permute(1, 2, 0).numpy().tobytes() == data.sample("val", epoch=0, index=index)["image"].tobytes()


def test_what_was_fetched_is_kept_within_bounds(shards, tmp_path, monkeypatch):
    pytest.importorskip("s3fs", reason="reading s3:// needs s3fs")
    monkeypatch.setattr("segbench.data.shards.store.SWEEP_EVERY", 1)
    with object_storage(tmp_path) as (address, _):
        storage = {"endpoint_url": address, "key": "k", "secret": "s"}
        found = opened("s3://bucket/set", storage=storage, cache=str(tmp_path / "cache"), cache_gb=2e-5)
        for index in range(11):
            found.original("train", index)
    held = sum(path.stat().st_size for path in (tmp_path / "cache").iterdir())
    assert held <= 2e-5 * 1e9


def test_a_temporary_cache_goes_with_the_data_set(shards, tmp_path, monkeypatch):
    pytest.importorskip("s3fs", reason="reading s3:// needs s3fs")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with object_storage(tmp_path) as (address, _):
        found = opened("s3://bucket/set", storage={"endpoint_url": address, "key": "k", "secret": "s"})
    assert len(list((tmp_path / "tmp").glob("segbench-shards-*"))) == 1
    del found
    assert not list((tmp_path / "tmp").glob("segbench-shards-*"))


def test_batches_are_the_same_for_any_workers_and_from_any_position(shards):
    def batches(workers, first=0, epoch=1):
        made = opened(shards, num_workers=workers)
        made.position = lambda: (epoch, first)
        return [(batch["index"].tolist(), batch["image"].numpy().tobytes()) for batch in made.loader("train")]

    whole = batches(0)
    assert len(whole) == 5
    assert batches(2) == whole
    assert batches(0, first=3) == whole[3:]
    assert batches(0, epoch=2) != whole


def test_a_part_of_the_samples_grows_with_its_size(shards):
    def chosen(size):
        made = opened(shards, train_size=size)
        return {made.locate_sample("train", index) for index in range(size)}

    assert len(chosen(4)) == 4
    assert chosen(4) < chosen(8) < chosen(11)
    assert opened(shards, train_size=4).fingerprint("train") != opened(shards).fingerprint("train")
    assert opened(shards, train_size=4).fingerprint("test") == opened(shards).fingerprint("test")


def damage(shards, how):
    tar, index = shards / "train" / "train-000001.tar", shards / "train" / "train-000001.tar.index"
    if how == "missing":
        tar.unlink()
    elif how == "short":
        tar.write_bytes(tar.read_bytes()[:2000])
    elif how == "no index":
        index.unlink()
    elif how == "other index":
        index.write_bytes(np.array([0, 512, 1024], "<i8").tobytes())
    elif how == "other shard":
        shutil.copy(shards / "train" / "train-000000.tar", tar)
        shutil.copy(shards / "train" / "train-000000.tar.index", index)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing", "No such file"),
        ("short", "it ends before byte"),
        ("no index", "No such file"),
        ("other index", "its index is not one of 4 samples; export it again"),
        ("other shard", "it holds 00000000.png where sample 00000004 should be; export it again"),
    ],
)
def test_a_damaged_shard_is_named(shards, how, words):
    damage(shards, how)
    found = opened(shards)
    with pytest.raises(DataError, match=r"sample 4 of train cannot be read from train/train-000001\.tar: ") as caught:
        found.original("train", 4)
    assert words in str(caught.value)


def test_what_is_no_export_is_refused_in_one_sentence(shards, tmp_path):
    with pytest.raises(ConfigError, match=r"data\.root is not set; give data\.root=DIR"):
        build({**settings(shards), "root": None}, where="data").prepare()
    other = settings(shards)
    with pytest.raises(DataError, match=r"holds no dataset\.json; give the folder that segbench data export"):
        build({**other, "root": str(tmp_path)}, where="data").prepare()
    with pytest.raises(ConfigError, match=r"data\.classes=\['a', 'b'\] are not those of"):
        build({**other, "classes": ["a", "b"]}, where="data").prepare()
    with pytest.raises(ConfigError, match=r"data\.root=sssh://x cannot be read: "):
        build({**other, "root": "sssh://x"}, where="data").prepare()
    record = json.loads((shards / "dataset.json").read_text())
    record["export"]["format"] = "folder"
    (shards / "dataset.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="its format is folder, which data=folder reads"):
        build(other, where="data").prepare()


@pytest.mark.parametrize("change", [{"block": 0}, {"window": 0}, {"lanes": 3}, {"cache_gb": 0}, {"train_size": 12}])
def test_settings_out_of_range_are_refused(shards, change):
    with pytest.raises(ConfigError, match=f"data.{next(iter(change))}"):
        opened(shards, **change)


def write_pictures(root, splits):
    """Three pictures of a split, of different heights."""
    draw = np.random.default_rng(0)
    for split in splits:
        for number in range(3):
            shape = (20 + number, 30)
            for kind, array in (
                ("images", draw.integers(0, 256, (*shape, 3))),
                ("masks", draw.integers(0, 2, shape)),
            ):
                path = root / split / kind / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array.astype(np.uint8)).save(path)


def folder_settings(root, **more):
    loaded = OmegaConf.load(conf_dir() / "data" / "folder.yaml")
    changes = {"augment": None, "root": str(root), "size": [16, 16], "batch_size": 1, "fit": "pad", **more}
    return OmegaConf.to_container(OmegaConf.merge(loaded, changes))


def test_a_test_that_was_taken_from_val_is_known_as_such_from_its_shards(tmp_path):
    write_pictures(tmp_path / "raw", ("train", "val"))
    folder = folder_settings(tmp_path / "raw", missing_test="val", val_size=2)
    export_data({"data": folder, "plugins": []}, tmp_path / "out", format="webdataset", chunk=2)
    assert opened(tmp_path / "out", size=[16, 16], fit="pad", batch_size=1).test_is_val
    write_pictures(tmp_path / "raw", ("test",))
    export_data({"data": folder, "plugins": []}, tmp_path / "other", format="webdataset", chunk=2)
    assert not opened(tmp_path / "other", size=[16, 16], fit="pad", batch_size=1).test_is_val


def test_pictures_of_files_are_exported_and_read_at_their_own_size(tmp_path):
    write_pictures(tmp_path / "raw", ("train", "val", "test"))
    folder = folder_settings(tmp_path / "raw")
    export_data({"data": folder, "plugins": []}, tmp_path / "out", format="webdataset", chunk=2)
    files = build(folder, where="data")
    files.prepare()
    found = opened(tmp_path / "out", size=[16, 16], fit="pad", batch_size=1)
    for index, height in enumerate((20, 21, 22)):
        assert found.original("test", index)["mask"].shape == (height, 30)
        assert_same(found.original("test", index), files.original("test", index))
        assert_same(found.sample("train", epoch=0, index=index), files.sample("train", epoch=0, index=index))
    assert found.fingerprint("test") == files.fingerprint("test")


def test_depth_is_scored_at_its_own_size_too(shards, data):  # noqa: F811
    found = opened(shards, size=[16, 12], batch_size=2)
    batch = next(iter(found.loader("val")))
    assert batch["depth"].shape == (2, 1, 16, 12)
    assert batch["truth"].shape == (2, 24, 20)
    own = np.stack([data.sample("val", epoch=0, index=index)["depth"] for index in range(2)])
    assert batch["truth_depth"][:, 0].numpy().tobytes() == own.tobytes()
    assert [sorted(group) for _, group in groups_of(batch)] == [["background", "depth", "image", "index", "mask"]]
