"""A sweep that is killed and continued ends as one that was not."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from segbench.core.rng import key64
from segbench.sweeps.folder import SweepFolder
from tests.support import warm

ROOT = Path(__file__).parents[2]
JOBS = ["loss=dice,bce,focal", "seed=1,2", "data.train_size=24", "trainer.checkpoint_every=2", "trainer.panels_every=0"]


def start(*words):
    """Start a sweep in a session of its own; what it says goes to the file `said`."""
    with Path("said").open("wb") as stream:
        return warm.start(
            [str(ROOT / "train.py"), *words], cwd=Path.cwd(), env=os.environ, stdout=stream, stderr=stream
        )


def rows(folder):
    return sum(len(path.read_text().splitlines()) for path in Path(folder).glob("*/metrics.csv"))


def test_killed_at_three_random_moments(command, tiny):
    """Six jobs; the moments are counted in rows of all the jobs' tables, from a fixed seed."""
    assert command("-m", *tiny, *JOBS, "hydra.sweep.dir=whole").code == 0
    total = rows("whole")
    moments = sorted(random.Random(key64("sweep kills", 4)).sample(range(3, total - 6), 3))
    words = ["-m", *tiny, *JOBS, "hydra.sweep.dir=parts"]
    for moment in moments:
        process = start(*words)
        deadline = time.monotonic() + 120
        while rows("parts") < moment and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.poll() is None, Path("said").read_text()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not Path("parts/summary.csv").exists()
        words = ["resume=parts"]
    outcome = command(*words)
    assert outcome.code == 0, outcome.err
    assert Path("parts/summary.csv").read_bytes() == Path("whole/summary.csv").read_bytes()
    for path in Path("whole").glob("*/digests.csv"):
        last = [
            Path(folder, path.parent.name, "digests.csv").read_text().splitlines()[-1] for folder in ("whole", "parts")
        ]
        assert last[0] == last[1]


def test_ctrl_c_writes_the_summary_and_says_how_to_go_on(tiny, tmp_path, monkeypatch, command):
    process = start("-m", *tiny, *JOBS, "data.train_size=800", "hydra.sweep.dir=sweep")
    while rows("sweep") < 5 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    assert f"continue it with resume={Path('sweep').absolute()}" in Path("said").read_text()
    states = [line.split(",")[1] for line in Path("sweep/summary.csv").read_text().splitlines()[1:]]
    assert states == ["interrupted"] + ["queued"] * 5


def test_a_failed_job_is_tried_again(command, tiny, pictures):
    words = ["-m", *tiny, "trainer.max_epochs=1", "loss=dice,bce", "hydra.sweep.dir=sweep"]
    hidden = pictures["backgrounds"].rename(pictures["backgrounds"].with_name("away"))
    assert command(*words).code == 3
    assert json.loads(Path("sweep/failures/000_dice.json").read_text())["exit_code"] == 3
    hidden.rename(pictures["backgrounds"])
    assert command("resume=sweep").code == 0
    assert [line.split(",")[1] for line in Path("sweep/summary.csv").read_text().splitlines()[1:]] == ["completed"] * 2
    assert not list(Path("sweep/failures").iterdir())


def test_a_second_process_is_locked_out(command, made, tiny):
    from segbench.runs.lock import locked

    made("sweep", "-m", *tiny, "trainer.max_epochs=1", "loss=dice,bce")
    code = "from pathlib import Path\nfrom segbench.runs.lock import locked\nimport time\n"
    code += "with locked(Path('sweep')):\n    print('held', flush=True)\n    time.sleep(60)\n"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    outcome = command("resume=sweep")
    holder.kill()
    holder.communicate()
    assert outcome.code == 2
    assert "in use by process" in outcome.err
    with locked(Path("sweep")):
        pass


@pytest.fixture
def finished(made, tiny):
    return made("sweep", "-m", *tiny, "trainer.max_epochs=1", "loss=dice,bce")


