"""What a network is: small immutable values from which everything else is derived.

An :class:`Architecture` is a stem, 16 :class:`Block` values in EfficientNet-B0's seven stages, the width and depth of
the BiFPN neck, and what the heads read; a backbone or decoder of the user's own may take the place of either half.
Both classes are PyGlove objects, so that any field can become a ``pg.oneof`` (see :mod:`ednas.arch.space`). A
:class:`Plan` says the same in texts and numbers, for code that meets architectures by the thousand: PyGlove's checks
take milliseconds an architecture.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyglove as pg

from ednas.arch.parts import PARTS, parse_part
from ednas.exceptions import ArchitectureError, one_line

KINDS = ("ibn", "fused")
"""``ibn``: 1x1 expansion, depthwise k x k, 1x1 projection; ``fused``: dense k x k expansion, 1x1 projection."""

STAGE_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks in each of EfficientNet-B0's seven stages."""

BLOCK_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""Stride of each block; after the stride-2 stem, stages 1-7 end at strides 2, 4, 8, 16, 16, 32, 32 (Table 6)."""

NUM_BLOCKS = len(BLOCK_STRIDES)

_ALLOWED: dict[str, tuple[Any, ...] | range] = {
    "kind": KINDS,
    "kernel_size": (1, 3, 5, 7, 9),
    "stride": (1, 2),
    "expand_ratio": range(1, 13),
    "filters": range(1, 4097),
    "stem_filters": range(1, 1025),
    "bifpn_width": range(1, 1025),
    "bifpn_depth": range(1, 17),
    "head_lateral": (0, 4),
}
MIN_INPUT_SIZE = 32
MAX_INPUT_SIZE = 8192

_BLOCK_TEXT = re.compile(
    r"(?P<kind>[a-z]+)_k(?P<kernel_size>\d+)_s(?P<stride>\d+)_e(?P<expand_ratio>\d+)_c(?P<filters>\d+)"
)


FORMAT = 1
"""Version of the JSON form."""


def block_text(kind: str, kernel_size: int, stride: int, expand_ratio: int, filters: int) -> str:
    """Return the text form of a block, for example ``ibn_k5_s2_e6_c36``; see :class:`Block`."""
    return f"{kind}_k{kernel_size}_s{stride}_e{expand_ratio}_c{filters}"


def _show_allowed(allowed: tuple[Any, ...] | range) -> str:
    if isinstance(allowed, range):
        return f"an integer from {allowed.start} to {allowed.stop - 1}"
    return "one of " + ", ".join(str(value) for value in allowed)


def _check(owner: str, values: Mapping[str, Any]) -> None:
    for field, value in values.items():
        allowed = _ALLOWED[field]
        if isinstance(value, pg.hyper.HyperPrimitive):
            continue
        if isinstance(value, bool) or value not in allowed:
            raise ArchitectureError(f"{owner}{field} is {value!r}, must be {_show_allowed(allowed)}")


@pg.members(
    [
        ("kind", pg.typing.Enum("ibn", list(KINDS)), "The type of block."),
        ("kernel_size", pg.typing.Int(default=3), "Height and width of the spatial convolution."),
        ("stride", pg.typing.Int(default=1), "Stride of the spatial convolution."),
        ("expand_ratio", pg.typing.Int(default=6), "Inner channels as a multiple of the input channels."),
        ("filters", pg.typing.Int(default=16), "Output channels."),
    ]
)
class Block(pg.Object):
    """One inverted-bottleneck block, plain or fused (Fig. 4).

    Attributes:
        kind: ``ibn`` or ``fused``.
        kernel_size: 1, 3, 5, 7 or 9.
        stride: 1 or 2.
        expand_ratio: Inner channels / input channels, 1 to 12; at 1 an ``ibn`` has no expansion convolution.
        filters: Output channels, 1 to 4096.

    Raises:
        ArchitectureError: A value is not allowed; the message names the field and what is allowed.
    """

    kind: str
    kernel_size: int
    stride: int
    expand_ratio: int
    filters: int

    @pg.explicit_method_override
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _check("block: ", {name: kwargs[name] for name in _BLOCK_FIELDS if name in kwargs})
        try:
            super().__init__(*args, **kwargs)
        except (TypeError, ValueError, KeyError) as cause:
            raise ArchitectureError(f"block: {_one_line(cause)}") from None

    def _on_bound(self) -> None:
        super()._on_bound()
        # Kept, since reading a symbolic field takes microseconds and the cost model reads blocks by the thousand.
        self._text = block_text(self.kind, self.kernel_size, self.stride, self.expand_ratio, self.filters)

    def __str__(self) -> str:
        """Return the text form, for example ``ibn_k5_s2_e6_c36``."""
        return self._text

    @classmethod
    def from_text(cls, text: str) -> Block:
        """Parse the text form.

        Raises:
            ArchitectureError: The text is not a block, or a value is not allowed.
        """
        return cls(**parse_block(text))


def parse_block(text: str) -> dict[str, Any]:
    """Return the fields of a block from its text form, checked.

    Raises:
        ArchitectureError: The text is not a block, or a value is not allowed.
    """
    match = _BLOCK_TEXT.fullmatch(text) if isinstance(text, str) and len(text) < 80 else None
    if match is None:
        raise ArchitectureError(f"block: {text!r:.80} is not a block; write it like ibn_k5_s2_e6_c36")
    values = {name: value if name == "kind" else int(value) for name, value in match.groupdict().items()}
    _check("block: ", values)
    return values


_BLOCK_FIELDS = ("kind", "kernel_size", "stride", "expand_ratio", "filters")
_NUMBERS = ("stem_filters", "bifpn_width", "bifpn_depth", "head_lateral")
_REPLACED = {"backbone": {"stem_filters": 32}, "decoder": {"bifpn_width": 64, "bifpn_depth": 4, "head_lateral": 4}}
"""Numbers that a part of the user's own takes the place of, with their defaults."""


