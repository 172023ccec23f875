"""`segbench doctor`, `segbench --version` and shell completion."""

import sys
from importlib import metadata

import pytest

import segbench
from segbench import cli
from segbench.commands import doctor
from segbench.core.errors import ConfigError


def test_version(command, monkeypatch):
    done = command("--version", entry=cli.main)
    assert (done.code, done.out) == (0, f"segbench {segbench.__version__}\n")


@pytest.fixture
def installed(monkeypatch):
    """Pretend that segbench needs these packages, and that these versions are there."""

    def pretend(requires, versions, extras=()):
        def version(name):
            if name not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name]

        class Facts:
            def get_all(self, name):
                assert name == "Provides-Extra"
                return list(extras)

        monkeypatch.setattr(metadata, "requires", lambda name: requires)
        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(metadata, "metadata", lambda name: Facts())

    return pretend


def test_all_is_well(command, installed):
    installed(
        ["torch>=2.10", "numpy>=1.26", 'optuna>=4.4; extra == "optuna"', 'pytest>=8; extra == "test"'],
        {"torch": "2.10.0+cpu", "numpy": "2.1.0"},
        ["optuna", "test"],
    )
    done = command("doctor", entry=cli.main)
    assert done.code == 0, done.err
    lines = {line.split()[0]: line.split()[1:] for line in done.out.splitlines()}
    assert lines["segbench"][0] == segbench.__version__
    assert lines["torch"] == ["2.10.0+cpu"]
    assert lines["optuna"] == ["-", "for", "the", "extra", "optuna"]
    assert lines["device"][0] in ("cpu", "cuda", "mps")
    assert "pytest" not in lines
    assert done.out.endswith("all is well\n")


@pytest.mark.parametrize(
    ("requires", "versions", "words"),
    [
        (["torch>=2.10"], {"torch": "2.9.1"}, "torch 2.9.1 cannot be used here; try: pip install 'torch>=2.10'"),
        (["torch>=2.10"], {}, "torch cannot be used here; try: pip install 'torch>=2.10'"),
        (
            ["numpy", "pytorch-lightning>=2.6.6"],
            {"numpy": "2", "pytorch-lightning": "2.6.3"},
            "pytorch-lightning 2.6.3 cannot",
        ),
        (['optuna>=4.4; extra == "optuna"'], {"optuna": "3.0"}, "optuna 3.0 cannot be used here"),
    ],
)
def test_what_cannot_be_used_is_named_without_importing_torch(
    command, installed, monkeypatch, requires, versions, words
):
    installed(requires, versions, ["optuna"])
    monkeypatch.setattr(doctor, "_device", lambda: pytest.fail("torch was asked"))
    done = command("doctor", entry=cli.main)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_reasons_are_shown(command, installed):
    installed(["pytorch-lightning>=2.6.6"], {"pytorch-lightning": "2.6.2"})
    assert "2.6.2 and 2.6.3 were malware" in command("doctor", entry=cli.main).out


def test_this_environment(command):
    """What pyproject.toml asks for is what is installed where the tests run."""
    if not list(doctor.packages()):
        pytest.skip("segbench is not installed here")
    names = {package.name: package for package in doctor.packages()}
    assert names["torch"].extra is None
    assert names["optuna"].extra == "optuna"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_verbs(command, monkeypatch, shell):
    monkeypatch.setenv("_SEGBENCH_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", "segbench comp")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "segbench comp")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setattr(sys, "argv", ["segbench"])
    assert "compare" in command(entry=cli.main).out


def test_a_version_that_stops_all_other_verbs_is_shown_by_doctor(command, installed, monkeypatch):
    from segbench.core import versions

    monkeypatch.setattr(versions, "version", lambda name: "2.9.1" if name == "torch" else "99")
    installed(["torch>=2.10"], {"torch": "2.9.1"})
    refused = command("compare", "nowhere", entry=cli.main)
    assert (refused.code, "torch 2.9.1 must not be used" in refused.err) == (2, True)
    shown = command("doctor", entry=cli.main)
    assert (shown.code, "CVE-2026-24747" in shown.out) == (2, True)
    assert command("--version", entry=cli.main).code == 0
    for call in (segbench.load, segbench.evaluate):
        with pytest.raises(ConfigError, match=r"torch 2\.9\.1 must not be used"):
            call("nowhere")
