"""Versions that must not be used are refused before they are imported, and pyproject asks for the same."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from segbench.core import versions
from segbench.core.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("package", "found", "refused"),
    [
        ("torch", "2.9.1", True),
        ("torch", "2.9.1+cu128", True),
        ("torch", "1.13", True),
        ("torch", "2.10.0", False),
        ("torch", "2.10.0+cu128", False),
        ("torch", "2.14.1a0+git", False),
        ("torch", "3.0", False),
        ("pytorch-lightning", "2.6.5", True),
        ("pytorch-lightning", "2.6.3", True),
        ("pytorch-lightning", "2.6.6", False),
        ("pytorch-lightning", "2.10.0", False),
    ],
)
def test_a_version_below_the_floor_is_refused(monkeypatch, package, found, refused):
    monkeypatch.setattr(versions, "version", lambda name: found if name == package else "99.0")
    if not refused:
        versions.check_versions()
        return
    with pytest.raises(ConfigError, match=re.escape(f"{package} {found} must not be used: ")) as error:
        versions.check_versions()
    assert f"pip install '{package}>={versions.FLOORS[package][0]}'" in str(error.value)


def test_what_is_not_installed_is_not_refused(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", missing)
    versions.check_versions()


def test_the_floors_are_those_of_pyproject():
    text = (ROOT / "pyproject.toml").read_text()
    for package, (floor, _) in versions.FLOORS.items():
        assert re.search(rf'"{package}>={re.escape(floor)}[",]', text)


def test_a_command_says_so_in_one_sentence(command, monkeypatch):
    monkeypatch.setattr(versions, "version", lambda name: "2.6.3" if name == "pytorch-lightning" else "99.0")
    outcome = command("model=unet")
    assert outcome.code == 2
    assert outcome.err.startswith("segbench: pytorch-lightning 2.6.3 must not be used: ")
    assert len(outcome.err.strip().splitlines()) == 1
    assert list(Path().iterdir()) == []


def test_looking_imports_nothing_heavy():
    code = (
        "import sys; from segbench.core.versions import check_versions; check_versions();"
        "assert not {'torch', 'pytorch_lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
