from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import replace
from datetime import datetime
from xml.etree import ElementTree

import pytest
from helpers.reports import HOSTILE, Page, fake_comparison, fake_report, fake_trials, png

from ednas.exceptions import ConfigError
from ednas.report import html
from ednas.report.content import ModelRow, Picture, ReportData
from ednas.report.html import render, write_report
from ednas.search.trial import Judgement, TrialState


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(fake_report()))


def test_a_full_report_has_all_sections(page):
    assert page.sections == [
        "comparison", "trials", "pareto", "reward", "choices", "architecture", "predictions", "failed", "configuration",
    ]  # fmt: skip


def test_the_text_holds_the_facts(page):
    text = " ".join(page.text.split())
    for fact in (
        "Made-up search on synthetic streets", "2024-05-17 12:30", "coral_usb", "7.00 ms", "11.6 ms",
        "controller: evolution",
        "mIoU % ↑", "Rel. error ↓", "46.52 ± 0.31", "+16.2 %", "−2.3 %", "+7.9 %", "FusedIBN", "3.42 M", "2.10 G",
        "loss is not finite at step 12",
    ):  # fmt: skip
        assert fact in text, fact


def test_every_trial_of_the_front_is_in_the_table(page):
    report = fake_report()
    for trial in report.trials:
        assert (trial.architecture in page.text) == (
            trial.number in report.pareto or trial.state is TrialState.FAILED or trial.number == report.best.number
        )


def test_the_best_trials_stand_beside_the_base_and_no_network():
    report = fake_report()
    ranked = sorted((t for t in report.trials if t.scored), key=lambda t: -t.reward)
    chosen, base = ranked[2], ranked[-1]
    report = replace(
        report,
        best=replace(report.best, number=chosen.number),
        baseline_trial=base.number,
        judgements={chosen.number: Judgement(0.1234, 0.1)},
        pruned_by={"latency_ms": 3, "peak_memory_kb": 2},
        trivial={"depth": {"rel_err": 0.9}},
        trivial_accuracy=0.4321,
        next_command="ednas train 'my run/best.json'",
    )
    text = " ".join(Page(render(report)).text.split())
    for fact in (f"{chosen.number} (chosen)", f"{base.number} (base network)", "0.1234", "0.4321", "0.9000"):
        assert fact in text, fact
    pruned = sum(t.state is TrialState.PRUNED for t in report.trials)
    assert f"{pruned} more were not trained (3 by latency, 2 by peak memory)" in text
    assert "ednas train 'my run/best.json'" in text
    assert f"beside all {len(ranked)} that were scored" in text
    shown = re.findall(r'<th scope="row" class="text">(\d+)', render(report))
    assert shown == [str(trial.number) for trial in (*ranked[:10], base)]


def test_a_worthless_trial_is_called_so():
    trials = fake_trials(10)
    trials = tuple(replace(trial, error="all road") if trial.number == 0 else trial for trial in trials)
    page = Page(render(replace(fake_report(10), trials=trials, pareto=(0,), best=None)))
    assert page.text.count(trials[0].architecture) == page.text.count("all road") == 2  # on the front, and in its list


def test_pictures_are_inlined_once_with_alternative_texts(page):
    images = [attrs for tag, attrs in page.elements if tag == "img"]
    assert len(images) == 2 + 2 * 2 * 4  # an image per sample; label, legend, two predictions per sample and task
    assert all(attrs["src"].startswith("data:image/png;base64,") and attrs["alt"] for attrs in images)


