"""YAML and its errors: one line, the place, the nearest right key."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.config import MOST_BYTES, StrictModel, parse, read_yaml
from ednas.exceptions import ConfigError, DataError
from ednas.files import read_json


class Inner(StrictModel):
    learning_rate: float = 0.1


class Outer(StrictModel):
    name: str
    inner: Inner = Inner()
    steps: int = 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nam": "x"}, "file.yaml: unknown key 'nam'; did you mean 'name'?"),
        (
            {"name": "x", "inner": {"learning_rat": 1}},
            "unknown key 'inner.learning_rat'; did you mean 'learning_rate'?",
        ),
        ({"name": "x", "zzzzzz": 1}, "unknown key 'zzzzzz'; known keys: inner, name, steps"),
        ({}, "key 'name' is missing"),
        ({"name": "x", "steps": "many"}, "'steps': Input should be a valid integer"),
    ],
)
def test_errors_name_file_key_and_remedy(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(Outer, values, "file.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_values_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: x\ninner: {learning_rate: 0.5}\n")
    assert parse(Outer, read_yaml(tmp_path / "a.yaml"), "a").inner.learning_rate == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "a.yaml:"),
        ("- 1", "expected a mapping"),
        ("", "expected a mapping"),
        ("a: !!int ''", "not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", r"a.yaml:3: .*'a' is there already, in line 1; remove one"),
        ("a: {b: 1, b: 1}", "'b' is there already"),
    ],
)
def test_wrong_yaml_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_yaml(tmp_path / "a.yaml", DataError)


def test_merged_keys_may_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {d: {<<: *b, y: 3}}\n")
    assert read_yaml(tmp_path / "a.yaml")["c"] == {"d": {"x": 2, "y": 3}}


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")


@settings(max_examples=examples(200))
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_random_bytes_are_a_mapping_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("yaml") / "a.yaml"
    path.write_bytes(content)
    try:
        assert isinstance(read_yaml(path), dict)
    except ConfigError as error:
        assert "\n" not in str(error).replace(str(path), "")


LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    + ["steps: *a8"]
)


def test_aliases_that_stand_for_billions_end_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(LAUGHS)
    began = time.process_time()
    with pytest.raises(ConfigError, match="aliases .* stand for more than 1,000,000 values"):
        read_yaml(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("a: &a [1, *a]\n")
    assert read_yaml(tmp_path / "a.yaml")["a"][0] == 1
    (tmp_path / "a.yaml").write_text("a: &a {b: 1}\nc: [*a, *a]\n")
    assert read_yaml(tmp_path / "a.yaml")["c"] == [{"b": 1}, {"b": 1}]
    assert time.process_time() - began < 10


# PyYAML writes other line breaks than \n in a way that it does not read back.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85\u2028\u2029"), max_size=20)


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), TEXTS))
def test_what_is_written_is_read(value: object) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "a.yaml"
        file.write_text(yaml.safe_dump({"name": value}, allow_unicode=True), encoding="utf-8")
        assert read_yaml(file) == {"name": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),
        (":".join(["1"] * 20_000), ":".join(["1"] * 20_000)),
        ("1:30.5", "1:30.5"),
        ("1e-3", 0.001),
        ("2.5E+3", 2500.0),
        ("0x1F", 31),
        ("1_000", 1000),
        ("-7", -7),
        ("+.5", 0.5),
        (".inf", float("inf")),
        ("1.2.3", "1.2.3"),
    ],
)
def test_numbers_are_those_of_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    (tmp_path / "a.yaml").write_text(f"a: {text}\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": value}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty, expected a mapping"),
        ("- 1", "holds list"),
        (f"a: 0x{'f' * 300}", r":1: not valid YAML \(a whole"),
    ],
)
def test_what_is_no_mapping_of_usual_values(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize("place", ["/dev/zero", "/dev"])
def test_what_is_no_regular_file_is_not_read(place: str) -> None:
    if not Path(place).exists():
        pytest.skip("this system has no such device")
    with pytest.raises(ConfigError, match=f"{place}: is no regular file"):
        read_yaml(place)
    with pytest.raises(DataError, match=f"{place}: is no regular file"):
        read_json(place, DataError)


def test_a_file_that_is_too_large_is_refused_at_once(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\n# " + "x" * (MOST_BYTES - 7))
    assert read_yaml(file) == {"a": 1}
    file.write_text("a: 1\n# " + "x" * (60 << 20))
    with pytest.raises(DataError, match=r"a.yaml: has 60 MiB, a configuration at most 4"):
        read_yaml(file, DataError)