class Plan(NamedTuple):
    """What an architecture is, without its name, in texts and numbers.

    It is made by :meth:`Architecture.plan` and :meth:`ednas.arch.SearchSpace.plan` and not checked again.

    Attributes:
        stem_filters: Output channels of the 3x3 stride-2 stem.
        blocks: The text forms of the 16 backbone blocks.
        bifpn_width: Channels of every level of the BiFPN.
        bifpn_depth: Number of BiFPN layers.
        head_lateral: Stride of the stage that the heads read beside P3; 0 = P3 alone.
        input_size: ``(height, width)`` in pixels, or None where the data or the recipe decide.
        backbone: The user's own backbone, which takes the place of stem and blocks; empty = none.
        decoder: The user's own decoder, which takes the place of neck and heads; empty = none.
    """

    stem_filters: int
    blocks: tuple[str, ...]
    bifpn_width: int
    bifpn_depth: int
    head_lateral: int
    input_size: tuple[int, int] | None
    backbone: str = ""
    decoder: str = ""

    @property
    def has_own_parts(self) -> bool:
        """Whether the backbone or the decoder is a user's own."""
        return bool(self.backbone or self.decoder)

    def to_text(self) -> str:
        """Return the one-line text form: stem, 16 blocks, neck, heads, and the input size if it is set."""
        backbone = [f"backbone:{self.backbone}"] if self.backbone else [f"stem_c{self.stem_filters}", *self.blocks]
        neck = [f"bifpn_w{self.bifpn_width}_d{self.bifpn_depth}", f"heads_l{self.head_lateral}"]
        decoder = [f"decoder:{self.decoder}"] if self.decoder else neck
        size = [] if self.input_size is None else [f"in_{self.input_size[0]}x{self.input_size[1]}"]
        return " ".join([*backbone, *decoder, *size])

    def fingerprint(self) -> str:
        """Return 16 hex digits that identify the architecture across processes and versions."""
        # Absent where there is none: architectures keep the fingerprints that they had before there were such parts.
        fields = {key: value for key, value in self._asdict().items() if value or key not in PARTS}
        identity = {"format": FORMAT, **fields}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


