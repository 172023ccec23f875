"""The one reader of files and of YAML that may be untrusted."""

import os
import random

import pytest
import yaml

from segbench.core import plain_yaml
from segbench.core.plain_yaml import DEEPEST, load_plain_yaml
from segbench.core.reading import UnreadableError, read_bytes, read_json, read_text


@pytest.mark.parametrize(
    ("path", "limit", "message"),
    [
        ("/proc/self/cmdline", 1, "is larger than the 1 bytes"),  # it says that it is empty
        ("/dev/zero", 9, "not a regular file"),
        (".", 9, "not a regular file"),
        ("missing", 9, "is missing"),
        ("latin", 9, "is larger"),
        ("latin", 10, "not text in UTF-8"),
        ("pipe", 9, "not a regular file"),
        ("a\0b", 9, "null byte"),
        ("x" * 300, 9, "File name too long"),
    ],
)
def test_what_is_not_read(tmp_path, monkeypatch, path, limit, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin").write_bytes(b"\xff" * 10)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableError, match=message) as caught:
        read_text(type(tmp_path)(path), limit)
    assert str(caught.value) == f"{path} {caught.value.reason}"


def test_a_link_is_followed_where_it_may_be(tmp_path):
    (tmp_path / "file").write_bytes(b"a\r\nb")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_bytes(tmp_path / "link", 4) == b"a\r\nb"
    assert read_text(tmp_path / "link", 4) == "a\r\nb"
    with pytest.raises(UnreadableError, match="is a link, which is not followed"):
        read_bytes(tmp_path / "link", 4, follow_links=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"not JSON \(line 1\)"),
        ("[" * 100_000, "not JSON that can be read"),
        ("[1]", "must hold a JSON object"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON that can be read"),
    ],
)
def test_what_is_no_json_object(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UnreadableError, match=message):
        read_json(tmp_path / "a.json", 1_000_000)


@pytest.fixture(params=["libyaml", "python"])
def loader(request, monkeypatch):
    """Both loaders: PyYAML may have been built without libyaml."""
    if request.param == "python":
        monkeypatch.setattr(plain_yaml, "_Loader", yaml.SafeLoader)


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [x]\nb: [*a]\n", "it uses aliases"),
        ("a: !!binary aGFsbG8=\n", "it uses tags"),
        ("a: !!python/object/apply:os.system ['true']\n", "it uses tags"),
        ("- " * 20_000, f"more than {DEEPEST} levels deep"),
        ("? " * 20_000, f"more than {DEEPEST} levels deep"),
        ("{a: " * 10_000, f"more than {DEEPEST} levels deep"),
        ("[" * 20_000, "cannot be parsed|levels deep"),
        ("a: 1\nb: [1", "line [23] cannot be parsed"),
        ("? [a]\n: 1", "line 1 cannot be parsed"),
        ("a: 1\n---\nb: 2\n", "line 2 cannot be parsed"),
        ("a: 2001-99-99", "month must be in"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
        ("\x1b]0;title\x07", "characters are not allowed"),
    ],
)
def test_what_is_no_plain_yaml(text, message):
    with pytest.raises(ValueError, match=message):
        load_plain_yaml(text)


@pytest.mark.usefixtures("loader")
def test_plain_yaml_is_read_as_pyyaml_reads_it():
    dice = random.Random(0)

    def node(depth):
        if depth == 0 or dice.random() < 0.3:
            return dice.choice(
                [1, 0.001, 1e-8, True, None, "yes", "x y", "", "é", "it's", "0x1F", "1e-3", "a: b", "#", [], {}]
            )
        if dice.random() < 0.5:
            return [node(depth - 1) for _ in range(dice.randrange(4))]
        return {dice.choice("abcdefg"): node(depth - 1) for _ in range(dice.randrange(4))}

    for _ in range(100):
        value = node(5)
        for flow in (True, False):
            assert load_plain_yaml(yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)) == value
