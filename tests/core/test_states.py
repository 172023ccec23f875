"""Every state that a run writes is read back by all readers."""

import json

import pytest

from segbench.compare.runs import read_run
from segbench.core.errors import CheckpointError
from segbench.core.states import RECORDED, RunState
from segbench.runs.folder import RunFolder
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import Job
from tests.support.fake_runs import write_run


@pytest.mark.parametrize("state", RECORDED)
def test_a_written_state_is_read_back_by_every_reader(tmp_path, state):
    write_run(tmp_path / "000_x", state="completed")  # results are there, whatever the status then says
    run = RunFolder(tmp_path / "000_x")
    run.write_status(state, error="why")
    assert json.loads(run.status.read_text())["state"] == state.value
    assert run.read_status()["state"] is state
    assert read_run(run.path, "x").state is state
    if state is not RunState.COMPLETED:
        assert SweepFolder(tmp_path).state(Job("000_x", (), {})).state is state


@pytest.mark.parametrize("word", ['"absent"', '"broken"', '"done"', "1", "null", "[]"])
def test_a_state_that_no_run_writes_is_a_mistake(tmp_path, word):
    run = RunFolder(tmp_path)
    run.status.write_text(f'{{"state": {word}}}')
    with pytest.raises(CheckpointError, match="names no state that a run can have"):
        run.read_status()
    assert RunFolder(tmp_path / "none").read_status()["state"] is RunState.ABSENT
