"""Scripts: each is listed in scripts/README.md, none imports a test; the figures of the code are counted rightly."""

import ast
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from scripts import benchmark, gpu_checks, house_figures
from scripts.benchmarks import commands, gpu, measure
from segbench.compare.comparison import compare_runs

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


def test_a_row_with_an_absolute_goal_has_its_unit_and_no_baseline():
    said = iter([9.0, 2.0, 1.0, 6.0])
    row = measure.Row("name", "what", 4.0, lambda: nullcontext(measure.Pair(lambda: next(said), None)), unit="MB")
    found = measure.measured(row, 3)
    assert found == measure.Measured(ours=1.0, baseline=1.0, best=1.0, median=2.0)
    assert benchmark.line(row, found) == "| `name` | what | - | - | 1 MB | 2 MB | 4 MB |"


def test_runs_that_are_written_to_be_compared_are_sound(tmp_path):
    commands.write_runs(tmp_path, 7)
    compared = compare_runs([str(tmp_path)])
    assert sorted(len(group.runs) for group in compared.groups) == [1, 3, 3]
    assert not [run for run in compared.runs if run.state != "completed"]


NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
TINY = ["model=unet", "model.width=4", "model.depth=2", "data.size=[32,32]", "data.batch_size=2", "data.train_size=4"]


@NO_GPU
def test_a_row_that_needs_a_gpu_says_so(capsys):
    assert benchmark.measure(gpu.ROWS, rounds=1).keys() == {"torch", "machine", "rounds"}
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "step-unet-gpu needs a GPU, of which torch sees none here"
    assert said[-1] == "fsdp-gpu needs 2 GPUs, of which torch sees none here"
    assert len(said) == len(gpu.ROWS)


@NO_GPU
def test_the_checks_of_a_gpu_say_that_they_need_one(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu_checks.py"])
    with pytest.raises(SystemExit) as stop:
        gpu_checks.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("gpu_checks.py needs a GPU, of which torch sees none here")


def test_the_checks_of_a_gpu_run_every_row():
    assert sorted(gpu_checks.ROWS) == sorted(row.name for row in gpu.ROWS)


def test_a_part_that_fails_or_hangs_costs_no_figure():
    assert gpu_checks.ended(["-c", "print('so')"], seconds=60) == ("done", "so\n")
    assert gpu_checks.ended(["-c", "raise SystemExit(3)"], seconds=60) == ("failed", "")
    assert gpu_checks.ended(["-c", "while True: pass"], seconds=0) == ("took too long", "")


def test_the_table_of_a_gpu_by_hand():
    figure = {"name": "eager: a step", "value": 12.3456, "unit": "ms"}
    found = {"gpu": "A card", "torch": "2.14", "step-unet-gpu": [figure], "ended": {"tests": "done", "fsdp-gpu": "no"}}
    assert gpu_checks.markdown(found).splitlines() == [
        "On A card, torch 2.14.",
        "",
        "| row | what | figure |",
        "|---|---|---|",
        "| `step-unet-gpu` | eager: a step | 12.35 ms |",
        "",
        "- `tests`: done",
        "- `fsdp-gpu`: no",
    ]


def test_the_rows_of_a_gpu_by_a_small_network(monkeypatch):
    """What they measure is computed on the device that there is; figures of a CPU are never shown."""
    monkeypatch.setattr(torch, "compile", lambda function, **how: function)
    monkeypatch.setattr(gpu, "ROUNDS", 1)
    names = [figure.name for figure in gpu.forms(TINY)]
    assert names[:3] == ["eager: a step", "eager: speed", "eager: arithmetic"]
    assert {name.split(":")[0] for name in names} == {"eager", "compiled", "graphs"}
    for measure_row in (gpu.prefetch, gpu.deterministic, gpu.optimizer):
        figures = measure_row([*TINY, "optimizer=adamw"])
        assert len(figures) == 2
        assert all(figure.value > 0 for figure in figures)
