"""What ran can be found again from environment.json."""

import json
import subprocess
import sys
import time
from importlib import metadata

import pytest

from segbench.runs import provenance as module
from segbench.runs.folder import RunFolder
from segbench.runs.git import ask_git
from segbench.runs.provenance import MAX_DIFFERENCE, describe_repositories, packages, provenance, provenance_of_run


def git(folder, *words):
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    return subprocess.run(["git", *identity, "-C", folder, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path):
    """A repository with a commit, a change that is not committed, and a secret that git does not know."""
    root = tmp_path / "lab"
    (root / "mylab").mkdir(parents=True)
    git(root, "init", "-q")
    (root / "mylab" / "__init__.py").write_text("DEPTH = 3\n")
    (root / "picture.bin").write_bytes(bytes(range(256)) * 40)
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    (root / "mylab" / "__init__.py").write_text("DEPTH = 4\n")
    (root / "picture.bin").write_bytes(bytes(reversed(range(256))) * 40)
    (root / ".env").write_text("TOKEN=do-not-tell\n")
    (root / "notes").mkdir()
    (root / "notes" / "a.txt").write_text("do-not-tell either\n")
    return root


def test_every_installed_package_is_recorded_with_its_version():
    found = packages()
    for name in ("torch", "numpy", "pytest", "rich"):
        assert found[name] == metadata.version(name)
    assert len(found) == len({dist.metadata["Name"] for dist in metadata.distributions()})


def test_recording_the_packages_is_cheap():
    packages.cache_clear()
    began = time.process_time()
    packages()
    assert time.process_time() - began < 0.5  # about 0.04 s; as messages, half a second and more


def test_the_code_of_a_repository_can_be_brought_back(repository, tmp_path):
    (state,) = describe_repositories({"mylab": repository / "mylab", "working folder": repository})
    assert state["of"] == ["mylab", "working folder"]
    assert state["commit"] == git(repository, "rev-parse", "HEAD").strip()
    assert not state["cut"]
    git(tmp_path, "clone", "-q", str(repository), "again")
    text = state["difference"].partition("diff --git a/picture.bin")[0]  # a binary file is not kept
    assert "Binary files" in state["difference"]
    subprocess.run(["git", "-C", tmp_path / "again", "apply"], input=text, text=True, check=True)
    assert (tmp_path / "again" / "mylab" / "__init__.py").read_text() == "DEPTH = 4\n"


def test_untracked_files_are_named_and_never_read(repository):
    (state,) = describe_repositories({"mylab": repository})
    assert state["untracked"] == [".env", "notes/"]
    assert "do-not-tell" not in json.dumps(state)


def test_what_is_kept_of_a_repository_is_bounded(repository):
    (repository / "mylab" / "__init__.py").write_text("x = 1\n" * 200_000)
    for number in range(300):
        (repository / f"n{number:03}").touch()
    (state,) = describe_repositories({"mylab": repository})
    assert (len(state["difference"]), len(state["untracked"]), state["cut"]) == (MAX_DIFFERENCE, 200, True)


def test_a_repository_runs_nothing_of_its_own(repository):
    trap = repository / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {repository}/sprung\n")
    trap.chmod(0o755)
    (repository / ".gitattributes").write_text("*.py diff=evil\n")
    for key in ("core.fsmonitor", "diff.external", "diff.evil.command", "diff.evil.textconv", "core.pager"):
        git(repository, "config", key, str(trap))
    (state,) = describe_repositories({"mylab": repository})
    assert "+DEPTH = 4" in state["difference"]
    assert not (repository / "sprung").exists()


def test_no_repository_no_git_and_no_commit_are_no_mistakes(tmp_path, monkeypatch):
    assert describe_repositories({"here": tmp_path}) == []
    git(tmp_path, "init", "-q")
    (state,) = describe_repositories({"here": tmp_path})
    assert (state["commit"], state["difference"]) == (None, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask_git(tmp_path, "status") is None
    assert describe_repositories({"here": tmp_path}) == []


def test_a_plugin_and_the_working_folder_are_recorded(repository, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(repository)
    monkeypatch.delitem(sys.modules, "mylab", raising=False)  # of another test
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "-q")
    monkeypatch.chdir(work)
    sources = {tuple(source["of"]): source for source in provenance(["mylab", "not_there", "torch"])["sources"]}
    assert sources["mylab",]["folder"] == str(repository.resolve())
    assert sources["working folder",]["commit"] is None
    assert "mylab" not in sys.modules  # looked up, not run


def test_a_job_refers_to_the_record_of_its_sweep_and_to_nothing_else(tmp_path, monkeypatch):
    now = {"packages": {"torch": "2.10"}, "sources": [{"of": ["segbench"], "commit": "a"}]}
    monkeypatch.setattr(module, "provenance", lambda plugins: now)
    job = RunFolder(tmp_path / "sweep" / "000_x")
    job.path.mkdir(parents=True)
    assert provenance_of_run(job, []) == now
    (tmp_path / "sweep" / "environment.json").write_text(json.dumps({"cores": 2, **now}))
    assert provenance_of_run(job, []) == {"provenance": "../environment.json"}
    (tmp_path / "sweep" / "environment.json").write_text(json.dumps({**now, "packages": {"torch": "2.9"}}))
    assert provenance_of_run(job, []) == now  # it ran somewhere else
    job.environment.write_text(json.dumps({"provenance": "../environment.json"}))
    assert provenance_of_run(job, []) == {**now, "earlier": [{**now, "packages": {"torch": "2.9"}}]}
    job.environment.unlink()
    (tmp_path / "sweep" / "environment.json").write_text("{")
    assert provenance_of_run(job, []) == now


def test_a_resume_with_other_code_keeps_what_the_run_began_with(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    first, second = ({"packages": {"torch": version}, "sources": []} for version in ("2.10", "2.11"))
    for now, earlier in ((first, None), (first, None), (second, [first]), (second, [first]), (first, [first, second])):
        monkeypatch.setattr(module, "provenance", lambda plugins, now=now: now)
        said = provenance_of_run(run, [])
        assert {name: said[name] for name in now} == now
        assert said.get("earlier") == earlier
        run.environment.write_text(json.dumps(said))
