"""Saying once what is wrong with many files."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from ednas.data.reader import Reader
from ednas.data.sample import DenseDataset, Sample
from ednas.exceptions import DataError

_NAMED = 3
"""Number of files that are named of those with the same fault."""

_PATIENCE = 5.0
"""Seconds to look for files with faults after the first one."""

_VARIABLE = re.compile(r"\S*/\S*|\d[\d.,]*")
"""What differs between two complaints of the same kind: paths and numbers."""


def group(problems: Iterable[str]) -> list[str]:
    """Join complaints that differ only in the file and in numbers.

    Args:
        problems: Lines ``file: what is wrong with it``.

    Returns:
        One line for each fault, in the order of the first ones; a fault of several files comes with their number and
        the first names.
    """
    alike: dict[str, list[str]] = {}
    for problem in problems:
        _, _, what = problem.partition(": ")
        alike.setdefault(_VARIABLE.sub("#", what) or problem, []).append(problem)
    return [_join(same) for same in alike.values()]


def read_first(dataset: DenseDataset) -> Sample:
    """Read the first sample.

    Raises:
        DataError: It cannot be read; see :func:`complain`.
    """
    try:
        return dataset[0]
    except DataError as error:
        raise complain(dataset, error, 0) from None


def complain(dataset: DenseDataset, error: DataError, index: int) -> DataError:
    """Return the error of a sample, or one of the same kind that names the files after it with a fault, too.

    Args:
        dataset: The split.
        error: What was wrong with the sample.
        index: The sample. Those after it are looked at for a few seconds.
    """
    if not isinstance(dataset, Reader):
        return error
    found = [str(error)]
    end = time.monotonic() + _PATIENCE
    seen = index
    while seen < len(dataset) and (seen == index or time.monotonic() < end):
        found += dataset.problems(seen)
        seen += 1
    first, *others = group(dict.fromkeys(found))
    if len(set(found)) == 1:
        return error
    more = f"; and {len(others)} other fault{'s' * (len(others) > 1)}" if others else ""
    among = f" (among the first {seen} of {len(dataset)} samples)" if seen < len(dataset) else ""
    return DataError(f"{first}{more}{among}; 'ednas data check' lists them all")


def _join(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    files, faults = zip(*(problem.partition(": ")[::2] for problem in problems), strict=True)
    more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    note = " (the numbers are the first file's)" if len(set(faults)) > 1 else ""
    return f"{len(problems)} files ({', '.join(files[:_NAMED])}{more}): {faults[0]}{note}"
