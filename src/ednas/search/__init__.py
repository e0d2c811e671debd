"""How the space is explored: controllers, evaluators, executors, the store and the loop.

Names that need torch (a configuration holds a training's) are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ednas.hw.quantities import QUANTITIES, Quantity
from ednas.search.controllers import (
    Controller,
    ControllerConfig,
    Proposal,
    RandomSearch,
    RegularizedEvolution,
    controller_names,
    register_controller,
)
from ednas.search.evaluators import Evaluation, Evaluator
from ednas.search.executors import Executor, InlineExecutor, ProcessExecutor
from ednas.search.loop import Search
from ednas.search.objective import CostModel, Objective, RewardConfig, check_feasible, lowest
from ednas.search.progress import SearchCallback, SearchProgress
from ednas.search.results import SearchResult, best, pareto, summarise, write_results
from ednas.search.study import Study, StudyReader
from ednas.search.trial import Trial, TrialState

if TYPE_CHECKING:
    from ednas.search.config import SearchConfig, load_search_config
    from ednas.search.evaluators.proxy import ProxyEvaluator
    from ednas.search.exchange import export_study
    from ednas.search.run import DeviceCost, run_search

__all__ = [
    "Controller",
    "ControllerConfig",
    "CostModel",
    "DeviceCost",
    "Evaluation",
    "Evaluator",
    "Executor",
    "InlineExecutor",
    "Objective",
    "ProcessExecutor",
    "Proposal",
    "ProxyEvaluator",
    "QUANTITIES",
    "Quantity",
    "RandomSearch",
    "RegularizedEvolution",
    "RewardConfig",
    "Search",
    "SearchCallback",
    "SearchConfig",
    "SearchProgress",
    "SearchResult",
    "Study",
    "StudyReader",
    "Trial",
    "TrialState",
    "best",
    "check_feasible",
    "controller_names",
    "export_study",
    "load_search_config",
    "lowest",
    "pareto",
    "register_controller",
    "run_search",
    "summarise",
    "write_results",
]

_LAZY = {
    "DeviceCost": "ednas.search.run",
    "ProxyEvaluator": "ednas.search.evaluators.proxy",
    "SearchConfig": "ednas.search.config",
    "export_study": "ednas.search.exchange",
    "load_search_config": "ednas.search.config",
    "run_search": "ednas.search.run",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
