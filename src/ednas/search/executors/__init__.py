"""Where candidates are evaluated: in this process, each in a process of its own, or on many machines through Ray."""

from ednas.search.executors.attempts import Attempts
from ednas.search.executors.base import Executor, Fault, Job, Outcome
from ednas.search.executors.inline import InlineExecutor
from ednas.search.executors.process import ProcessExecutor
from ednas.search.executors.ray import RayExecutor

__all__ = ["Attempts", "Executor", "Fault", "InlineExecutor", "Job", "Outcome", "ProcessExecutor", "RayExecutor"]
