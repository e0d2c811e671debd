"""The text of a ``.param`` file is read line by line; what is wrong is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.ncnn_files import IMAGE, ncnn_call, ncnn_text
from hypothesis import given
from hypothesis import strategies as st

from ednas.exceptions import TargetError
from ednas.hw.ncnn.param_file import Call, read_calls


def test_a_line(tmp_path: Path) -> None:
    call = ncnn_call(tmp_path, "Slice parts 1 2 x a b -23330=8,3,5,4,6,3,5,4,2 -23300=2,6,-233 1=0 2=1.5e+00")
    assert (call.kind, call.name, call.inputs, call.outputs) == ("Slice", "parts", ("x",), ("a", "b"))
    assert call.hints == ((6, 4, 5), (2, 4, 5))
    assert call.integers(0) == (6, -233)
    assert call.integer(1) == 0
    assert call.number(2, 0.0) == 1.5
    assert call.integer(7, 3) == 3


def test_a_window_is_square_unless_it_says_its_height(tmp_path: Path) -> None:
    call = ncnn_call(tmp_path, "Convolution c 1 1 x y 1=3 2=2 12=1")
    assert call.pair(1, 11) == (3, 3)
    assert call.pair(2, 12) == (1, 2)


@pytest.mark.parametrize("hint", ["-23330=3,3,4,5", "-23330=4,0,1,1,1", "-23330=4,4,1,1,1"])
def test_shapes_that_are_none_are_not_read(tmp_path: Path, hint: str) -> None:
    assert ncnn_call(tmp_path, f"ReLU r 1 1 x y {hint}").hints == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not an ncnn .param file, which begins with 7767517"),
        ("7767517\n", "line 2: must be the numbers of layers and of tensors"),
        ("7767517\n1 x\n", "line 2: must be the numbers"),
        ("7767517\n99999 1\n", "line 2: announces 99999 layers, at most 65536 are read"),
        ("7767517\n2 2\n" + IMAGE, "line 2 announces 2 layers, the file holds 1; is it cut off?"),
        ("7767517\n1 1\nReLU r 1\n", "line 3: must begin with a layer's kind"),
        ("7767517\n1 1\nReLU r -1 1 x y\n", "line 3: must begin with a layer's kind"),
        ("7767517\n1 1\nReLU r 1 2 x y 0=1\n", "line 3: ReLU 'r' names fewer tensors than the 1 and 2"),
        ("7767517\n1 1\nReLU r 1 1 x y 0\n", "line 3: '0' is no parameter"),
        ("7767517\n1 1\nReLU r 1 1 x y 0=a\n", "line 3: '0=a' is no parameter"),
        ("7767517\n1 1\nReLU r 1 1 x y -23300=2,1\n", "line 3: '-23300=2,1' is no parameter"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.param"
    path.write_text(text)
    with pytest.raises(TargetError, match=r"x\.param") as error:
        read_calls(path)
    assert message in str(error.value)


def test_what_follows_the_announced_layers_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.param"
    path.write_text(ncnn_text(IMAGE) + "Noop left 0 0\n")
    assert [call.kind for call in read_calls(path)] == ["Input"]


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="missing"):
        read_calls(tmp_path / "missing.param")
    path = tmp_path / "x.param"
    path.write_bytes(b"7767517\n\xff\xfe")
    with pytest.raises(TargetError, match="cannot be read as text"):
        read_calls(path)


@pytest.mark.parametrize("value", ["1.5", "nan", "inf", "1e300"])
def test_a_number_that_is_not_whole_is_refused(tmp_path: Path, value: str) -> None:
    call = ncnn_call(tmp_path, f"Convolution c 1 1 x y 0={value}")
    with pytest.raises(TargetError, match="line 3: Convolution 'c': parameter 0 is"):
        call.integer(0)


def test_a_message_is_short_whatever_the_file_holds(tmp_path: Path) -> None:
    call = ncnn_call(tmp_path, f"Convolution {'n' * 10**5} 1 1 x y -23300=99999" + ",1" * 99999)
    with pytest.raises(TargetError) as error:
        call.integer(0)
    assert len(str(error.value)) < 400


@given(text=st.text(alphabet="Input data01=-23,. \n", max_size=80))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("ncnn") / "x.param"
    path.write_text("7767517\n" + text)
    try:
        calls = read_calls(path)
    except TargetError:
        return
    assert all(isinstance(call, Call) for call in calls)
