"""The page about all tables: what of the paper holds here, made from what is kept and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ednas.report.formats import markdown
from ednas.reproduce.claims import Verdict
from ednas.reproduce.collect import STANDARD
from ednas.reproduce.result import TableResult
from ednas.reproduce.show import claims_table, rows_table, verdicts_table

HEAD = """\
# What of the paper holds

The tables of the paper from trainings of our own, beside its numbers, with a verdict on each claim. The page is made
from the stored results; [the points at which a reader of the paper has to choose](paper.md) are another page.

A claim is judged over pairs of trainings from one seed by the test that stands beside it. It **holds** where so clear a
difference would come about by chance in fewer than one of twenty repetitions, it **does not hold** where as clear a
difference to the other side would, and it is **undecided** otherwise, and as long as fewer trainings are done than the
table asks for. A verdict is about the direction of a difference, whatever its size. Three pairs decide only where a
difference is about twice as large as its spread.

Two protocols measure every training: `standard`, the field's definitions, and `adashare`, that of the numbers which the
paper quotes. The mIoU of `adashare` leaves out classes without a single hit, so that it jumps by points where a rare
class is found by one training and not by another: its spread is mostly that. Where the paper can be read in two ways
there is a row, and a verdict, for each: `printed`, and `counted` as other numbers of the paper say it must be.

What the scale `mini` can say is about small networks on small images, trained for minutes: street scenes that are
rendered stand for CityScapes. It can show that a claim holds there; that one does not hold says little about the
paper's own networks.

Δ is the mean relative gain (Eq. 9-12), positive is better; ± the standard deviation over the runs; p one-sided. GFLOP
are thousand million operations at 256x256, two a multiply-accumulate; latencies are estimated on a Coral; speed is how
many times as fast as the row that gains are over. "Here" is by the protocol `standard`.
"""


def fidelity(results: Sequence[TableResult]) -> str:
    """Return the page in Markdown.

    Args:
        results: The tables, also those of which nothing is trained yet.
    """
    tested = sum(verdict.p_value is not None for verdict in _verdicts(results))
    chance = (
        f"{tested} verdicts rest on a test: were all of it chance, {tested / 20:.0f} would hold and as many would not."
    )
    parts = [HEAD.rstrip(), "## Verdicts", chance, markdown(verdicts_table(results)), *_tables(results)]
    return "\n\n".join(parts) + "\n"


def _verdicts(results: Sequence[TableResult]) -> Iterator[Verdict]:
    """Yield what decides by the protocol of the field."""
    for result in results:
        for claim in result.claims:
            if STANDARD in claim.verdicts:
                yield claim.verdicts[STANDARD]


def _tables(results: Sequence[TableResult]) -> Iterator[str]:
    for result in results:
        yield f"## {result.heading}"
        yield f"```console\n{result.command}\n```"
        yield from result.notes
        for table in (rows_table(result), claims_table(result)):
            yield markdown(table)
