"""Prints figures of the package's code as a Markdown table, a column for each commit.

    python scripts/house_figures.py                     of the files as they lie here
    python scripts/house_figures.py a6cbb4c HEAD        of two commits
    python scripts/house_figures.py --types a6cbb4c     with the errors of `mypy --strict`: half a minute a column

Counted is segbench/ alone. Lines are all lines of the files. A packed assignment gives several names values that
are written out, as in `a, b = x, y`, but not `a, b = pair`. A ternary is `x if condition else y`. A duplicate pair is
two files with six equal lines of code in a row; indentation, imports, comments and lines without a letter do not count.
"""

from __future__ import annotations

import argparse
import ast
import collections
import io
import itertools
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "segbench"
DUPLICATE = 6
"""Equal lines in a row that make two files a duplicate pair."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def figures(package: Path) -> dict[str, str]:
    """Return every figure of the Python files below a folder, by its name."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))]
    trees = [ast.parse(text) for text in texts]
    sizes = [len(text.splitlines()) for text in texts]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    functions = [node for node in nodes if isinstance(node, Function)]
    lengths = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]
    thousands = sum(sizes) / 1000
    anys = sum(_is_any(node) for node in nodes)
    ternaries = sum(isinstance(node, ast.IfExp) for node in nodes)
    return {
        "lines": f"{sum(sizes):,}",
        "files": str(len(sizes)),
        "lines of the median file": f"{statistics.median(sizes):.0f}",
        "lines of the longest file": str(max(sizes)),
        "functions": f"{len(functions):,}",
        "functions over 30 lines": str(sum(length > 30 for length in lengths)),
        "functions over 50 lines": str(sum(length > 50 for length in lengths)),
        "`Any`": str(anys),
        "`Any` per thousand lines": f"{anys / thousands:.1f}",
        "`fmt: skip`": str(sum(text.count("# fmt: skip") + text.count("# fmt: off") for text in texts)),
        "packed assignments": str(sum(_is_packed(node) for node in nodes)),
        "ternaries per thousand lines": f"{ternaries / thousands:.1f}",
        "duplicate pairs": str(_duplicate_pairs(texts)),
    }


def type_errors(root: Path) -> str:
    """Return how many errors `mypy --strict` finds in the package below a folder, each file followed and told."""
    settings = ["--strict", "--config-file=", "--follow-imports=silent", "--no-error-summary", "--hide-error-context"]
    settings.append("--disable-error-code=import-untyped")  # libraries without types are not the package's errors
    command = [sys.executable, "-m", "mypy", *settings, "--cache-dir", str(root / ".mypy_cache"), PACKAGE]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"mypy could not look at {root}: {done.stderr or done.stdout}")
    return str(sum(": error:" in line for line in done.stdout.splitlines()))


def _is_any(node: ast.AST) -> bool:
    """Whether a node is the word Any where it stands for a type, not in the line that imports it."""
    return isinstance(node, ast.Name) and node.id == "Any"


def _is_packed(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Tuple)
        and any(isinstance(target, ast.Tuple) for target in node.targets)
    )


def _duplicate_pairs(texts: list[str]) -> int:
    files_of_run = collections.defaultdict(set)
    for number, text in enumerate(texts):
        lines = [line.strip() for line in text.splitlines()]
        code = [line for line in lines if re.search(r"[a-z]", line) and not line.startswith(("#", "import ", "from "))]
        for place in range(len(code) - DUPLICATE + 1):
            files_of_run[tuple(code[place : place + DUPLICATE])].add(number)
    pairs = {pair for files in files_of_run.values() for pair in itertools.combinations(sorted(files), 2)}
    return len(pairs)


def unpacked(commit: str, folder: Path) -> Path:
    """Write the package as it was at a commit into a folder, and return the folder."""
    command = ["git", "-C", str(ROOT), "archive", commit, PACKAGE]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{commit} is no commit of this repository that has {PACKAGE}/")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def column(root: Path, *, types: bool) -> dict[str, str]:
    """Return the figures of the package below a folder."""
    found = figures(root / PACKAGE)
    return {**found, "errors of `mypy --strict`": type_errors(root)} if types else found


def table(columns: dict[str, dict[str, str]]) -> str:
    """Return a Markdown table with a row for each figure."""
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name in next(iter(columns.values())):
        lines.append(f"| {name} | {' | '.join(found[name] for found in columns.values())} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types", action="store_true", help="with the errors of mypy --strict")
    parser.add_argument("commits", nargs="*", help="by default the files as they lie here")
    arguments = parser.parse_args()
    columns = {}
    for commit in arguments.commits:
        with tempfile.TemporaryDirectory() as folder:
            columns[commit] = column(unpacked(commit, Path(folder)), types=arguments.types)
    if not columns:
        columns["here"] = column(ROOT, types=arguments.types)
    print(table(columns))


if __name__ == "__main__":
    main()
