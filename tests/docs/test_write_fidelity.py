from __future__ import annotations

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docs" / "write_fidelity.py"


def test_the_page_is_what_the_stored_results_say():
    page = runpy.run_path(str(SCRIPT))["page"]()
    assert SCRIPT.with_name("fidelity.md").read_text(encoding="utf-8") == page, "run: python docs/write_fidelity.py"
