"""Pictures that one job of a sweep has decoded are there for those beside it, and nothing is left of them."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from segbench.core import shared_memory as room
from segbench.core.errors import DataError
from segbench.core.shared_memory import VARIABLE, is_shared, shared_memory, sharing
from segbench.core.states import RunState
from segbench.sweeps import work
from segbench.sweeps.pool import run_elsewhere
from tests.data.test_bands import folder, write

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in room.ORDERED, reason="jobs share memory on such Linux alone"
)
OTHER = """
import sys
from segbench.core.shared_memory import shared_memory
memory = shared_memory("k", 100)
print(bytes(memory[:3]))
memory[1] = 8
sys.stdout.flush()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


def test_another_process_sees_what_was_written_and_is_seen(place):
    memory = shared_memory("k", 100)
    memory[0] = 7
    said = subprocess.run([sys.executable, "-c", OTHER], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == repr(bytes([7, 0, 0]))
    assert memory[:2] == bytes([7, 8])
    assert shared_memory("k", 100)[:2] == bytes([7, 8])
    assert len(shared_memory("k", 50)) == 50  # not the same: it is made anew
    assert shared_memory("other", 10)[0] == 0


def note_of(place):
    (note,) = (path for path in place.iterdir() if path.suffix != ".lock")
    return note


@pytest.mark.parametrize("noted", ["", "x y", "1 0", "999999999 3", "1 0\n1 1"])
def test_a_note_that_leads_nowhere_is_written_anew(place, noted):
    """As a killed process leaves it, whose number another one may have by now."""
    shared_memory("k", 20)[0] = 5
    note = note_of(place)
    shared_memory("other", 20)
    note.write_text(noted)
    assert shared_memory("k", 20)[0] == 0
    assert note.read_text().startswith(f"{os.getpid()} ")


def test_memory_of_a_key_that_begins_alike_is_another(place):
    """Both have the same size, and the second the number of the file that the first had."""
    first = shared_memory("k", 20)
    first[0] = 5
    shared_memory("k-more", 20)[0] = 6
    code = "from segbench.core.shared_memory import shared_memory; print(shared_memory('k', 20)[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"  # nobody holds that of the first key any more


HOLDER = """
import sys
from segbench.core.shared_memory import shared_memory
memory = shared_memory("k", 100)
print(memory[0], flush=True)
sys.stdin.readline()
"""


def test_it_lasts_as_long_as_one_process_holds_it(place):
    """Also where who has made it is gone."""
    shared_memory("k", 100)[0] = 7
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as one:
        assert one.stdout.readline() == "7\n"
        shared_memory("other", 100)  # this process lets go
        assert shared_memory("k", 100)[0] == 7
        shared_memory("other", 100)
        one.communicate("\n")
    assert shared_memory("k", 100)[0] == 0


def test_pictures_that_others_have_decoded_need_no_memory(tmp_path, place, monkeypatch):
    pictures = [np.full((6, 5, 4), number, np.uint16) for number in range(16)]
    root = write(tmp_path / "d", pictures, photometric="minisblack", planarconfig="contig")
    settings = {"bands": [0, 1, 2, 3], "cache": "memory", "size": [8, 8]}
    first = folder(root, **settings)
    monkeypatch.setattr("segbench.data.files.cache.available_memory", lambda: 0)
    second = folder(root, **settings)
    assert np.array_equal(second.original("val", 0)["image"], first.original("val", 0)["image"])
    with pytest.raises(DataError, match=r"data\.cache=memory"):
        folder(root, **settings | {"bands": [0, 1]})


def test_the_jobs_of_every_launcher_meet_in_the_cache_folder_of_their_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    memories = []

    def run_job(folder, job, *, typed):
        memories.append(shared_memory("k", 100))
        memories[-1][len(memories)] = len(memories)
        return RunState.COMPLETED

    monkeypatch.setattr(work, "run_job", run_job)
    for _ in range(2):
        assert run_elsewhere("sweep", None, typed=()) is RunState.COMPLETED
    assert bytes(memories[1][:3]) == bytes([0, 1, 2])
    assert note_of(tmp_path / "cache" / "shared" / platform.node()).is_file()
    assert not is_shared()


def test_without_a_cache_folder_and_where_a_place_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBENCH_CACHE", "off")
    with sharing():
        assert not is_shared()
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "file"))
    with sharing():
        assert shared_memory("k", 20) is None
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with sharing():
        assert os.environ[VARIABLE] == str(tmp_path)
    assert os.environ[VARIABLE] == str(tmp_path)


def test_without_a_place_nothing_is_shared(place, monkeypatch):
    (place / "file").touch()
    monkeypatch.setenv(VARIABLE, str(place / "file"))
    assert shared_memory("k", 20) is None
    monkeypatch.delenv(VARIABLE)
    assert shared_memory("k", 20) is None


def test_pictures_are_decoded_once(tmp_path, place, monkeypatch):
    pictures = [np.full((6, 5, 4), number, np.uint16) for number in range(16)]
    root = write(tmp_path / "d", pictures, photometric="minisblack", planarconfig="contig")
    settings = {"bands": [0, 1, 2, 3], "cache": "auto", "size": [8, 8]}
    first, second = folder(root, **settings), folder(root, **settings)
    row = int(first.rows("val")[0])  # at the start those of train alone are read
    assert second.kept.get(row) is None
    first.original("val", 0)
    assert (second.kept.get(row)[0] == 3).all()  # the third picture is the first of val
    assert np.array_equal(second.original("val", 0)["image"], first.original("val", 0)["image"])
    assert folder(root, **settings | {"bands": [0, 1]}).kept.get(row) is None  # other bands are other pictures
    monkeypatch.delenv(VARIABLE)
    assert folder(root, **settings).kept.get(row) is None
