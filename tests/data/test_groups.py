"""Groups and folds: what belongs together stays together, is the unit of the tables, and folds are the same for all."""

from collections import Counter
from pathlib import Path

import pytest

from segbench.core.errors import ConfigError, DataError
from segbench.data.files.folder import Folder
from segbench.data.files.groups import Division, folds_of
from segbench.data.files.items import Item
from segbench.data.problems import Problems
from tests.support.layouts import pair, save

SPLITS = ("train", "val", "test")
COMMON = {"classes": ["ground", "thing"], "mean": [0, 0, 0], "std": [1, 1, 1], "batch_size": 1, "size": [40, 48]}


def write(root, names):
    for number, name in enumerate(names):
        image, mask = pair(number)
        save(image, root / f"images/{name}.png")
        save(mask, root / f"masks/{name}.png")


def data_of(root, **settings):
    data = Folder(root=str(root), **{**COMMON, **settings})
    data.prepare()
    return data


def homes(data):
    """The splits of each group."""
    found = {}
    for split in SPLITS:
        for index in range(data.num_samples(split)):
            found.setdefault(data.units(split, index)["group"], set()).add(split)
    return found


SLICES = [f"patient{k:02}_{view}" for k in range(20) for view in "abc"]


@pytest.mark.parametrize(
    ("names", "group"),
    [
        (SLICES, "patient{group}_*"),
        ([name.replace("_", "/") for name in SLICES], "{group}/*"),
        (SLICES, "table.csv:patient"),
    ],
)
def test_splits_by_share_keep_groups_whole(names, group, tmp_path):
    write(tmp_path, names)
    rows = "".join(f"{name}.png,{name[:9]},x\n" for name in names)
    (tmp_path / "table.csv").write_text("file,patient,site\n" + rows)
    data = data_of(tmp_path, group=group)
    found = homes(data)
    assert len(found) == 20
    assert all(len(splits) == 1 for splits in found.values())
    assert all(data.num_samples(split) >= 3 for split in SPLITS)


def test_a_picture_without_a_group_is_named(tmp_path):
    write(tmp_path, [*SLICES, "other"])
    with pytest.raises(DataError, match="group: other.png: data.group=patient{group}_. says nothing of it"):
        data_of(tmp_path, group="patient{group}_*")
    (tmp_path / "t.csv").write_text("file,patient\nother,1\nother,2\n")
    with pytest.raises(DataError, match="has two groups for other, '1' and '2'"):
        data_of(tmp_path, group="t.csv:patient")
    with pytest.raises(DataError, match="has no column 'patent'; did you mean 'patient'"):
        data_of(tmp_path, group="t.csv:patent")
    with pytest.raises(ConfigError, match="data.group must be a pattern with {group}"):
        data_of(tmp_path, group="patient*")


def test_augmented_copies_of_roboflow_are_one_source(tmp_path):
    write(tmp_path, [f"case{k:02}_jpg.rf.{copy}f{k:03x}" for k in range(20) for copy in "abc"])
    data = data_of(tmp_path)
    found = homes(data)
    assert len(found) == 20
    assert all(len(splits) == 1 for splits in found.values())
    assert data.notes == [
        "60 pictures are copies of 20 sources by their names (NAME.rf.HASH, Roboflow's augmentation): copies of one"
        " source are one group"
    ]


def test_a_split_of_the_data_that_tears_groups_is_told(tmp_path):
    write(tmp_path, SLICES)
    (tmp_path / "train.txt").write_text("\n".join(SLICES[:40]))
    (tmp_path / "val.txt").write_text("\n".join(SLICES[40:50]))
    (tmp_path / "test.txt").write_text("\n".join(SLICES[50:]))
    data = data_of(tmp_path, group="patient{group}_*")
    assert data.notes == ["2 of 20 groups are in more than one split of the data, which flatters the scores: 13, 16"]


# folds


def test_every_picture_is_in_the_test_of_exactly_one_fold_with_its_group(tmp_path):
    write(tmp_path, SLICES)
    tests = Counter()
    for fold in range(5):
        data = data_of(tmp_path, group="patient{group}_*", folds=5, fold=fold)
        assert [data.num_samples(split) for split in SPLITS] == [36, 12, 12]  # 20 groups of 3 in 5 equal parts
        assert all(len(splits) == 1 for splits in homes(data).values())
        tests.update(item.image.stem for item in data.items["test"])
    assert tests == Counter(SLICES)


def test_val_of_a_fold_is_the_test_of_the_next(tmp_path):
    write(tmp_path, SLICES)
    parts = [data_of(tmp_path, folds=4, fold=fold) for fold in range(4)]
    for fold in range(4):
        val = [item.name for item in parts[fold].items["val"]]
        assert val == [item.name for item in parts[(fold + 1) % 4].items["test"]]


def test_a_test_that_the_data_has_stays_apart(tmp_path):
    write(tmp_path, SLICES)
    (tmp_path / "train.txt").write_text("\n".join(SLICES[:45]))
    (tmp_path / "test.txt").write_text("\n".join(SLICES[45:]))
    seen = Counter()
    for fold in range(3):
        data = data_of(tmp_path, group="patient{group}_*", folds=3, fold=fold)
        assert sorted(item.image.stem for item in data.items["test"]) == SLICES[45:]
        seen.update(item.image.stem for item in data.items["val"])
        assert data.num_samples("train") == 30
    assert seen == Counter(SLICES[:45])


def test_folds_depend_on_names_and_seed_alone_and_large_groups_are_spread():
    sizes = [9, 5, 4, 3, 3, 2, 2, 1, 1]
    items = [
        Item(f"g{g}_{k}", Path("x"), None, {"group": f"g{g}"}) for g, size in enumerate(sizes) for k in range(size)
    ]
    parts = folds_of(items, 3, seed=0)
    assert sorted(map(len, parts)) == [10, 10, 10]  # 30 pictures
    shuffled = folds_of(items[::-1], 3, seed=0)
    assert [{item.name for item in part} for part in parts] == [{item.name for item in part} for part in shuffled]
    assert [len(part) for part in folds_of(items, 3, seed=1)] == [10, 10, 10]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fold": 0}, "data.fold=0 needs data.folds"),
        ({"folds": 5}, "needs data.fold from 0 to 4, got None; train.py -m data.fold=0,1,2,3,4 trains all"),
        ({"folds": 5, "fold": 5}, "needs data.fold from 0 to 4, got 5"),
        ({"folds": 1, "fold": 0}, "data.folds must be at least 2"),
        ({"val_share": 0.6, "test_share": 0.6}, "must be at least 0 and together below 1, got 0.6 and 0.6"),
    ],
)
def test_folds_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Division(0, **settings)


def test_more_folds_than_groups_are_refused(tmp_path):
    items = [Item(f"p{k}", tmp_path / f"p{k}.png", None) for k in range(6)]
    with pytest.raises(DataError, match="data.folds=7 are more than the 6 groups of pictures"):
        Division(0, folds=7, fold=0).divide({"": items}, tmp_path, problems=Problems())
    with pytest.raises(ConfigError, match="data.folds=2 leaves nothing to train with"):
        Division(0, folds=2, fold=0).divide({"": items}, tmp_path, problems=Problems())
