"""The text of an ncnn ``.param`` file: a magic number, two counts, and one layer a line.

    7767517
    3 3
    Input        data   0 1 data -23330=4,3,224,224,3 0=224 1=224 2=3
    Convolution  conv1  1 1 data conv1 -23330=4,3,112,112,32 0=32 1=3 3=2 4=1 5=1 6=864 9=1
    ...

A line has the layer's kind and name, how many tensors it reads and makes, their names, and parameters by number. The
parameter -23300 - k is a list, which begins with its length; -23330 are the shapes of what the layer makes, four
numbers each: how many sides, width, height, channels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ednas.exceptions import TargetError
from ednas.files import require_regular

MAGIC = "7767517"

Sides = tuple[int, ...]
"""A tensor's shape from the outermost side: ``(channels, height, width)``, ``(height, width)`` or ``(width,)``. ncnn
itself names sides from the innermost."""

Value = float | tuple[float, ...]

_MOST_BYTES = 16 << 20
_MOST_LAYERS = 1 << 16
_LARGEST = 1e9
"""Of a parameter: beyond, no layer's shapes or counts are sound."""

_LONGEST_NAME = 80
_LIST = -23300
_SHAPES = 30
"""Number of the list of shapes."""


@dataclass(frozen=True)
class Call:
    """A line of the file.

    Attributes:
        kind: ncnn's name of the layer, like ``Convolution``.
        name: The layer's own.
        inputs: Names of the tensors that it reads.
        outputs: Names of those that it makes.
        params: Numbers and lists of numbers by their key.
        where: The place in the file, for people.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Mapping[int, Value]
    where: str

    @property
    def hints(self) -> tuple[Sides, ...]:
        """Shapes of the outputs as the file says them; empty where it does not."""
        shapes = self.integers(_SHAPES)
        if len(shapes) != 4 * len(self.outputs):
            return ()
        quadruples = [shapes[start : start + 4] for start in range(0, len(shapes), 4)]
        if not all(1 <= rank <= 3 for rank, *_ in quadruples):
            return ()
        return tuple(tuple(reversed(sides[:rank])) for rank, *sides in quadruples)

    def number(self, key: int, default: float) -> float:
        """Return a number."""
        value = self.params.get(key, default)
        if isinstance(value, tuple) or not abs(value) <= _LARGEST:
            raise self.error(f"parameter {key} is {value!s:.60}, must be a number of at most {_LARGEST:g}")
        return value

    def integer(self, key: int, default: int = 0) -> int:
        """Return a whole number."""
        value = self.number(key, default)
        if not float(value).is_integer():
            raise self.error(f"parameter {key} is {value}, must be a whole number")
        return int(value)

    def count(self, key: int, default: int | None = None) -> int:
        """Return a whole number of at least 1."""
        value = self.integer(key, 0 if default is None else default)
        if value < 1:
            raise self.error(f"parameter {key} is {value}, must be at least 1")
        return value

    def integers(self, key: int) -> tuple[int, ...]:
        """Return a list of whole numbers; empty where there is none."""
        value = self.params.get(key, ())
        if not isinstance(value, tuple) or not all(number.is_integer() and abs(number) <= _LARGEST for number in value):
            raise self.error(
                f"parameter {key} is {value!s:.60}, must be a list of whole numbers of at most {_LARGEST:g}"
            )
        return tuple(int(number) for number in value)

    def error(self, problem: str) -> TargetError:
        """Return what says that the file is wrong here."""
        return TargetError(f"{self.where}: {self.kind} '{self.name}': {problem}")

    def pair(self, width_key: int, height_key: int) -> tuple[int, int]:
        """Return height and width of a window, or of its stride or dilation: 1 where neither is given."""
        width = self.count(width_key, 1)
        return self.count(height_key, width), width


def read_calls(path: str | Path) -> list[Call]:
    """Read the lines of a file.

    Args:
        path: The file, at most 16 MiB.

    Raises:
        TargetError: It is missing, no such file, too large or cut off, or a line is wrong; the message names it.
    """
    lines = _lines(Path(path))
    if not lines or lines[0].strip() != MAGIC:
        raise TargetError(f"{path}: not an ncnn .param file, which begins with {MAGIC}")
    count = _count(lines[1].split() if len(lines) > 1 else [], f"{path}: line 2")
    places = [(number, line) for number, line in enumerate(lines[2:], 3) if line.strip()]
    if len(places) < count:
        raise TargetError(f"{path}: line 2 announces {count} layers, the file holds {len(places)}; is it cut off?")
    # ncnn, too, reads no more than are announced.
    return [_call(line.split(), f"{path}: line {number}") for number, line in places[:count]]


def _lines(path: Path) -> list[str]:
    require_regular(path, TargetError)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise TargetError(f"{path}: is larger than {_MOST_BYTES >> 20} MiB; a .param file holds no weights")
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise TargetError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"{path}: cannot be read as text: {error}") from None


def _count(words: list[str], where: str) -> int:
    """Return the number of layers."""
    if len(words) != 2 or not all(re.fullmatch(r"\d{1,6}", word, re.ASCII) for word in words):
        raise TargetError(f"{where}: must be the numbers of layers and of tensors")
    if int(words[0]) > _MOST_LAYERS:
        raise TargetError(f"{where}: announces {words[0]} layers, at most {_MOST_LAYERS} are read")
    return int(words[0])


def _call(words: list[str], where: str) -> Call:
    if len(words) < 4 or not all(re.fullmatch(r"\d{1,5}", word, re.ASCII) for word in words[2:4]):
        raise TargetError(f"{where}: must begin with a layer's kind, its name, and how many tensors it reads and makes")
    kind, name = ((word if word.isprintable() else ascii(word))[:_LONGEST_NAME] for word in words[:2])
    read, made = int(words[2]), int(words[3])
    names, params = words[4 : 4 + read + made], words[4 + read + made :]
    if len(names) < read + made or any("=" in name and re.match(r"-?\d+=", name) for name in names):
        raise TargetError(
            f"{where}: {kind:.60} '{name:.60}' names fewer tensors than the {read} and {made} it announces"
        )
    return Call(
        kind, name, tuple(names[:read]), tuple(names[read:]), dict(_param(word, where) for word in params), where
    )


def _param(word: str, where: str) -> tuple[int, Value]:
    """Return a parameter's number, that of a list counted from 0, and its value."""
    key_text, _, text = word.partition("=")
    try:
        key = int(key_text)
        if key > _LIST:
            return key, float(text)
        count, *numbers = text.split(",")
        if int(count) != len(numbers):
            raise ValueError
        return _LIST - key, tuple(float(number) for number in numbers)
    except ValueError:
        raise TargetError(f"{where}: {word!r:.60} is no parameter; it is a number, =, and a number or a list") from None
