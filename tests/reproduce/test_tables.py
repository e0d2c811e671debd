"""What all declarations of tables have in common."""

from __future__ import annotations

import pytest

from ednas.exceptions import ConfigError
from ednas.reproduce.claims import Steadier
from ednas.reproduce.scales import make_scale
from ednas.reproduce.table import Row
from ednas.reproduce.tables import TABLES, find_tables
from ednas.training.config import identity


@pytest.fixture(params=["mini", "gpu", "paper"], scope="module")
def scale(request):
    return make_scale(request.param, {"cityscapes": "streets", "nyuv2": "rooms"})


@pytest.mark.parametrize("name", TABLES)
class TestEveryTable:
    def test_claims_and_gains_are_about_rows_that_there_are(self, name, scale):
        table = TABLES[name](scale)
        keys = [row.key for row in table.rows]
        assert len(set(keys)) == len(keys)
        for reading in (None, "printed", "counted"):
            read = table.read(reading)
            keys = [row.key for row in read.rows]
            assert read.claims
            assert {key for claim in read.claims for key in (claim.row, claim.than)} <= set(keys)
            assert {row.over for row in read.rows} - {None} <= set(keys)
            assert all(claim.reading in (None, reading) for claim in read.claims if reading)

    def test_rows_that_are_compared_have_one_baseline(self, name, scale):
        """A gain over another row is another quantity."""
        table = TABLES[name](scale)
        over = {row.key: row.over or row.key for row in table.rows}
        for claim in table.claims:
            if claim.by.startswith("delta"):
                assert over[claim.row] == over[claim.than], claim

    def test_networks_and_losses_are_known(self, name, scale):
        for row in TABLES[name](scale).rows:
            for config in row.trainings if isinstance(row, Row) else ():
                config.load_architecture()
                assert config.recipe.task_weights(config.tasks)
                assert config.recipe.init is None  # from scratch, as in the paper

    def test_titles_tell_rows_apart(self, name, scale):
        titles = [row.title for row in TABLES[name](scale).rows]
        assert len(set(titles)) == len(titles)


def test_tables_share_their_trainings():
    scale = make_scale("mini", {})
    rows = {name: [row for row in declare(scale).rows if isinstance(row, Row)] for name, declare in TABLES.items()}
    runs = {name: {identity(config) for row in own for config in row.trainings} for name, own in rows.items()}
    assert runs["table1"] <= runs["table9"]
    assert runs["table3"] & runs["table4"]
    assert len(runs["table2"] & runs["table5"]) >= 2
    assert len(runs["table2"] & runs["table9"]) >= 3


def test_spreads_need_more_runs_than_means():
    for name, declare in TABLES.items():
        table = declare(make_scale("mini", {}))
        has_spread = any(isinstance(claim, Steadier) for claim in table.claims)
        assert table.runs >= (8 if has_spread else 3), name


def test_names():
    assert find_tables(["table9", "table1", "table9"]) == ["table1", "table9"]
    assert find_tables(["all"]) == list(TABLES)
    assert find_tables(["table7", "table8"]) == ["table6", "table9"]
    with pytest.raises(ConfigError, match="table 'tabel2': did you mean 'table2'"):
        find_tables(["tabel2"])
