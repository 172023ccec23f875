"""Tables, temporary names and recorded values of a run folder that may be untrusted."""

import os

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from segbench.config.quoting import rendered
from segbench.core.errors import CheckpointError, ConfigError
from segbench.core.files import write_atomic
from segbench.runs.metrics_log import MetricsLog, read_metrics


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "must begin with split, epoch, step"),
        ("split,epoch,step," + "x" * 200_000, "field larger"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_table_that_is_none(tmp_path, text, message):
    path = tmp_path / "metrics.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=message):
        MetricsLog(path, ["loss"])


def test_a_table_with_rubbish_among_its_rows(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("")
    MetricsLog(path, ["loss"]).add("epoch", 0, step=1, values={"loss": 0.5})
    with path.open("a") as file:
        file.write("\n=cmd(),1\nepoch,1,x,1\nepoch,1," + "9" * 5000 + ",1\nepoch,2,3,0.25,more\nepoch,")
    rows = [
        {"split": "epoch", "epoch": 0, "step": 1, "loss": 0.5},
        {"split": "epoch", "epoch": 2, "step": 3, "loss": 0.25},
    ]
    assert read_metrics(path) == rows


def test_a_temporary_name_that_is_taken_by_a_link(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    (tmp_path / f".status.json.{os.getpid()}.tmp").symlink_to(precious)
    write_atomic(tmp_path / "status.json", "{}")
    assert precious.read_text() == "precious"
    assert (tmp_path / "status.json").read_text() == "{}"


VALUES = [
    "",
    "a",
    "it's",
    "a\\",
    "a\\'b",
    "\\\\",
    "'",
    "\\'",
    "\\\\'\\'",
    "1e-3",
    "null",
    "true",
    "x\ny",
    " ü=,[]{}:() ",
    "$x",
    "\t",
    '"',
    "%*@?|",
    "\x1b[31m",
    1,
    -5,
    0.1,
    1e-5,
    1e300,
    float("inf"),
    True,
    False,
    None,
    [],
    {},
    [1, "a", [None, {"b": True}]],
    {"lr": 1e-3, "betas": [0.9, 0.999], "n": {"a-b": "x'y"}},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_rendered_values_are_read_as_they_were(value):
    read = OverridesParser.create().parse_override(f"key={rendered(value)}").value()
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("value", [{"a.b": 1}, {1: 2}, {"null": 1}, {"x y": 1}, {1, 2}, b"x", object], ids=repr)
def test_what_cannot_be_rendered(value):
    with pytest.raises(ConfigError, match="cannot be given as a setting"):
        rendered(value)
