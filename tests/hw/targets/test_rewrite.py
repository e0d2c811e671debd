from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ednas.exceptions import TargetError
from ednas.hw.model.errors import ErrorConfig
from ednas.hw.model.figure import Figure
from ednas.hw.targets.files import load_target, target_names, target_text
from ednas.hw.targets.rewrite import rewrite

PATH = "link.dispatch_ms"
CORAL_ERRORS = load_target("coral_usb").errors


def figure(value: float, source: str = "here") -> Figure:
    return Figure(value=value, provenance="measured", source=source, fit=True)


@pytest.mark.parametrize("name", target_names())
def test_only_the_name_changes(name):
    text = rewrite(target_text(name), "other", errors=load_target(name).errors)
    assert yaml.safe_load(text) == yaml.safe_load(target_text(name)) | {"name": "other"}
    before, after = (content.partition("\nerrors:")[0].rstrip() for content in (target_text(name), text))
    assert after == before.replace(f"name: {name}\n", "name: other\n", 1)


def test_how_far_off_a_target_is_is_not_said_of_another_one():
    text = rewrite(target_text("raspberry_pi_4_ncnn_fp32"), "other")
    assert "errors" not in yaml.safe_load(text)
    assert text.endswith("partition: per_operator\n")
    own = ErrorConfig(kind="host", low=0.5, high=1.5, networks=4, source='a "quoted" word')
    again = rewrite(text + "\n# the end\n", "other", errors=[own])
    assert ErrorConfig.model_validate(yaml.safe_load(again)["errors"][0]) == own
    assert "# the end" in again


@given(st.floats(1e-9, 1e9), st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_figures_are_written_as_they_are_read(value, source):
    text = rewrite(target_text("coral_usb"), "other", {PATH: figure(value, source)}, CORAL_ERRORS)
    written = yaml.safe_load(text)["link"]["dispatch_ms"]
    assert written == {"value": pytest.approx(value, rel=1e-5), "provenance": "measured", "source": source, "fit": True}
    before, after = target_text("coral_usb").splitlines(), text.splitlines()
    changed = [number for number, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    changed = [number for number in changed if number < after.index("errors:")]
    assert len(changed) == 2


@pytest.mark.parametrize(
    "form",
    [
        "{value: 0.5, provenance: assumed, source: 'a, b'}  # why",
        "\n    value: 0.5  # ms\n    provenance: assumed\n    source: >\n      two\n      lines\n",
        "\n    {provenance: assumed,\n     source: x, value: 0.5}",
        '{"value": 5.0e-1, "provenance": "assumed", "source": "x"}',
    ],
)
def test_every_form_of_a_figure_is_understood(form):
    lines = target_text("coral_usb").splitlines()
    place = next(number for number, line in enumerate(lines) if "dispatch_ms:" in line)
    lines[place] = f"  dispatch_ms: {form}"
    text = rewrite("\n".join(lines), "other", {PATH: figure(1.25)})
    written = yaml.safe_load(text)["link"]["dispatch_ms"]
    assert written == {"value": 1.25, "provenance": "measured", "source": "here"}
    assert text.count("#") == "\n".join(lines).count("#")


@pytest.mark.parametrize("name", ["null", "12", "true", "a.b-c", "1e3"])
def test_a_name_that_looks_like_another_value_stays_a_name(name):
    assert yaml.safe_load(rewrite(target_text("coral_usb"), name))["name"] == name


def test_shared_values_are_refused():
    text = target_text("coral_usb").replace("element_ns: {", "element_ns: &shared {")
    lines = [
        "  custom_element_ns: *shared" if line.lstrip().startswith("custom_element_ns") else line
        for line in text.splitlines()
    ]
    with pytest.raises(TargetError, match="anchors"):
        rewrite("\n".join(lines), "other", {"host.element_ns": figure(3.0)})


@pytest.mark.parametrize("name", ["", "two words", "a/b"])
def test_a_wrong_name_is_refused(name):
    with pytest.raises(TargetError, match="name"):
        rewrite(target_text("coral_usb"), name)


def test_texts_are_those_of_targets(tmp_path):
    assert target_text("coral_usb").startswith("# The Coral USB Accelerator")
    (tmp_path / "mine.yaml").write_text(rewrite(target_text("coral_usb"), "mine"), encoding="utf-8")
    assert load_target(tmp_path / "mine.yaml").name == "mine"
    assert "name: mine" in target_text(tmp_path / "mine.yaml")
    (tmp_path / "wrong.yaml").write_text("name: x", encoding="utf-8")
    for source in (tmp_path / "wrong.yaml", tmp_path / "nowhere.yaml", "coral_ubs"):
        with pytest.raises(TargetError):
            target_text(source)
