"""How the browser tests look at pages and work with them, as a person would."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="there is no chromium with its chromedriver")

PHONE, WIDE = 375, 1200


@contextmanager
def headless_chromium(profile):
    """Start a browser that keeps its files in a folder."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def show(driver, page, width=WIDE, scheme="light", media=""):
    address = page if isinstance(page, str) else page.as_uri()
    mobile = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", mobile)
    still = {"name": "prefers-reduced-motion", "value": "reduce"}  # else clicks meet a page that still scrolls
    features = [{"name": "prefers-color-scheme", "value": scheme}, still]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    driver.get(address)
    driver.execute_script("localStorage.clear()")
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get(address)
    begun(driver)


def begun(driver):
    """Wait until the page has unpacked its data."""
    script = "const done = arguments[0], html = document.documentElement; const look = () => 'ready' in html.dataset"
    driver.execute_async_script(f"{script} ? done() : setTimeout(look, 5); look();")


def requested(driver):
    """Return the addresses that were asked since the log was last read."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def column(driver, table, place):
    """Return the texts of a column in the rows that are to be seen, from top to bottom."""
    return driver.execute_script(
        "return [...document.querySelectorAll(`#${arguments[0]}-table tbody tr`)].filter((row) => row.offsetHeight)"
        ".map((row) => row.cells[arguments[1]].innerText.trim())",
        table,
        place,
    )


def place_of(driver, table, title):
    heads = driver.find_elements("css selector", f"#{table}-table thead button")
    return [head.text for head in heads].index(title)


def head(driver, table, title):
    return driver.find_elements("css selector", f"#{table}-table thead button")[place_of(driver, table, title)]


def one(driver, selector):
    return driver.find_element("css selector", selector)


def choose(driver, selector, text):
    """Choose an option of a select by its text, as a person does."""
    options = one(driver, selector).find_elements("css selector", "option")
    next(option for option in options if text in option.text).click()


def write(driver, selector, text):
    field = one(driver, selector)
    field.clear()
    field.send_keys(text)


def painted(driver, chart):
    """Return how many pixels of each colour the canvas has, by colour with its alpha; clear ones left out."""
    return driver.execute_script(
        """
      const canvas = document.querySelector(`#${arguments[0]} canvas`), counts = {};
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
      copy.drawImage(canvas, 0, 0);
      const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
      for (let k = 0; k < data.length; k += 4) if (data[k + 3]) {
        const name = [...data.slice(k, k + 3)].map((v) => v.toString(16).padStart(2, "0")).join("") ;
        counts[name] = (counts[name] ?? 0) + 1;
      }
      return counts;""",
        chart,
    )


def background(driver):
    return driver.execute_script("return getComputedStyle(document.body).backgroundColor")
