"""Plain words and one thought a line: what review agreed on and a linter does not know."""

import ast
import importlib
import operator
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


@pytest.mark.parametrize("path", FILES, ids=name)
def test_each_assignment_has_its_own_line(path):
    assert list(packed(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_ternary_stands_in_a_ternary(path):
    nested = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.IfExp) and any(isinstance(part, ast.IfExp) for part in (node.body, node.orelse))
    ]
    assert nested == []


def test_ternaries_are_rare():
    """An early return or a default and an `if` say most branches more plainly; anchors have 3 to 6 a thousand lines."""
    texts = [path.read_text(encoding="utf-8") for path in FILES]
    lines = sum(len(text.splitlines()) for text in texts)
    ternaries = sum(isinstance(node, ast.IfExp) for text in texts for node in ast.walk(ast.parse(text)))
    assert ternaries < 12 * lines / 1000


def test_files_and_functions_are_read_in_one_sitting():
    long_files = [name(path) for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 360]
    long_functions = [
        f"{name(path)}: {function.name}"
        for path in FILES
        for function, _ in functions_of(ast.parse(path.read_text(encoding="utf-8")))
        if function.end_lineno - function.lineno >= 60
    ]
    assert (long_files, long_functions) == ([], [])


def is_data(node):
    """Whether a class is a dataclass or a tuple with names, whose fields are all that there is of it."""
    return any("dataclass" in ast.unparse(one) for one in node.decorator_list) or "NamedTuple" in map(
        ast.unparse, node.bases
    )


@pytest.mark.parametrize("path", FILES, ids=name)
def test_each_field_of_a_dataclass_has_its_own_docstring(path):
    silent = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and is_data(node):
            following = [*node.body[1:], None]
            silent += [
                f"{node.name}.{ast.unparse(field.target)}"
                for field, after in zip(node.body, following, strict=True)
                if isinstance(field, ast.AnnAssign)
                and not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant))
            ]
    assert silent == []


def functions_of(node, owner=None):
    """Yield every function below a node with the path of the class it is a method of; None for no method."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from functions_of(child, f"{owner}.{child.name}" if owner else child.name)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child, owner
            yield from functions_of(child)
        else:
            yield from functions_of(child, owner)


def by_position(function):
    """Return the arguments that a call may pass either way, without `self`; those before a slash have no names."""
    names = [argument.arg for argument in function.args.args]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def is_called_by_others(path, function, owner):
    """Whether Python or another library calls a function: by a name of theirs, with arguments as they please."""
    if function.name.startswith("__") and function.name not in ("__init__", "__call__"):
        return True
    if owner is None or function.name == "__init__":
        return False
    module = importlib.import_module(f"segbench.{name(path).removesuffix('.py').replace('/', '.')}")
    bases = operator.attrgetter(owner)(module).__mro__[1:]
    return any(function.name in vars(base) for base in bases if not base.__module__.startswith("segbench."))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_arguments_from_the_third_on_are_passed_by_name(path):
    found = [
        f"{function.name}({', '.join(by_position(function))})"
        for function, owner in functions_of(ast.parse(path.read_text(encoding="utf-8")))
        if len(by_position(function)) > 2 and not is_called_by_others(path, function, owner)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def f(a, b, c): ...", ["a", "b", "c"]),
        ("def f(self, a, b, *, c): ...", ["a", "b"]),
        ("def f(a, b, c, /): ...", []),
    ],
)
def test_what_a_call_may_pass_by_position(text, names):
    ((function, _),) = functions_of(ast.parse(text))
    assert by_position(function) == names
