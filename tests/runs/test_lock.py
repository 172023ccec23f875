"""One process at a time in a run folder, whoever died in it before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segbench.core.errors import ConfigError
from segbench.runs.lock import LOCK, locked

HOLD = """
import sys, time
from pathlib import Path
from segbench.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_one_is_told_the_first(tmp_path, holder):
    with pytest.raises(ConfigError, match=f"in use by process {holder.pid} on "), locked(tmp_path):
        pass
    assert (tmp_path / LOCK).exists()


def test_a_dead_one_hinders_nobody(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK).read_text()[1:].startswith(f"{holder.pid} ")
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text()[1:].startswith(f"{os.getpid()} ")
    assert not (tmp_path / LOCK).exists()


def test_a_worker_that_outlives_the_holder_hinders_nobody(tmp_path):
    forks = HOLD.replace("    print", "    import os\n    if os.fork() == 0: time.sleep(30); os._exit(0)\n    print")
    process = subprocess.Popen([sys.executable, "-c", forks, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.wait()
    with locked(tmp_path):
        pass
    process.stdout.close()


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "mine").write_text("keep")
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(ConfigError, match="cannot be made the lock"), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "mine").read_text() == "keep"


def test_two_runs_in_one_folder(process, tiny):
    """Through the command line: the second run and a resume stop, the first one is not disturbed."""
    folder = Path(process.folder)
    words = [*tiny, "hydra.run.dir=run"]
    (folder / "run").mkdir(parents=True)
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(folder / "run")], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "held\n"
    second = process(*words)
    first.kill()
    first.communicate()
    assert second.code == 2
    assert f"in use by process {first.pid}" in second.err
    assert len(second.err.strip().splitlines()) == 1
    assert process(*words).code == 0
