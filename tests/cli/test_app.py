"""The server of `segbench app`: what is served to whom, what is refused, and how it ends."""

from __future__ import annotations

import html
import os
import signal
import threading

import numpy as np
import pytest

from segbench import cli
from segbench.commands import app, app_runs
from segbench.commands.app import AppServer
from segbench.commands.page_server import PageServer
from segbench.core.errors import ConfigError, DataError
from tests.support.served import FakeRun, ask, post, serving

MAPS = {"picture": np.zeros((2, 3, 3), np.uint8), "mask": np.array([[0, 1, 2], [2, 1, 0]], np.uint8)}


def server_of(*runs, host="127.0.0.1"):
    return serving(AppServer(runs or [FakeRun(maps=MAPS)], 0, host=host))


def test_the_page_asks_its_own_server_alone():
    with server_of(FakeRun("<b>one</b>"), FakeRun("two")) as server:
        assert server.server_address[0] == "127.0.0.1"
        status, page, answer = ask(server)
        assert status == 200 and answer.headers["Cache-Control"] == "no-store"
        text = html.unescape(page.decode())
        assert "default-src 'none'" in text and "connect-src 'self'" in text and b"<b>one" not in page
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
        assert ask(server, "/app.js")[0] == ask(server, "/../../etc/passwd")[0] == 404


def test_what_a_run_says_comes_back_to_the_bit():
    run = FakeRun(maps=MAPS | {"depth": np.array([[0.5, 1, 2], [3, 4, 1e-9]], np.float32)})
    with server_of(FakeRun(), run) as server:
        status, answer = post(server, b"a picture and more", run=1, name="a.TIFF", behind=4, behind_name="b")
    assert status == 200 and (answer["height"], answer["width"]) == (2, 3)
    assert answer["maps"]["mask"].tolist() == [0, 1, 2, 2, 1, 0]
    assert np.array_equal(answer["maps"]["depth"], run.maps["depth"].ravel())
    assert run.asked == [("picture.tiff", b"a picture and ", b"more")]
    assert not run.folder.exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "../../x.py", "a.png/../../b", "", "\0.png\0", "x" * 5000])
def test_no_path_of_a_browser_is_opened(name):
    run = FakeRun(maps=MAPS)
    with server_of(run) as server:
        assert post(server, b"x", name=name)[0] == 200
    assert run.asked == [("picture", b"x", None)]
    assert run.folder.name.startswith("segbench-")


def test_other_sites_are_refused():
    run = FakeRun(maps=MAPS)
    with server_of(run) as server:
        own = f"127.0.0.1:{server.server_port}"
        for host in (
            "evil.example",
            f"evil.example:{server.server_port}",
            "192.0.2.1",
            "[::1",
            "localhost.evil.example",
        ):
            assert ask(server, Host=host)[0] == 403
            assert ask(server, "/predict", method="POST", body=b"x", Host=host)[0] == 403
        for origin in ("http://evil.example", "null", "http://localhost:1"):
            assert ask(server, "/predict", method="POST", body=b"x", Host=own, Origin=origin)[0] == 403
        assert run.asked == []
        assert ask(server, "/predict", method="POST", body=b"x", Host=own, Origin=f"http://{own}")[0] == 200
        assert ask(server, Host=f"localhost:{server.server_port}")[0] == 200


def test_an_open_address_is_told_and_answers_to_addresses():
    with server_of(host="0.0.0.0") as server:
        assert server.is_open
        assert ask(server, Host="192.0.2.1:80")[0] == 200
        assert ask(server, Host="evil.example")[0] == 403
    with server_of(host="localhost") as server:
        assert not server.is_open


def test_what_cannot_be_used_is_said_in_one_sentence(monkeypatch):
    run = FakeRun(maps=MAPS)

    def fails(error):
        def answer(*words, **named):
            raise error

        return answer

    with server_of(run) as server:
        assert post(server, b"x", run=3) == (422, "there is no run 3; choose from 0 to 0")
        assert post(server, b"x", run="../0")[0] == post(server, b"x", behind=-1)[0] == 422
        assert post(server, b"x", behind=1) == post(server, b"") == (422, "an empty file")
        assert ask(server, "/other", method="POST", body=b"x")[0] == 404
        monkeypatch.setattr(app, "MOST_BYTES", 3)
        assert post(server, b"four")[1] == "4 bytes, more than the 3 that are taken; segbench predict reads it"
        assert run.asked == []
        run.answer = fails(DataError("damaged: no end"))
        assert post(server, b"x") == (422, "damaged: no end")
        run.answer = fails(RuntimeError("out of memory"))
        assert post(server, b"x") == (500, "this picture cannot be predicted: RuntimeError: out of memory")
        del run.answer
        assert post(server, b"x")[0] == 200


def test_one_picture_is_predicted_at_a_time_and_an_end_waits_for_it():
    entered = threading.Semaphore(0)
    leave = threading.Semaphore(0)
    active = []
    most = []

    class Slow(FakeRun):
        def answer(self, file, background, *, lock):
            with lock:
                active.append(1)
                most.append(len(active))
                entered.release()
                leave.acquire()
                active.pop()
            return b"{}\n"

    with serving(AppServer([Slow(), Slow()], 0, host="127.0.0.1")) as server:
        asking = [
            threading.Thread(target=ask, args=(server, f"/predict?run={k}"), kwargs={"method": "POST", "body": b"x"})
            for k in (0, 1)
        ]
        for thread in asking:
            thread.start()
        entered.acquire()
        leave.release()
        entered.acquire()  # the second one begins when the first has left
        ending = threading.Thread(target=server.server_close)
        ending.start()
        assert ending.is_alive() and active == [1]
        leave.release()
        for thread in [ending, *asking]:
            thread.join()
        assert most == [1, 1]
        server.lock.release()


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)])
@pytest.mark.parametrize("words", [("app", "run", "--open"), ("compare", "--serve")])
def test_a_signal_ends_a_server(command, monkeypatch, words, name, code):
    opened = []
    monkeypatch.setattr(app_runs, "load_runs", lambda *words, **named: [FakeRun("a\x1b[1m")])
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(PageServer, "serve_forever", lambda self: os.kill(os.getpid(), getattr(signal, name)))
    outcome = command(*words, "--port", "0", entry=cli.main)
    assert outcome.code == code
    assert outcome.err == "segbench: no longer served\n"
    assert "Ctrl-C ends it" in outcome.out and "\x1b" not in outcome.out
    assert len(opened) == (words[0] == "app")


def test_addresses_that_cannot_be_served(command, monkeypatch):
    with server_of() as server:
        port = server.server_port
        with pytest.raises(ConfigError, match=f"--port {port} cannot be served: .*give another, or 0 for any free one"):
            AppServer([FakeRun()], port, host="127.0.0.1")
    monkeypatch.setattr(app_runs, "load_runs", lambda *words, **named: [FakeRun()])
    outcome = command("app", "run", "--host", "192.0.2.1", entry=cli.main)
    assert outcome.code == 2 and "--host 192.0.2.1 --port 8721 cannot be served" in outcome.err
