"""Mistakes in the use of the command itself: verbs, options and arguments, in one sentence like all others."""

import os
from pathlib import Path

import pytest

from segbench import cli
from segbench.commands.launch import train_main

VERBS = [
    (["nope"], "there is no command 'nope'; choose from"),
    (["trian"], "there is no command 'trian'; did you mean 'train'?"),
    ([""], "there is no command ''; choose from"),
    (["data", "exprt"], "there is no command 'exprt'; did you mean 'export'?"),
    (["--nope"], "there is no option '--nope'"),
    (["evaluate"], "missing argument 'run'"),
    (["resume"], "missing argument 'run'"),
    (["verify"], "missing argument 'run'"),
    (["predict", "run"], "missing argument 'images'"),
    (["predict", "run", "x.png"], "missing option '--out'"),
    (["predict", "run", "x.png", "--ou", "new"], "there is no option '--ou'; did you mean '--out'?"),
    (["predict", "run", "x.png", "--out", "new", "--side", "x"], "'--side'"),
    (["predict", "run", "x.png", "--out"], "'--out' requires an argument; see"),
    (["evaluate", "run", "--spilt", "val"], "there is no option '--spilt'; did you mean '--split'?"),
    (["evaluate", "run", "--split"], "'--split' requires an argument"),
    (["data", "preview", "--count", "0"], "'--count'"),
    (["data", "preview", "--count", "65"], "'--count'"),
    (["data", "preview", "--count", "x"], "'--count'"),
    (["data", "preview", "-m", "seed=1,2"], "there is no option '-m'"),
    (["data", "preview", "--nope"], "there is no option '--nope'"),
    (["data", "check", "--out"], "'--out' requires an argument"),
    (["data", "export", "out=new", "--count", "0"], "'--count'"),
    (["data", "export", "out=new", "--workers", "-1"], "'--workers'"),
    (["data", "export", "out=new", "--chunk", "x"], "'--chunk'"),
    (["data", "export", "out=new", "--quality", "101"], "'--quality'"),
    (["train", "--epochs", "3"], "there is no option '--epochs'"),
    (["train", "model=unett"], "did you mean 'unet'?"),
]
FLAGS = [
    (["--epochs", "3"], "there is no option '--epochs'; settings are given as key=value"),
    (["--epochs=3"], "there is no option '--epochs'; settings are given as key=value"),
    (["-x"], "there is no option '-x'; settings are given as key=value"),
    (["-"], "unknown option '-'"),
    (["--multirn", "seed=1,2"], "there is no option '--multirn'; did you mean '--multirun'?"),
    (["--config-path", "/etc"], "add options of yours with --config-dir DIR"),
    (["-cp", "/etc"], "add options of yours with --config-dir DIR"),
    (["--config-name", "../x"], "put your settings into an experiment"),
    (["--config-dir", "/nowhere"], "there is no folder /nowhere"),
    (["--config-dir"], "expected one argument"),
    (["--experimental-rerun", "x.pickle"], "it would unpickle a file"),
    (["--cfg"], "expected one argument"),
    (["--cfg", "jobb"], "invalid choice: 'jobb'"),
    (["--cfg", "job", "model=unett"], "did you mean 'unet'?"),
    (["model=unett", "--cfg", "job", "seed=1"], "did you mean 'unet'?"),
    (["+hydra.callbacks.x._target_=os.system"], "'+hydra.callbacks.x._target_=os.system' has no effect"),
    (["resume=nowhere", "--epochs", "3"], "there is no"),
]


@pytest.mark.parametrize(
    ("entry", "words", "message"),
    [*((cli.main, *case) for case in VERBS), *((train_main, *case) for case in FLAGS)],
    ids=[" ".join(words) for words, _ in (*VERBS, *FLAGS)],
)
def test_wrong_use(command, entry, words, message):
    outcome = command(*words, entry=entry)
    assert outcome.code == 2, (outcome.err, outcome.out)
    (line,) = outcome.err.strip().splitlines()
    assert line.startswith("segbench: ")
    assert "Traceback" not in outcome.err + outcome.out
    assert message in line
    assert not list(Path().rglob("*"))


@pytest.mark.parametrize("words", [[], ["data"]])
def test_no_verb_shows_the_help(command, words):
    outcome = command(*words, entry=cli.main)
    assert outcome.code == 2
    assert "Usage: segbench" in outcome.out
    assert not outcome.err


@pytest.mark.parametrize("words", [["-h"], ["evaluate", "--help"], ["data", "-h"]])
def test_help_is_no_mistake(command, words):
    outcome = command(*words, entry=cli.main)
    assert outcome.code == 0
    assert "Usage: segbench" in outcome.out


def test_settings_and_options_mix_in_any_order(command):
    outcome = command("optimizer=sgd", "--cfg", "job", "seed=7", "--package", "optimizer")
    assert outcome.code == 0, outcome.err
    assert "torch.optim.SGD" in outcome.out


def test_escape_codes_in_a_name_do_not_reach_the_terminal(command):
    Path("a\x1b[31m").mkdir()
    outcome = command("evaluate", "a\x1b[31m", entry=cli.main)
    assert outcome.code == 4
    assert "\x1b" not in outcome.err
    assert "[31m is not a run folder" in outcome.err


def test_options_of_ones_own(command):
    """A folder of options given as --config-dir, or as hydra.searchpath, is as strictly checked as segbench's own."""
    Path("mine/optimizer").mkdir(parents=True)
    Path("mine/optimizer/slow.yaml").write_text("_target_: torch.optim.SGD\nlr: 0.5\n")
    before = sorted(Path().rglob("*"))
    for words in (["--config-dir", "mine"], [f"hydra.searchpath=[file://{os.getcwd()}/mine]"]):  # noqa: PTH109
        shown = command(*words, "optimizer=slow", "--cfg", "job", "--package", "optimizer")
        assert shown.code == 0, shown.err
        assert "lr: 0.5" in shown.out
        for word, message in (("optimizer=slw", "slw"), ("optimizer.lr=abc", "optimizer.lr must be a number")):
            outcome = command(*words, "optimizer=slow", word)
            assert outcome.code == 2
            assert len(outcome.err.splitlines()) == 1
            assert message in outcome.err
    assert sorted(Path().rglob("*")) == before
