"""The index of files: what an earlier start has found is used where files are as they were, and never otherwise."""

import gc
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.core.choices import SPLITS
from segbench.core.errors import DataError
from segbench.core.user_cache import cache_home, size_of
from segbench.data.files import index, looking, stamps
from segbench.data.files.coco import Coco
from segbench.data.files.folder import Folder
from segbench.data.files.items import Item
from tests.support.tiny_files import write_coco, write_folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache of its own, in which also files that have just been written are kept."""
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "home"))
    monkeypatch.setattr(stamps, "YOUNG", -(10**12))
    return tmp_path / "home"


def folder(root, **settings):
    common = {"classes": ["a", "b"], "size": [40, 48], "mean": [0.5] * 3, "std": [0.25] * 3, "batch_size": 2}
    data = Folder(**{"root": str(root), "masks": "binary", "val_share": 0.3, "test_share": 0.3, **common, **settings})
    data.prepare()
    return data


def known(data):
    """Return everything that the index says, as bytes."""
    arrays = {name: column.tobytes() for name, column in data.index.table.arrays().items()}
    return arrays, data.index.names.texts(), [data.fingerprint(split) for split in SPLITS], data.notes


@pytest.fixture
def looks(monkeypatch):
    """The names of the items that are looked at."""
    seen = []
    read = Folder.read
    monkeypatch.setattr(Folder, "read", lambda self, item: seen.append(item.name) or read(self, item))
    return seen


def test_a_second_start_looks_at_no_file(tmp_path, home, looks):
    root = write_folder(tmp_path / "d", count=20)
    first = folder(root)
    assert len(looks) == 20
    second = folder(root)
    assert len(looks) == 20
    assert known(second) == known(first)
    assert (second.original("val", 0)["image"] == first.original("val", 0)["image"]).all()
    assert folder(root, train_size=3).num_samples("train") == 3  # a part of what is known
    assert len(folder(root).index.items) == 20
    assert len(looks) == 22


def test_a_new_file_is_the_only_one_that_is_looked_at(tmp_path, home, looks):
    root = write_folder(tmp_path / "d", count=20)
    folder(root)
    looks.clear()
    for kind in ("images", "masks"):
        (root / kind / "zz.png").write_bytes((root / kind / "p03.png").read_bytes())
    assert folder(root).index.names.texts()[-1] == "zz"
    assert looks == ["zz"]


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_change_of_the_same_size_and_time_is_seen(kind, tmp_path, home):
    """As `touch -r` or `cp -p` leave it: the time at which the system changed the entry is another."""
    root = write_folder(tmp_path / "d", count=20)
    data = folder(root, cache=None)
    path = root / kind / data.describe_sample("train", 0)
    before, expected = path.stat(), data.fingerprint("train")
    content = bytearray(path.read_bytes())
    other = np.asarray(Image.open(path)).copy()
    other[:4, :4] = 255 - other[:4, :4]
    Image.fromarray(other).save(path)
    content = path.read_bytes().ljust(before.st_size, b"\0")[: max(before.st_size, path.stat().st_size)]
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert folder(root, cache=None).fingerprint("train") != expected
    with pytest.raises(DataError, match="changed"):
        data.sample("train", epoch=0, index=0)


def test_a_file_of_which_only_the_entry_changed_is_read(tmp_path, home, looks):
    root = write_folder(tmp_path / "d", count=20)
    data = folder(root, cache=None)
    expected = data.original("train", 0)["image"].tobytes()
    path = root / "images" / data.describe_sample("train", 0)
    path.chmod(0o600)
    os.link(path, tmp_path / "backup.png")
    assert data.original("train", 0)["image"].tobytes() == expected
    looks.clear()
    assert known(folder(root)) == known(data)
    assert looks == [path.stem]


def test_counts_of_the_training_split_are_kept(tmp_path, home, looks):
    root = write_folder(tmp_path / "d", count=20)
    first = folder(root, mean=None, std=None, cache=None)
    first.measure_normalisation()
    weights = first.class_weights()
    looks.clear()
    second = folder(root, mean=None, std=None, cache=None)
    second.measure_normalisation()
    assert (second.mean, second.std) == (first.mean, first.std)
    assert second.class_weights().tolist() == weights.tolist()
    assert not looks
    images = np.stack([first.original("train", n)["image"] for n in range(first.num_samples("train"))]) / 255
    np.testing.assert_allclose(second.mean, images.mean((0, 1, 2)))
    np.testing.assert_allclose(second.std, images.std((0, 1, 2)))
    looks.clear()
    (path,) = (home / "counts").iterdir()
    for content in ("{", "[]", path.read_text().replace("pixels", "area")):
        path.write_text(content)
        again = folder(root, mean=None, std=None, cache=None)
        again.measure_normalisation()
        assert again.mean == first.mean
    assert len(looks) == 3 * first.num_samples("train")


@pytest.mark.parametrize("other", [{"threshold": 9}, {"classes": ["x", "y"]}, {"bands": [2, 1, 0]}])
def test_other_settings_are_other_facts(other, tmp_path, home, looks):
    root = write_folder(tmp_path / "d", count=20)
    folder(root)
    looks.clear()
    folder(root, **other)
    assert len(looks) == 20


def test_files_that_have_just_changed_are_not_kept(tmp_path, home, looks, monkeypatch):
    monkeypatch.setattr(stamps, "YOUNG", 10**12)
    root = write_folder(tmp_path / "d", count=20)
    folder(root)
    folder(root)
    assert len(looks) == 40


def test_a_time_of_change_to_come_is_no_reason_to_look_again(tmp_path, home, looks):
    """As unpacked archives and cameras with a wrong clock leave it."""
    root = write_folder(tmp_path / "d", count=20)
    for path in (root / "images").iterdir():
        os.utime(path, (0, time.time() + 10**6))
    folder(root)
    folder(root)
    assert len(looks) == 20


def _coco(root):
    settings = {"size": [40, 48], "mean": [0.5] * 3, "std": [0.25] * 3, "batch_size": 2}
    data = Coco(root=str(root), classes=["a", "person"], **settings)
    data.prepare()
    return data


def test_annotations_that_change_while_they_are_read_are_not_believed_for_ever(tmp_path, home, monkeypatch):
    monkeypatch.setattr(stamps, "YOUNG", 100_000_000)
    root = write_coco(tmp_path / "d", count=20)
    path = root / "annotations" / "instances_train2017.json"
    time.sleep(0.2)
    find = Coco.find

    def found_before_a_change(self, problems):
        found = find(self, problems)
        path.write_text(path.read_text().replace('"category_id": 18', '"category_id": 1'))  # dogs become persons
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Coco, "find", found_before_a_change)
        before = _coco(root)
    time.sleep(0.2)
    data = _coco(root)
    masks = [data.original(split, n)["mask"] for split in SPLITS for n in range(data.num_samples(split))]
    persons = data.index.table.labels.values
    assert persons["pixels"][persons["id"] == 1].sum() == sum((mask == 1).sum() for mask in masks)
    assert data.fingerprint("train") != before.fingerprint("train")


def _damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    elif how == "empty":
        content = bytearray()
    elif how == "turned":
        for place in range(300, len(content), 997):
            content[place] ^= 0x10
    elif how == "locked":
        content[content.index(b"PK\3\4") + 6] |= 1  # the first column says that it is encrypted
        content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(b"no index" if how == "other" else bytes(content))


@pytest.mark.parametrize("how", ["cut", "empty", "turned", "locked", "other"])
def test_a_damaged_index_is_made_again(how, tmp_path, home, looks):
    root = write_folder(tmp_path / "d", count=20)
    expected = known(folder(root))
    (path,) = (home / "index").iterdir()
    _damage(path, how)
    looks.clear()
    *found, notes = known(folder(root))
    assert found == list(expected[:3])
    assert notes == [f"{path}, what was known of the files, is damaged and is written anew"]
    assert len(looks) == 20
    assert known(folder(root)) == expected
    assert len(looks) == 20


def test_an_index_that_cannot_be_marked_as_used_is_used(tmp_path, home, looks, monkeypatch):
    root = write_folder(tmp_path / "d", count=20)
    expected = known(folder(root))
    looks.clear()

    def refused(path):
        raise PermissionError(path)

    monkeypatch.setattr(os, "utime", refused)
    assert known(folder(root)) == expected
    assert looks == []


def test_columns_that_do_not_fit_together_are_damage(tmp_path, home, looks):
    root = write_folder(tmp_path / "d", count=20)
    folder(root)
    (path,) = (home / "index").iterdir()
    with np.load(path) as arrays:
        columns = dict(arrays)
    for name in ("digests", "labels_starts", "keys_starts", "stamps", "kinds"):
        np.savez(path, **{**columns, name: columns[name][:-1]})
        looks.clear()
        assert "is damaged and is written anew" in folder(root).notes[0]
        assert len(looks) == 20


def test_a_cache_that_cannot_be_written_is_said_and_does_without(tmp_path, home):
    root = write_folder(tmp_path / "d", count=20)
    home.write_text("a file where a folder should be")
    (note,) = folder(root).notes
    assert note.startswith(f"what is known of the files cannot be kept in {home / 'index'}: ")
    assert note.endswith("each start looks anew")


def _start_on_a_full_disk(root, results):
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    results.put(folder(root).notes)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path, home, looks):
    root = write_folder(tmp_path / "d", count=20)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    process = context.Process(target=_start_on_a_full_disk, args=(root, results))
    process.start()
    (note,) = results.get(timeout=60)
    process.join(60)
    assert "cannot be kept" in note
    assert "File too large; each start looks anew" in note
    assert list((home / "index").iterdir()) == []
    folder(root)
    assert len(looks) == 20


def test_nothing_is_kept_where_the_cache_is_off(tmp_path, home, looks, monkeypatch):
    monkeypatch.setenv("SEGBENCH_CACHE", "off")
    root = write_folder(tmp_path / "d", count=20)
    assert folder(root).notes == folder(root).notes == []
    assert len(looks) == 40
    assert not home.exists()


def test_the_classes_of_others_are_looked_at_in_every_start(tmp_path, home, looks):
    class Own(Folder):
        pass

    root = write_folder(tmp_path / "d", count=20)
    settings = {"classes": ["a", "b"], "size": [40, 48], "mean": None, "std": None, "batch_size": 2}
    for _ in range(2):
        data = Own(root=str(root), masks="binary", val_share=0.3, test_share=0.3, **settings)
        data.prepare()
    assert len(looks) == 40


def test_data_check_looks_at_everything(tmp_path, home, looks):
    root = write_folder(tmp_path / "d", count=20)
    data = folder(root)
    looks.clear()
    assert not data.problems()
    assert len(looks) == 20


def test_processes_find_what_threads_find(tmp_path, home, monkeypatch):
    root = write_folder(tmp_path / "d", count=70)
    expected = known(folder(root))
    monkeypatch.setenv("SEGBENCH_CACHE", "off")
    monkeypatch.setattr(looking, "MANY", 1)
    assert known(folder(root, num_workers=2)) == expected
    (root / "images" / "p03.png").write_bytes(b"no picture")
    (root / "masks" / "p05.png").unlink()
    with pytest.raises(DataError) as caught:
        folder(root, num_workers=2)
    monkeypatch.setattr(looking, "MANY", 1000)
    with pytest.raises(DataError) as again:
        folder(root)
    assert str(caught.value) == str(again.value)


def test_what_was_found_before_an_interruption_is_kept(tmp_path, home, looks, monkeypatch):
    root = write_folder(tmp_path / "d", count=40)
    read = Folder.read

    def stopped(self, item):
        if item.name == "p30":
            raise KeyboardInterrupt
        return read(self, item)

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "read", stopped)
        with pytest.raises(KeyboardInterrupt):
            folder(root)
    looks.clear()
    folder(root)
    assert "p05" not in looks
    assert 10 <= len(looks) < 40


def _start(root, results):
    results.put(known(folder(root)))


def _killed_at_p15(root, read):
    def deadly(self, item):
        if item.name == "p15":
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, item)

    Folder.read = deadly
    folder(root)


def test_what_was_found_before_a_kill_is_kept_from_time_to_time(tmp_path, home, looks, monkeypatch):
    monkeypatch.setattr(index, "KEEP_AFTER", 0.0)
    monkeypatch.setattr(looking, "THREADS", 1)
    root = write_folder(tmp_path / "d", count=20)
    process = multiprocessing.get_context("fork").Process(target=_killed_at_p15, args=(root, Folder.read))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    folder(root)
    assert 5 <= len(looks) < 20
    assert looks[-5:] == ["p15", "p16", "p17", "p18", "p19"]


def test_what_a_killed_start_left_half_written_is_removed(tmp_path, home):
    root = write_folder(tmp_path / "d", count=20)
    left = {name: home / "index" / f".{name}.npz.99.tmp" for name in ("old", "new")}
    (home / "index").mkdir(parents=True)
    for path in left.values():
        path.write_bytes(b"PK")
    os.utime(left["old"], (0, time.time() - 4000))
    folder(root)
    assert not left["old"].exists()
    assert left["new"].exists()  # another process may be writing it


def test_two_processes_may_look_at_once(tmp_path, home):
    root = write_folder(tmp_path / "d", count=20)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_start, args=(root, results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert found[0] == found[1] == known(folder(root))
    assert len(list((home / "index").iterdir())) == 1


def test_no_object_is_left_for_each_picture(tmp_path, home):
    """They would be copied into every worker that counts its references."""
    data = folder(write_folder(tmp_path / "d", count=60))
    gc.collect()
    objects = gc.get_objects()
    assert not [found for found in objects if type(found) is Item]
    assert sum(type(found) is type(tmp_path) and found.is_relative_to(tmp_path / "d") for found in objects) < 5
    assert data.items["train"][0].image.is_file()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SEGBENCH_CACHE": "/x/y"}, Path("/x/y")),
        ({"SEGBENCH_CACHE": "off"}, None),
        ({"SEGBENCH_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, Path("/xdg/segbench")),
        ({"SEGBENCH_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/home/me"}, Path("/home/me/.cache/segbench")),
    ],
)
def test_the_place_of_the_cache(variables, expected, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_home() == expected


def test_the_size_of_the_cache(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(bytes(100))
    (tmp_path / "y").write_bytes(bytes(23))
    assert size_of(tmp_path) == 123
    assert size_of(tmp_path / "none") == 0
