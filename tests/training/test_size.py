import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ednas.arch import Architecture
from ednas.exceptions import ArchitectureError
from ednas.training import Recipe, TrainConfig, prepare, prepare_judgement, recipe, train
from ednas.training.size import choose_input_size, shrink, with_stated_size

PIXELS = 64 * 128
SHAPES = [(h, w) for h in range(32, PIXELS, 32) for w in range(32, PIXELS, 32) if 1 / 2 <= h * w / PIXELS <= 1.5]
SIDES = st.tuples(st.integers(32, 4096), st.integers(32, 4096))


def stretch(new, old):
    ratio = (new[0] / old[0]) / (new[1] / old[1])
    return max(ratio, 1 / ratio)


@given(size=SIDES)
def test_a_shrunk_size_has_about_the_pixels_and_no_shape_that_is_better(size):
    found = shrink(size, PIXELS)
    if math.prod(size) <= 1.5 * PIXELS:
        assert found == size
        return
    assert found in SHAPES
    assert stretch(found, size) == pytest.approx(min(stretch(other, size) for other in SHAPES))


@pytest.mark.parametrize(
    ("data", "expected"),
    [((144, 192), (96, 128)), ((480, 640), (96, 128)), ((1024, 2048), (64, 128)), ((512, 512), (96, 96))],
)
def test_common_shapes_are_kept_exactly(data, expected):
    assert shrink(data, PIXELS) == expected
    assert stretch(expected, data) == 1


def searched(folder, own=None):
    """A search's result whose costs are for 256x512."""
    architecture = Architecture.from_dict({**TrainConfig(data="x").load_architecture().to_dict(), "input_size": own})
    file = folder / "best.json"
    file.write_text(json.dumps({"trial": 3, "input_size": own or [256, 512], "architecture": architecture.to_dict()}))
    return str(file)


def test_what_is_asked_for_goes_before_the_architectures_size_and_that_before_the_datas(tmp_path):
    def chosen(recipe, architecture="base", data=(144, 192)):
        return choose_input_size(TrainConfig(data="x", architecture=architecture, recipe=recipe), data)

    file = searched(tmp_path)
    assert chosen(recipe("mini", input_size=(72, 96)), file).size == (72, 96)
    assert chosen(recipe("mini"), file).size == (256, 512)
    assert chosen(recipe("mini")).size == (96, 128)
    assert chosen(recipe("mini"), data=(64, 128)).size == (64, 128)
    assert chosen(recipe("mini", input_size=None)).size == (144, 192)
    assert chosen(recipe("finetune")).size == (144, 192)
    own = searched(tmp_path, [96, 160])
    assert chosen(recipe("mini"), own).size == (96, 160)
    assert chosen(recipe("mini", input_size=(72, 96)), own).size == (72, 96)


def test_a_size_that_no_network_takes_is_refused_before_the_training():
    with pytest.raises(
        ArchitectureError, match=r"height is 16, must be from 32 .*\(no other is set\); set another one"
    ):
        choose_input_size(TrainConfig(data="x", recipe=recipe("finetune")), (16, 16))
    assert choose_input_size(TrainConfig(data="x", recipe=recipe("finetune", input_size=(32, 32))), (16, 16)).size


def test_stretching_is_said():
    def said(size):
        config = TrainConfig(data="x", recipe=recipe("mini", input_size=size))
        return str(choose_input_size(config, (144, 192)))

    assert said((96, 128)) == "96x128 (set by --input or the configuration; the data's 144x192 scaled by 0.67)"
    assert "the data's own size" in said((144, 192))
    assert "STRETCHED, by 0.44 in height and 0.67 in width" in said((64, 128))


def test_a_size_of_a_file_is_kept_where_the_architecture_alone_is(tmp_path):
    config = TrainConfig(data="x", architecture=searched(tmp_path), recipe=recipe("mini"))
    alone = with_stated_size(config).standalone()
    assert alone.recipe.input_size == (256, 512)
    assert with_stated_size(alone) is alone
    asked = TrainConfig(data="x", architecture=config.architecture, recipe=recipe("mini", input_size=(64, 96)))
    assert with_stated_size(asked) is asked


def test_candidates_of_a_search_keep_their_own_size(config):
    own = Architecture.from_dict({**config.load_architecture().to_dict(), "input_size": [96, 64]})
    assert config.recipe.input_size == (32, 64)
    assert prepare_judgement(config.with_architecture(own))[0].input_size == (96, 64)
    assert prepare_judgement(config.with_architecture(config.load_architecture()))[0].input_size == (32, 64)


@pytest.mark.slow
def test_a_run_of_a_searchs_result_says_its_size_and_can_be_resumed(config, tmp_path):
    content = {"trial": 3, "input_size": [64, 32], "architecture": config.load_architecture().to_dict()}
    (tmp_path / "best.json").write_text(json.dumps(content))
    found = config.model_copy(
        update={
            "architecture": str(tmp_path / "best.json"),
            "recipe": Recipe(steps=1, batch_size=4, pixels=PIXELS),
        }
    )
    lines: list[str] = []
    first = train(found, tmp_path / "run", logs=False, announce=lines.append)
    assert first.metrics["input_size"] == [64, 32]
    assert len(lines) == 1
    assert lines[0].startswith("training small at 64x32 (what the architecture is for; the data's 32x64 STRETCHED")
    assert train(found, tmp_path / "run", logs=False, resume=True).metrics == first.metrics
    assert prepare(found)[0].input_size == (64, 32)
