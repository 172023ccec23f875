"""A run that was killed without a chance to say so is shown as interrupted, one that works as running."""

import json
import platform
import subprocess
import sys

import pytest

from segbench.compare.runs import read_run
from segbench.core.states import RunState
from segbench.runs.folder import RunFolder
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import Job
from tests.support.fake_runs import write_run

HOLD = """
import sys
from pathlib import Path
from segbench.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def states(folder):
    """Return the state that each reader sees."""
    return {
        RunFolder(folder).read_status()["state"],
        read_run(folder, "x").state,
        SweepFolder(folder.parent).state(Job(folder.name, (), {})).state,
    }


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot be asked for a lock without taking it")
def test_the_lock_tells_a_killed_run_from_one_that_works(tmp_path):
    folder = write_run(tmp_path / "000_x", state="running")
    status = {"state": "running", "machine": platform.node()}
    (folder / "status.json").write_text(json.dumps(status))
    assert states(folder) == {RunState.RUNNING}  # no lock: nothing can be told
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        assert states(folder) == {RunState.RUNNING}
    finally:
        holder.kill()
        holder.communicate()
    assert (folder / ".lock").is_file()
    assert states(folder) == {RunState.INTERRUPTED}
    assert "killed; it can be resumed" in read_run(folder, "x").error
    (folder / "status.json").write_text(json.dumps(status | {"machine": "another"}))
    assert states(folder) == {RunState.RUNNING}  # a lock of another machine may not be seen here
    (folder / "status.json").write_text(json.dumps(status | {"state": "failed"}))
    assert states(folder) == {RunState.FAILED}


@pytest.mark.skipif(sys.platform == "win32", reason="as above")
def test_a_lock_that_is_a_link_or_a_folder_tells_nothing(tmp_path):
    folder = write_run(tmp_path / "x", state="running")
    (folder / "status.json").write_text(json.dumps({"state": "running", "machine": platform.node()}))
    (tmp_path / "other").write_text("")
    (folder / ".lock").symlink_to(tmp_path / "other")
    assert RunFolder(folder).read_status()["state"] is RunState.RUNNING
    (folder / ".lock").unlink()
    (folder / ".lock").mkdir()
    assert RunFolder(folder).read_status()["state"] is RunState.RUNNING
