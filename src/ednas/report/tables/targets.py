"""The devices, one of them, and what a calibration changed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from rich.table import Column, Table
from rich.text import Text

from ednas.hw.model.figure import Figure
from ednas.report.labels import MISSING, show_delta, show_figure, show_latency, show_unit
from ednas.report.tables.layout import names, new_table, numbers

if TYPE_CHECKING:
    from ednas.hw.model.target import Target
    from ednas.hw.targets.calibration import Calibration

PROVENANCES = ("measured", "published", "assumed")
"""Where figures come from, the surest first."""

_PROVENANCE_STYLES = {"measured": "green", "assumed": "dark_orange3", "free": "bold blue"}
_LONGEST_LIST = 4


def targets_table(targets: Sequence[Target]) -> Table:
    """Return the targets, one a row, with how many of their figures are measured, published and assumed."""
    counts = Column("Numbers", no_wrap=True)
    table = new_table("Targets", *names("Name"), "Engine", *numbers("MHz", "TOPS"), "On-chip KiB", counts)
    for target in targets:
        facts = target_facts(target)
        activations, figures = facts["activation_kib"], facts["figures"]
        table.add_row(
            Text(target.name, "bold").append(f"\n{target.title}", "not bold"),
            facts["kind"],
            show_figure(facts["clock_mhz"]),
            f"{facts['peak_tops']:.3g}",
            f"{show_figure(facts['parameter_cache_kib'])} weights\n"
            f"{'all' if activations is None else show_figure(activations)} data",
            f"{figures['measured']} meas., {figures['published']} publ.,\n"
            f"{figures['assumed']} assumed, {figures['free']} free",
        )
    table.caption = (
        "on-chip: what is kept there, weights between inferences, data (activations) during one; "
        "numbers of the device: measured, published or assumed; of these, free for `ednas targets calibrate`"
    )
    return table


def target_facts(target: Target) -> dict[str, Any]:
    """Return what a list of targets says of one; ``peak_tops`` counts a multiplication and an addition as two."""
    engine, memory = target.engine, target.memory
    figures = target.figures().values()
    counts = {kind: sum(figure.provenance == kind for figure in figures) for kind in PROVENANCES}
    return {
        "name": target.name,
        "title": target.title,
        "kind": engine.kind,
        "clock_mhz": engine.clock_mhz.value,
        "peak_tops": 2 * engine.macs_per_cycle * engine.clock_mhz.value * 1e-6,
        "parameter_cache_kib": memory.parameter_cache_kib.value,
        "activation_kib": memory.activation_kib.value if memory.activation_kib else None,
        "figures": counts | {"free": sum(figure.fit for figure in figures)},
    }


def target_table(target: Target) -> Table:
    """Return every value of a target, with its unit and where it comes from; free ones are marked."""
    title = f"{target.name}: {target.title}"
    content = Column("Value", justify="right", overflow="fold", max_width=24)
    table = new_table(title, "Section", *names("Key"), content, "Unit", "Provenance", "Fit", *names("Source"))
    for section, values in target:
        if not isinstance(values, BaseModel):
            continue
        for number, (key, value) in enumerate(values):
            if isinstance(value, Figure):
                fact = (show_figure(value.value), show_unit(key), value.provenance, "free" if value.fit else "")
                cells = [Text(text, _PROVENANCE_STYLES.get(text, "")) for text in (*fact, value.source)]
            else:
                cells = [Text(text) for text in _setting(key, value)]
            table.add_row(section if number == 0 else "", key, *cells)
        table.add_section()
    for number, error in enumerate(target.errors):
        interval = f"{error.low:.3g} to {error.high:.3g}"
        source = Text(f"{error.networks} networks: {error.source}")
        table.add_row("" if number else "errors", error.kind, interval, "of estimate", "measured", "", source)
    table.caption = "free: a constant that `ednas targets calibrate` fits to measurements"
    return table


def calibration_tables(calibration: Calibration) -> list[Table]:
    """Return the changed constants, the rows with their errors, and the errors in all."""
    title = f"Constants of {calibration.target.name}"
    changes = new_table(title, "Constant", *numbers("Old", "New", "Change %"), "Unit")
    for path, (old, new) in calibration.changes.items():
        change = show_delta(100 * (new / old - 1))
        changes.add_row(path, f"{old:.6g}", f"{new:.6g}", change, show_unit(path.rpartition(".")[2]))
    figures = numbers("Measured ms", "Fitted ms", "%", "Held out ms", "%")
    rows = new_table("Measured, fitted, and predicted without the row", *names("Measurement"), *figures)
    for row in calibration.rows:
        cells = [show_latency(row.measured_ms)]
        for value in (row.fitted_ms, row.held_out_ms):
            cells += [show_latency(value), show_delta(100 * (value / row.measured_ms - 1))]
        rows.add_row(Text(row.name), *cells)
    errors = new_table("Mean absolute error", "Of", *numbers("%"))
    errors.add_row("the rows that were fitted", f"{100 * calibration.fitted_mape:.1f}")
    errors.add_row("rows that were left out, one after the other", f"{100 * calibration.held_out_mape:.1f}")
    halves = sorted(calibration.split_mape)
    spread = f" ({100 * halves[0]:.1f} to {100 * halves[-1]:.1f})"
    errors.add_row(f"the other half, {len(halves)} random halves", f"{100 * mean(halves):.1f}{spread}")
    return [changes, rows, errors]


def _setting(key: str, value: object) -> tuple[str, str, str, str, str]:
    """Return the cells of a value that is no figure; a list of names goes where there is room for it."""
    if value is None or value == ():
        return MISSING, show_unit(key), "", "", ""
    if isinstance(value, tuple):
        texts = [show_figure(item) if isinstance(item, float) else str(item) for item in value]
        is_long = len(texts) > _LONGEST_LIST
        return str(len(texts)) if is_long else ", ".join(texts), show_unit(key), "", "", ", ".join(texts) * is_long
    return str(value), show_unit(key), "", "", ""
