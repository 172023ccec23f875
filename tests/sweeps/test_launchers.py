"""The same sweep by every launcher: the same summary."""

from pathlib import Path

import pytest
import yaml

from segbench.config.paths import conf_dir
from segbench.config.schema import read_section
from segbench.config.sweep_settings import SweepSettings, read_launcher
from segbench.core.errors import ConfigError
from segbench.sweeps import launchers
from segbench.sweeps.folder import SweepFolder

JOBS = ["loss=dice,bce", "trainer.max_epochs=1", "trainer.panels_every=0"]
LAUNCHERS = {
    "joblib": ["launcher.jobs=2"],
    "submitit": ["launcher.cluster=local", "launcher.gpus_per_node=0", "launcher.cpus_per_task=1", "launcher.mem_gb=2"],
    "ray": [],
}


@pytest.mark.parametrize("kind", LAUNCHERS)
def test_a_launcher(command, made, tiny, kind):
    pytest.importorskip(kind)
    made("local", "-m", *tiny, *JOBS)
    outcome = command("-m", *tiny, *JOBS, f"launcher={kind}", *LAUNCHERS[kind], "hydra.sweep.dir=other")
    assert outcome.code == 0, outcome.err
    assert Path("other/summary.csv").read_bytes() == Path("local/summary.csv").read_bytes()
    for name in ("000_dice", "001_bce"):
        assert Path(f"other/{name}/digests.csv").read_text() == Path(f"local/{name}/digests.csv").read_text()


def test_a_failure_elsewhere_is_told(command, tiny):
    pytest.importorskip("joblib")
    words = ["data.train_size=8,2", "trainer.max_epochs=1", "launcher=joblib", "hydra.sweep.dir=sweep"]
    outcome = command("-m", *tiny, *words)
    assert outcome.code == 3
    assert "1 of 2 jobs failed; the first, 001_train_size=2" in outcome.err
    assert "fewer than one batch" in Path("sweep/summary.csv").read_text()


def test_what_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="did you mean 'joblib'"):
        read_launcher({"kind": "jobllib"})
    joblib = read_launcher({"kind": "joblib", "jobs": 2, "gpus": None})
    monkeypatch.setitem(__import__("sys").modules, "joblib", None)
    with pytest.raises(ConfigError, match=r"pip install 'segbench\[joblib\]'"):
        list(launchers.launch_jobs(SweepFolder(tmp_path), [], settings=joblib))


def test_settings_of_a_launcher_are_checked_before_anything_is_started():
    for gpus in ("two", 1.5):
        with pytest.raises(ConfigError, match="launcher.gpus must be a whole number of at least 1 or null, got"):
            read_launcher({"kind": "joblib", "jobs": 2, "gpus": gpus})
    with pytest.raises(ConfigError, match=r"launcher.address is missing"):
        read_launcher({"kind": "ray", "jobs": None, "cpus_per_job": 1, "gpus_per_job": 0.5})


def test_every_shipped_launcher_and_sweep_is_one_that_is_read():
    for file in (conf_dir() / "launcher").glob("*.yaml"):
        assert read_launcher(yaml.safe_load(file.read_text())).kind == file.stem
    for file in (conf_dir() / "sweep").glob("*.yaml"):
        found = read_section(SweepSettings, yaml.safe_load(file.read_text()), key="sweep")
        assert (found.search is None) == (file.stem not in ("tpe", "random", "grid"))
