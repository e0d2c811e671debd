"""Names of the classes of the public datasets, in the order of their ids."""

from __future__ import annotations

# fmt: off
CITYSCAPES_19 = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)
"""Cityscapes train ids."""

CITYSCAPES_7 = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")
"""Cityscapes categories, without ``void``."""

CITYSCAPES_TRAIN_IDS = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
    31: 16, 32: 17, 33: 18,
}
"""Raw Cityscapes label id -> train id; all other ids (0 to 33) are void."""

CITYSCAPES_CATEGORIES = (0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 6, 6, 6)
"""Category (:data:`CITYSCAPES_7`) of each train id."""

NYU_40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
    "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books",
    "refrigerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand",
    "toilet", "sink", "lamp", "bathtub", "bag", "other structure", "other furniture", "other prop",
)
"""The 40 classes of NYUv2."""

NYU_13 = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "television",
    "wall", "window",
)
"""The 13 classes of NYUv2."""
# fmt: on

_BY_COUNT = {7: CITYSCAPES_7, 13: NYU_13, 19: CITYSCAPES_19, 40: NYU_40}


def known_class_names(num_classes: int) -> tuple[str, ...]:
    """Names of the classes of a public dataset with that many; empty if there is none."""
    return _BY_COUNT.get(num_classes, ())
