"""Tags and notes of runs, which are no settings, and runs that are left out of comparisons without being deleted."""

from __future__ import annotations

import json

import pytest
import yaml

from segbench.commands.compare import compare
from segbench.commands.hide import hide_runs, unhide_runs
from segbench.compare.comparison import compare_runs
from segbench.config.compose import compose_config, run_config
from segbench.config.resume_rules import differing_settings
from segbench.config.words import spelled_out
from segbench.core.errors import CheckpointError, ConfigError
from tests.support.fake_runs import write_run


def tagged(path, tags, note=None, **more):
    run = write_run(path, **more)
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "tags": tags, "note": note}, sort_keys=False))
    return run


def composed(*words):
    return run_config(compose_config(spelled_out(words)))


@pytest.mark.parametrize(
    ("word", "tags"), [("tags=paper", ["paper"]), ("tags=paper,v1.2", ["paper", "v1.2"]), ("tags=[a,b]", ["a", "b"])]
)
def test_tags_are_typed_with_or_without_brackets(word, tags):
    assert list(composed(word).tags) == tags


def test_a_note_is_text_whatever_is_in_it():
    note = "lr=1e-2, too high? it's [odd]"
    assert composed(f"note={note}").note == note


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tags=['two words']", "tags must be words"),
        ("tags=[1]", r"tags must be a list \(text each\) such as \[paper,draft\] .* got \[1\]"),
        (f"tags=[{'x' * 41}]", "tags must be words of 1 to 40"),
        (f"tags=[{','.join(f't{k}' for k in range(21))}]", "at most 20 tags, got 21"),
        (f"note={'x' * 501}", "note must be a line of at most 500"),
    ],
)
def test_what_is_no_tag_and_no_note_is_refused(word, said):
    with pytest.raises(ConfigError, match=said):
        composed(word)


def test_they_are_no_settings(tmp_path):
    tagged(tmp_path / "a", ["paper"], "the first", seed=1, score=0.8)
    tagged(tmp_path / "b", ["draft"], "the second", seed=2, score=0.7)
    found = compare_runs([tmp_path])
    assert (found.columns, len(found.groups)) == ([], 1)
    assert [(run.tags, run.note) for run in found.groups[0].runs] == [
        (["paper"], "the first"),
        (["draft"], "the second"),
    ]
    before, now = composed("tags=a", "note=one"), composed("tags=b", "note=two")
    assert differing_settings(before.plain(), now) == []


def test_a_tag_that_no_run_has_is_a_mistake(tmp_path):
    write_run(tmp_path / "a")  # of a time without tags: no such setting
    with pytest.raises(ConfigError, match="tags=x: no run there has tags; a run gets them as train.py tags=paper,dra"):
        compare_runs([tmp_path], filters=["tags=x"])
    with pytest.raises(ConfigError, match="no run has a setting 'tag'; did you mean 'tags'"):
        compare_runs([tmp_path], filters=["tag=x"])
    assert len(compare_runs([tmp_path], filters=["tags!=x"]).runs) == 1
    tagged(tmp_path / "b", ["paper"], seed=2)
    with pytest.raises(ConfigError, match="tags=papper: no run has that tag; did you mean 'paper'"):
        compare_runs([tmp_path], filters=["tags=papper"])
    assert [run.name for run in compare_runs([tmp_path], filters=["tags=papper,paper"]).runs] == ["b"]


def test_filter_takes_runs_with_any_of_the_tags(tmp_path):
    for name, tags in {"a": ["paper", "old"], "b": ["draft"], "c": []}.items():
        tagged(tmp_path / name, tags, loss=name)
    write_run(tmp_path / "before-there-were-tags", loss="d")

    def names(word):
        return [run.name for run in compare_runs([tmp_path], filters=[word]).runs]

    assert names("tags=paper") == ["a"]
    assert names("tags=draft,old") == ["a", "b"]
    assert names("tags!=old") == ["b", "before-there-were-tags", "c"]
    with pytest.raises(ConfigError, match="no run has that tag; choose from draft, old, paper"):
        names("tags=nobody")
    with pytest.raises(ConfigError, match="leaves no readable run of 4"):
        names("tags=draft,tags=old")


def test_hidden_runs_take_no_part_until_they_are_taken_back(tmp_path):
    runs = [write_run(tmp_path / loss, loss=loss, score=score) for loss, score in (("dice", 0.8), ("bce", 0.9))]
    assert "hidden from comparisons" in hide_runs([str(runs[1])], "its masks were wrong")
    assert (runs[1] / "hidden.txt").read_text() == "its masks were wrong\n"
    found = compare_runs([tmp_path])
    assert [run.name for run in found.runs] == ["dice"]
    assert "1 run was hidden with segbench hide and left out; --hidden shows them" in found.notes
    compare([str(tmp_path)], form="json", out=tmp_path / "all.json", hidden=True)
    assert len(json.loads((tmp_path / "all.json").read_text())["groups"]) == 2
    assert "again" in unhide_runs([str(runs[1])])
    again = compare_runs([tmp_path])
    assert len(again.runs) == 2 and not any("hidden" in note for note in again.notes)


def test_hiding_says_what_is_wrong_and_then_hides_nothing(tmp_path):
    run = write_run(tmp_path / "a")
    with pytest.raises(CheckpointError, match="no run folder at"):
        hide_runs([str(run), str(tmp_path / "b")])
    assert not (run / "hidden.txt").exists()
    with pytest.raises(ConfigError, match="is not hidden"):
        unhide_runs([str(run)])
    hide_runs([str(run)])
    with pytest.raises(ConfigError, match=r"every run there \(1\) is hidden; --hidden"):
        compare_runs([tmp_path])
