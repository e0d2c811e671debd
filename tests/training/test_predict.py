import numpy as np
import pytest
import torch
from PIL import Image

from ednas.data.colors import palette
from ednas.exceptions import ConfigError, DataError, TrainingError
from ednas.training import Tiling, find_images, predict, write_predictions
from ednas.training.predict import predict_images


@pytest.fixture
def pictures(tmp_path):
    """Three pictures of different sizes."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, shape in (("a.png", (40, 50)), ("b.jpg", (33, 97)), ("c.png", (32, 64))):
        Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(folder / name)
    return folder


def test_predictions_have_the_pictures_size(build, pictures):
    found = list(predict(build(), [pictures], batch_size=2))
    assert [prediction.source.name for prediction in found] == ["a.png", "b.jpg", "c.png"]
    for prediction, (height, width) in zip(found, [(40, 50), (33, 97), (32, 64)], strict=True):
        values = prediction.values
        assert (values["segmentation"].dtype, values["segmentation"].shape) == (np.uint8, (height, width))
        assert values["segmentation"].max() < 4
        assert (values["depth"].dtype, values["depth"].shape) == (np.float32, (height, width))
        assert values["depth"].min() >= 0
        assert (values["normals"].dtype, values["normals"].shape) == (np.float32, (height, width, 3))
        np.testing.assert_allclose(np.linalg.norm(values["normals"], axis=-1), 1, atol=1e-5)
        for picture in (prediction.image, *prediction.pictures.values()):
            assert (picture.dtype, picture.shape) == (np.uint8, (height, width, 3))


def test_predictions_at_the_models_size(build, pictures):
    for prediction in predict(build(), [pictures / "a.png", pictures / "b.jpg"], size="model"):
        assert {values.shape[:2] for values in prediction.values.values()} == {(32, 64)}
        assert prediction.image.shape == (32, 64, 3)


def test_tiles_cover_a_picture_at_its_own_size(build, pictures):
    model = build()
    for prediction in predict(model, [pictures], tiling=Tiling((32, 32)), batch_size=3):
        image = np.asarray(Image.open(prediction.source))
        np.testing.assert_array_equal(prediction.image, image)
        assert {values.shape[:2] for values in prediction.values.values()} == {image.shape[:2]}
        np.testing.assert_allclose(np.linalg.norm(prediction.values["normals"], axis=-1), 1, atol=1e-5)
        with torch.inference_mode():
            whole = model.forward(torch.tensor(image / 255, dtype=torch.float32).permute(2, 0, 1)[None])
        (as_one,) = predict(model, [prediction.source], tiling=Tiling((128, 128)))
        np.testing.assert_allclose(as_one.values["depth"], whole["depth"][0, 0].clamp(min=0), atol=1e-5)


def test_the_batch_size_changes_nothing(build, pictures):
    model = build()
    for one, many in zip(
        predict(model, [pictures], batch_size=1), predict(model, [pictures], batch_size=3), strict=True
    ):
        np.testing.assert_allclose(one.values["depth"], many.values["depth"], atol=1e-5)


def test_files_are_written_for_every_task(build, pictures, tmp_path):
    written = write_predictions(predict(build(("segmentation", "depth")), [pictures]), tmp_path / "out")
    names = {f"{stem}_{task}.{kind}" for stem in "abc" for task in ("segmentation", "depth") for kind in ("png", "npy")}
    assert {path.name for path in written} == names == {path.name for path in (tmp_path / "out").iterdir()}
    assert np.load(tmp_path / "out" / "a_depth.npy", allow_pickle=False).shape == (40, 50)
    assert np.load(tmp_path / "out" / "b_segmentation.npy", allow_pickle=False).shape == (33, 97)


@pytest.mark.parametrize("alpha", [0, 0.25, 1])
def test_classes_lie_over_the_image_and_a_legend_below(build, pictures, tmp_path, alpha):
    (prediction,) = predict(build(("segmentation", "depth")), [pictures / "a.png"])
    write_predictions([prediction], tmp_path, alpha=alpha)
    image, classes = (x.astype(float) for x in (prediction.image, prediction.pictures["segmentation"]))
    sheet = np.asarray(Image.open(tmp_path / "a_segmentation.png"))
    assert np.abs(sheet[:40, :50] - (alpha * classes + (1 - alpha) * image)).max() <= 1
    foot = {tuple(colour) for colour in sheet[40:].reshape(-1, 3).tolist()}
    seen = {tuple(colour) for colour in prediction.pictures["segmentation"].reshape(-1, 3).tolist()}
    others = {tuple(colour) for colour in palette(4)[:4].tolist()} - seen
    assert seen <= foot
    assert not others & foot
    depth = np.asarray(Image.open(tmp_path / "a_depth.png"))
    assert np.array_equal(depth[:40, :50], prediction.pictures["depth"])
    assert len(depth) > 40


def test_a_depth_is_painted_from_its_2nd_to_its_98th_percentile(build, pictures):
    (prediction,) = predict(build(("depth",)), [pictures / "a.png"])
    depth, legend = prediction.values["depth"], prediction.legends["depth"]
    assert legend.scale == pytest.approx(np.percentile(depth[depth > 0], (2, 98)))
    assert legend.unit == "m"
    given = {"depth": (0.0, 100.0)}
    (fixed,) = predict_images(build(("depth",)), [(pictures / "a.png", prediction.image)], value_ranges=given)
    assert fixed.legends["depth"].scale == given["depth"]
    assert (fixed.pictures["depth"] != prediction.pictures["depth"]).any()


def test_the_first_stretched_picture_is_said(build, pictures):
    lines = []
    assert len(list(predict(build(), [pictures], announce=lines.append))) == 3
    assert lines == [
        f"predicting at 32x64 ({pictures / 'a.png'}: 40x50 STRETCHED, by 0.80 in height and 1.28 in width; "
        "others of its shape too)"
    ]
    list(predict(build(), [pictures / "c.png"], announce=lines.append))
    list(predict(build(), [pictures], announce=lines.append, tiling=Tiling((32, 32))))
    assert len(lines) == 1


def test_a_prediction_that_is_not_finite_is_refused(build, pictures):
    model = build()
    model.network.state_dict()["heads.normals.predict.bias"][0] = np.nan
    with pytest.raises(TrainingError, match=r"a\.png: normals is predicted as NaN or infinite"):
        next(predict(model, [pictures / "a.png"]))


def test_pictures_of_one_name_do_not_overwrite_each_other(build, pictures, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Image.open(pictures / "a.png").save(other / "a.png")
    written = write_predictions(predict(build(("depth",)), [pictures / "a.png", other / "a.png"]), tmp_path / "out")
    assert {path.stem for path in written} == {"a_depth", "a_2_depth"}


def test_a_corrupt_picture_is_named_and_nothing_is_half_written(build, pictures, tmp_path):
    whole = (pictures / "b.jpg").read_bytes()
    (pictures / "b.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"b\.jpg"):
        write_predictions(predict(build(("depth",)), [pictures], batch_size=1), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_depth.npy", "a_depth.png"]
    np.load(tmp_path / "out" / "a_depth.npy", allow_pickle=False)


@pytest.mark.parametrize("tiling", [None, Tiling((32, 32))])
def test_a_corrupt_picture_may_be_left_out(build, pictures, tmp_path, tiling):
    (pictures / "b.jpg").write_bytes(b"no picture")
    errors = []
    found = predict(build(("depth",)), [pictures], tiling=tiling, on_error=errors.append)
    assert [prediction.source.name for prediction in found] == ["a.png", "c.png"]
    assert [str(error).partition(":")[0] for error in errors] == [str(pictures / "b.jpg")]


def test_hidden_files_of_a_folder_are_no_pictures(pictures):
    (pictures / "._a.png").write_bytes(b"of a system")
    (pictures / "d.webp").touch()
    (pictures / "more").mkdir()
    told = []
    assert [file.name for file in find_images([pictures], told.append)] == ["a.png", "b.jpg", "c.png"]
    assert told == [f"{pictures}: 2 others than .png, .jpg, .jpeg, .npy are left out, like d.webp"]


def test_a_missing_picture_is_found_before_anything_is_predicted(build, pictures, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        predict(build(), [pictures, tmp_path / "missing.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        find_images([tmp_path / "empty"])


def test_wrong_options(build, pictures):
    with pytest.raises(ConfigError, match="size"):
        predict(build(), [pictures], size="large")
    with pytest.raises(ConfigError, match="size 'model': tiles cover a picture at its own size"):
        predict(build(), [pictures], size="model", tiling=Tiling((32, 32)))
    with pytest.raises(ConfigError, match="batch size 0"):
        predict(build(), [pictures], batch_size=0)
