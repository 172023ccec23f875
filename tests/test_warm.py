"""A fork of the server is what a new Python would be, for all that tests look at."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support import warm
from tests.support.warm_python import file_of

SCRIPT = """
import atexit, os, sys
atexit.register(lambda: print("at its end"))
print(sys.argv[1:], os.environ["WORD"], os.getcwd(), os.getpgrp() == os.getpid(), "torch" in sys.modules, __name__)
print("oops", file=sys.stderr)
import marked
sys.exit({ending})
"""


def made(folder, ending):
    (folder / "script.py").write_text(SCRIPT.format(ending=ending))
    (folder / "hooks").mkdir(exist_ok=True)
    (folder / "hooks" / "sitecustomize.py").write_text("import sys, types\nsys.modules['marked'] = types\n")
    return {"cwd": folder, "env": {**os.environ, "WORD": "x", "PYTHONPATH": str(folder / "hooks")}}


def test_it_has_a_command_line_variables_a_folder_a_session_and_an_end_of_its_own(tmp_path):
    done = warm.run([str(tmp_path / "script.py"), "a", "b"], **made(tmp_path, "7"))
    assert done.returncode == 7
    assert done.stdout == f"['a', 'b'] x {tmp_path} True True __main__\nat its end\n"
    assert done.stderr == "oops\n"
    assert "marked" not in sys.modules


def test_an_error_and_a_signal_end_it_as_they_end_any_process(tmp_path):
    failed = warm.run([str(tmp_path / "script.py")], **made(tmp_path, "1 / 0"))
    assert failed.returncode == 1
    assert failed.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert warm.run([str(tmp_path / "script.py")], **made(tmp_path, "'a sentence'")).stderr == "oops\na sentence\n"
    stopped = warm.run([str(tmp_path / "script.py")], **made(tmp_path, "os.kill(os.getpid(), 15)"))
    assert stopped.returncode == -signal.SIGTERM


def test_it_can_be_killed_with_all_that_it_started(tmp_path):
    made(tmp_path, "0")
    script = tmp_path / "script.py"
    script.write_text("import os, time; os.fork(); open(str(os.getpid()), 'w'); time.sleep(600)")
    with Path(os.devnull).open("w") as null:
        process = warm.start([str(script)], cwd=tmp_path, env=dict(os.environ), stdout=null, stderr=null)
        while len(list(tmp_path.glob("[0-9]*"))) < 2:
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def test_code_of_a_launcher_is_never_seen_half_written(tmp_path):
    """Several processes are started with the same code at once; an empty file would end as if all was well."""
    code = "x = 1\n" * 50_000
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: file_of(code, tmp_path).read_text() == code, range(64)))
    assert all(seen)
    assert len(list(tmp_path.iterdir())) == 1
