"""What the HTML report holds, without a browser: numbers, escaping, pictures, limits, time."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import io
import json
import os
import re
import struct
import subprocess
import sys
import time
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from segbench.commands.compare import compare
from segbench.compare.comparison import compare_runs
from segbench.compare.files import Unusable
from segbench.compare.intervals import Summary
from segbench.compare.runs import read_run
from segbench.report.html import curves as curves_module
from segbench.report.html import report as report_module
from segbench.report.html import worst as worst_module
from segbench.report.html.classes import confusion_data, heat_map
from segbench.report.html.curves import MAX_METRICS, MAX_POINTS, MAX_RUNS, curve_data, join, read_curves, thin
from segbench.report.html.page import ASSETS, packed
from segbench.report.html.pareto import pareto_data
from segbench.report.html.pictures import LARGE, MAX_BYTES, picture_uri, sample_panels
from segbench.report.html.report import to_html
from segbench.report.html.settings import settings_data
from segbench.report.html.whiskers import WIDTH, Scale
from segbench.report.html.worst import WorstImage, read_worst, worst_images
from tests.support.fake_runs import hostile, some_counts, write_images, write_run
from tests.support.html_runs import CLASS_NAME, IMAGE_NAME, add_confusion, add_curves, add_pictures, study


class Page(HTMLParser):
    """Elements with their attributes, the texts, and the content of every script and style."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.raw, self.inside = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = (tag, dict(attrs)) if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.raw.append((*self.inside, data))
        else:
            self.texts.append(data)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return compare_runs([study(tmp_path_factory.mktemp("study"))])


@pytest.fixture(scope="module")
def page(found):
    return Page(to_html(found))


def data_of(page):
    return unpacked(next(raw for _, attrs, raw in page.raw if attrs.get("id") == "data"))


