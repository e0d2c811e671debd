"""Blocks of a network as values: a kind, and the few numbers that it is made from.

A kind is a subclass of :class:`Block` in a file of its own (:mod:`ednas.arch.kinds`); its fields say how they are
written, what they may be, and what they are called. Everything else reads them from there: text form, search space,
tables, drawings.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ednas.exceptions import ArchitectureError, ConfigError

if TYPE_CHECKING:
    from torch import nn

Allowed = tuple[Any, ...] | range
"""The values of a field; all of one type."""

KERNEL_SIZES = (1, 3, 5, 7, 9)
STRIDES = (1, 2)
EXPAND_RATIOS = range(1, 13)
FILTERS = range(1, 4097)

_TEXT = re.compile(r"([a-z]+)((?:_[a-z]\d+)+)")


def number(code: str, allowed: Allowed, default: int, title: str) -> Any:
    """Return a field of a kind, for ``dataclasses.dataclass``.

    Args:
        code: Its letter in the text form.
        allowed: Its values.
        default: The value where none is given.
        title: What people call it, for tables.
    """
    return field(default=default, metadata={"code": code, "allowed": allowed, "title": title})


@dataclass(frozen=True)
class BlockField:
    """What a kind says of one of its fields; see :func:`number`."""

    name: str
    code: str
    allowed: Allowed
    title: str
    default: int


@dataclass(frozen=True)
class Block(ABC):
    """One block: maps ``(N, in_channels, H, W)`` to ``(N, filters, ceil(H / stride), ceil(W / stride))``.

    A kind is a frozen dataclass that derives from this, whose fields are made by :func:`number`, among them ``stride``
    and ``filters``.

    Attributes:
        kind: Its name in text forms: lower-case letters.
        label: Its name in tables, as the paper's Tables 6 and 7 have it.
        short: Its name in drawings, at most 5 letters.
        title: Its name in legends.
        colour: In drawings; white text on it must be legible.

    Raises:
        ArchitectureError: A value is not allowed; the message names the field and what is allowed.
    """

    kind: ClassVar[str]
    label: ClassVar[str]
    short: ClassVar[str]
    title: ClassVar[str]
    colour: ClassVar[str]

    @property
    @abstractmethod
    def stride(self) -> int:
        """Stride, 1 or 2."""

    @property
    @abstractmethod
    def filters(self) -> int:
        """Output channels."""

    def __post_init__(self) -> None:
        check_values("block: ", self, _allowed(type(self)))
        self.check()

    def check(self) -> None:  # noqa: B027 - most kinds have nothing to check
        """Check what the fields allow together.

        Raises:
            ArchitectureError: They do not fit; the message begins with ``block: ``.
        """

    @abstractmethod
    def build(self, in_channels: int) -> nn.Module:
        """Return the block's module.

        Tensors of blocks of one kind correspond by their names: a block takes leading channels and the centre of
        kernels from a larger one (:mod:`ednas.training.init`). Channels of the inside therefore follow the input's.
        """

    def shared_as(self, tensor: str) -> str:  # noqa: ARG002 - kinds look at it
        """Say which blocks of its kind share a tensor in a supernet (:mod:`ednas.nn.supernet`): those that say alike.

        Each takes leading channels and the centre of kernels from the one tensor that they share. By default blocks
        share where they differ in channels and expansion alone: what a kernel of one size has learned is of little use
        to one of another size.

        Args:
            tensor: Its name in the module that :meth:`build` returns.
        """
        return "_".join(code for name, code in self.codes.items() if name not in ("filters", "expand_ratio"))

    @property
    def values(self) -> dict[str, int]:
        """The fields with their values, in the order of the text form."""
        return {f.name: getattr(self, f.name) for f in block_fields(type(self))}

    def with_filters(self, filters: int) -> Block:
        """Return the same with other output channels."""
        return type(self)(**{**self.values, "filters": filters})

    @cached_property
    def codes(self) -> dict[str, str]:
        """The fields as the text form has them, for example ``{"kernel_size": "k5", ...}``."""
        return {f.name: f"{f.code}{getattr(self, f.name)}" for f in block_fields(type(self))}

    @cached_property
    def text(self) -> str:
        """The text form, for example ``ibn_k5_s2_e6_c36``."""
        return "_".join([self.kind, *self.codes.values()])

    def __str__(self) -> str:
        """Return the text form."""
        return self.text

    @staticmethod
    def from_text(text: str) -> Block:
        """Parse the text form of any kind.

        Raises:
            ArchitectureError: The text is not a block, the kind is unknown, or a value is not allowed.
        """
        if not isinstance(text, str):
            raise ArchitectureError(f"block: {text!r:.80} is not a block; write it like ibn_k5_s2_e6_c36")
        return _parse(text)


_kinds: dict[str, type[Block]] = {}

Kind = TypeVar("Kind", bound=type[Block])


def register_kind(kind: Kind) -> Kind:
    """Make a kind of block known, so that architectures and spaces may name it; for use as a decorator.

    Raises:
        ConfigError: Its name is taken by another class, or is not of lower-case letters, or ``stride`` or ``filters``
            is missing among its fields.
    """
    name, there = kind.kind, _kinds.get(kind.kind)
    if there is not None and (there.__module__, there.__qualname__) != (kind.__module__, kind.__qualname__):
        raise ConfigError(f"a kind of block '{name}' exists already; choose another name")
    if not re.fullmatch("[a-z]+", name):
        raise ConfigError(f"kind of block {name!r}: the name must be of lower-case letters")
    if missing := {"stride", "filters"} - {f.name for f in block_fields(kind)}:
        raise ConfigError(f"kind of block '{name}': has no field {', '.join(sorted(missing))}")
    _kinds[name] = kind
    _parse.cache_clear()
    return kind


def block_kinds() -> tuple[str, ...]:
    """Return the names of all kinds, in the order of their registration."""
    return tuple(_kinds)


def block_kind(name: str) -> type[Block]:
    """Return a kind by its name.

    Raises:
        ArchitectureError: There is none.
    """
    if name not in _kinds:
        raise ArchitectureError(f"block: kind is {name!r:.80}, must be one of {', '.join(_kinds)}")
    return _kinds[name]


@cache
def block_fields(kind: type[Block]) -> tuple[BlockField, ...]:
    """Return a kind's fields in the order of the text form."""
    return tuple(BlockField(f.name, default=f.default, **f.metadata) for f in fields(kind))  # type: ignore[arg-type]


