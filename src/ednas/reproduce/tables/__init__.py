"""The paper's tables, one file each: a function of the scale that returns its declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ednas.exceptions import ConfigError, hint
from ednas.reproduce.scales import Scale
from ednas.reproduce.table import Table
from ednas.reproduce.tables.cost import cost
from ednas.reproduce.tables.speed import speed
from ednas.reproduce.tables.table1 import table1
from ednas.reproduce.tables.table2 import table2
from ednas.reproduce.tables.table3 import table3
from ednas.reproduce.tables.table4 import table4
from ednas.reproduce.tables.table5 import table5
from ednas.reproduce.tables.table6 import table6
from ednas.reproduce.tables.table9 import table9

TABLES: Mapping[str, Callable[[Scale], Table]] = {
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "table5": table5,
    "table6": table6,
    "table9": table9,
    "speed": speed,
    "cost": cost,
}
"""The tables by name, in the order in which they are made."""

ALL, FIGURE_5 = "all", "fig5"
"""Names that are no table: all of them, and the pictures of :mod:`ednas.reproduce.figure5`."""

OTHER_NAMES = {"table7": "table6", "table8": "table9"}
"""Tables that are made with another one: Table 7 is a second backbone, and Table 8 has the weights alone."""


def find_tables(names: list[str]) -> list[str]:
    """Return the names of tables, in their order and each once; ``all`` means all of them.

    Raises:
        ConfigError: There is no such table.
    """
    known = (*TABLES, *OTHER_NAMES, FIGURE_5, ALL)
    for name in names:
        if name not in known:
            raise ConfigError(f"table '{name}': {hint(name, known)}")
    wanted = {OTHER_NAMES.get(name, name) for name in names}
    return [name for name in TABLES if name in wanted or ALL in wanted]
