"""Plain words and one thought a line: what review agreed on and a linter does not know."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "segbench"
FILES = sorted(PACKAGE.rglob("*.py"))

ROOT = PACKAGE.parent
TEXTS = sorted(
    {
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "mkdocs.yml")),
        *(ROOT / "docs").rglob("*.md"),
        *(path for kind in ("md", "yaml") for path in (ROOT / "conf").rglob(f"*.{kind}")),
        *(path for kind in ("md", "py") for path in (ROOT / "scripts").rglob(f"*.{kind}")),
    }
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))

METAPHORS = (
    r"enlarg\w*|so often|person's|strangers?|somebody|anybody|peers?|obituary|harmless\w*|in_words|peace\w*|merits?|fed"
)
BANNED = re.compile(rf"\b({METAPHORS}|persons?|desk|widen\w*)\b", re.IGNORECASE)
"""Metaphors and coy words; the field says upsample, user, untrusted, worker, rank."""

BANNED_IN_TEXTS = re.compile(rf"\b({METAPHORS}|the persons?)\b", re.IGNORECASE)
"""The same where classes of data sets are named, such as person and desk, and intervals widen."""

UNPACKED = ("core", "runs", "compare", "report", "models", "losses", "metrics", "data/scenes")
"""Rooms in which each assignment has its own line."""

NESTED = {"commands/predict.py", "config/saved.py", "data/files/folder.py"}
"""Files that still have a ternary in a ternary."""


def name(path):
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_words_are_plain(path):
    found = {match[0] for match in BANNED.finditer(path.read_text(encoding="utf-8"))}
    assert found == set()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_words_of_the_documentation_are_plain(path):
    found = {match[0] for match in BANNED_IN_TEXTS.finditer(path.read_text(encoding="utf-8"))}
    assert found == set()


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_in_tests_are_plain(path):
    defined = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = [node.name for node in defined if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    words = " ".join([path.stem, *names]).replace("_", " ")
    assert {match[0] for match in BANNED_IN_TEXTS.finditer(words)} == set()


def packed(tree):
    """Yield assignments of several values to several names that are no swap."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)):
            continue
        for target in node.targets:
            if isinstance(target, ast.Tuple):
                assigned = {ast.unparse(one) for one in target.elts}
                read = {ast.unparse(one) for one in ast.walk(node.value) if isinstance(one, ast.expr)}
                if not assigned & read:
                    yield node.lineno


@pytest.mark.parametrize(
    "path", [path for path in FILES if name(path).startswith(tuple(f"{room}/" for room in UNPACKED))], ids=name
)
def test_each_assignment_has_its_own_line(path):
    assert list(packed(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", [path for path in FILES if name(path) not in NESTED], ids=name)
def test_no_ternary_stands_in_a_ternary(path):
    nested = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.IfExp) and any(isinstance(part, ast.IfExp) for part in (node.body, node.orelse))
    ]
    assert nested == []


@pytest.mark.parametrize("room", ["core", "runs"])
def test_each_field_of_a_dataclass_has_its_own_docstring(room):
    silent = []
    for path in (PACKAGE / room).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(one) for one in node.decorator_list):
                following = [*node.body[1:], None]
                silent += [
                    f"{name(path)}: {node.name}.{ast.unparse(field.target)}"
                    for field, after in zip(node.body, following, strict=True)
                    if isinstance(field, ast.AnnAssign)
                    and not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant))
                ]
    assert silent == []
