"""How a search tells what it does: the callbacks, and the table that grows in a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ednas.closing import Closing
from ednas.durations import show_seconds
from ednas.hw.quantities import QUANTITIES, show
from ednas.metrics import NO_NETWORK
from ednas.search.noise import Noise
from ednas.search.trial import Trial, TrialState


class SearchCallback:
    """Is called as a search runs; a subclass overrides what it wants to know."""

    def on_start(self, trials: list[Trial], total: int, limits: Mapping[str, float]) -> None:
        """The search begins, or goes on.

        Args:
            trials: What the study holds already.
            total: How many candidates will have been evaluated in the end.
            limits: What a candidate should not exceed, by quantity.
        """

    def on_trivial(self, accuracy: float) -> None:
        """The accuracy of the mean training label of each pixel, without a network, is known; before the start."""

    def on_preparation(self, what: str, done: int, total: int, eta_seconds: float | None) -> None:
        """Something has to be done before the first trial, and so much of it is.

        Args:
            what: What is done, for people.
            done: Steps or networks done.
            total: Steps or networks in all.
            eta_seconds: How long the rest will take; None if that is not known yet.
        """

    def on_trial(self, trial: Trial) -> None:
        """A trial began to run, or ended."""

    def on_end(self, reason: str) -> None:
        """The search is over; not called when it is interrupted or ends with an error."""

    def on_again(self, done: int, total: int) -> None:
        """Some candidates are judged once more, after the end: so many are done of so many."""

    def on_noise(self, noise: Noise) -> None:
        """How much of the difference between candidates is chance is known; after the end."""


class SearchProgress(SearchCallback, Closing):
    """Shows how far a search is, how long it will take, and its best trials.

    In a terminal this is one table that is kept up to date. Elsewhere (a log file, a pipe) it is a line now and then.
    Used as a context manager, so that the terminal is left in order whatever happens.

    Args:
        console: Where to show it; standard error by default, so that standard output stays a result's.
        shown: How many of the best trials.
        every_s: Seconds between two lines where there is no terminal.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        shown: int = 5,
        every_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(stderr=True)
        self._shown = shown
        self._every_s = every_s
        self._clock = clock
        self._counts = Counter[TrialState]()
        self._running: set[int] = set()
        self._best: list[Trial] = []
        self._trivial: float | None = None
        self._total = 0
        self._limits: Mapping[str, float] = {}
        self._live: Live | None = None
        self._started = self._last_line = clock()
        self._evaluated_before = 0

    def on_start(self, trials: list[Trial], total: int, limits: Mapping[str, float]) -> None:
        """Count what is there already, and begin to show; a search before is forgotten."""
        self._total = total
        self._limits = limits
        self._counts.clear()
        self._running.clear()
        self._best = []
        for trial in trials:
            self._count(trial)
        self._evaluated_before = self._evaluated()
        self._started = self._last_line = self._clock()
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4)
            self._live.start()
        else:
            self._console.print(f"search: {self._line()}", highlight=False, soft_wrap=True)

    def on_preparation(self, what: str, done: int, total: int, eta_seconds: float | None) -> None:
        """Say it in a line, now and then and at its end."""
        if done == total or self._clock() - self._last_line >= self._every_s:
            self._last_line = self._clock()
            left = f", time left {show_seconds(eta_seconds)}" if done < total else ""
            self._console.print(f"search: {what}: {done} of {total}{left}", highlight=False, soft_wrap=True)

    def on_trivial(self, accuracy: float) -> None:
        """Show it below the trials."""
        self._trivial = accuracy

    def on_trial(self, trial: Trial) -> None:
        """Show the trial."""
        self._count(trial)
        if self._live is None and self._clock() - self._last_line >= self._every_s:
            self._last_line = self._clock()
            self._console.print(f"search: {self._line()}", highlight=False, soft_wrap=True)

    def on_end(self, reason: str) -> None:
        """Show how it ended."""
        self.close()
        self._console.print(f"search: {reason}; {self._line()}", highlight=False, soft_wrap=True)

    def on_again(self, done: int, total: int) -> None:
        """Say it in a line."""
        self._console.print(f"search: judging again by another seed, {done} of {total} done", highlight=False)

    def on_noise(self, noise: Noise) -> None:
        """Say it in a line."""
        line = f"search: candidates differ {noise.ratio:.1f} times as far in accuracy as one does between two seeds"
        self._console.print(f"{line} ({noise.repeated} judged twice)", highlight=False, soft_wrap=True)

    def _count(self, trial: Trial) -> None:
        if trial.state is TrialState.RUNNING:
            self._running.add(trial.number)
            return
        self._running.discard(trial.number)
        self._counts[trial.state] += 1
        if trial.scored:
            self._best = sorted([*self._best, trial], key=lambda t: (-(t.reward or 0.0), t.number))[: self._shown]

    def _evaluated(self) -> int:
        return self._counts[TrialState.DONE] + self._counts[TrialState.FAILED]

    def _remaining(self) -> str:
        """Say how long the rest will take, from what was evaluated since the start."""
        evaluated = self._evaluated()
        if evaluated >= self._total:
            return show_seconds(0)
        if evaluated == self._evaluated_before:
            return "unknown"
        per_trial = (self._clock() - self._started) / (evaluated - self._evaluated_before)
        return show_seconds(per_trial * (self._total - evaluated))

    def _line(self) -> str:
        numbers = {
            "running": len(self._running),
            "failed": self._counts[TrialState.FAILED],
            "pruned": self._counts[TrialState.PRUNED],
        }
        parts = [f"{self._evaluated()}/{self._total} trials"]
        parts += [f"{number} {what}" for what, number in numbers.items() if number]
        parts += [f"time left {self._remaining()}"]
        if self._best:
            first = self._best[0]
            parts.append(f"best reward {first.reward:.4f} (trial {first.number}, {first.latency_ms:.2f} ms)")
        return ", ".join(parts)

    def _table(self) -> RenderableType:
        limits = ", ".join(show(name, limit) for name, limit in self._limits.items())
        table = Table(title=f"Best trials (limits: {limits or 'none'})", title_justify="left")
        shown = list(dict.fromkeys(["latency_ms", *self._limits]))
        for heading in ("trial", "reward", "accuracy", *(QUANTITIES[name].title for name in shown), "in limits"):
            table.add_column(heading, justify="right")
        for trial in self._best:
            met = all(trial.cost[name] <= limit for name, limit in self._limits.items())
            table.add_row(
                str(trial.number),
                f"{trial.reward:.4f}",
                f"{trial.accuracy:.4f}",
                *(QUANTITIES[name].show(trial.cost[name]) for name in shown),
                Text("yes", "green") if met else Text("no", "yellow"),
            )
        if self._trivial is not None:
            table.add_section()
            table.add_row(NO_NETWORK, "", f"{self._trivial:.4f}")
        return Group(table, Text(self._line()))

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._live is not None:
            self._live.stop()
            self._live = None
