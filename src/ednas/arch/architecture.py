"""What a network is: a small immutable value from which everything else is derived.

An :class:`Architecture` is a stem, :class:`~ednas.arch.block.Block` values in stages (EfficientNet-B0's 16 in seven, if
nothing else is said), the width and depth of the BiFPN neck, and what the heads read; a backbone or decoder of the
user's own may take the place of either half. It is made and compared in microseconds: a search meets architectures by
the thousand.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate
from operator import mul
from typing import Any, NamedTuple

from ednas.arch.block import Allowed, Block, check_values
from ednas.arch.parts import HARD, PARTS, parse_part
from ednas.exceptions import ArchitectureError, one_line

STAGE_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks in each of EfficientNet-B0's seven stages."""

STEM_STRIDE = 2

FEATURE_STRIDES = (4, 8, 16, 32)
"""Strides of the features that neck and heads read: of each the last stage that has it."""

MIN_INPUT_SIZE = 32
MAX_INPUT_SIZE = 8192

FORMAT = 1
"""Version of the JSON form."""

_ALLOWED: Mapping[str, Allowed] = {
    "stem_filters": range(1, 1025),
    "bifpn_width": range(1, 1025),
    "bifpn_depth": range(1, 17),
    "head_lateral": (0, 4),
}

_REPLACED: Mapping[str, Mapping[str, int]] = {
    "backbone": {"stem_filters": 32},
    "decoder": {"bifpn_width": 64, "bifpn_depth": 4, "head_lateral": 4},
    "sharing": {},
}
"""Numbers that a named part takes the place of, with their defaults."""


