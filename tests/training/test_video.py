"""Predictions for a video are those for its frames, under one scale of colours."""

from __future__ import annotations

import numpy as np
import pytest

from ednas.data.legend import with_legend
from ednas.data.rasters import resize_image
from ednas.data.video import Video, write_video
from ednas.exceptions import DataError
from ednas.training.predict import predict_images
from ednas.training.video import predict_video

pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")


@pytest.fixture
def drive(tmp_path):
    """Five frames, each darker than the one before."""
    smooth = resize_image(np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8), (48, 240))
    with write_video(tmp_path / "drive.mp4", 12) as write:
        for index in range(5):
            write((smooth * (1 - index / 6)).astype(np.uint8))
    return tmp_path / "drive.mp4"


def test_every_frame_is_predicted_and_a_colour_means_the_same_in_all(build, drive, tmp_path):
    model = build(("segmentation", "depth"))
    written = predict_video(model, drive, tmp_path / "out", batch_size=2, alpha=0.5)
    assert [path.name for path in written] == ["drive_segmentation.mp4", "drive_depth.mp4"]
    assert sorted((tmp_path / "out").iterdir()) == sorted(written)

    frames = [(drive, frame) for frame in Video(drive)]
    (first,) = predict_images(model, frames[:1])
    ranges = {"depth": first.legends["depth"].scale}
    expected = list(predict_images(model, frames, value_ranges=ranges))
    assert len(expected) == 5
    assert any(
        (one.pictures["depth"] != other.pictures["depth"]).any()
        for one, other in zip(expected, predict_images(model, frames), strict=True)
    )
    for path, task in zip(written, model.tasks, strict=True):
        video = Video(path)
        found = list(video)
        assert (video.rate, len(found)) == (12, 5)
        for prediction, frame in zip(expected, found, strict=True):
            sheet = with_legend(prediction.overlay(task, 0.5), first.legends[task])
            sheet = sheet[: len(sheet) // 2 * 2]
            assert frame.shape == sheet.shape
            assert np.abs(frame.astype(int) - sheet).mean() < 12


def test_a_damaged_video_writes_nothing(build, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(DataError, match="bad"):
        predict_video(build(), tmp_path / "bad.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()