def unpacked(text):
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_nothing_in_the_page_points_outside_it(page):
    for tag, attrs in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attrs), (tag, attrs)
        for name in ("src", "href"):
            assert re.match(r"#\w+$|data:(image/png;base64,|,$)", attrs.get(name, "#a")), (tag, attrs)
    assert not {"iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.elements}
    styles = "".join(raw for tag, _, raw in page.raw if tag == "style")
    assert "url(" not in styles and "@import" not in styles


def test_policy_names_the_digest_of_every_script_and_style_and_nothing_else(page):
    policy = next(
        attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'" and rules["img-src"] == "data:"
    for tag in ("script", "style"):
        raws = [raw for one, attrs, raw in page.raw if one == tag and "type" not in attrs]
        digests = [base64.b64encode(hashlib.sha256(raw.encode()).digest()).decode() for raw in raws]
        assert rules[f"{tag}-src"].split() == [f"'sha256-{digest}'" for digest in digests]


def test_hostile_names_are_text(found, page):
    text = to_html(found)
    assert IMAGE_NAME not in text and html.escape(IMAGE_NAME) in text
    assert CLASS_NAME not in text and any(CLASS_NAME in one for one in page.texts)
    assert data_of(page)["confusion"][0]["classes"][1] == CLASS_NAME
    assert sum(tag == "img" for tag, _ in page.elements) == len([p for p in sample_panels(found) if p.uri]) == 4


def test_json_in_a_script_has_no_character_that_ends_it():
    value = {"</script>": "<!-- \u2028 \u2029 & ' \" \\ é"}
    text = packed(value)
    assert re.fullmatch("[A-Za-z0-9+/=]+", text) and unpacked(text) == value


def test_names_that_are_no_unicode_or_turn_the_writing_can_be_written(tmp_path):
    write_run(tmp_path / "runs" / "odd", loss="dice").rename(tmp_path / "runs" / os.fsdecode(b"caf\xe9"))
    write_run(tmp_path / "runs" / "ab\u202ecd\u2028e", loss="focal")
    compare([tmp_path / "runs"], form="html", out=tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert "caf\\xe9" in text and "ab\\u202ecd\\u2028e" in text and "\u202e" not in text


def test_tables_hold_the_numbers_and_the_reasons(found, page):
    text = " ".join(page.texts)
    best = found.groups[0]
    assert f"{best.summary.mean:.4f}" in text and f"{best.summary.low:.4f} to {best.summary.high:.4f}" in text
    assert all(verdict.sentence in text for verdict in found.verdicts) and all(note in text for note in found.notes)
    for reason in ("results.json is not JSON", "NonFiniteError: the loss is nan\\nat step 7"):
        assert reason in text
    rows = [attrs.get("class", "") for tag, attrs in page.elements if tag == "tr"]
    assert [rows.count(state) for state in ("completed", "running", "failed", "broken", "interrupted")] == [
        8,
        1,
        1,
        1,
        1,
    ]
    assert rows.count("best") == 1


def test_curves_are_the_rows_of_epochs_and_the_last_rate_of_each(tmp_path):
    run = write_run(tmp_path / "a")
    lines = [
        "split,epoch,step,train/loss,lr,val/mean_iou",
        "train,0,1,9,0.1,",
        "train,0,2,8,0.2,",
        "epoch,0,2,7.5,,0.5",
        "epoch,1,4,nan,,0.25",
        "epoch,1,4,7,,0.75",
        "epoch,2,6,6,,",
        "epoch,x,1,2,,",
        "epo",
    ]
    (run / "metrics.csv").write_text("\n".join(lines))
    assert read_curves(read_run(run, "a")) == {
        "lr": [(1, 0.2)],
        "train/loss": [(1, 7.5), (2, 7.0), (3, 6.0)],
        "val/mean_iou": [(1, 0.5), (2, 0.75)],
    }


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "split,epoch\n", '"split,epoch,step\n' + "x" * 200_000])
def test_tables_that_are_none_give_no_curves(tmp_path, text):
    run = write_run(tmp_path / "a")
    (run / "metrics.csv").write_text(text)
    with pytest.raises(Unusable, match=r"metrics\.csv is"):
        read_curves(read_run(run, "a"))


def test_thinned_curves_keep_ends_order_and_peaks():
    values = np.random.default_rng(1).normal(size=10_000)
    values[777], values[5555] = 50, -60
    points = [(float(k), float(v)) for k, v in enumerate(values)]
    kept = thin(points)
    assert len(kept) <= MAX_POINTS and kept[0] == points[0] and kept[-1] == points[-1] and kept == sorted(kept)
    assert {(777.0, 50.0), (5555.0, -60.0)} <= set(kept) <= set(points)
    assert thin(points[:MAX_POINTS]) == points[:MAX_POINTS]


def test_curves_of_the_best_runs_come_first_and_the_rest_is_counted(tmp_path):
    for seed in range(MAX_RUNS + 5):
        add_curves(write_run(tmp_path / f"{seed:02d}", seed=seed, score=seed / 100), seed, epochs=3)
    many = tmp_path / "64" / "metrics.csv"
    names = ",".join(f"val/x{k:02d}" for k in range(60))
    many.write_text(f"split,epoch,step,val/mean_iou,{names}\nepoch,0,1,0.5{',1' * 60}\n")
    found = compare_runs([tmp_path])
    curves = curve_data(found)
    assert [found.runs[one["run"]].name for one in curves["runs"]] == [f"{k:02d}" for k in range(64, 4, -1)]
    assert curves["left"] == 5 and len(curves["metrics"]) == MAX_METRICS
    assert curves["metrics"][:4] == ["train/loss", "val/loss", "val/mean_iou", "lr"] and curves["start"] == 2
    assert curves["runs"][0]["curves"][2] == [[1], [0.5]]


def test_heat_map_is_the_mean_over_seeds(found):
    heat = heat_map(found)
    assert heat.classes == ["sky", CLASS_NAME] and heat.metric == "test/iou" and heat.left == 0
    assert heat.rows[0][0] == "model=unet loss=dice" and heat.rows[0][1] == pytest.approx([0.965, 0.765])


@pytest.mark.parametrize(
    "matrix", [[[1, 2]], [[1, -2], [3, 4]], [[1, "2"], [3, 4]], [[1, 2, 3], [1, 2, 3]], {"a": 1}, 7, [1, 2]]
)
def test_confusion_is_shown_only_if_it_is_a_matrix(tmp_path, matrix):
    add_confusion(write_run(tmp_path / "bad"), matrix)
    add_confusion(write_run(tmp_path / "good", loss="focal", score=0.4), [[1, 2], [3, 4]])
    found = compare_runs([tmp_path])
    assert [(found.runs[one["run"]].name, one["counts"]) for one in confusion_data(found)] == [
        ("good", [[1, 2], [3, 4]])
    ]


def test_runs_without_confusion_or_samples_say_so(tmp_path):
    write_run(tmp_path / "a")
    text = re.sub(r"\s+", " ", to_html(compare_runs([tmp_path])))
    assert "has a confusion matrix of test in its results.json" in text and "No panel: test.png is missing" in text
    assert "No run has a metrics.csv" in text and "No completed run has an IoU by class" in text


def test_no_completed_run_is_a_page_too(tmp_path):
    write_run(tmp_path / "a", state="running")
    text = to_html(compare_runs([tmp_path]))
    assert "No group is best" in text and "There are none" in text and text.count("No completed runs") == 2


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_panels_lose_their_side_chunks(tmp_path):
    add_pictures(tmp_path, 7)
    path = tmp_path / "samples" / "test.png"
    plain = path.read_bytes()
    text = chunk(b"tEXt", b"Comment\0secret") + chunk(b"eXIf", b"II*\0secret")
    path.write_bytes(plain[:33] + text + plain[33:] + b"<script>")
    uri, width, height = picture_uri(path)
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    assert b"secret" not in content and b"<script>" not in content and (width, height) == (60, 20)
    with Image.open(io.BytesIO(content)) as found, Image.open(io.BytesIO(plain)) as wanted:
        assert np.array_equal(np.asarray(found), np.asarray(wanted.convert("RGB"))) and found.info == {}


def test_large_panels_are_sent_as_jpeg_of_nearly_the_same_colours(tmp_path):
    across, down = np.meshgrid(np.linspace(0, 6, 400), np.linspace(0, 5, 300))
    noise = np.random.default_rng(0).normal(0, 6, (300, 400, 3))
    waves = np.stack([np.sin(across), np.cos(down), np.sin(across + down)], axis=-1)
    picture = np.clip(128 + 100 * waves + noise, 0, 255).astype(np.uint8)
    path = tmp_path / "samples" / "test.png"
    path.parent.mkdir()
    Image.fromarray(picture).save(path)
    assert path.stat().st_size > LARGE
    uri, width, height = picture_uri(path)
    assert uri.startswith("data:image/jpeg;base64,") and len(uri) < path.stat().st_size / 2
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as found:
        assert found.size == (width, height) == (400, 300)
        assert np.abs(np.asarray(found).astype(int) - picture).mean() < 8


def test_worst_images_have_thumbnails_that_lead_to_the_panels(tmp_path, monkeypatch):
    run = write_run(tmp_path / "a", counts=some_counts(4, 0.7, 1))
    lines = ["index,image,mean_iou", *(f"{k},p{k}.png,{0.9 - k / 10}" for k in range(4))]
    (run / "test_images.csv").write_text("\n".join(lines))
    add_pictures(run, 100)
    (run / "samples" / "worst").mkdir()
    for number, shade in ((3, 10), (2, 20)):
        Image.new("RGB", (50, 40), (shade, 0, 0)).save(run / "samples" / "worst" / f"{number:06d}.png")
    (run / "samples" / "worst" / "000001.png").symlink_to(tmp_path / "elsewhere.png")
    found = compare_runs([tmp_path])
    (worst,) = worst_images(found)
    assert [bool(image.thumbnail) for image in worst.images] == [True, True, False, False]
    page = Page(to_html(found))
    shown = [attributes for tag, attributes in page.elements if attributes.get("class") == "thumbnail"]
    assert [one["alt"].partition(":")[0] for one in shown] == ["p3.png", "p2.png"]
    for one, shade in zip(shown, (10, 20), strict=True):
        with Image.open(io.BytesIO(base64.b64decode(one["src"].partition(",")[2]))) as picture:
            assert picture.getpixel((5, 5)) == (shade, 0, 0)
    assert [attributes["href"] for tag, attributes in page.elements if tag == "a"].count("#panel_1") == 3
    monkeypatch.setattr(worst_module, "MAX_TOTAL", len(worst.images[0].thumbnail) + 10)
    (worst,) = worst_images(found)
    assert [bool(image.thumbnail) for image in worst.images] == [True, False, False, False]


def test_many_metrics_of_many_runs_have_fewer_points_each(found, monkeypatch):
    monkeypatch.setattr(curves_module, "MAX_VALUES", 9 * 4 * 20)
    monkeypatch.setattr(curves_module, "LEAST_POINTS", 10)
    data = curve_data(found)
    lengths = [len(x) for run in data["runs"] for x, _ in run["curves"].values()]
    assert len(lengths) == 9 * 4 and 15 <= max(lengths) <= 20  # long ones have 40


def spoil(path, kind):
    plain = path.read_bytes()
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        (path.parent / "other.png").write_bytes(plain)
        path.symlink_to("other.png")
    elif kind == "room":
        (path.parent.parent / "else").mkdir()
        (path.parent.parent / "else" / "test.png").write_bytes(plain)
        path.parent.rmdir()
        path.parent.symlink_to("else")
    elif kind != "gone":
        header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
        path.write_bytes(
            {
                "svg": b"<svg onload='alert(1)'/>",
                "cut": plain[:60],
                "flipped": plain[:50] + b"x" + plain[51:],
                "huge": plain + bytes(MAX_BYTES),
                "bomb": plain[:8] + chunk(b"IHDR", header) + plain[33:],
                "empty": b"",
                "signature": plain[:8],
            }[kind]
        )


SPOILT = {
    "pipe": "not a regular file",
    "link": "is a link",
    "room": "is a link",
    "gone": "is missing",
    "svg": "not a PNG",
    "cut": "not a PNG",
    "flipped": "not a PNG",
    "huge": "larger than",
    "bomb": "more than",
    "empty": "not a PNG",
    "signature": "not a PNG",
}


@pytest.mark.parametrize("kind", SPOILT)
def test_only_whole_regular_pngs_get_in(tmp_path, kind):
    run = write_run(tmp_path / "run")
    add_pictures(run, 9)
    spoil(run / "samples" / "test.png", kind)
    panel = sample_panels(compare_runs([tmp_path]))[0]
    assert panel.uri == "" and SPOILT[kind] in panel.reason


def test_worst_images_are_the_lowest_and_hard_ones_are_marked(tmp_path):
    for name, scores in (("a", [0.9, 0.1, 0.8, 0.3]), ("b", [0.2, 0.15, "", 0.9])):
        run = write_run(tmp_path / name, loss=name, score=0.5 - (name == "b") / 10)
        lines = ["index,image,mean_iou", *(f"{k},p{k}.png,{score}" for k, score in enumerate(scores))]
        (run / "test_images.csv").write_text("\n".join(lines))
    write_run(tmp_path / "c", loss="c", score=0.1)
    found = compare_runs([tmp_path])
    first, second, third = worst_images(found)
    assert [(image.index, image.iou) for image in first.images] == [(1, 0.1), (3, 0.3), (2, 0.8), (0, 0.9)]
    assert [image.name for image in first.images] == ["p1.png", "p3.png", "p2.png", "p0.png"]
    assert [image.hard for image in first.images] == [True, True, False, True]
    assert [(image.index, image.iou) for image in second.images] == [(1, 0.15), (0, 0.2), (3, 0.9)]
    assert third.images == [] and third.reason == "test_images.csv is missing"
    assert read_worst(found.groups[0].runs[0], "test", most=1) == [WorstImage(1, 0.1, "p1.png")]


def test_packed_settings_are_those_of_the_runs(found):
    packed = settings_data(found)
    for number, run in enumerate(found.runs):
        if run.settings:
            merged = {**packed["base"], **packed["runs"][number]}
            assert {name: value for name, value in merged.items() if value is not None} == run.settings
        else:
            assert number not in packed["runs"]


def test_pareto_front_of_throughput_is_the_other_way_round(found):
    points = {point["label"]: point for point in pareto_data(found)["points"]}
    assert points["model=unet loss=dice"]["best"]
    for label, on in (
        ("unet loss=dice", True),
        ("unet loss=focal", False),
        ("fcn loss=dice", True),
        ("fcn loss=focal", False),
    ):
        assert ("images_per_second" in points[f"model={label}"]["fronts"]) is on
        assert ("parameters" in points[f"model={label}"]["fronts"]) is on


def test_whiskers_lie_on_a_common_scale():
    scale = Scale.of([Summary(3, 0.5, 0.1, 0.49, 0.51), Summary(3, 0.6, 0.1, 0.0, 1.0), Summary(0)])
    assert (scale.low, scale.high) == pytest.approx((0.4, 0.7))
    wide = scale.whisker(Summary(3, 0.55, 0.1, 0.0, 1.0))
    assert (wide.low, wide.mean, wide.high) == (4.0, WIDTH / 2, WIDTH - 4)
    assert scale.whisker(Summary(1, 0.4)).low == scale.whisker(Summary(1, 0.4)).high == 4.0
    assert Scale.of([Summary(2, 0.5, 0.1, 0.45, 0.55), Summary(2, 0.6, 0.1, 0.55, 0.65)]) == Scale(0.45, 0.65)
    assert Scale.of([Summary(1, 0.5)]).whisker(Summary(1, 0.5)).mean == WIDTH / 2


def test_default_name_is_compare_html(tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "runs" / "a")
    monkeypatch.chdir(tmp_path)
    compare(["runs"], form="html")
    assert (tmp_path / "compare.html").read_text().startswith("<!DOCTYPE html>")
    assert "compare.html" in capsys.readouterr().out.replace("\n", "")


def test_vendored_library_is_the_one_that_its_notice_names():
    notice = (ASSETS / "uplot" / "README.md").read_text()
    for name in ("uPlot.iife.min.js", "uPlot.min.css"):
        assert f"| {name} | {hashlib.sha256((ASSETS / 'uplot' / name).read_bytes()).hexdigest()} |" in notice
    assert "MIT" in (ASSETS / "uplot" / "LICENSE").read_text()


def test_a_thousand_runs_make_a_page_of_a_few_megabytes_in_seconds(tmp_path):
    for number in range(1000):
        path = tmp_path / f"{number:04d}"
        if number % 10 == 9:
            hostile(path, number // 10)
            continue
        lr, seed = f"{1e-5 * (1 + number // 3):.6g}", number % 3
        counts = some_counts(20, 0.6 + number / 4000, number) if number < 60 else None
        write_run(path, seed=seed, lr=lr, score=0.3 + number / 2000, counts=counts)
        if number % 4 == 0:
            add_curves(path, number, epochs=300)
    # of CPU: the clock says more of the machine than of the page
    began = time.process_time()
    compare([tmp_path], form="html", out=tmp_path / "report.html")
    took, size = time.process_time() - began, (tmp_path / "report.html").stat().st_size
    print(f"1,000 runs: {took:.2f} s, {size / 1e6:.2f} MB")
    assert took < 8 and size < 4_000_000


def test_a_page_of_very_many_settings_has_the_sentences_of_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(report_module, "MOST_VERDICTS", 7)
    for number in range(12):
        write_run(tmp_path / f"{number:02d}", lr=f"{1e-3 * (1 + number):.6g}", score=0.5 + number / 100)
    page = to_html(compare_runs([tmp_path]))
    assert page.count("<details><summary>optimizer.lr=") == 7
    assert "And 4 others: the table below has their words, --format json their sentences." in page


def test_the_card_says_by_which_score_it_was_chosen(tmp_path):
    for loss, score in (("dice", 0.5), ("focal", 0.6)):
        write_run(tmp_path / loss, loss=loss, score=score, val=1 - score)
    chosen = " ".join(to_html(compare_runs([tmp_path])).split())
    assert '<p class="soft">chosen by val/mean_iou: test/mean_iou, one seed' in chosen
    assert '<p class="what">loss=dice</p>' in chosen
    best = " ".join(to_html(compare_runs([tmp_path], metric="val/mean_iou")).split())
    assert '<p class="soft">best: val/mean_iou, one seed' in best


def test_the_card_marks_where_val_is_the_test_and_leaves_out_what_all_of_its_data_share(tmp_path):
    for data in ("fgbg", "camvid"):
        for loss, score in (("dice", 0.5), ("focal", 0.6)):
            path = tmp_path / f"{data}-{loss}"
            write_run(path, loss=loss, data=data, score=score, fingerprint=data, test_is_val=data == "camvid")
    page = " ".join(to_html(compare_runs([tmp_path])).split())
    assert page.count('<p class="what">loss=focal</p>') == 2
    write_run(tmp_path / "alone", loss="bce", data="coco", fingerprint="coco")
    assert '<p class="what">loss=bce data=coco</p>' in to_html(compare_runs([tmp_path]))
    assert page.count(": test/mean_iou (val and test share images), one seed") == 1
    assert page.count(": test/mean_iou, one seed") == 1


def test_report_imports_no_torch(tmp_path):
    write_run(tmp_path / "a", counts=some_counts(5, 0.8, 1))
    write_images(tmp_path / "a" / "test_images.csv", some_counts(5, 0.8, 1), ("background", "foreground"))
    code = (
        "import sys; from pathlib import Path; from segbench.commands.compare import compare;"
        "compare([sys.argv[1]], form='html', out=Path(sys.argv[2]));"
        "assert not {'torch', 'matplotlib', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path, tmp_path / "a.html"], check=True)


def test_curves_of_a_group_are_mean_and_range_of_its_seeds(found):
    assert join([[(1.0, 0.2), (2.0, 0.4)], [(1.0, 0.4), (2.0, 0.8), (3.0, 0.9)]]) == [
        [1, 2],
        [0.3, 0.6],
        [0.2, 0.4],
        [0.4, 0.8],
    ]
    epochs = join([[(float(k), 1.0) for k in range(1, 1001)]] * 2)[0]
    assert epochs[0] == 1 and epochs[-1] == 1000 and len(epochs) <= MAX_POINTS + 1
    groups = curve_data(found)["groups"]
    assert len(groups) == 4 and all(group["n"] == 2 for group in groups)
    mean, low, high = groups[0]["curves"][0][1:]
    assert all(a <= b <= c for a, b, c in zip(low, mean, high, strict=True))
