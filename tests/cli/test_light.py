"""Help and configuration: at once, without torch, from anywhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from segbench.config.paths import conf_dir

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


def test_wrong_verb():
    done = subprocess.run(
        [sys.executable, "-m", "segbench", "trian"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "train" in done.stderr


def test_conf_is_found_beside_the_package():
    assert (conf_dir() / "train.yaml").is_file()
