"""What a resume and an evaluation may change of the configuration that a run folder holds."""

import pytest
import yaml

from segbench.config.compose import chosen_options, compose_config, run_config
from segbench.config.continued import continued_config
from segbench.config.saved import read_saved_config, saved_config, with_changes
from segbench.core.errors import ConfigError


def saved_run(*words):
    composed = compose_config(list(words))
    return {**run_config(composed).plain(), "about": {"choices": chosen_options(composed)}}


@pytest.mark.parametrize(
    ("began", "word", "value"),
    [
        (["data.cache=auto"], "data.cache=null", None),
        (["data.cache=/tmp/pixels"], "data.cache=null", None),
        (["data.cache=null"], "data.cache=auto", "auto"),
        (["data.range=auto"], "data.range=[0,10]", [0, 10]),
        (["data.range=[0,10]"], "data.range=auto", "auto"),
        ([], "data.lists=null", None),
        (["data.lists={train: a.txt}"], "data.lists=null", None),
        (["data.labels={7: foreground}"], "+data.labels.9=background", {"7": "foreground", "9": "background"}),
        (["data.labels={7: foreground}"], "data.labels={8: foreground}", {"8": "foreground"}),
    ],
)
def test_an_argument_may_become_what_its_class_takes(began, word, value):
    saved = saved_run("data=folder", *began)
    name = word.partition("=")[0].lstrip("+").split(".")[1]
    resumed, _ = continued_config(saved, [word], where="run")
    assert resumed.data.arguments[name] == value
    assert with_changes(saved, [word])["data"][name] == value


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.cache=5", r"^data\.cache must be text or null \(the default is auto\), got 5$"),
        ("data.size=9", r"^data\.size must be a list \(a whole number each\) .*, got 9$"),
        ("data.batch_size=x", r"^data\.batch_size must be a whole number \(the default is 16\), got 'x'$"),
        ("data.batch_size=null", r"^data\.batch_size must be a whole number \(the default is 16\), got nothing$"),
        ("data.cach=null", r"^there is no setting 'data\.cach'; did you mean 'cache'\?$"),
    ],
)
def test_anything_else_is_refused(word, message):
    with pytest.raises(ConfigError, match=message):
        continued_config(saved_run("data=folder"), [word], where="run")


LATER = {
    "model": ["init_from"],
    "optimizer": ["encoder_lr_factor", "layer_decay", "decay_norms"],
    "trainer": ["freeze", "unfreeze_at", "sync_batchnorm"],
}


@pytest.mark.parametrize(("optimizer", "all_decayed"), [("adamw", True), ("adam", False)])
def test_a_run_of_before_a_setting_goes_on_as_it_began(tmp_path, optimizer, all_decayed):
    saved = saved_run(f"optimizer={optimizer}")
    whole = saved_config(saved).plain()
    for part, names in LATER.items():
        for name in names:
            del saved[part][name]
    del saved["weights"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(saved))
    read = saved_config(read_saved_config(tmp_path / "config.yaml")).plain()
    whole["optimizer"]["decay_norms"] = all_decayed  # all weights decayed before there was the setting
    assert read == whole