def test_nothing_is_loaded_from_elsewhere(page):
    for tag, attrs in page.elements:
        for name in ("src", "href", "data", "poster", "srcset"):
            value = attrs.get(name) or ""
            assert value.startswith(("data:", "#")) or not value, (tag, name, value)
    own = [script for script in page.scripts if len(script) < 1_000_000]
    assert not any(re.search(r"https?://|@import|url\(", script) for script in own)
    policy = next(attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv"))
    assert "default-src 'none'" in policy


def test_the_plots_script_is_there_once(page):
    assert sum(len(script) > 1_000_000 for script in page.scripts) == 1


def test_headings_are_in_order_and_tables_have_headers(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(attrs.get("scope") for tag, attrs in page.elements if tag == "th")


def test_hostile_names_stay_text():
    report = fake_report(30)
    trials = tuple(
        replace(trial, error=HOSTILE, metrics={HOSTILE: {HOSTILE: 0.5}} if trial.metrics else {})
        for trial in report.trials
    )
    comparison = replace(
        report.comparison,
        models=(*report.comparison.models, ModelRow(HOSTILE, {HOSTILE: {HOSTILE: 1.0}})),
        metrics={**report.comparison.metrics, HOSTILE: (HOSTILE,)},
        baseline=HOSTILE,
        protocol=HOSTILE,
    )
    picture = Picture(HOSTILE, HOSTILE, png((9, 9, 9)), png((9, 9, 9)), ((HOSTILE, png((9, 9, 9))),))
    architecture = replace(report.best.architecture, name=HOSTILE)
    hostile = Page(
        render(
            replace(
                report, title=HOSTILE, target=HOSTILE, config=HOSTILE, trials=trials, comparison=comparison,
                pictures=(picture,), best=replace(report.best, architecture=architecture, tasks=(HOSTILE,)),
            )
        )
    )  # fmt: skip
    assert len(hostile.scripts) == len(Page(render(report)).scripts)
    assert not [tag for tag, attrs in hostile.elements if "onerror" in attrs]
    assert HOSTILE in hostile.text


def test_figures_survive_the_script_element():
    text = render(replace(fake_report(10), trials=tuple(replace(t, metrics={HOSTILE: {}}) for t in fake_trials(10))))
    for name in ("pareto", "reward", "choices"):
        found = re.search(rf'<script type="application/json" id="plot-{name}-data">(.*?)</script>', text, re.DOTALL)
        assert found
        assert set(json.loads(found[1])) == {"data", "layout"}


def test_an_empty_report_says_so():
    page = Page(render(ReportData("Nothing", datetime(2024, 1, 1))))
    assert "nothing to report yet" in page.text
    assert page.sections == [None]
    assert sum(map(len, page.scripts)) < 20_000  # no plot, no plotly


def test_a_search_that_has_just_begun_can_be_reported():
    trials = tuple(
        replace(trial, state=TrialState.RUNNING, accuracy=None, reward=None, metrics={}, done_order=None)
        for trial in fake_trials(4)
    )
    page = Page(render(ReportData("Young", datetime(2024, 1, 1), trials=trials, planned_trials=40)))
    assert "No trial has been scored yet" in page.text
    assert "0 / 40" in page.text


def test_missing_plotly_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    html.plotly_script.cache_clear()
    with pytest.raises(ConfigError, match=r'pip install "ednas\[report\]"'):
        render(fake_report(10))
    html.plotly_script.cache_clear()


def test_many_trials_keep_the_file_small_and_quick(tmp_path):
    trials = fake_trials(1) * 5000
    trials = tuple(
        replace(trial, number=n, done_order=n, accuracy=0.3 + n / 1e5, reward=0.3) for n, trial in enumerate(trials)
    )
    report = replace(fake_report(60), trials=trials)
    start = time.process_time()
    path = write_report(report, tmp_path / "report.html")
    assert time.process_time() - start < 3
    assert path.stat().st_size < 6_000_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_the_drawing_is_part_of_the_page(page):
    assert any(tag == "svg" for tag, _ in page.elements)
    assert page.text.count("BiFPN: 4 layers") == 1


def test_the_comparison_shows_other_metrics_below_delta_with_their_unit():
    table = fake_comparison()
    models = tuple(
        replace(model, values={**model.values, "depth": {"rmse": 0.25, **model.values["depth"]}})
        for model in table.models
    )
    metrics = {**table.metrics, "depth": ("rmse", *table.metrics["depth"])}
    units = {"depth": {"rmse": "m"}}
    text = render(replace(fake_report(10), comparison=replace(table, models=models, metrics=metrics, units=units)))
    part = text[text.index("Rel. error") :]
    assert part.index("Δ") < part.index("RMSE m ↓") < part.index("0.2500")


def test_the_drawing_in_the_page_is_well_formed():
    text = render(fake_report(10))
    drawing = text[text.index("<svg") : text.index("</svg>") + len("</svg>")]
    ElementTree.fromstring(drawing)
