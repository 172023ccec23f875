"""How processes of a run meet in a store that outlives them, and what they find out about one another there."""

import json
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from torch.distributed import PrefixStore, TCPStore

from segbench.core.errors import ConfigError, Interrupted, RankError
from segbench.core.states import RunState
from segbench.core.world import World
from segbench.runs.folder import RunFolder
from segbench.training.distributed import follow, meeting, ranks, watch
from segbench.training.distributed.ranks import ALONE, Ranks
from segbench.training.distributed.watch import Ending, Watch


@pytest.fixture
def store():
    """What a launcher keeps."""
    return TCPStore("127.0.0.1", 0, None, True, timedelta(seconds=20), wait_for_workers=False)


def worlds(store, size=2):
    common = {"size": size, "address": "127.0.0.1", "port": store.port, "starter": "torchrun", "has_agent": True}
    return [World(rank=rank, local_size=size, local_rank=rank, **common) for rank in range(size)]


def together(calls):
    """Call functions at the same time, and return what they return."""
    found = [None] * len(calls)

    def run(number):
        found[number] = calls[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_what_an_earlier_start_has_left_is_not_taken_for_the_new_one(store):
    """A process that comes early finds the greeting of the dead, which nobody answers with the new name."""
    first, second = worlds(store)
    old = together([partial(meeting.meet, one, store.clone(), name="x") for one in (first, second)])
    new = together([partial(meeting.meet, one, store.clone(), name="x") for one in (first, second)])
    assert old[0] == old[1]
    assert new[0] == new[1]
    assert old[0] != new[0]


def test_who_does_not_come_is_named(store, monkeypatch):
    monkeypatch.setattr(meeting.waiting, "__defaults__", (0.3,))
    first, second, _ = worlds(store, 3)
    with pytest.raises(ConfigError, match="of 3 processes, number 1, 2 did not come"):
        meeting.meet(first, store, name="y")
    with pytest.raises(ConfigError, match="process 0 of 3 has not come"):
        meeting.meet(second, store, name="z")


def test_the_folder_is_remembered_by_the_launcher(store):
    (one,) = worlds(store, 1)
    with Ranks(one) as before:
        assert before.remembered("folder", "/runs/1") == "/runs/1"
    ranks._runs -= 1  # the program is started again
    with Ranks(one) as after:
        assert after.remembered("folder", "/runs/2") == "/runs/1"
    with Ranks(one) as further:  # the second run of a program
        assert further.remembered("folder", "/runs/3") == "/runs/3"
    assert ALONE.remembered("folder", "/runs/4") == "/runs/4"


def watcher(store, rank=0):
    return Watch(worlds(store)[rank], PrefixStore("t", store), force=lambda error: None, launcher_signal=lambda: None)


def test_a_process_without_signs_of_life_is_given_up(store):
    first, second = watcher(store), watcher(store, 1)
    second._beat()
    for _ in range(watch.SILENT):
        first._look()
    assert first.ending is None
    second._beat()
    first._look()
    assert first.silent(1) is None
    for _ in range(watch.SILENT):
        first._look()
    error = first.ending.error(2)
    assert isinstance(error, RankError) and error.rank == 1
    assert "process 1 of 2 gives no sign of life" in str(error)
    assert json.loads(first.store.get("end"))["rank"] == 1  # all others hear of it


def test_the_first_end_is_what_ends_all(store):
    first, second = watcher(store), watcher(store, 1)
    second.tell(second.store, Ending(1, 3, "its disk is gone"))
    first.tell(first.store, Ending(0, 1, "Connection closed"))
    assert json.loads(first.store.get("end"))["sentence"] == "its disk is gone"
    stopped = Ending(1, 143, "stopped at step 7 with a checkpoint", True).error(2)
    assert isinstance(stopped, Interrupted)
    assert (stopped.exit_code, stopped.requeue) == (143, True)
    failed = Ending(1, 3, "its disk is gone").error(2)
    assert (str(failed), failed.exit_code) == ("process 1 of 2 ended with status 3: its disk is gone", 3)


def test_a_folder_that_not_all_machines_share_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "SHARED", 0.2)
    run = RunFolder(tmp_path)
    run.write_status(RunState.RUNNING, started=1.5)
    plan = follow.Plan({}, str(tmp_path), 1.5, None, 1, 1, 1, "eager")
    follow._check_shared(run, plan, ranks=ALONE)
    for other in (replace(plan, started=2.5), replace(plan, checkpoint="gone.ckpt")):
        with pytest.raises(ConfigError, match="give a hydra.run.dir on a file system that all machines share"):
            follow._check_shared(run, other, ranks=ALONE)
