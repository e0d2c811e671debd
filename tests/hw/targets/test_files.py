"""Targets are files whose numbers say where they come from; a wrong file is one clear error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ednas.exceptions import TargetError
from ednas.hw import load_target, target_names, targets
from ednas.hw.model.figure import Figure

BUILTIN = Path(targets.__file__).parent


def figures(value: Any) -> Iterator[Figure]:
    if isinstance(value, Figure):
        yield value
    elif hasattr(type(value), "model_fields"):
        for name in type(value).model_fields:
            yield from figures(getattr(value, name))


def written(tmp_path: Path, change: Any) -> Path:
    content = yaml.safe_load((BUILTIN / "coral_usb.yaml").read_text())
    change(content)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("name", target_names())
def test_every_number_of_a_builtin_target_says_its_source(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    found = list(figures(target))
    assert len(found) > 10
    assert all(len(figure.source) > 5 for figure in found)


def test_accelerators_name_the_compiler_that_confirms_them() -> None:
    compilers = {name: load_target(name).compiler for name in target_names()}
    assert {compilers[name] for name in compilers if name.startswith("ethos_")} == {"vela"}
    assert {compilers[name] for name in compilers if name.startswith(("coral_", "edgetpu_"))} == {"edgetpu_compiler"}
    assert compilers["cpu_generic"] is None


def test_the_coral_is_the_one_of_the_public_driver() -> None:
    array = load_target("coral_usb").engine
    assert (array.tiles_high, array.tiles_wide, array.lanes_per_tile, array.clock_mhz.value) == (4, 4, 64, 500)


def test_a_file_of_the_users_own_works_by_path(tmp_path: Path) -> None:
    path = written(tmp_path, lambda content: content.update(name="mine"))
    assert load_target(path).name == "mine"
    assert load_target(str(path)) == load_target(path)


def set_clock(value: Any) -> Any:
    return lambda content: content["engine"]["clock_mhz"].update(value=value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_clock(-500), "'engine.clock_mhz.value': Input should be greater than 0 (got -500)"),
        (set_clock(0), "'engine.clock_mhz.value': Input should be greater than 0"),
        (set_clock("fast"), "'engine.clock_mhz.value': Input should be a valid number"),
        (set_clock(float("inf")), "'engine.clock_mhz.value': Input should be a finite number"),
        (lambda c: c["engine"].pop("clock_mhz"), "key 'engine.clock_mhz' is missing"),
        (lambda c: c.pop("host"), "key 'host' is missing"),
        (
            lambda c: c["engine"].update(clok_mhz=c["engine"].pop("clock_mhz")),
            "unknown key 'engine.clok_mhz'; did you mean",
        ),
        (lambda c: c["link"]["dispatch_ms"].pop("source"), "key 'link.dispatch_ms.source' is missing"),
        (lambda c: c["link"]["dispatch_ms"].update(provenance="guessed"), "'measured', 'published' or 'assumed'"),
        (
            lambda c: c["operators"]["supported"].append("CONV2D"),
            "'CONV2D' is not a TFLite operator; did you mean 'CONV_2D'?",
        ),
        (lambda c: c["engine"].update(tiles_high=0), "'engine.tiles_high': Input should be greater than or equal to 1"),
        (lambda c: c.update(compiler="gcc"), "'compiler': Input should be 'vela' or 'edgetpu_compiler' (got 'gcc')"),
        (lambda c: c.update(name="my target"), "'name': a target's name is made of letters, digits, '_', '-' and '.'"),
        (set_clock(1e-300), "engine.clock_mhz is 1e-300, must be 0 or from 1e-06 to 1e+12; check its unit"),
        (set_clock(1e300), "engine.clock_mhz is 1e+300, must be"),
        (lambda c: c["engine"].pop("kind"), "key 'engine.kind' is missing; it says what 'engine' is"),
        (
            lambda c: c["engine"].update(kind="gpu"),
            "'engine.kind': must be one of tiled_simd, systolic, ethos_u, cpu, ncnn (got 'gpu')",
        ),
        (lambda c: c.update(link=3), "'link': must be a mapping of keys to values (got 3)"),
        (lambda c: c["operators"].update(supported="CONV_2D"), "'operators.supported': must be a list (got 'CONV_2D')"),
    ],
)
def test_wrong_files_are_one_clear_error(tmp_path: Path, change: Any, message: str) -> None:
    path = written(tmp_path, change)
    with pytest.raises(TargetError) as caught:
        load_target(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("corel_usb", "unknown target 'corel_usb'; did you mean 'coral_usb'?"),
        ("tpu9000", "unknown target 'tpu9000'; known: coral_pcie"),
        ("nowhere.yaml", "nowhere.yaml: no such file"),
    ],
)
def test_unknown_targets_are_named(name: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        load_target(name)
    assert message in str(caught.value)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = (BUILTIN / "coral_usb.yaml").read_text()
    path.write_text(text.replace("name: coral_usb\n", "name: coral_usb\nname: mine\n", 1))
    with pytest.raises(
        TargetError, match=r"mine\.yaml:\d+: .*the key 'name' is there already, in line \d+; remove one"
    ):
        load_target(path)


def test_a_name_that_cannot_be_a_files_is_unknown() -> None:
    with pytest.raises(TargetError, match="unknown target"):
        load_target("x" * 5000)


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "a: [", "", "\x00"])
def test_a_file_that_is_no_target_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(TargetError, match=r"mine\.yaml"):
        load_target(path)


def test_equal_targets_have_equal_hashes_and_changed_ones_differ(tmp_path: Path) -> None:
    same = load_target(written(tmp_path, lambda content: None))
    assert (same, hash(same)) == (load_target("coral_usb"), hash(load_target("coral_usb")))
    assert load_target(written(tmp_path, set_clock(250))) != same
