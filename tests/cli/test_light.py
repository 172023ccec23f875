"""Help and configuration: at once, without torch, from anywhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from segbench.config.compose import compose_config, run_config
from segbench.config.paths import conf_dir
from segbench.config.saved import read_saved_config, saved_config
from segbench.runs.folder import RunFolder
from segbench.training.finished import unchanged_results
from tests.support.fake_runs import some_counts, write_run

ROOT = Path(__file__).parents[2]
PROBE = """
import sys
sys.argv = {argv!r}
sys.path.insert(0, {root!r})
from segbench.{entry}
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
heavy = {{"torch", "pytorch_lightning", "torchmetrics", "albumentations", "torchvision"}} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    ("entry", "argv", "expected"),
    [
        ("commands.launch import train_main as main", ["train.py", "--help"], "python train.py model=unet"),
        (
            "commands.launch import train_main as main",
            ["train.py", "--cfg", "job"],
            "_target_: segbench.models.unet.UNet",
        ),
        (
            "commands.launch import train_main as main",
            ["train.py", "--cfg", "job", "--resolve", "model=fcn"],
            "in_channels: 3",
        ),
        ("cli import main", ["segbench", "--help"], "resume"),
        ("cli import main", ["segbench", "train", "--cfg", "job"], "loss:"),
        ("cli import main", ["segbench", "data", "--help"], "preview"),
        ("cli import main", ["segbench", "tune", "lr", "--help"], "--steps"),
        ("cli import main", ["segbench", "export", "--help"], "--hub-folder"),
        ("cli import main", ["segbench", "app", "--help"], "--open"),
    ],
)
def test_no_torch(entry, argv, expected, tmp_path):
    code = PROBE.format(argv=argv, root=str(ROOT), entry=entry)
    tmp_path.chmod(0o555)  # a folder that cannot be written to
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    tmp_path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_imports_no_more_than_it_needs(tmp_path):
    for loss in ("dice", "focal"):
        for seed in (1, 2, 3):
            write_run(tmp_path / f"{loss}{seed}", loss=loss, seed=seed, counts=some_counts(20, 0.8, seed))
    code = PROBE.replace("heavy = {{", 'heavy = {{"scipy", "hydra", "omegaconf", "matplotlib", "jinja2", "PIL", ')
    code = code.format(argv=["segbench", "compare", str(tmp_path)], root=str(ROOT), entry="cli import main")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 settings may be the best" in done.stdout


@pytest.fixture
def finished(tmp_path):
    """Return the folder of a run that has made its two epochs."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    config = run_config(compose_config(["trainer=debug", "trainer.max_epochs=2", "trainer.max_steps=null"]))
    (run / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create({**config.plain(), "about": {"choices": {}}})))
    (run / "status.json").write_text('{"state": "completed"}')
    results = {"metrics": {"val/mean_iou": {"best": 0.5}}, "monitor": "val/mean_iou", "steps": 8, "epochs": 2}
    (run / "results.json").write_text(json.dumps(results))
    return run


def test_a_finished_run_is_told_without_torch(finished):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    code = PROBE.format(argv=["segbench", "resume", str(finished)], root=str(ROOT), entry="cli import main")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "this run is finished" in done.stdout
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("results", "settings", "expected"),
    [
        ({"steps": 8, "epochs": 2}, {}, True),
        ({"steps": 8, "epochs": 1}, {}, False),
        ({"steps": 8, "epochs": 2}, {"max_epochs": 3}, False),
        ({"steps": 8, "epochs": 1}, {"max_steps": 8}, True),
        ({"steps": 7, "epochs": 1}, {"max_steps": 8}, False),
        ({"steps": 8, "epochs": 1, "stopped_early": True, "validations_since_best": 3}, {"patience": 3}, True),
        ({"steps": 8, "epochs": 1, "stopped_early": True, "validations_since_best": 3}, {"patience": 4}, False),
        ({"steps": 8, "epochs": 1, "stopped_early": True, "validations_since_best": 3}, {}, False),
        ({"steps": 8, "epochs": "2"}, {}, False),
    ],
)
def test_what_is_finished(finished, results, settings, expected):
    plain = read_saved_config(finished / "config.yaml")
    plain["trainer"] |= settings
    written = json.loads((finished / "results.json").read_text())
    (finished / "results.json").write_text(json.dumps({**written, **results}))
    assert (unchanged_results(RunFolder(finished), saved_config(plain)) is not None) is expected


def test_what_is_not_completed_or_of_other_settings_goes_on(finished):
    run = RunFolder(finished)
    plain = read_saved_config(run.config)
    assert unchanged_results(run, saved_config({**plain, "seed": plain["seed"] + 1})) is None
    run.status.write_text('{"state": "interrupted"}')
    assert unchanged_results(run, saved_config(plain)) is None
    assert unchanged_results(RunFolder(finished / "nowhere"), saved_config(plain)) is None


def test_wrong_verb():
    done = subprocess.run(
        [sys.executable, "-m", "segbench", "trian"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "train" in done.stderr


def test_conf_is_found_beside_the_package():
    assert (conf_dir() / "train.yaml").is_file()