def make_block(kind: str, **values: int) -> Block:
    """Return a block; fields that are not given have the kind's default.

    Raises:
        ArchitectureError: There is no such kind or field, or a value is not allowed.
    """
    made = block_kind(kind)
    if unknown := sorted(set(values) - {f.name for f in block_fields(made)}):
        raise ArchitectureError(f"block: a block of kind '{kind}' has no {unknown[0]}")
    return made(**values)


@cache
def _allowed(kind: type[Block]) -> Mapping[str, Allowed]:
    return {f.name: f.allowed for f in block_fields(kind)}


@lru_cache(maxsize=1 << 14)  # a study holds few different blocks, many times each
def _parse(text: str) -> Block:
    match = _TEXT.fullmatch(text) if len(text) < 80 else None
    if match is None:
        raise ArchitectureError(f"block: {text!r:.80} is not a block; write it like ibn_k5_s2_e6_c36")
    kind = block_kind(match[1])
    numbers = match[2].split("_")[1:]
    expected = block_fields(kind)
    if [n[0] for n in numbers] != [f.code for f in expected]:
        form = "_".join([kind.kind, *(f.code + str(f.default) for f in expected)])
        raise ArchitectureError(f"block: {text!r:.80} is no block of kind '{kind.kind}'; write it like {form}")
    return kind(**{f.name: int(n[1:]) for f, n in zip(expected, numbers, strict=True)})


def check_values(owner: str, value: Any, allowed: Mapping[str, Allowed]) -> None:
    """Check attributes.

    Args:
        owner: What the message begins with.
        value: Whose attributes.
        allowed: Their values.

    Raises:
        ArchitectureError: One has another value, or one of another type: ``True`` and ``3.0`` are no integers.
    """
    for name, values in allowed.items():
        found = getattr(value, name)
        if type(found) is not type(values[0]) or found not in values:
            raise ArchitectureError(f"{owner}{name} is {found!r:.80}, must be {_show(values)}")


def _show(allowed: Allowed) -> str:
    if isinstance(allowed, range):
        return f"an integer from {allowed.start} to {allowed.stop - 1}"
    return "one of " + ", ".join(str(value) for value in allowed)
