"""How a comparison is laid out: what tells rows apart and the score, at any width, a line a row."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from segbench.compare.as_json import to_json
from segbench.compare.comparison import compare_runs
from segbench.compare.labels import setting_words, short_names, shorten, shorten_apart
from segbench.compare.tables import to_csv, to_markdown
from segbench.compare.terminal import print_comparison
from tests.support.fake_runs import some_counts, write_run

LONG = "smp_unet_with_an_encoder_of_a_long_name"


def printed(folder, width):
    text = io.StringIO()
    print_comparison(Console(file=text, width=width, color_system=None), compare_runs([folder]))
    return text.getvalue()


def tables(text):
    """The lines of the tables, without sentences, which the terminal wraps."""
    return text.split("95 % interval: of")[0].splitlines()


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """A day of mixed runs: two data sets, several settings, and a run that failed."""
    folder = tmp_path_factory.mktemp("day")
    number = 0
    for data, scheduler in (("fgbg", "onecycle"), ("camvid", "poly")):
        for loss in ("dice", "focal"):
            for lr in ("0.001", "0.0003"):
                for seed in (1, 2, 3):
                    number += 1
                    counts = some_counts(30, 0.8 - 0.1 * (loss == "focal"), number)
                    write_run(
                        folder / f"{number:03d}_{data}-{loss}-{lr}-{seed}",
                        seed=seed,
                        loss=loss,
                        lr=lr,
                        data=data,
                        scheduler=scheduler,
                        model=f"{LONG}_{loss}",
                        fingerprint=data,
                        counts=counts,
                        costs={"parameters": 1000.0 * number},
                        finished=float(number),
                    )
    write_run(folder / "a_folder_of_a_long_name" / "2026-11-21_05-01-34-281", state="failed", error="why " * 60)
    return folder


@pytest.mark.parametrize("width", [80, 100, 132, 200])
def test_every_row_is_one_line_that_ends_with_the_score(day, width):
    lines = tables(printed(day, width))
    assert all(len(line) <= width for line in lines if " to 0." in line or "against best" in line)
    rows = [line for line in lines if " to 0." in line]
    assert len(rows) == 8 and not any("…" in line for line in lines)
    assert sum(line.startswith("*") for line in rows) == 2
    heads = [line.split() for line in lines if "mean_iou" in line and " to 0." not in line]
    names = ["val/mean_iou", "test/mean_iou"] if width > 80 else ["mean_iou", "mean_iou"]
    assert len(heads) == 2 and all([name for name in names if name in head] == names for head in heads)


def test_at_80_columns_the_choice_stands_beside_the_report_and_names_that_share_their_ends_stay_apart(tmp_path):
    for number, model in enumerate(("smp_unet_efficientnet", "smp_fpn_efficientnet", "fcn_resnet")):
        for loss in ("dice", "focal"):
            for lr in ("0.001", "0.0003"):
                counts = some_counts(30, 0.8, number)
                write_run(tmp_path / f"{model}-{loss}-{lr}", model=model, loss=loss, lr=lr, counts=counts, val=0.4321)
    lines = printed(tmp_path, 80).splitlines()
    above = next(line for line in lines if "val/" in line)
    assert above.split()[:2] == ["val/", "test/"]
    rows = [line.removeprefix("*").split() for line in lines if " 0.4321 " in line]
    assert len(rows) == 12 and len({tuple(row[:3]) for row in rows}) == 12


def test_data_sets_stand_apart_with_the_newest_first_and_what_they_share_is_said_once(day):
    lines = tables(printed(day, 200))
    titles = [line for line in lines if line.startswith("data ")]
    assert len(titles) == 2
    assert "data=camvid" in titles[0] and "data=fgbg" in titles[1]
    assert "scheduler=poly" in titles[0] and "n=3" in titles[0]
    heads = [line for line in lines if "against best" in line]
    assert all("scheduler" not in line and "FLOPs" not in line for line in heads)
    assert all(line.split()[:3] == ["model", "loss", "lr"] for line in heads)


def test_settings_that_do_not_fit_become_one_column_of_differences(day):
    lines = tables(printed(day, 66))
    title = " ".join(line.strip() for line in lines)
    assert f"else model={LONG}_dice loss=dice lr=0.0003" in title  # of values as common as others the first row's
    assert any("settings" in line and "mean_iou" in line for line in lines)
    assert any("loss=focal" in line and " to 0." in line for line in lines)  # a value is shortened, not the whole
    assert any("lr=0.001" in line for line in lines)
    assert any(line.startswith("no room for ") and "params" in line for line in lines)


def test_runs_without_numbers_take_one_line_each(day):
    text = printed(day, 80)
    (line,) = [line for line in text.splitlines() if line.startswith("failed ")]
    assert len(line) <= 80 and "_05-01-34-281" in line and "why" in line


def test_a_sentence_leaves_out_what_both_sides_share(day):
    text = printed(day, 200)
    assert f"model={LONG}_focal loss=focal is worse than model={LONG}_dice loss=dice: " in text
    assert "data A: " in text and "data B: " in text


def test_shortened_text_keeps_its_end():
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert shorten("model_of_long_name_a", 10) == "mod..ame_a" and len(shorten("x" * 300, 10)) == 10


@pytest.mark.parametrize(
    ("texts", "most", "shown"),
    [
        (["smp_unet_efficientnet", "smp_fpn_efficientnet"], 14, ["..unet_effic..", "..fpn_effici.."]),
        (["a_common_name_1", "a_common_name_2"], 8, ["a_..me_1", "a_..me_2"]),
        (["x" * 20 + "1" + "y" * 20, "x" * 20 + "2" + "y" * 20], 10, ["..1yyyyy..", "..2yyyyy.."]),
        (["x" * 20 + "1" + "y" * 9, "x" * 20 + "1" + "z" + "y" * 8], 10, ["..yyyyyy..", "..zyyyyy.."]),
        (["short", "short", "other"], 7, ["short", "short", "other"]),
    ],
)
def test_texts_are_shortened_so_that_they_stay_apart(texts, most, shown):
    found = shorten_apart(texts, most)
    assert all(len(text) <= most for text in found) and len(set(found)) == len(set(texts))
    assert found == shown


def test_settings_go_by_their_last_word_unless_two_end_alike():
    assert short_names(["model", "optimizer.lr", "loss.weight", "model.weight"]) == [
        "model",
        "lr",
        "loss.weight",
        "model.weight",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0.0005778009839797965", "0.000577801"),
        ("5.778009839797965e-05", "5.77801e-05"),
        ("-0.12345678901", "-0.123457"),
        ("0.001", "0.001"),
        ("0.0009375", "0.0009375"),
        ("12345678901234567890", "12345678901234567890"),
        ("1.2.3.4.5.6.7", "1.2.3.4.5.6.7"),
        ("a" * 60, "a" * 60),
        ("a" * 40 + "b" * 40, "a" * 20 + ".." + "b" * 38),
    ],
)
def test_a_setting_of_many_digits_or_characters_is_told_in_few(value, shown):
    assert setting_words(value) == shown


def test_digits_that_a_search_drew_are_not_all_read_out_but_are_in_the_files(tmp_path):
    lr = "0.0005778009839797965"
    for number, rate in enumerate((lr, "0.0009619327748472285")):
        write_run(tmp_path / str(number), lr=rate, counts=some_counts(30, 0.8 - number / 10, number))
    found = compare_runs([tmp_path])
    text = printed(tmp_path, 200)
    assert "optimizer.lr=0.000961933 and optimizer.lr=0.000577801: " in text and lr not in text
    assert lr in to_csv(found) and lr in to_json(found) and lr not in to_markdown(found)


def test_sentences_on_one_of_several_data_sets_leave_out_what_its_settings_share(day):
    found = compare_runs([day])
    said = [
        text
        for answer in found.answers
        for text in answer.sentences
        if " may be the best: " in text or "is the best: " in text
    ]
    assert len(said) == 2
    assert all("scheduler=" not in text and "data=" not in text and "optimizer.lr=0.001" in text for text in said)
    assert all("data=" in group.label for group in found.groups)  # which tells it from all others


def test_a_data_set_of_one_setting_has_its_settings_above_the_table(tmp_path):
    for data, losses in (("fgbg", ("dice", "focal")), ("camvid", ("dice",))):
        for number, loss in enumerate(losses):
            for seed in (1, 2):
                counts = some_counts(30, 0.8, number)
                path = tmp_path / f"{data}{loss}{seed}"
                write_run(path, loss=loss, data=data, seed=seed, fingerprint=data, counts=counts)
    lines = printed(tmp_path, 100).splitlines()
    (letter,) = (line[5] for line in lines if line[6:] == ", loss=dice, data=camvid")
    other = {"A": "B", "B": "A"}[letter]
    assert any(line.startswith(f"data {letter}: the one setting has nothing to be compared with: ") for line in lines)
    (verdict,) = (line for line in lines if "too few seeds: 2 of the 4 repeats" in line)
    assert verdict.startswith(f"data {other}: loss=dice and loss=focal: ")
