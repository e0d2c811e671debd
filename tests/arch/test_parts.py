"""A backbone or decoder of one's own has its place in an architecture: in its text, its file, its space."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ednas.arch import Architecture, SearchSpace, SpaceConfig, load_architecture, save_architecture
from ednas.arch.parts import parse_part
from ednas.exceptions import ArchitectureError

TEXTS = (
    "backbone:mine(width=0.5,kind=small) bifpn_w64_d4 heads_l4",
    f"{load_architecture('base').to_text().partition(' bifpn')[0]} decoder:mine in_64x128",
    "backbone:a decoder:b",
)


def test_options_are_numbers_truths_and_texts() -> None:
    assert parse_part("m.b-2") == ("m.b-2", {})
    assert parse_part("m(a=1,b=0.5,c=true,d=x/y.pt)").options == {"a": 1, "b": 0.5, "c": True, "d": "x/y.pt"}


@pytest.mark.parametrize("text", ["", "2a", "a(", "a()", "a(b)", "a(b=)", "a(b=1)c", "a b"])
def test_what_names_no_part_is_refused(text: str) -> None:
    with pytest.raises(ArchitectureError, match="names no part"):
        parse_part(text)


@pytest.mark.parametrize("text", TEXTS)
def test_every_form_says_the_same(text: str, tmp_path) -> None:
    architecture = Architecture.from_text(text)
    save_architecture(architecture, tmp_path / "a.json")
    for same in (load_architecture(text), Architecture.from_dict(architecture.to_dict())):
        assert same.to_text() == text
        assert same.fingerprint() == architecture.fingerprint() == load_architecture(tmp_path / "a.json").fingerprint()


def test_parts_behind_whatever_means_an_architecture(tmp_path) -> None:
    save_architecture(load_architecture("base"), tmp_path / "a file.json")
    for source in ("base", str(tmp_path / "a file.json")):
        found = load_architecture(f"{source} backbone:mine(width=2) decoder:other")
        assert found.to_text() == "backbone:mine(width=2) decoder:other"
    assert load_architecture("base backbone:mine").name == "base backbone:mine"


def test_what_was_before_has_its_fingerprint() -> None:
    assert load_architecture("base").fingerprint() == "61f45eefc6d1b797"
    assert len({load_architecture(text).fingerprint() for text in ("base", "base backbone:a", "base decoder:a")}) == 3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: load_architecture("backbone:a"), "1 parts, must be backbone, a bifpn and heads"),
        (lambda: load_architecture("backbone:a backbone:b decoder:c"), "3 parts"),
        (lambda: load_architecture("base backbone:a(b"), "names no part"),
        (lambda: replace(load_architecture("base"), backbone="a"), "16 blocks beside backbone 'a'"),
        (lambda: Architecture(blocks=[], backbone="a", stem_filters=8), "stem_filters is of no use beside backbone"),
        (lambda: Architecture(blocks=[], backbone="a", decoder="b", bifpn_width=8), "no use beside decoder 'b'"),
    ],
)
def test_contradictions_are_one_line(make, said: str) -> None:
    with pytest.raises(ArchitectureError, match=said) as error:
        make()
    assert "\n" not in str(error.value)


def test_the_other_half_is_searched() -> None:
    space = SearchSpace(load_architecture("base backbone:a"), SpaceConfig(bifpn_widths=(32, 64), bifpn_depths=(1, 2)))
    assert [decision.name for decision in space.decisions] == ["bifpn_width", "bifpn_depth"]
    assert space.decode((0, 1)).to_text() == "backbone:a bifpn_w32_d2 heads_l4"
    assert space.encode(space.decode((0, 1))) == (0, 1)
    space = SearchSpace(load_architecture("base decoder:a"))
    assert {decision.name.partition("[")[0] for decision in space.decisions} == {"blocks"}
    assert space.decode([0] * len(space.decisions)).to_text().endswith("_c160 decoder:a")


@pytest.mark.parametrize(
    ("text", "config", "said"),
    [
        ("base backbone:a", {}, "nothing is left to choose"),
        ("base backbone:a", {"stages": {1: {"kinds": ("ibn",)}}}, "backbone 'a' has no stage 1"),
        ("base decoder:a", {"bifpn_widths": (32,)}, "decoder 'a' has no bifpn_width"),
    ],
)
def test_choices_of_what_is_not_there_are_refused(text: str, config: dict, said: str) -> None:
    with pytest.raises(ArchitectureError, match=said):
        SearchSpace(load_architecture(text), SpaceConfig.model_validate(config))
