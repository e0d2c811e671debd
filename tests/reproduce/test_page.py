"""The page about all tables; ``docs/test_write_fidelity.py`` looks at the one of the repository."""

from __future__ import annotations

from ednas.reproduce.collect import collect
from ednas.reproduce.finished import Finished
from ednas.reproduce.page import fidelity
from ednas.reproduce.scales import make_scale
from ednas.reproduce.tables import TABLES


def test_every_table_and_claim_is_there_before_anything_is_trained():
    scale = make_scale("mini", {})
    results = [collect(declare(scale), scale, Finished(None)) for declare in TABLES.values()]
    page = fidelity(results)
    for result in results:
        assert f"## {result.heading}" in page
        assert f"ednas reproduce {result.table} --scale mini" in page
        assert all(note in page for note in result.notes)
        for claim in result.claims:
            assert page.count(claim.text) >= 2, claim.text  # in the table of all, and in its own
    assert "holds |" not in page