@pg.members(
    [
        ("blocks", pg.typing.List(pg.typing.Object(Block)), "The 16 blocks."),
        ("stem_filters", pg.typing.Int(default=32), "Output channels of the stride-2 stem."),
        ("bifpn_width", pg.typing.Int(default=64), "Channels of every BiFPN level."),
        ("bifpn_depth", pg.typing.Int(default=4), "Number of BiFPN layers."),
        ("head_lateral", pg.typing.Int(default=4), "Stride of the stage that the heads read beside P3; 0 = none."),
        (
            "input_size",
            pg.typing.Tuple([pg.typing.Int(), pg.typing.Int()]).noneable(),
            "Height and width, or None where the data decide.",
        ),
        ("name", pg.typing.Str(default=""), "For people; not part of the identity."),
        ("backbone", pg.typing.Str(default=""), "The user's own backbone."),
        ("decoder", pg.typing.Str(default=""), "The user's own decoder."),
    ]
)
class Architecture(pg.Object):
    """A multi-task network's architecture; the tasks' heads come from the tasks.

    Attributes:
        blocks: The 16 backbone blocks; strides are those of :data:`BLOCK_STRIDES`. None with a backbone of one's own.
        stem_filters: Output channels of the 3x3 stride-2 stem.
        bifpn_width: Channels of every level of the BiFPN.
        bifpn_depth: Number of BiFPN layers (4 in the paper).
        head_lateral: Stride of the stage that the heads read beside P3, for fine detail: 4, or 0 for P3 alone. The
            paper does not say how its heads look.
        input_size: ``(height, width)`` in pixels, or None where the data or the recipe decide.
        name: For people; neither the fingerprint nor ``==`` of fingerprints depends on it.
        backbone: A registered backbone (:func:`ednas.nn.register_backbone`) that takes the place of stem and blocks,
            with its options: ``mine(width=0.5)``; empty = none.
        decoder: A registered decoder (:func:`ednas.nn.register_decoder`) that takes the place of neck and heads.

    Raises:
        ArchitectureError: A value is not allowed; the message names the block (1-16), the field and what is allowed.
    """

    blocks: list[Block]
    stem_filters: int
    bifpn_width: int
    bifpn_depth: int
    head_lateral: int
    input_size: tuple[int, int] | None
    name: str
    backbone: str
    decoder: str

    @pg.explicit_method_override
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except (TypeError, ValueError, KeyError) as cause:
            raise ArchitectureError(f"architecture: {_one_line(cause)}") from None

    def _on_bound(self) -> None:
        super()._on_bound()
        self._plan: Plan | None = None
        if self.sym_puresymbolic:  # a search space: its candidates were checked one by one
            return
        self._check_parts()
        for index, (block, stride) in enumerate(zip(self.blocks, BLOCK_STRIDES, strict=False), start=1):
            if block.stride != stride:
                raise ArchitectureError(f"block {index}: stride is {block.stride}, must be {stride} (EfficientNet-B0)")
        _check("architecture: ", {name: getattr(self, name) for name in _NUMBERS})
        if self.name != one_line(self.name):
            raise ArchitectureError(f"architecture: the name '{self.name}' holds control characters")
        if self.input_size is not None:
            check_input_size(self.input_size)

    def _check_parts(self) -> None:
        """Check that what an own part takes the place of is not described too."""
        for part in PARTS:
            text = getattr(self, part)
            if text:
                parse_part(text)
            for field, default in _REPLACED[part].items():
                if text and getattr(self, field) != default:
                    raise ArchitectureError(f"architecture: {field} is of no use beside {part} '{text}'; leave it out")
        expected = 0 if self.backbone else NUM_BLOCKS
        if len(self.blocks) != expected:
            beside = f" beside backbone '{self.backbone}'" if self.backbone else ""
            raise ArchitectureError(f"architecture: {len(self.blocks)} blocks{beside}, must be {expected}")

    def with_parts(self, *, backbone: str = "", decoder: str = "") -> Architecture:
        """Return the same with parts of one's own in the places of these: of stem and blocks, of neck and heads.

        Args:
            backbone: A registered backbone, with its options like ``mine(width=0.5)``; empty = the backbone stays.
            decoder: A registered decoder; empty = neck and heads stay.

        Raises:
            ArchitectureError: A text names no part.
        """
        given = {part: text for part, text in (("backbone", backbone), ("decoder", decoder)) if text}
        changes: dict[str, Any] = dict(given)
        for part in given:
            changes |= _REPLACED[part]
        if backbone:
            changes["blocks"] = []
        name = " ".join([self.name or self.fingerprint(), *(f"{part}:{text}" for part, text in given.items())])
        values = {key: self.sym_getattr(key) for key in ("blocks", "input_size", *_NUMBERS, *PARTS)}
        return Architecture(**{**values, **changes, "name": name})

    def plan(self) -> Plan:
        """Return the same in texts and numbers, without the name."""
        if self._plan is None:  # kept, since reading a symbolic field takes microseconds
            blocks = tuple([str(block) for block in self.blocks])
            fields = {name: getattr(self, name) for name in (*_NUMBERS, *PARTS)}
            self._plan = Plan(blocks=blocks, input_size=self.input_size, **fields)
        return self._plan

    def stages(self) -> tuple[tuple[Block, ...], ...]:
        """Return the blocks of the seven stages; none with a backbone of one's own."""
        blocks = iter(self.blocks)
        return () if self.backbone else tuple(tuple(next(blocks) for _ in range(depth)) for depth in STAGE_DEPTHS)

    def to_text(self) -> str:
        """Return the one-line text form: stem, 16 blocks, neck, heads, and the input size if it is set."""
        return self.plan().to_text()

    @classmethod
    def from_text(cls, text: str, name: str = "") -> Architecture:
        """Parse the text form.

        Raises:
            ArchitectureError: The text is not an architecture; the message names the part.
        """
        parts = text.split()
        own = {part: p.partition(":")[2] for part in PARTS for p in parts if p.startswith(f"{part}:")}
        described = [p for p in parts if p.partition(":")[0] not in PARTS]
        expected = [] if "backbone" in own else ["a stem", f"{NUM_BLOCKS} blocks"]
        expected += [] if "decoder" in own else ["a bifpn and heads"]
        count = (0 if "backbone" in own else 1 + NUM_BLOCKS) + (0 if "decoder" in own else 2)
        if not count <= len(described) <= count + 1 or len(described) + len(own) != len(parts):
            needed = ", ".join([*own, *expected])
            raise ArchitectureError(f"architecture: {len(parts)} parts, must be {needed}")
        values: dict[str, Any] = {"blocks": [], "name": name, **own}
        if len(described) > count:
            values["input_size"] = _numbers(r"in_(\d+)x(\d+)", described.pop(), "in_128x256")
        if "decoder" not in own:
            *described, neck, heads = described
            values["bifpn_width"], values["bifpn_depth"] = _numbers(r"bifpn_w(\d+)_d(\d+)", neck, "bifpn_w64_d4")
            (values["head_lateral"],) = _numbers(r"heads_l(\d+)", heads, "heads_l4")
        if "backbone" not in own:
            (values["stem_filters"],) = _numbers(r"stem_c(\d+)", described[0], "stem_c32")
            values["blocks"] = _parse_blocks(described[1:])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, which :meth:`from_dict` reads."""
        plan = self.plan()
        return {
            "format": FORMAT,
            "name": self.name,
            "stem_filters": plan.stem_filters,
            "blocks": list(plan.blocks),
            "bifpn_width": plan.bifpn_width,
            "bifpn_depth": plan.bifpn_depth,
            "head_lateral": plan.head_lateral,
            "input_size": None if plan.input_size is None else list(plan.input_size),
            **{part: text for part in PARTS if (text := getattr(plan, part))},
        }

    @classmethod
    def from_dict(cls, value: Any) -> Architecture:
        """Read the JSON form.

        Raises:
            ArchitectureError: A key or value is missing, unknown or wrong; the message names it.
        """
        if not isinstance(value, Mapping):
            raise ArchitectureError(f"architecture: {type(value).__name__}, must be a JSON object with 'blocks'")
        known = {"format", "name", "blocks", "input_size", *_NUMBERS, *PARTS}
        if unknown := sorted(map(str, set(value) - known)):
            raise ArchitectureError(f"architecture: unknown key {unknown[0]!r}; known keys: {', '.join(sorted(known))}")
        if value.get("format", FORMAT) != FORMAT:
            raise ArchitectureError(f"architecture: format {value['format']!r}, this version reads format {FORMAT}")
        blocks, size = value.get("blocks"), value.get("input_size")
        if not isinstance(blocks, list):
            raise ArchitectureError(
                f"architecture: 'blocks' must be a list of {NUM_BLOCKS} texts like ibn_k5_s2_e6_c36"
            )
        if size is not None and not (isinstance(size, list) and len(size) == 2):
            raise ArchitectureError(f"architecture: input_size is {size!r:.80}, must be [height, width] or null")
        fields = {key: value[key] for key in ("name", *_NUMBERS, *PARTS) if key in value}
        return cls(blocks=_parse_blocks(blocks), input_size=None if size is None else tuple(size), **fields)

    def fingerprint(self) -> str:
        """Return 16 hex digits that identify the architecture across processes and versions, whatever its name."""
        return self.plan().fingerprint()


def check_input_size(size: tuple[int, int]) -> None:
    """Check an input size ``(height, width)``.

    Raises:
        ArchitectureError: Height or width is not an integer from 32 to 8192.
    """
    for side, value in zip(("height", "width"), size, strict=True):
        if isinstance(value, bool) or not isinstance(value, int) or not MIN_INPUT_SIZE <= value <= MAX_INPUT_SIZE:
            raise ArchitectureError(
                f"input size: {side} is {value!r}, must be from {MIN_INPUT_SIZE} to {MAX_INPUT_SIZE} pixels"
            )


def _parse_blocks(texts: list[Any]) -> list[Block]:
    blocks = []
    for index, text in enumerate(texts, start=1):
        try:
            blocks.append(Block.from_text(text))
        except ArchitectureError as error:
            raise ArchitectureError(str(error).replace("block", f"block {index}", 1)) from None
    return blocks


def _numbers(pattern: str, text: str, example: str) -> tuple[int, ...]:
    match = re.fullmatch(pattern, text) if len(text) < 80 else None
    if match is None:
        raise ArchitectureError(f"architecture: {text!r:.80} must be written like {example}")
    return tuple(int(group) for group in match.groups())


def _one_line(error: Exception) -> str:
    return " ".join(str(error.args[0] if error.args else error).split())