@dataclass(frozen=True)
class Architecture:
    """A multi-task network's architecture; the tasks' heads come from the tasks.

    ``dataclasses.replace`` gives a changed copy.

    Attributes:
        blocks: The backbone's blocks; none with a backbone of one's own. Four have a stride of 2, each the first of its
            stage, so that features come at strides 4, 8, 16 and 32.
        stem_filters: Output channels of the 3x3 stride-2 stem.
        bifpn_width: Channels of every level of the BiFPN.
        bifpn_depth: Number of BiFPN layers (4 in the paper).
        head_lateral: Stride of the stage that the heads read beside P3, for fine detail: 4, or 0 for P3 alone. The
            paper does not say how its heads look.
        input_size: ``(height, width)`` in pixels, or None where the data or the recipe decide.
        name: For people; architectures of different names may be equal.
        backbone: A registered backbone (:func:`ednas.nn.register_backbone`) that takes the place of stem and blocks,
            with its options: ``mine(width=0.5)``; empty = none.
        decoder: A registered decoder (:func:`ednas.nn.register_decoder`) that takes the place of neck and heads.
        sharing: How tasks share the backbone (:mod:`ednas.nn.sharing`), with its options: ``cross_stitch(start=0.8)``;
            empty = they share all of it (``hard``). A single task shares with nobody.
        stage_depths: Blocks in each stage; by default those of EfficientNet-B0, and none with a backbone of one's own.

    Raises:
        ArchitectureError: A value is not allowed; the message names the block (from 1), the field and what is allowed.
    """

    blocks: tuple[Block, ...]
    stem_filters: int = 32
    bifpn_width: int = 64
    bifpn_depth: int = 4
    head_lateral: int = 4
    input_size: tuple[int, int] | None = None
    name: str = field(default="", compare=False)
    backbone: str = ""
    decoder: str = ""
    sharing: str = ""
    stage_depths: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if self.sharing == HARD:
            object.__setattr__(self, "sharing", "")
        if self.stage_depths is None:
            object.__setattr__(self, "stage_depths", () if self.backbone else STAGE_DEPTHS)
        for index, block in enumerate(self.blocks, start=1):
            if not isinstance(block, Block):
                raise ArchitectureError(f"block {index}: {block!r:.80}, must be a Block")
        check_values("architecture: ", self, _ALLOWED)
        self._check_parts()
        if self.blocks:
            _lay_out(self._depths, tuple([block.stride for block in self.blocks]))
        if not isinstance(self.name, str) or self.name != one_line(self.name):
            raise ArchitectureError(f"architecture: name is {self.name!r:.80}, must be text without control characters")
        if self.input_size is not None:
            check_input_size(self.input_size)

    def _check_parts(self) -> None:
        """Check that what an own part takes the place of is not described too."""
        for part in PARTS:
            text = getattr(self, part)
            if text or not isinstance(text, str):
                parse_part(text)
                for field, default in _REPLACED[part].items():
                    if getattr(self, field) != default:
                        raise ArchitectureError(
                            f"architecture: {field} is of no use beside {part} '{text}'; leave it out"
                        )
        if self.sharing and (self.backbone or self.decoder):
            raise ArchitectureError(
                f"architecture: sharing '{self.sharing}' is of our backbones, necks and heads; leave out "
                + (f"backbone '{self.backbone}'" if self.backbone else f"decoder '{self.decoder}'")
            )
        if self.backbone and (self.blocks or self.stage_depths):
            raise ArchitectureError(
                f"architecture: {len(self.blocks)} blocks beside backbone '{self.backbone}', must be 0, in no stages"
            )
        depths = self._depths
        if not all(type(depth) is int and depth > 0 for depth in depths):
            raise ArchitectureError(f"architecture: stages of {depths!r:.80} blocks, must be of one block or more")
        if len(self.blocks) != sum(depths):
            raise ArchitectureError(
                f"architecture: {len(self.blocks)} blocks, must be {sum(depths)} in stages of "
                f"{', '.join(map(str, depths))}; in the text form | parts the stages of other networks"
            )

    @property
    def _depths(self) -> tuple[int, ...]:
        return self.stage_depths or ()

    @property
    def has_named_parts(self) -> bool:
        """Whether it is more than stem, blocks, one neck and heads: backbone or decoder are a user's own, or shared."""
        return bool(self.backbone or self.decoder or self.sharing)

    def with_parts(self, *, backbone: str = "", decoder: str = "", sharing: str = "") -> Architecture:
        """Return the same with named parts in the places of these: of stem and blocks, of neck and heads.

        Args:
            backbone: A registered backbone, with its options like ``mine(width=0.5)``; empty = the backbone stays.
            decoder: A registered decoder; empty = neck and heads stay.
            sharing: How tasks share the backbone; empty = as they do.

        Raises:
            ArchitectureError: A text names no part.
        """
        texts = {"backbone": backbone, "decoder": decoder, "sharing": sharing}
        given = {part: text for part, text in texts.items() if text}
        if all(getattr(self, part) == ("" if text == HARD else text) for part, text in given.items()):
            return self
        changes: dict[str, Any] = dict(given)
        for part in given:
            changes |= _REPLACED[part]
        if backbone:
            changes |= {"blocks": (), "stage_depths": None}
        words = [word for word in (self.name or self.fingerprint()).split() if word.partition(":")[0] not in given]
        name = " ".join([*words, *(f"{part}:{text}" for part, text in given.items())])
        return replace(self, **changes, name=name)

    def stages(self) -> tuple[tuple[Block, ...], ...]:
        """Return the blocks of each stage; none with a backbone of one's own."""
        blocks = iter(self.blocks)
        return tuple([tuple([next(blocks) for _ in range(depth)]) for depth in self._depths])

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Stride of each stage's output: 2, 4, 8, 16, 16, 32, 32 for EfficientNet-B0."""
        return self._layout.stage_strides

    @property
    def feature_stages(self) -> tuple[int, ...]:
        """The last stages, from 0, at strides 4, 8, 16 and 32: what neck and heads read."""
        return self._layout.feature_stages

    @property
    def feature_blocks(self) -> tuple[int, ...]:
        """Numbers, from 1, of the blocks that these stages end with; the last of all is the fourth."""
        return self._layout.feature_blocks

    @property
    def _layout(self) -> _Layout:
        return _lay_out(self._depths, tuple([block.stride for block in self.blocks]))

    def to_text(self) -> str:
        """Return the one-line text form: stem, blocks, neck, heads, and the input size if it is set.

        Stages other than EfficientNet-B0's are parted by ``|``.
        """
        blocks = [f"stem_c{self.stem_filters}", *[block.text for block in self.blocks]]
        if self.stage_depths != STAGE_DEPTHS:
            blocks = [blocks[0], " | ".join(" ".join([block.text for block in stage]) for stage in self.stages())]
        neck = [f"bifpn_w{self.bifpn_width}_d{self.bifpn_depth}", f"heads_l{self.head_lateral}"]
        backbone = [f"backbone:{self.backbone}"] if self.backbone else blocks
        decoder = [f"decoder:{self.decoder}"] if self.decoder else neck
        sharing = [f"sharing:{self.sharing}"] if self.sharing else []
        size = [] if self.input_size is None else [f"in_{self.input_size[0]}x{self.input_size[1]}"]
        return " ".join([*backbone, *decoder, *sharing, *size])

    @classmethod
    def from_text(cls, text: str, name: str = "") -> Architecture:
        """Parse the text form.

        Raises:
            ArchitectureError: The text is not an architecture; the message names the part.
        """
        parts = text.split()
        own = {part: p.partition(":")[2] for part in PARTS for p in parts if p.startswith(f"{part}:")}
        described = [p for p in parts if p.partition(":")[0] not in PARTS]
        values: dict[str, Any] = {"blocks": (), "name": name, **own}
        if described and described[-1].startswith("in_"):
            values["input_size"] = _numbers(r"in_(\d+)x(\d+)", described.pop(), "in_128x256")
        expected = [] if "backbone" in own else ["a stem, blocks"]
        expected += [] if "decoder" in own else ["a bifpn and heads"]
        least = 2 * len(expected)
        fits = len(described) == least or (len(described) > least and "backbone" not in own)
        if not fits or len(described) + len(own) + ("input_size" in values) != len(parts):
            raise ArchitectureError(f"architecture: {len(parts)} parts, must be {', '.join([*own, *expected])}")
        if "decoder" not in own:
            *described, neck, heads = described
            values["bifpn_width"], values["bifpn_depth"] = _numbers(r"bifpn_w(\d+)_d(\d+)", neck, "bifpn_w64_d4")
            (values["head_lateral"],) = _numbers(r"heads_l(\d+)", heads, "heads_l4")
        if "backbone" not in own:
            (values["stem_filters"],) = _numbers(r"stem_c(\d+)", described[0], "stem_c32")
            stages = [stage.split() for stage in " ".join(described[1:]).split("|")]
            values["blocks"] = _parse_blocks([text for stage in stages for text in stage])
            if len(stages) > 1:
                values["stage_depths"] = tuple(map(len, stages))
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, which :meth:`from_dict` reads."""
        return {"name": self.name, **self._identity()}

    @classmethod
    def from_dict(cls, value: Any) -> Architecture:
        """Read the JSON form.

        Raises:
            ArchitectureError: A key or value is missing, unknown or wrong; the message names it.
        """
        if not isinstance(value, Mapping):
            raise ArchitectureError(f"architecture: {type(value).__name__}, must be a JSON object with 'blocks'")
        known = {"format", "name", "blocks", "stage_depths", "input_size", *_ALLOWED, *PARTS}
        if unknown := sorted(map(str, set(value) - known)):
            raise ArchitectureError(f"architecture: unknown key {unknown[0]!r}; known keys: {', '.join(sorted(known))}")
        if value.get("format", FORMAT) != FORMAT:
            raise ArchitectureError(f"architecture: format {value['format']!r}, this version reads format {FORMAT}")
        blocks, size, depths = value.get("blocks"), value.get("input_size"), value.get("stage_depths")
        if not isinstance(blocks, list):
            raise ArchitectureError("architecture: 'blocks' must be a list of texts like ibn_k5_s2_e6_c36")
        if depths is not None and not isinstance(depths, list):
            raise ArchitectureError(f"architecture: stage_depths is {depths!r:.80}, must be a list of numbers or null")
        if size is not None and not (isinstance(size, list) and len(size) == 2):
            raise ArchitectureError(f"architecture: input_size is {size!r:.80}, must be [height, width] or null")
        given = {key: value[key] for key in ("name", *_ALLOWED, *PARTS) if key in value}
        return cls(
            _parse_blocks(blocks),
            input_size=None if size is None else (size[0], size[1]),
            stage_depths=None if depths is None else tuple(depths),
            **given,
        )

    def fingerprint(self) -> str:
        """Return 16 hex digits that identify the architecture across processes and versions, whatever its name."""
        return hashlib.sha256(json.dumps(self._identity(), sort_keys=True).encode()).hexdigest()[:16]

    def _identity(self) -> dict[str, Any]:
        """All but the name, as JSON values; own parts and stages only where there are some: fingerprints stay."""
        return {
            "format": FORMAT,
            "stem_filters": self.stem_filters,
            "blocks": [block.text for block in self.blocks],
            "bifpn_width": self.bifpn_width,
            "bifpn_depth": self.bifpn_depth,
            "head_lateral": self.head_lateral,
            "input_size": None if self.input_size is None else list(self.input_size),
            **({} if self._depths in ((), STAGE_DEPTHS) else {"stage_depths": list(self._depths)}),
            **{part: text for part in PARTS if (text := getattr(self, part))},
        }


class _Layout(NamedTuple):
    """Where a backbone's features are; attributes as :class:`Architecture` has them."""

    stage_strides: tuple[int, ...]
    feature_stages: tuple[int, ...]
    feature_blocks: tuple[int, ...]


