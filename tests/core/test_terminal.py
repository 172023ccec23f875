"""Standard streams that are closed, full or read by nobody, and lines that break at words."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from segbench.core.errors import ReaderGoneError, TerminalError
from segbench.core.terminal import outliving_the_terminal, standard_streams
from segbench.core.text import for_stream, say, wrapped

ROOT = Path(__file__).parents[2]


@pytest.fixture
def broken():
    """A standard output whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", buffering=1)
    yield stream
    stream.close()


def test_a_reader_that_goes_away_ends_what_only_prints(broken, monkeypatch):
    monkeypatch.setattr(sys, "stdout", broken)
    with pytest.raises(ReaderGoneError), standard_streams():
        print("hello")
    print("to nowhere", flush=True)


def test_a_reader_that_goes_away_does_not_end_long_work(broken, monkeypatch):
    monkeypatch.setattr(sys, "stdout", broken)
    steps = []
    with standard_streams(), outliving_the_terminal():
        for step in range(3):
            print("hello", flush=True)
            Console(force_terminal=True).print("hello")
            steps.append(step)
    assert steps == [0, 1, 2]


def test_a_full_disk_under_the_output(monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(TerminalError, match="No space left on device") as told, standard_streams():
            print("hello")
    assert told.value.exit_code == 4


def test_a_lost_standard_error_is_nothing(monkeypatch):
    file = io.StringIO()
    file.close()
    monkeypatch.setattr(sys, "stderr", file)
    with standard_streams():
        print("hello", file=sys.stderr, flush=True)


def test_closed_streams_are_not_given_to_the_next_file(tmp_path):
    """Without it, the file would get number 1 or 2, and whatever is printed would be written into it."""
    code = (
        "import os, sys; from segbench.core.terminal import open_closed_streams; open_closed_streams()\n"
        f"file = open({str(tmp_path / 'file')!r}, 'w'); file.write(str(file.fileno())); print('x', flush=True)\n"
        "os.write(1, b'printed'); os.write(2, b'printed')"
    )
    command = f'"{sys.executable}" -c "$CODE" <&- >&- 2>&-'
    environment = {**os.environ, "CODE": code, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", command], env=environment, check=False)
    assert done.returncode == 0
    assert int((tmp_path / "file").read_text()) > 2


SENTENCE = "the picture data/some/folder/which/has/a/very/long/name.png cannot be read: it is not a regular file"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_lines_break_at_words(width):
    lines = wrapped(SENTENCE, width).split("\n")
    assert [word for line in lines for word in line.split()] == SENTENCE.split()
    assert all(len(line) <= width or len(line.split()) == 1 for line in lines)


def test_a_message_is_broken_on_a_terminal_alone():
    for terminal, lines in ((True, 4), (False, 1)):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=40)
        say(console, SENTENCE)
        assert len(console.file.getvalue().splitlines()) == lines


def test_an_error_is_one_line_for_a_program():
    assert for_stream(SENTENCE, io.StringIO()) == SENTENCE
