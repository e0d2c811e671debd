"""The classes of the built-in scenes."""

from __future__ import annotations

from enum import IntEnum


class Street(IntEnum):
    """Cityscapes train ids."""

    ROAD = 0
    SIDEWALK = 1
    BUILDING = 2
    WALL = 3
    FENCE = 4
    POLE = 5
    TRAFFIC_LIGHT = 6
    TRAFFIC_SIGN = 7
    VEGETATION = 8
    TERRAIN = 9
    SKY = 10
    PERSON = 11
    RIDER = 12
    CAR = 13
    TRUCK = 14
    BUS = 15
    TRAIN = 16
    MOTORCYCLE = 17
    BICYCLE = 18


class Indoor(IntEnum):
    """NYUv2's 40 classes, counted from 0."""

    WALL = 0
    FLOOR = 1
    CABINET = 2
    BED = 3
    CHAIR = 4
    SOFA = 5
    TABLE = 6
    DOOR = 7
    WINDOW = 8
    BOOKSHELF = 9
    PICTURE = 10
    COUNTER = 11
    BLINDS = 12
    DESK = 13
    SHELVES = 14
    CURTAIN = 15
    DRESSER = 16
    PILLOW = 17
    MIRROR = 18
    FLOOR_MAT = 19
    CLOTHES = 20
    CEILING = 21
    BOOKS = 22
    REFRIGERATOR = 23
    TELEVISION = 24
    PAPER = 25
    TOWEL = 26
    SHOWER_CURTAIN = 27
    BOX = 28
    WHITEBOARD = 29
    PERSON = 30
    NIGHT_STAND = 31
    TOILET = 32
    SINK = 33
    LAMP = 34
    BATHTUB = 35
    BAG = 36
    OTHER_STRUCTURE = 37
    OTHER_FURNITURE = 38
    OTHER_PROP = 39


def class_names(classes: type[IntEnum]) -> tuple[str, ...]:
    """Return the names for people, in the order of the ids."""
    return tuple(member.name.lower().replace("_", " ") for member in classes)
