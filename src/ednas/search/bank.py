"""The bank of anchors: real trainings with their curves, from which every later search on the same data can learn.

A bank is a text file with one training a line (JSON). Lines are only ever added, each in one piece and under a lock, so
that several searches can share a bank, a killed one leaves at most half of its last line (which is passed over), and
banks of several machines are merged by :func:`merge_banks`, or by any tool that joins text files.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ednas.closing import Closing
from ednas.exceptions import EdnasError, StudyError
from ednas.files import locked
from ednas.search.evaluators.base import CurvePoint, Evaluation
from ednas.search.executors import Executor, Job, Outcome

if TYPE_CHECKING:
    from ednas.training.config import TrainConfig

NOT_DECISIVE = {"name", "eval_batch_size", "checkpoint_every", "log_every", "evaluate_every"}
"""What of a recipe does not decide what is learned."""


def training_context(training: TrainConfig, digest: str, input_size: tuple[int, int]) -> dict[str, Any]:
    """Return all that decides what a training learns, beside the architecture and the seed, as JSON values.

    Args:
        training: The configuration of the training.
        digest: Of the decoded training data.
        input_size: ``(H, W)`` that is trained at, where an architecture does not say.
    """
    # Without defaults, so that what is added to recipes later leaves the keys as they are.
    recipe = training.recipe.model_dump(mode="json", exclude_defaults=True, exclude=NOT_DECISIVE)
    normalisation = training.normalisation and training.normalisation.model_dump(mode="json")
    return {
        "data": digest,
        "input_size": list(input_size),
        "tasks": list(training.tasks),
        "protocol": training.protocol,
        "normalisation": normalisation,
        "recipe": recipe,
    }


@dataclass(frozen=True)
class Anchor:
    """One real training and what came of it.

    Attributes:
        context: What decided what it learned, beside architecture and seed: :func:`training_context`.
        architecture: Text form.
        seed: Of weights and batches.
        evaluation: What was measured, on the part of the training split that is held out.
    """

    context: Mapping[str, Any]
    architecture: str
    seed: int
    evaluation: Evaluation

    @property
    def key(self) -> str:
        """Hex digits of what it is: equal for trainings that would learn the same."""
        return anchor_key(self.context, self.architecture, self.seed)

    def to_json(self) -> str:
        """Return the training as one line."""
        return json.dumps(asdict(self))  # in the order of the tasks, in which their logarithms are added up

    @classmethod
    def from_json(cls, line: str) -> Anchor:
        """Read :meth:`to_json`.

        Raises:
            ValueError: The line is no training, or holds values of the wrong type.
        """
        try:
            values = json.loads(line)
            found = dict(values.pop("evaluation"))
            curve = tuple(CurvePoint(**point) for point in found.pop("curve"))
            anchor = cls(evaluation=Evaluation(**found, curve=curve), **values)
            numbers = [value for metrics in anchor.evaluation.tasks.values() for value in metrics.values()]
            if not all(math.isfinite(value) for value in [*numbers, anchor.evaluation.cpu_seconds, anchor.seed]):
                raise ValueError("a number is not finite")
            anchor.key  # noqa: B018  reads what it is made of
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(str(error)) from error
        return anchor


def anchor_key(context: Mapping[str, Any], architecture: str, seed: int) -> str:
    """Return hex digits that two trainings share if and only if they would learn the same."""
    return hashlib.sha256(json.dumps([context, architecture, seed], sort_keys=True).encode()).hexdigest()[:16]


class Bank:
    """Trainings in a file.

    Args:
        path: The file; it is made by the first training that is added.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def anchors(self, context: Mapping[str, Any] | None = None) -> list[Anchor]:
        """Return the trainings in the order in which they were added, each once.

        Args:
            context: Only trainings of this one; None = of all.

        Raises:
            StudyError: The file is damaged or no bank; the message names the line.
            EdnasError: It cannot be read.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise EdnasError(f"cannot read {self.path}: {error.strerror or error}") from error
        except UnicodeDecodeError:
            raise StudyError(f"{self.path}: no bank of trainings; choose another file") from None
        found: dict[str, Anchor] = {}
        *lines, _rest = text.split("\n")  # the rest is empty, or half of a line whose writer was killed
        for number, line in enumerate(lines, start=1):
            try:
                anchor = Anchor.from_json(line)
            except ValueError as error:
                raise StudyError(
                    f"{self.path}, line {number}: no training of a bank ({error}); remove that line, or choose another "
                    "file"
                ) from None
            found.setdefault(anchor.key, anchor)
        return [anchor for anchor in found.values() if context is None or anchor.context == context]

    def add(self, anchors: Iterable[Anchor]) -> int:
        """Add trainings that are not there yet; return how many that were.

        Raises:
            StudyError: The file is no bank, or is damaged.
            EdnasError: It cannot be written; nothing was added.
        """
        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with locked(lock, wait=True):
                known = {anchor.key for anchor in self.anchors()}
                new = {anchor.key: anchor.to_json() for anchor in anchors if anchor.key not in known}
                if new:
                    self._append("".join(f"{line}\n" for line in new.values()).encode())
        except OSError as error:
            raise EdnasError(
                f"cannot write {self.path}: {error.strerror or error}; free space or choose another place"
            ) from error
        return len(new)

    def _append(self, content: bytes) -> None:
        """Append in one piece, in place of half a line that a killed writer left."""
        with self.path.open("ab+") as file:
            file.seek(0)
            end = file.read().rfind(b"\n") + 1
            try:
                file.truncate(end)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise


def merge_banks(into: Path | str, banks: Iterable[Path | str]) -> int:
    """Add the trainings of several banks to one; return how many were new there.

    Raises:
        StudyError: One is missing, damaged or no bank; nothing was added.
        EdnasError: One cannot be read or written.
    """
    given = [Bank(path) for path in banks]
    for bank in given:
        if not bank.path.is_file():
            raise StudyError(f"{bank.path}: no such bank")
    return Bank(into).add([anchor for bank in given for anchor in bank.anchors()])


class BankedExecutor(Closing):
    """Looks into a bank before it has something trained, and puts what was trained there.

    Args:
        executor: Where trainings are done.
        bank: The bank.
        context: What decides what they learn, beside architecture and seed.
    """

    def __init__(self, executor: Executor, bank: Bank, context: Mapping[str, Any]) -> None:
        self._executor = executor
        self._bank = bank
        self._context = context
        self._running: dict[int, Job] = {}
        self._known: deque[Outcome] = deque()
        self._anchors = {anchor.key: anchor for anchor in bank.anchors(context)}

    @property
    def workers(self) -> int:
        """How many jobs may be in hand at a time."""
        return self._executor.workers

    def submit(self, job: Job) -> None:
        """Take a job in hand, unless the bank has its result."""
        anchor = self._anchors.get(anchor_key(self._context, job.architecture, job.seed))
        if anchor is not None:
            self._known.append(Outcome(job.number, anchor.evaluation))
            return
        self._running[job.number] = job
        self._executor.submit(job)

    def wait(self) -> Outcome:
        """Return what the bank knows of a job, else wait for one to end.

        Raises:
            EdnasError: The bank cannot be written.
        """
        if self._known:
            return self._known.popleft()
        outcome = self._executor.wait()
        job = self._running.pop(outcome.number)
        if outcome.evaluation is not None:
            anchor = Anchor(self._context, job.architecture, job.seed, outcome.evaluation)
            self._bank.add([anchor])
            self._anchors[anchor.key] = anchor
        return outcome

    def close(self) -> None:
        """End what still runs."""
        self._executor.close()
        self._running.clear()
        self._known.clear()
