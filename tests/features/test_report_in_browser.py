"""The report in a real browser. Screenshots go to the folder that EDNAS_SCREENSHOTS names, if it is set."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from helpers.reports import HOSTILE, fake_report, fake_trials, store_trial

from ednas.cli.report import write_page
from ednas.report.html import write_report
from ednas.report.watch import watch
from ednas.runs import RunFolder
from ednas.search.study import Study

webdriver = pytest.importorskip("selenium.webdriver")

WIDTHS = {"wide": 1280, "narrow": 420}


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs Chromium and its driver (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def report_file(tmp_path_factory) -> Path:
    return write_report(fake_report(), tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def page(browser, report_file):
    """The report, opened from disk, with all its plots drawn; opened once for the tests that only look at it."""
    browser.set_window_size(WIDTHS["wide"], 1400)
    if browser.current_url != report_file.as_uri():
        open_report(browser, report_file)
    return browser


def open_report(browser, path: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    for log in ("browser", "performance"):
        browser.get_log(log)  # reading empties it
    browser.get(path.as_uri())
    waiting = (
        "return document.readyState != 'complete' || document.querySelectorAll('.plot:not(:has(.bglayer))').length"
    )
    WebDriverWait(browser, 15).until_not(lambda b: b.execute_script(waiting))


def screenshot(browser, name: str) -> None:
    folder = os.environ.get("EDNAS_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        height = browser.execute_script("return document.documentElement.scrollHeight")
        browser.set_window_size(browser.get_window_size()["width"], height + 100)
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))


def test_no_console_messages_and_no_requests(page):
    assert page.get_log("browser") == []
    requests = [
        entry["message"] for entry in page.get_log("performance") if "Network.requestWillBeSent" in entry["message"]
    ]
    assert not [message for message in requests if '"url":"http' in message]
    assert (
        page.execute_script(
            "return performance.getEntriesByType('resource').filter(r => !/^(data|blob):/.test(r.name))"
        )
        == []
    )


def test_every_scored_trial_is_a_point(page):
    report = fake_report()
    scored = sum(trial.scored for trial in report.trials)
    pruned = sum(trial.state == "pruned" for trial in report.trials)
    count = "return document.querySelectorAll(arguments[0]).length"
    assert page.execute_script(count, "#plot-pareto .scatterlayer .points path") == scored + pruned
    assert page.execute_script(count, "#plot-reward .scatterlayer .points path") == scored
    assert page.execute_script(count, "#plot-choices .heatmaplayer image") == 1
    screenshot(page, "wide")


def test_hovering_a_point_shows_its_architecture(page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    report = fake_report()
    front = page.execute_script(
        "const plot = document.getElementById('plot-pareto');"
        "plot.scrollIntoView({block: 'center', behavior: 'instant'});"
        "return [...plot.querySelectorAll('.scatterlayer .trace.scatter')].at(-2).querySelectorAll('.points path')"
    )
    assert len(front) == len(report.pareto)
    ActionChains(page).move_to_element(front[2]).perform()
    text = WebDriverWait(page, 5).until(
        lambda b: b.execute_script("return document.querySelector('#plot-pareto .hoverlayer')?.textContent")
    )
    trial = next(trial for trial in report.trials if trial.number == report.pareto[2])
    assert f"trial {trial.number}" in text
    for block in trial.architecture.split():
        assert block in text
    if os.environ.get("EDNAS_SCREENSHOTS"):
        page.save_screenshot(str(Path(os.environ["EDNAS_SCREENSHOTS"]) / "hover.png"))


def test_pictures_are_decoded(page):
    sizes = page.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert sizes
    assert all(size > 0 for size in sizes)


def test_a_narrow_screen_does_not_scroll_sideways(browser, report_file):
    browser.set_window_size(WIDTHS["narrow"], 900)
    open_report(browser, report_file)
    width, inner = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    screenshot(browser, "narrow")
    assert width <= inner


@pytest.mark.slow
def test_a_watched_page_follows_its_run_and_stays_where_its_reader_is(browser, tmp_path):
    from selenium.common import JavascriptException
    from selenium.webdriver.support.ui import WebDriverWait

    def shows(script: str, value: object) -> None:
        """Wait for what a script returns; while the page is loaded anew there may be nothing to ask."""
        WebDriverWait(browser, 120, ignored_exceptions=[JavascriptException]).until(
            lambda b: b.execute_script(f"return {script}") == value
        )

    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.config.write_text("training: {data: streets}\ntrials: 3\n")
    first, second, third, *_ = (trial for trial in fake_trials(12) if trial.scored)
    watcher = threading.Thread(
        daemon=True,
        target=watch,
        args=(run, lambda goes_on: write_page(run.path, run.report, 1.0 if goes_on else None), 0.2, print),
    )
    browser.set_window_size(WIDTHS["wide"], 700)
    evaluated, part = "document.querySelector('.tiles dd').textContent", "document.querySelector('#pareto details')"
    with Study(run.study, {}) as study:
        store_trial(study, first)
        watcher.start()
        WebDriverWait(browser, 120).until(lambda _: run.report.is_file())
        browser.get(run.report.as_uri())
        shows(evaluated, "1 / 3")
        browser.execute_script(f"{part}.open = false; scrollTo({{top: 432, behavior: 'instant'}})")
        for trial, text in ((second, "2 / 3"), (third, "3")):
            store_trial(study, trial)
            shows(evaluated, text)
            shows(f"[scrollY, {part}.open]", [432, False])
    watcher.join()
    shows("document.querySelector('header').textContent.includes('reloads')", False)
    browser.execute_script("window.isStill = true")
    time.sleep(2.5)
    shows("[window.isStill, scrollY]", [True, 432])
    assert browser.get_log("browser") == []


def test_hostile_text_runs_nothing(browser, tmp_path):
    from dataclasses import replace

    report = fake_report(30)
    trials = tuple(
        replace(t, metrics={HOSTILE: {HOSTILE: 0.5}} if t.scored else {}, error=HOSTILE) for t in report.trials
    )
    path = write_report(replace(report, title=HOSTILE, config=HOSTILE, trials=trials), tmp_path / "hostile.html")
    open_report(browser, path)
    assert browser.title == " ".join(HOSTILE.split())
    assert browser.get_log("browser") == []
    assert not browser.execute_script("return document.querySelectorAll('img[onerror]').length")


def test_the_page_prints(page):
    from selenium.webdriver.common.print_page_options import PrintOptions

    options = PrintOptions()
    options.background = True
    content = page.print_page(options)
    assert len(content) > 50_000
    if os.environ.get("EDNAS_SCREENSHOTS"):
        import base64

        (Path(os.environ["EDNAS_SCREENSHOTS"]) / "print.pdf").write_bytes(base64.b64decode(content))
