"""Scripts: each is listed in scripts/README.md, none imports a test; the figures of the code are counted rightly."""

import ast
from pathlib import Path

import pytest

from scripts import benchmark, house_figures
from scripts.benchmarks import measure

SCRIPTS = sorted((Path(__file__).parents[1] / "scripts").glob("[!_]*.py"))
ROWS = sorted((SCRIPTS[0].parent / "benchmarks").glob("*.py"))
PACKAGE = {
    "one.py": '''"""Any is no type here."""
from typing import Any

def long(x: Any, y: "list[Any]") -> Any:
    a, b = x, y
    (c, d), e = a, b  # fmt: skip
    first, second = x
    return a if b else (c if d else e)
''',
    "room/two.py": "def short() -> None:\n" + "    call(\n" * 30 + "    )\n" * 30 + "\n" * 20,
    "room/three.py": "\n".join(f"name_{number} = call({number})" for number in range(9)),
    "room/four.py": "if True:\n" + "\n".join(f"    name_{number} = call({number})\n    # why" for number in range(9)),
}


def test_the_figures_by_hand(tmp_path):
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = house_figures.figures(tmp_path)
    assert (found["lines"], found["files"]) == ("117", "4")
    assert (found["lines of the median file"], found["lines of the longest file"]) == ("14", "81")
    assert (found["functions"], found["functions over 30 lines"], found["functions over 50 lines"]) == ("2", "1", "1")
    assert (found["`Any`"], found["`Any` per thousand lines"]) == ("2", "17.1")  # a type in quotes is not looked into
    assert (found["packed assignments"], found["`fmt: skip`"]) == ("2", "1")
    assert found["ternaries per thousand lines"] == "17.1"
    assert found["duplicate pairs"] == "1"


def test_a_commit_that_is_none_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="no_such is no commit of this repository that has segbench/"):
        house_figures.unpacked("no_such", tmp_path)


def test_every_script_is_listed():
    text = (SCRIPTS[0].parent / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in SCRIPTS if f"`{path.name}`" not in text] == []


@pytest.mark.parametrize("path", SCRIPTS + ROWS, ids=lambda path: path.stem)
def test_no_script_imports_a_test(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in names if name.split(".")[0] == "tests"]


def test_the_help_of_the_benchmark_names_every_row():
    assert [row.name for row in benchmark.all_rows() if row.name not in benchmark.__doc__.split()] == []


def test_a_row_is_ours_over_its_baseline_in_turn():
    said = iter([9.0, 9.0, 2.0, 4.0, 6.0, 8.0, 1.0, 5.0])  # the first pair does not count
    row = measure.Row("name", "what", 1.0, lambda: measure.ready(lambda: next(said), lambda: next(said)))
    assert measure.measured(row, 3) == measure.Measured(ours=1.0, baseline=4.0, best=0.25, median=0.5)
    shown = benchmark.line(row, measure.Measured(ours=1.0, baseline=4.0, best=0.25, median=0.5))
    assert shown == "| `name` | what | 1000.0 | 4000.0 | 0.25 | 0.50 | 1 |"
