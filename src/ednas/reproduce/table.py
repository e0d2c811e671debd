"""A table of the paper as a declaration: what is searched and trained for it, and what is claimed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ednas.reproduce.claims import Claim, Reading
from ednas.reproduce.paper import Printed
from ednas.search import SearchConfig
from ednas.training import TrainConfig

RUNS = 3
"""Trainings of each row, as in the paper."""


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        key: What claims call it.
        title: For people.
        trainings: What is trained, from the first seed: one network, or several that learn a task each and are
            measured as one.
        over: Key of the row that its gains are relative to; None = its own gains are 0.
        printed: What the paper has in this row.
        reading: The reading of the paper that it belongs to; None = to both.
        search: The search from the same seed whose network is trained, whatever the trainings say; None = theirs.
    """

    key: str
    title: str
    trainings: tuple[TrainConfig, ...]
    over: str | None = None
    printed: Printed | None = None
    reading: Reading | None = None
    search: SearchConfig | None = None

    @property
    def searches(self) -> tuple[SearchConfig, ...]:
        """What has to be searched before."""
        return () if self.search is None else (self.search,)


@dataclass(frozen=True)
class SearchRow:
    """A row about what searches find and take, not about what their networks learn.

    Attributes:
        key: What claims call it.
        title: For people.
        searches: The searches; with several, what they find is taken together.
        random: Look at random networks within the limits of these searches instead.
        printed: What the paper has in this row.
    """

    key: str
    title: str
    searches: tuple[SearchConfig, ...]
    random: bool = False
    printed: Printed | None = None

    over = None
    reading = None


@dataclass(frozen=True)
class PlainNetwork:
    """A network that is not trained.

    Attributes:
        architecture: Its name.
        tasks: What it has heads for.
    """

    architecture: str
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class NetworkRow:
    """A row about how fast networks are.

    Attributes:
        key: What claims call it.
        title: For people.
        networks: The network, or several that run one after another.
        reading: The reading of the paper that it belongs to; None = to both.
    """

    key: str
    title: str
    networks: tuple[PlainNetwork, ...]
    reading: Reading | None = None

    over = None
    printed = None
    searches = ()


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        name: As ``ednas reproduce`` takes it.
        title: For people.
        rows: Its rows, in order.
        claims: What the paper concludes from it.
        runs: Trainings of each row from as many seeds.
        notes: What differs from the paper, a sentence each.
    """

    name: str
    title: str
    rows: tuple[Row | SearchRow | NetworkRow, ...]
    claims: tuple[Claim, ...]
    runs: int = RUNS
    notes: tuple[str, ...] = ()

    def read(self, reading: Reading | None) -> Table:
        """Return the table by one reading of the paper, or by both (None)."""
        if reading is None:
            return self
        rows = tuple(row for row in self.rows if row.reading in (None, reading))
        claims = tuple(claim for claim in self.claims if claim.reading in (None, reading))
        return replace(self, rows=rows, claims=claims)
