"""Candidates that a cheap evaluator thinks little of are not trained.

Training-free scores and supernets rank networks too poorly to choose by, but may be good at naming the worst ones. What
counts as bad is settled before the first candidate, on networks that are drawn uniformly from those within the limits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ednas.arch import Architecture
from ednas.config import StrictModel, parse
from ednas.exceptions import EdnasError, StudyError
from ednas.files import read_json, write_json
from ednas.search.evaluators.base import Evaluator
from ednas.search.evaluators.setting import EvaluatorConfig, Setting
from ednas.search.executors.base import Job, run_job
from ednas.search.objective import Objective
from ednas.search.sampling import draw
from ednas.search.trial import REFUSED
from ednas.seeding import derive_seed

NETWORKS = 64
"""How many are judged to settle what is bad."""


class FilterConfig(EvaluatorConfig):
    """What looks at candidates before they are trained, and how many it leaves out.

    Attributes:
        name: An evaluator that does not train each candidate.
        options: What is not given has its default.
        share: Share of the networks within the limits that are left out, the worst in its opinion.
    """

    place: ClassVar[str] = "filter.options"

    name: str
    share: float = Field(default=0.2, gt=0, lt=1)


class Threshold(StrictModel):
    """What counts as bad.

    Attributes:
        search: Hex digits of the search that it was settled for.
        networks: How many were judged to settle it.
        least: Accuracy, in the filter's opinion, below which a candidate is left out.
    """

    search: str
    networks: int
    least: float


@dataclass(frozen=True)
class Filter:
    """Says which candidates are not worth a training.

    Attributes:
        config: Whose opinion it is.
        scorer: What has the opinion.
        objective: What makes one number of it.
        least: Accuracy, in its opinion, below which a candidate is left out.
        always: Text forms of networks that it does not look at.
        seed: Of its judgements.
    """

    config: FilterConfig
    scorer: Evaluator
    objective: Objective
    least: float
    always: frozenset[str]
    seed: int

    def __call__(self, architecture: Architecture) -> str:
        """Say why a candidate is not worth a training; empty if it is, or if the scorer cannot judge it.

        Raises:
            EdnasError: Data or disk fail.
        """
        if (text := architecture.to_text()) in self.always:
            return ""
        outcome = run_job(self.scorer, Job(0, text, self.seed))
        if outcome.fault == "environment":
            raise EdnasError(f"filter '{self.config.name}': {outcome.error}; put that right and resume the search")
        if outcome.evaluation is None or self.objective.accuracy(outcome.evaluation) >= self.least:
            return ""
        return f"{REFUSED}'{self.config.name}': among the worst {self.config.share:.0%}"


def make_filter(config: FilterConfig, setting: Setting, file: Path, identity: Mapping[str, Any]) -> Filter:
    """Make a filter, after all that its evaluator has to do before it can judge.

    Args:
        config: Which one.
        setting: What evaluators are made from; its initial networks are never left out.
        file: Where it is kept what counts as bad, so that a search that is resumed leaves out the same.
        identity: What makes the search this one; another search's file is replaced.

    Raises:
        StudyError: It could judge none of the networks.
        EdnasError: An option, the data or the space are wrong, or the file cannot be written.
    """
    scorer, objective, seed = config.make(setting), setting.objective.by_metrics(), setting.training.seed
    search = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    known = parse(Threshold, read_json(file, StudyError), str(file)) if file.is_file() else None
    if known is None or known.search != search:
        start = setting.initial[0]
        drawn = draw(setting.space, setting.cost, setting.accepts, NETWORKS, start, derive_seed(seed, "filter"))
        texts = [candidate.architecture.to_text() for candidate in drawn]
        found = setting.judge(scorer, texts, f"judging networks by the filter '{config.name}'")
        if not found:
            raise StudyError(f"filter '{config.name}': could judge no network; see the warnings, or leave it out")
        accuracies = [objective.accuracy(evaluation) for evaluation in found.values()]
        least = float(np.quantile(accuracies, config.share))
        known = Threshold(search=search, networks=len(accuracies), least=least)
        write_json(file, known.model_dump())
    always = frozenset(setting.space.decode(genes).to_text() for genes in setting.initial)
    return Filter(config, scorer, objective, known.least, always, seed)