def test_a_finished_sweep_changes_nothing(command, finished):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    assert command("resume=sweep").code == 0
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_settings_of_jobs_cannot_change(command, finished):
    outcome = command("resume=sweep", "loss=focal")
    assert outcome.code == 2
    assert "'loss=focal' cannot be changed" in outcome.err


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda plan: plan["jobs"][0].update(name="../../outside"), 4),
        (lambda plan: plan["jobs"][0].update(words=[["x"]]), 4),
        (lambda plan: plan["words"].append("hydra.run.dir=/tmp/x"), 2),
        (lambda plan: plan["words"].append("plugins=[evil]"), 2),
        (lambda plan: plan["jobs"][0]["words"].append("optimizer.lr=${oc.env:SECRET}"), 2),
        (lambda plan: plan.update(jobs=7), 4),
        (lambda plan: plan["jobs"][0].update(name="000_\x1b[2J"), 4),
    ],
)
def test_an_untrusted_plan(command, finished, spoil, code):
    plan = json.loads((finished / "sweep.json").read_text())
    spoil(plan)
    (finished / "sweep.json").write_text(json.dumps(plan))
    shutil.rmtree(finished / "000_dice")
    outcome = command("resume=sweep")
    assert outcome.code == code, outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert "\x1b" not in outcome.err
    assert not (finished / "000_dice").exists()
    assert SweepFolder(finished).manifest.is_file()


def test_links_do_not_lead_out_of_a_sweep(command, finished, tmp_path):
    """Neither what failed nor a job's folder is written, or removed, elsewhere."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "000_dice.json").write_text("keep")
    shutil.rmtree(finished / "000_dice")
    (finished / "failures").symlink_to(victim)
    outcome = command("resume=sweep")
    assert outcome.code == 2
    assert "is a link" in outcome.err
    (finished / "failures").unlink()
    (finished / "000_dice").symlink_to(victim)
    assert command("resume=sweep").code == 2
    assert [path.name for path in victim.iterdir()] == ["000_dice.json"]
    assert (victim / "000_dice.json").read_text() == "keep"


@pytest.mark.parametrize("word", ["logger=tensorboard", "data.download=true", "+logger.x=1", "data.cache=/x"])
def test_a_plan_reaches_nothing_beyond_its_folder(command, finished, word):
    plan = json.loads((finished / "sweep.json").read_text())
    plan["jobs"][0]["words"].append(word)
    (finished / "sweep.json").write_text(json.dumps(plan))
    outcome = command("resume=sweep")
    assert outcome.code == 2
    assert word.lstrip("+") in outcome.err


def test_what_is_typed_is_not_written_down(command, tiny):
    """A package of one's own is trusted by the one who types it, each time."""
    words = ["-m", *tiny, "trainer.max_epochs=1", "plugins=[tests]", "loss=dice,bce", "hydra.sweep.dir=sweep"]
    assert command(*words).code == 0
    assert "plugins" not in Path("sweep/sweep.json").read_text()
    assert yaml.safe_load(Path("sweep/000_dice/config.yaml").read_text())["plugins"] == ["tests"]
    shutil.rmtree("sweep/001_bce")
    assert command("resume=sweep", "plugins=[tests]").code == 0


def test_the_same_command_again_goes_on(command, finished, tiny):
    """As a script does that SLURM runs again; another sweep in the same folder is refused."""
    shutil.rmtree(finished / "001_bce")
    words = ["-m", *tiny, "trainer.max_epochs=1", "loss=dice,bce", "hydra.sweep.dir=sweep"]
    assert command(*words).code == 0
    assert (finished / "001_bce/results.json").is_file()
    outcome = command(*words[:-1], "seed=1", "hydra.sweep.dir=sweep")
    assert outcome.code == 2
    assert "holds another sweep" in outcome.err


def test_a_job_that_still_runs_elsewhere_is_left_alone(command, finished):
    from segbench.runs.lock import LOCK

    run = finished / "000_dice"
    (run / "status.json").write_text('{"state": "running"}')
    shutil.rmtree(run / "checkpoints")
    code = "import sys, time\nfrom pathlib import Path\nfrom segbench.runs.lock import locked\n"
    code += "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    holder = subprocess.Popen([sys.executable, "-c", code, str(run)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    outcome = command("resume=sweep")
    holder.kill()
    holder.communicate()
    assert outcome.code == 0, outcome.err
    assert (run / LOCK).exists()
    assert Path("sweep/summary.csv").read_text().splitlines()[1].startswith("000_dice,running")
