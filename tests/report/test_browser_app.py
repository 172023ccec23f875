"""The page of `segbench app` in a real headless Chromium: what a user drops, sees, points at and compares."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.commands.app import AppServer
from segbench.core.errors import DataError
from segbench.report.palette import palette
from tests.support.browser_page import (
    PHONE,
    background,
    choose,
    headless_chromium,
    needs_chromium,
    one,
    requested,
    show,
)
from tests.support.served import FakeRun, serving

pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
pytestmark = needs_chromium

HEIGHT, WIDTH = 30, 50
MANY = [f"class {number}" for number in range(19)]


def said(classes, seed, **more):
    """Maps of a network that is 80 % sure of random classes, of which the first corner has the last."""
    draw = np.random.default_rng(seed)
    mask = draw.integers(0, len(classes), (HEIGHT, WIDTH)).astype(np.uint8)
    mask[0, 0] = len(classes) - 1
    rest = round(51 / (len(classes) - 1))
    maps = {f"class{k}": np.where(mask == k, 204, rest).astype(np.uint8) for k in range(len(classes))}
    entropy = np.full((HEIGHT, WIDTH), 51, np.uint8)
    picture = draw.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    return {"picture": picture, "mask": mask, "entropy": entropy, **maps, **more}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with headless_chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def runs():
    depth = np.linspace(0, 8, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    colours = palette(19)[:19].tolist()
    return [
        FakeRun("nineteen", MANY, said(MANY, 0), colours=colours),
        FakeRun("two <b>", maps=said(("ground", "box"), 1, depth=depth), heads=["mask", "depth"]),
        FakeRun("again", MANY, said(MANY, 2), colours=colours),
    ]


@pytest.fixture
def served(runs):
    with serving(AppServer(runs, 0, host="127.0.0.1")) as server:
        yield server


@pytest.fixture
def page(chromium, served):
    show(chromium, served.address)
    return chromium


def pick(driver, tmp_path, kind="picture", content=b"a picture", word="pixels"):
    """Choose a file, and wait for what is said of it."""
    file = tmp_path / f"{kind}.png"
    file.write_bytes(content)
    one(driver, f"#{kind}").send_keys(str(file))
    wait_for(driver, word)


def wait_for(driver, word):
    script = (
        "const [word, done] = arguments; const look = () => (document.querySelector('#status').textContent"
        " + document.querySelector('#error').textContent).includes(word) ? done() : setTimeout(look, 5); look();"
    )
    driver.set_script_timeout(60)
    driver.execute_async_script(script, word)


def pixels(driver, canvas):
    """Return what a canvas shows, `[H,W,4]`."""
    values = driver.execute_script(
        "const canvas = document.getElementById(arguments[0]);"
        "const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});"
        "copy.drawImage(canvas, 0, 0); return [...copy.getImageData(0, 0, canvas.width, canvas.height).data];",
        canvas,
    )
    return np.array(values, np.uint8).reshape(HEIGHT, WIDTH, 4)


def test_the_masks_picture_and_maps_are_drawn_to_the_bit(page, runs, tmp_path):
    pick(page, tmp_path)
    assert "picture.png: 50 x 30 pixels" in one(page, "#status").text
    assert np.array_equal(pixels(page, "base")[..., :3], runs[0].maps["picture"])
    mask = runs[0].maps["mask"]
    over = pixels(page, "left")
    assert np.array_equal(over[..., 3], np.where(mask == 0, 0, 255))
    choose(page, "#view", "Mask")
    assert np.array_equal(pixels(page, "left")[..., :3], palette(19)[mask])
    assert np.array_equal(pixels(page, "right")[..., :3], np.array(runs[1].facts["colours"])[runs[1].maps["mask"]])
    choose(page, "#view", "class 18")
    levels = runs[0].maps["class18"]
    shown = pixels(page, "left")
    assert len({tuple(colour) for colour in shown[levels == 204]}) == 1
    assert tuple(shown[levels == 204][0]) != tuple(shown[levels != 204][0])
    assert not one(page, "#right").is_displayed(), "the other run has no such class"
    choose(page, "#view", "Depth")
    assert not one(page, "#left").is_displayed()
    grey = pixels(page, "right")[..., 0].astype(int)
    assert grey[0, 0] == 255 and grey[-1, -1] == 0 and (np.diff(grey.ravel()) <= 0).all()
    assert page.get_log("browser") == []


def test_legends_and_the_point_under_the_keys(page, tmp_path):
    pick(page, tmp_path)
    rows = [row.text for row in page.find_elements("css selector", "#right-legend tbody tr")]
    assert [row.split()[0] for row in rows] == ["ground", "box"]
    assert one(page, "#right-legend caption").text == "two <b>"
    layers = one(page, "#layers")
    layers.send_keys("\ue012" * 26, "\ue013" * 16)  # to the left and up, beyond the corner
    read = one(page, "#readout").text.splitlines()
    assert read == ["x 0, y 0", "left: class 18 80 %, entropy 0.20", "right: box 80 %, entropy 0.20, depth 0.000"]
    here = [cell.text for cell in page.find_elements("css selector", "#left-legend .here")]
    assert here == ["1 %"] * 18 + ["80 %"]
    keys = page.find_elements("css selector", "#left-legend .key")
    keys[18].send_keys("\ue007")
    assert one(page, "#view").get_attribute("value") == "class class 18"
    assert one(page, "#left-legend [aria-pressed='true']").text == "class 18"


def test_two_runs_are_divided_by_pointer_and_keys(page, runs, tmp_path):
    pick(page, tmp_path)
    assert "differ" not in one(page, "#status").text
    choose(page, "#right-run", "again")
    wait_for(page, "differ")
    share = 100 * (runs[0].maps["mask"] != runs[2].maps["mask"]).mean()
    assert f"the two masks differ at {share:.2f} % of the pixels" in one(page, "#status").text
    assert [len(run.asked) for run in runs] == [1, 1, 1]
    swipe = one(page, "#swipe")
    swipe.send_keys("\ue011")  # home
    clip = "return ['left', 'right'].map((side) => document.getElementById(side).style.clipPath)"
    assert page.execute_script(clip) == ["inset(0px 100% 0px 0px)", "inset(0px 0px 0px 0%)"]
    page.execute_script(
        "const box = arguments[0].getBoundingClientRect(); arguments[0].dispatchEvent(new PointerEvent('pointermove',"
        " {clientX: box.left + 0.25 * box.width, clientY: box.top + 5, buttons: 1, bubbles: true}))",
        one(page, "#layers"),
    )
    assert float(swipe.get_attribute("value")) == pytest.approx(25, abs=0.2)
    assert one(page, "#readout").text.startswith("x 12, y ")
    one(page, "#opacity").send_keys("\ue010")  # end
    assert page.execute_script("return document.getElementById('left').style.opacity") == "1"


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(page, runs, way):
    page.execute_script(
        "const data = new DataTransfer(); data.items.add(new File(['dropped'], 'x.tif'));"
        "const event = arguments[0] === 'drop' ? new DragEvent('drop', {dataTransfer: data, bubbles: true})"
        " : new ClipboardEvent('paste', {clipboardData: data, bubbles: true}); document.body.dispatchEvent(event);",
        way,
    )
    wait_for(page, "pixels")
    assert runs[0].asked == runs[1].asked == [("picture.tif", b"dropped", None)]


def test_what_cannot_be_used_is_said_and_the_next_picture_is_shown(page, runs, tmp_path):
    def answer(*words, **named):
        raise DataError("damaged: no <i>end</i>")

    runs[0].answer = answer
    pick(page, tmp_path, word="damaged")
    assert one(page, "#error").text == "picture.png: damaged: no <i>end</i>"
    assert "50 x 30 pixels" in one(page, "#status").text, "the other run has seen it"
    del runs[0].answer
    pick(page, tmp_path, content=b"another", word="50 x 30")
    wait_for(page, "pixels")
    assert not one(page, "#error").is_displayed() and one(page, "#left").is_displayed()


def test_a_background_goes_with_its_picture(chromium, tmp_path):
    run = FakeRun(maps=said(("ground", "box"), 1), background=True)
    with serving(AppServer([run], 0, host="127.0.0.1")) as server:
        show(chromium, server.address)
        pick(chromium, tmp_path)
        pick(chromium, tmp_path, "background", b"behind it")
        assert run.asked == [("picture.png", b"a picture", None), ("picture.png", b"a picture", b"behind it")]
        pick(chromium, tmp_path, content=b"the next")
        assert run.asked[2] == ("picture.png", b"the next", None)
        assert not one(chromium, "#choice").is_displayed() and not one(chromium, "#divider").is_displayed()


def test_nothing_else_is_asked_a_phone_is_wide_enough_and_it_is_dark_where_the_system_is(chromium, served, tmp_path):
    show(chromium, served.address, PHONE, scheme="dark")
    pick(chromium, tmp_path)
    assert all(url.startswith((served.address, "data:")) for url in requested(chromium))
    widths = chromium.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1] == PHONE
    assert background(chromium) == "rgb(20, 23, 27)"
    for control in chromium.find_elements("css selector", "input, select, button, [tabindex='0']"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
    assert chromium.get_log("browser") == []
