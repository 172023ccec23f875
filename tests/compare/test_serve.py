"""The live page: on loopback only, made anew at most every few seconds, nothing but the page."""

from __future__ import annotations

import time
from http.client import HTTPConnection

import pytest

from segbench import cli
from segbench.commands.compare import compared
from segbench.commands.serve import make_server
from segbench.core.errors import ConfigError
from tests.support.fake_runs import write_run
from tests.support.served import serving


def served(read, seconds):
    return serving(make_server(read, 0, seconds=seconds))


def ask(server, path="/", host=None):
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer, answer.read().decode()


def test_the_page_follows_the_runs(tmp_path):
    with served(lambda: compared([str(tmp_path)]), 0.0) as server:
        assert server.server_address[0] == "127.0.0.1"
        answer, page = ask(server)
        assert answer.status == 200 and "there are no runs below" in page
        write_run(tmp_path / "a", loss="dice", score=0.8123)
        write_run(tmp_path / "b", loss="focal", state="running")
        answer, page = ask(server)
        assert "0.8123" in page and answer.headers["Refresh"] == "30"
        (tmp_path / "b" / "status.json").write_text('{"state": "interrupted"}')
        answer, page = ask(server)
        assert answer.headers["Refresh"] is None and answer.headers["Cache-Control"] == "no-store"
        write_run(tmp_path / "c", loss="tversky", finished=time.time())
        assert ask(server)[0].headers["Refresh"] == "30"  # between two runs of a sweep


def test_folders_are_looked_at_once_in_a_while(tmp_path):
    write_run(tmp_path / "a")
    looks = []

    def read():
        looks.append(1)
        return compared([str(tmp_path)])

    with served(read, 100.0) as server:
        assert [ask(server)[0].status for _ in range(3)] == [200, 200, 200]
    assert len(looks) == 1


def test_nothing_else_is_served_and_no_other_name_is_answered(tmp_path):
    write_run(tmp_path / "a")
    with served(lambda: compared([str(tmp_path)]), 100.0) as server:
        assert ask(server, "/a/config.yaml")[0].status == 404
        assert ask(server, "/../../etc/passwd")[0].status == 404
        assert ask(server, "/", host=f"evil.example:{server.server_port}")[0].status == 403
        assert ask(server, "/", host=f"localhost:{server.server_port}")[0].status == 200
        with pytest.raises(ConfigError, match=f"--port {server.server_port} cannot be served: .*give another, or 0"):
            make_server(lambda: compared([str(tmp_path)]), server.server_port)


def test_a_mistake_is_said_at_once_and_no_runs_are_none(tmp_path):
    write_run(tmp_path / "a" / "run")
    with pytest.raises(ConfigError, match="--metric: no run has 'tset/mean_iou'"):
        make_server(lambda: compared([str(tmp_path / "a")], metric="tset/mean_iou"), 0)
    with served(lambda: compared([str(tmp_path / "later")], metric="tset/mean_iou"), 100.0) as server:
        assert "there is no folder" in ask(server)[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--serve", "--format", "csv"), "--serve shows the page in a browser alone; leave --format out"),
        (("--serve", "--watch", "--out", "x"), "leave --watch and --out out"),
        (("--port", "1"), "--port 1 is the port of --serve"),
    ],
)
def test_options_without_effect_are_refused(command, tmp_path, words, said):
    outcome = command("compare", str(tmp_path), *words, entry=cli.main)
    assert outcome.code == 2 and said in outcome.err
