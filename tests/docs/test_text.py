"""Docstrings as Markdown, and the pages that are made without mkdocs."""

from __future__ import annotations

import pytest
from generate import api, measurements
from generate.text import as_markdown, attributes, table

import ednas


class Base:
    """A base.

    Attributes:
        first: One line,
            or two.
        second: See :func:`~ednas.hw.simulate` and ``x | y``.

    Example:
        not_an_attribute: text
    """


class Child(Base):
    """A child.

    Attributes:
        first: Another.
    """


def test_attributes_are_those_of_the_bases_too() -> None:
    link = '<autoref optional identifier="ednas.hw.simulate"><code>simulate</code></autoref>'
    assert attributes(Base) == {"first": "One line, or two.", "second": f"See {link} and `x | y`."}
    assert attributes(Child)["first"] == "Another."
    assert list(attributes(Child)) == ["first", "second"]


def test_roles_without_a_tilde_show_the_whole_path() -> None:
    assert as_markdown(":data:`a.b`") == '<autoref optional identifier="a.b"><code>a.b</code></autoref>'


def test_tables_escape_what_ends_a_cell() -> None:
    assert table(("A",), [("x | y",), ("two\nlines",)]).splitlines()[2:] == ["| x \\| y |", "| two lines |"]


def test_every_public_name_is_on_a_page() -> None:
    pages = "\n".join(map(api.page, api.TITLES))
    paths = [path for part in api.public_names().values() for path in part]
    assert len(paths) == len(ednas.__all__)
    assert all(f"::: {path}" in pages for path in paths)


@pytest.mark.slow
def test_measurements_come_from_the_stored_rows() -> None:
    tables = {name: made() for name, made in measurements.TABLES.items()}
    assert tables["recipes-result-streets"].count("\n| base") == 3
    seeds = {
        name: sum(
            int(row.split("|")[2])
            for row in made.splitlines()
            if row.startswith("|") and "seeds" not in row and "---" not in row
        )
        for name, made in tables.items()
    }
    trainings = len(measurements.benchmark("recipes").load())
    assert sum(count for name, count in seeds.items() if name.startswith("recipes")) == trainings
    assert seeds["partial-labels"] == len(measurements.benchmark("partial_labels").load())
