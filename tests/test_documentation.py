"""What the documentation promises: links lead somewhere, commands are accepted, the tutorial runs, pages are whole."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import segbench
from scripts import docs_pages
from segbench import cli
from tests.support.tiny_files import write_folder

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_that_are_there(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_readme_is_short_and_says_what_the_pictures_are():
    import csv

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    with (ROOT / "segbench/data/scenes/assets/LICENSES.csv").open(encoding="utf-8") as file:
        authors = [row["author"] for row in csv.DictReader(file) if row["kind"] != "background"]
    rendered = sum("Fluent Emoji" in author for author in authors)
    for page in (text, (DOCS / "data.md").read_text(encoding="utf-8")):
        words = " ".join(page.split())
        assert f"{len(authors)} foregrounds" in words
        assert re.search(rf"\b{rendered} (of the foregrounds )?are rendered figures", words)
        assert re.search(rf"\b{len(authors) - rendered} are photographs", words)


def nav_pages(entry):
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [page for value in values for page in nav_pages(value)]


def test_every_page_is_on_the_site():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert site["strict"] is True
    assert sorted(nav_pages(site["nav"])) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_the_reference_holds_every_option_and_every_part():
    settings = docs_pages.settings(ROOT / "conf")
    for file in (ROOT / "conf").rglob("*.yaml"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert line.lstrip("# ") in settings, (file, line)
    parts = docs_pages.parts(ROOT / "segbench")
    for package in (segbench.losses, segbench.models, segbench.metrics, segbench.data):
        for name in package.__all__:
            part = getattr(package, name)
            assert f"::: {part.__module__}.{name}" in parts


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="the site needs pip install -e '.[docs]'")
    pytest.importorskip("mkdocstrings", reason="the site needs pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    reference = (tmp_path / "site/reference/python/index.html").read_text(encoding="utf-8")
    assert 'id="segbench.api.train"' in reference
    assert 'id="segbench.losses.dice.Dice"' in reference


def workflow():
    return yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))


def test_the_workflow_covers_systems_and_bounds_and_does_what_ci_run_does():
    jobs = workflow()["jobs"]
    assert set(jobs["systems"]["strategy"]["matrix"]["os"]) == {"ubuntu-latest", "macos-latest", "windows-latest"}
    resolutions = {row["resolution"] for row in jobs["bounds"]["strategy"]["matrix"]["include"]}
    assert resolutions == {"lowest-direct", "highest"}
    steps = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert "bash .ci/run" in steps
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("ruff check .", "ruff format --check .", "mypy", "mkdocs build --strict"):
        assert command in steps
        assert command in script


def test_forms_and_other_files_can_be_read():
    for file in [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"]:
        assert yaml.safe_load(file.read_text(encoding="utf-8")), file
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == segbench.__version__
    assert f"## {segbench.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def tutorial():
    text = (DOCS / "own-data.md").read_text(encoding="utf-8")
    return [line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


@pytest.mark.slow
def test_the_tutorial_runs(command, tmp_path, capfd):
    """From its first command to its last, on small pictures and with small networks."""
    from segbench.commands.launch import train_main

    write_folder(Path("mydata"), count=60, size=(24, 28))
    small = ["trainer=debug", "trainer.threads=1", "data.size=[16,16]"]
    run = None
    lines = tutorial()
    assert [shlex.split(line)[1] for line in lines if line.startswith("segbench")] == [
        "data",
        "data",
        "evaluate",
        "predict",
        "compare",
    ]
    for line in lines:
        words = [str(run) if word == "RUN" else word for word in shlex.split(line)]
        if words[0] == "segbench":
            done = command(*words[1:], entry=cli.main)
        else:
            assert words[:2] == ["python", "train.py"]
            done = command(*words[2:], *small, entry=train_main)
            run = run or next(Path("outputs/unet-dice-folder").iterdir()).absolute()
        assert done.code == 0, (line, done.err)
    assert Path("preview.png").is_file()
    assert len(list(Path("predicted").glob("*_mask.png"))) == 60
    assert "fcn" in done.out