@cache
def _lay_out(depths: Sequence[int], strides: Sequence[int]) -> _Layout:
    """Find the features of blocks with these strides in stages of these depths.

    Raises:
        ArchitectureError: They do not come at strides 4, 8, 16 and 32, at the ends of stages.
    """
    ends = tuple(accumulate(depths))
    begins = (0, *ends[:-1])
    halving = [number for number, stride in enumerate(strides) if stride == 2]
    if within := [number + 1 for number in halving if number not in begins]:
        raise ArchitectureError(f"block {within[0]}: stride is 2 within a stage, only its first block may have it")
    if len(halving) != len(FEATURE_STRIDES):
        raise ArchitectureError(
            f"architecture: {len(halving)} blocks have stride 2 ({', '.join(str(n + 1) for n in halving)}), must be "
            f"{len(FEATURE_STRIDES)}, so that features come at strides {', '.join(map(str, FEATURE_STRIDES))}"
        )
    stage_strides = tuple(accumulate([strides[begin] for begin in begins], mul, initial=STEM_STRIDE))[1:]
    last = tuple([max(i for i, stride in enumerate(stage_strides) if stride == s) for s in FEATURE_STRIDES])
    return _Layout(stage_strides, last, tuple([ends[stage] for stage in last]))


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


def _parse_blocks(texts: list[Any]) -> tuple[Block, ...]:
    blocks = []
    for index, text in enumerate(texts, start=1):
        try:
            blocks.append(Block.from_text(text))
        except ArchitectureError as error:
            raise ArchitectureError(str(error).replace("block", f"block {index}", 1)) from None
    return tuple(blocks)


def _numbers(pattern: str, text: str, example: str) -> tuple[int, ...]:
    match = re.fullmatch(pattern, text) if len(text) < 80 else None
    if match is None:
        raise ArchitectureError(f"architecture: {text!r:.80} must be written like {example}")
    return tuple(int(group) for group in match.groups())
