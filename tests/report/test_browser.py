"""The HTML report in a real headless Chromium: what a person sees and does, and that nothing else happens.

SEGBENCH_SCREENSHOT=FILE keeps a picture of the top of the report, 1200 pixels wide; SEGBENCH_SCREENSHOT_RUNS=FOLDER
takes it of the runs there instead of made-up ones.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from segbench.commands.compare import compare
from segbench.compare.comparison import compare_runs
from segbench.compare.planning import Plan
from tests.support.browser_page import (
    PHONE,
    WIDE,
    background,
    begun,
    choose,
    column,
    head,
    headless_chromium,
    needs_chromium,
    one,
    painted,
    place_of,
    requested,
    show,
    write,
)
from tests.support.fake_runs import write_run
from tests.support.html_runs import CLASS_NAME, IMAGE_NAME, add_curves, study

pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    compare([study(folder / "runs")], form="html", out=folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with headless_chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def browser(chromium, page):
    """The report, freshly opened at 1200 pixels in light colours; afterwards the console has to be empty."""
    show(chromium, page)
    yield chromium
    assert chromium.get_log("browser") == []
    assert chromium.execute_script("return window.hacked") is None


def test_clicks_and_keys_sort_and_say_so(browser):
    place = place_of(browser, "groups", "test/mean_iou")
    scores = column(browser, "groups", place)
    assert len(scores) == 4 and scores == sorted(scores, reverse=True)
    button = head(browser, "groups", "test/mean_iou")
    cell = button.find_element("xpath", "..")
    button.click()
    assert cell.get_attribute("aria-sort") == "descending" and column(browser, "groups", place) == scores
    button.send_keys("\ue007")  # enter
    assert cell.get_attribute("aria-sort") == "ascending" and column(browser, "groups", place) == scores[::-1]
    head(browser, "groups", "params").send_keys(" ")
    assert cell.get_attribute("aria-sort") is None
    assert column(browser, "groups", place_of(browser, "groups", "params")) == ["100k", "100k", "7.00M", "7.00M"]


def test_runs_without_numbers_stay_below_whichever_way_it_is_sorted(browser):
    place = place_of(browser, "runs", "test/mean_iou")
    for way in (1, -1):
        head(browser, "runs", "test/mean_iou").click()
        scores = column(browser, "runs", place)
        known = [score for score in scores if score != "-"]
        assert len(known) == 8 and scores[8:] == ["-"] * 4 and known == sorted(known, reverse=way == 1)


def test_filters_change_the_rows_and_count_them(browser):
    write(browser, "#runs-filter", "UNET focal")
    assert sorted(column(browser, "runs", 1)) == ["unet-focal-1", "unet-focal-2"]
    assert one(browser, "#runs-count").text == "2 of 12 rows"
    write(browser, "#runs-filter", "-completed -running")
    assert sorted(column(browser, "runs", 1)) == sorted(["gone", "torn", IMAGE_NAME])
    write(browser, "#runs-filter", " ")
    choose(browser, "#runs-state", "broken")
    assert column(browser, "runs", 1) == ["torn"]
    assert column(browser, "runs", place_of(browser, "runs", "reason")) == ["results.json is not JSON (line 1)"]
    write(browser, "#groups-filter", "fcn")
    assert len(column(browser, "groups", 0)) == 2


def test_hostile_names_stay_text(browser):
    assert IMAGE_NAME in column(browser, "runs", 1)
    heads = browser.execute_script(
        "return [...document.querySelectorAll('#heat thead span')].map((s) => s.textContent)"
    )
    assert heads == ["sky", CLASS_NAME]
    rows = browser.execute_script(
        "return [...document.querySelectorAll('#confusion-tables th')].map((s) => s.textContent)"
    )
    assert rows.count(CLASS_NAME) == 4
    assert browser.execute_script("return document.querySelectorAll('img').length") == 4
    choose(browser, "#difference-second", IMAGE_NAME)
    assert IMAGE_NAME in one(browser, "#difference-table").text


def test_the_policy_stops_a_script_that_got_in_all_the_same(chromium, page, tmp_path):
    text = page.read_text().replace("<h1>", "<h1><script>window.hacked = 1</script><img src=x onerror='hacked = 2'>", 1)
    (tmp_path / "spoilt.html").write_text(text)
    chromium.get((tmp_path / "spoilt.html").as_uri())
    assert chromium.execute_script("return window.hacked") is None
    assert sum("Content Security Policy" in entry["message"] for entry in chromium.get_log("browser")) >= 2


def test_curves_are_painted_and_follow_the_choice_of_runs(browser):
    blue = "0072b2"
    assert painted(browser, "curve-chart").get(blue, 0) > 100
    chosen = browser.find_elements("css selector", "#curve-list input:checked")
    assert len(chosen) == 5
    values = [line.text for line in browser.find_elements("css selector", "#curve-list label:has(:checked) output")]
    assert all(0.5 < float(value) < 1 for value in values)
    one(browser, "#curve-none").click()
    assert blue not in painted(browser, "curve-chart")
    write(browser, "#curve-filter", "running")
    labels = browser.find_elements("css selector", "#curve-list label")
    shown = [label for label in labels if label.is_displayed()]
    assert len(labels) == 4 + 9 and len(shown) == 1 and "[running]" in shown[0].text
    shown[0].find_element("css selector", "input").send_keys(" ")
    assert painted(browser, "curve-chart").get(blue, 0) > 50


def test_metric_smoothing_and_log_axis_change_the_plot(browser):
    look = "return JSON.stringify(Report.charts.curves.data)"
    assert browser.execute_script("return Report.charts.curves.axes[1].label") == "val/mean_iou"
    choose(browser, "#curve-metric", "val/loss")
    assert browser.execute_script("return Report.charts.curves.axes[1].label") == "val/loss"
    rough, pixels = json.loads(browser.execute_script(look)), painted(browser, "curve-chart")
    assert len(rough) == 6
    one(browser, "#curve-smooth").send_keys("\ue014" * 30)  # arrow right
    assert one(browser, "#curve-smooth-value").text == "0.60"
    smooth = json.loads(browser.execute_script(look))
    assert len(smooth) == 11 and smooth[1] == rough[1] and painted(browser, "curve-chart") != pixels
    expected, total, weight = [], 0.0, 0.0
    for value in rough[1]:
        total, weight = 0.6 * total + 0.4 * value, 0.6 * weight + 0.4
        expected.append(total / weight)
    assert smooth[2] == pytest.approx(expected)
    assert browser.execute_script("return Report.charts.curves.scales.y.distr") == 1
    before = painted(browser, "curve-chart")
    one(browser, "#curve-log").click()
    assert browser.execute_script("return Report.charts.curves.scales.y.distr") == 3
    assert painted(browser, "curve-chart") != before and sum(painted(browser, "curve-chart").values()) > 2000


def test_arrow_keys_read_values_off_the_curves(browser):
    choose(browser, "#curve-metric", "lr")
    one(browser, "#curve-chart").send_keys("\ue014")
    assert one(browser, "#curve-list label:has(:checked) output").text == "0.001"
    one(browser, "#curve-chart").send_keys("\ue014")
    assert one(browser, "#curve-list label:has(:checked) output").text == "0.0009"


def test_pareto_plot_shows_each_cost_and_reads_out_points(browser):
    before = painted(browser, "pareto-chart")
    assert sum(before.values()) > 500
    assert one(browser, "#pareto-log").is_selected()  # 100k to 7M parameters
    one(browser, "#pareto-chart").send_keys("\ue014")
    assert (
        "model=fcn" in one(browser, "#pareto-readout").text
        and "parameters 100k" in one(browser, "#pareto-readout").text
    )
    choose(browser, "#pareto-cost", "images per second")
    assert painted(browser, "pareto-chart") != before and not one(browser, "#pareto-log").is_selected()
    one(browser, "#pareto-chart").send_keys("\ue012")  # arrow left, from the end: the fastest
    assert "images per second 90" in one(browser, "#pareto-readout").text


def test_settings_of_two_runs_differ_where_they_do(browser):
    def differing(first, second):
        choose(browser, "#difference-first", first)
        choose(browser, "#difference-second", second)
        rows = browser.find_elements("css selector", "#difference-table tbody tr")
        return {
            row.find_element("css selector", "th").text: row.find_elements("css selector", "td")[1].text for row in rows
        }

    assert differing("unet-dice-1", "unet-dice-2") == {"seed": "2", "name": "unet-dice-2"}
    assert differing("unet-dice-1", "fcn-focal-1") == {
        "model": "fcn",
        "model._target_": "segbench.models.fcn",
        "name": "fcn-focal-1",
        "loss": "focal",
        "loss._target_": "segbench.losses.focal",
    }
    assert differing("unet-dice-1", "unet-dice-1") == {}
    assert one(browser, "#difference-count").text == "Their settings are the same."


def test_confusion_matrices_in_per_cent_and_pixels(browser):
    cells = "return [...document.querySelectorAll('#confusion-tables figure:first-child td')].map((c) => c.textContent)"
    choose(browser, "#confusion-run", "unet-dice-2")
    assert browser.execute_script(cells) == ["90.0", "10.0", "10.0", "90.0"]
    one(browser, "#confusion-counts").click()
    assert browser.execute_script(cells) == ["900", "100", "50", "451"]


def test_sample_panels_are_decoded_and_grow(browser):
    width = "return [...document.querySelectorAll('figure img')].map((i) => [i.naturalWidth, i.clientWidth])"
    assert all(natural == 60 and shown > 200 for natural, shown in browser.execute_script(width))
    one(browser, "#samples-size").click()
    assert browser.execute_script(width) == [[60, 60]] * 4


def test_colours_follow_the_system_and_the_button(browser, page):
    light = background(browser)
    show(browser, page, scheme="dark")
    dark = background(browser)
    assert light == "rgb(255, 255, 255)" and dark == "rgb(20, 23, 27)"
    axis = painted(browser, "curve-chart")
    one(browser, "#theme").click()
    assert background(browser) == light and painted(browser, "curve-chart") != axis
    browser.refresh()
    begun(browser)
    assert background(browser) == light  # it is remembered


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_every_colour(browser, page, scheme):
    show(browser, page, scheme=scheme)
    pairs = browser.execute_script("""
      const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
      const rgb = (colour) => {
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
      };
      const cell = document.querySelector("#heat td"), looks = [];
      for (let k = 0; k <= 10; k += 1) {
        cell.className = `h${k}`;
        looks.push([`h${k}`, rgb(getComputedStyle(cell).color), rgb(getComputedStyle(cell).backgroundColor)]);
      }
      const paper = rgb(getComputedStyle(document.body).backgroundColor);
      for (const one of document.querySelectorAll(".pill, .soft, td, a:not(.skip), h1"))
        if (!one.closest(".heat")) looks.push([one.className || one.tagName, rgb(getComputedStyle(one).color), paper]);
      return looks;""")

    def luminance(colour):
        parts = [part / 255 for part in colour[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for name, ink, paper in pairs:
        low, high = sorted((luminance(ink), luminance(paper)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ink, paper)  # WCAG 2.2, AA


def test_a_phone_never_scrolls_sideways_but_its_tables_do(browser, page):
    show(browser, page, width=PHONE)
    assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [PHONE, PHONE]
    browser.execute_script("window.scrollTo(500, 0)")
    assert browser.execute_script("return window.scrollX") == 0
    assert browser.execute_script(
        "const t = document.querySelector('#runs-table').parentElement; return t.scrollWidth > t.clientWidth"
    )
    assert browser.execute_script("return document.querySelector('#curve-chart canvas').clientWidth") <= PHONE
    assert painted(browser, "curve-chart").get("0072b2", 0) > 50


def test_the_keyboard_finds_the_skip_link_first_and_every_control_has_a_name(browser):
    browser.switch_to.active_element.send_keys("\ue004")  # tab
    link = browser.switch_to.active_element
    assert link.text == "Skip to the results" and link.location["y"] >= 0
    link.send_keys("\ue007")
    assert browser.switch_to.active_element.get_attribute("id") == "main"
    for control in browser.find_elements("css selector", "input, select, button, [tabindex='0']"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
    head(browser, "groups", "loss").send_keys("")
    button = browser.switch_to.active_element
    button.send_keys("\ue004")
    style = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(style) == "solid"


def test_nothing_is_fetched_but_the_page_itself(browser, page):
    browser.execute_script("window.scrollTo(0, document.body.scrollHeight)")
    for selector in ("#theme", "#curve-log", "#heat-relative", "#confusion-counts"):
        browser.execute_script("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        one(browser, selector).click()
    urls = requested(browser)
    assert urls.count(page.as_uri()) == 1
    assert all(url == page.as_uri() or url.startswith("data:") for url in urls)


def test_on_paper_it_is_light_and_whole(browser, page):
    show(browser, page, width=1030, scheme="dark", media="print")  # A4 across, without its margins
    assert background(browser) == "rgb(255, 255, 255)"
    assert browser.execute_script("return getComputedStyle(document.querySelector('.scroll.high')).maxHeight") == "none"
    assert not one(browser, "#runs-filter").is_displayed()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 1030
    show(browser, page, scheme="dark")
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000
    assert background(browser) == "rgb(20, 23, 27)"  # back to what it was


def test_a_thousand_runs_open_and_sort_without_a_pause(chromium, tmp_path):
    for number in range(1000):
        path = write_run(tmp_path / "runs" / f"{number:04d}", seed=number % 3, lr=f"{1e-5 * (1 + number // 3):.6g}")
        if number < 60:
            add_curves(path, number, epochs=200)
    compare([tmp_path / "runs"], form="html", out=tmp_path / "many.html")
    show(chromium, tmp_path / "many.html")
    entry = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
    took = chromium.execute_script(entry)
    assert chromium.get_log("browser") == []
    assert len(column(chromium, "runs", 1)) == 100 and one(chromium, "#runs-count").text == "1000 rows"
    pause = chromium.execute_script(
        "const now = performance.now(); document.querySelectorAll('#runs-table thead button')[1].click();"
        "document.body.offsetHeight; return performance.now() - now"
    )
    print(f"1,000 runs: open after {took:.0f} ms, sorted after {pause:.0f} ms")
    names = column(chromium, "runs", 1)
    assert names == sorted(names) and names[0] == "0000"  # of all rows, not of those that were shown
    write(chromium, "#runs-filter", "0999")
    assert column(chromium, "runs", 1) == ["0999"]
    chromium.execute_script(
        "const f = document.querySelector('#runs-filter'); f.value = '';f.dispatchEvent(new Event('input'))"
    )
    one(chromium, "#runs-more").click()
    assert len(column(chromium, "runs", 1)) == 1000 and not one(chromium, "#runs-more").is_displayed()


def test_screenshot_of_the_top(chromium, page, tmp_path):
    if runs := os.environ.get("SEGBENCH_SCREENSHOT_RUNS"):
        page = tmp_path / "report.html"
        compare([runs], form="html", out=page)
    show(chromium, page)
    shot = base64.b64decode(chromium.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"])
    assert shot.startswith(b"\x89PNG") and int.from_bytes(shot[16:20], "big") == WIDE
    if wanted := os.environ.get("SEGBENCH_SCREENSHOT"):
        Path(wanted).write_bytes(shot)


def headings(driver):
    return [head.text for head in driver.find_elements("css selector", "#groups-table thead button")]


def test_columns_are_taken_away_and_brought_back(browser):
    one(browser, "details.columns:has(#groups-columns) summary").click()
    boxes = browser.find_elements("css selector", "#groups-columns label")
    box = next(label for label in boxes if "params" in label.text)
    box.click()
    assert "params" not in headings(browser)
    box.click()
    assert "params" in headings(browser)


def lefts(driver):
    return [cell.rect["x"] for cell in driver.find_elements("css selector", "#runs-table tbody tr:first-child td")[:3]]


def test_the_first_columns_stay_while_others_are_scrolled(chromium, page):
    show(chromium, page, 900)
    before = lefts(chromium)
    chromium.execute_script("document.querySelector('#runs-table').parentElement.scrollLeft = 300")
    after = lefts(chromium)
    assert after[:2] == pytest.approx(before[:2], abs=2) and after[2] < before[2] - 100


def test_headings_stay_in_one_line_on_top_also_on_a_phone(chromium, tmp_path):
    for number in range(60):
        write_run(tmp_path / "runs" / f"run{number:02d}", lr=f"{1e-4 * (1 + number):.6g}", score=0.9 - number / 1000)
    compare([tmp_path / "runs"], form="html", out=tmp_path / "page.html")
    for width in (WIDE, PHONE):
        show(chromium, tmp_path / "page.html", width)
        tops = chromium.execute_script(
            "return ['groups', 'runs'].flatMap((name) => { const table = document.querySelector(`#${name}-table`);"
            " const box = table.closest('.scroll'); box.scrollTo(200, 200);"
            " return [...table.tHead.rows[0].cells].map((head) => head.getBoundingClientRect().top -"
            " box.getBoundingClientRect().top); })"
        )
        assert len(tops) > 20 and set(tops) == {1}


def test_the_score_that_was_chosen_by_stands_beside_the_reported_one(browser):
    titles = [head.text for head in browser.find_elements("css selector", "#groups-table thead button")]
    place = titles.index("val/mean_iou")
    assert titles[place + 1] == "test/mean_iou"
    boxes = browser.find_elements("css selector", "#groups-table thead th")
    right = browser.execute_script(
        "const box = document.querySelector('#groups-table').closest('.scroll').getBoundingClientRect();"
        "return [arguments[0].getBoundingClientRect().right, arguments[1].getBoundingClientRect().right, box.right]",
        boxes[place],
        boxes[place + 1],
    )
    assert right[0] < right[1] < right[2]  # without scrolling, 1200 pixels wide
    assert all(value.startswith("0.") for value in column(browser, "groups", place))


def test_settings_are_drawn_against_the_score(browser):
    circles = browser.find_elements("css selector", "#effects-plot circle")
    assert len(circles) == 4
    titles = browser.execute_script(
        "return [...document.querySelectorAll('#effects-plot title')].map((t) => t.textContent)"
    )
    assert any("model=unet loss=dice" in title for title in titles)
    choose(browser, "#effects-setting", "loss")
    words = [text.text for text in browser.find_elements("css selector", "#effects-plot text")]
    assert {"dice", "focal", "loss"} <= set(words)
    assert len(browser.find_elements("css selector", "#effects-parallel polyline")) == 4


def test_a_verdict_says_what_it_rests_on(browser):
    first = one(browser, ".verdicts details")
    assert not first.find_element("css selector", "dl").is_displayed()
    first.find_element("css selector", "summary").click()
    text = first.find_element("css selector", "dl").text
    assert "runs of the first" in text and "seed 1: 0." in text and "seed 2: 0." in text


def test_groups_are_drawn_as_mean_and_band(browser):
    one(browser, "#curve-groups").click()
    chosen = browser.execute_script(
        "return [...document.querySelectorAll('#curve-list input:checked')].map((box) => box.parentElement.textContent)"
    )
    assert len(chosen) == 4 and all("mean and range of 2" in text for text in chosen)
    assert browser.execute_script("return Report.charts.curves.bands.length") == 4
    assert browser.execute_script("return Report.charts.curves.series.length") == 1 + 3 * 4


def test_differences_that_more_seeds_would_show_are_drawn(browser, page):
    found = compare_runs([page.parent / "runs"])
    plan = Plan.of(found.answers[0].found)
    words = "return [...document.querySelectorAll('#plan-plots title')].map((t) => t.textContent)"
    titles = browser.execute_script(words)
    points = [title for title in titles if "times the units" in title]
    assert len(points) == 3 * 8 and len(browser.find_elements("css selector", "#plan-plots polyline")) == 3
    (text,) = [title for title in points if title.startswith("5 seeds, 2 times the units")]
    assert float(text.rpartition(": ")[2]) == pytest.approx(plan.detectable(5, 2.0), rel=1e-3)


def test_rows_are_made_when_they_are_asked_for(chromium, tmp_path):
    for number in range(130):
        score = 0.9 - number / 1000
        write_run(tmp_path / "runs" / f"run{number:03d}", lr=f"{1e-4 * (1 + number):.6g}", score=score)
    compare([tmp_path / "runs"], form="html", out=tmp_path / "page.html")
    show(chromium, tmp_path / "page.html")
    assert len(column(chromium, "runs", 1)) == 100 and one(chromium, "#runs-count").text == "130 rows"
    head(chromium, "runs", "test/mean_iou").click()
    head(chromium, "runs", "test/mean_iou").click()
    assert column(chromium, "runs", 1)[0] == "run129"
    one(chromium, "details.columns:has(#runs-columns) summary").click()
    labels = chromium.find_elements("css selector", "#runs-columns label")
    box = next(label for label in labels if label.text == "params")
    box.click()
    one(chromium, "#runs-more").click()
    assert column(chromium, "runs", 1) == [f"run{number:03d}" for number in reversed(range(130))]
    hidden = chromium.find_elements("css selector", "#runs-table tbody td[hidden]")
    assert len(hidden) == 130
    write(chromium, "#runs-filter", "run128")
    assert column(chromium, "runs", 1) == ["run128"]


def test_names_of_lines_that_end_close_together_stand_below_each_other(browser):
    names = "'#plan-plots figure:first-child text[text-anchor=start]'"
    heights = browser.execute_script(
        f"return [...document.querySelectorAll({names})].map((t) => Number(t.getAttribute('y')))"
    )
    first, second, third = heights
    assert second - first >= 15 and third - second >= 15
