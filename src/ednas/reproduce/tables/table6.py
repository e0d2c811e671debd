"""Tables 6 and 7: of which blocks the networks are made that searches find."""

from __future__ import annotations

from ednas.reproduce.claims import Better
from ednas.reproduce.paper import BACKBONES, Printed
from ednas.reproduce.scales import Scale
from ednas.reproduce.searches import BACKBONE, BEST
from ednas.reproduce.table import SearchRow, Table

FUSED = f"{BACKBONE}.fused_percent"


def table6(scale: Scale) -> Table:
    """Return the declaration: the searches of Table 5, and random networks that are no slower than the base."""
    joint = scale.search(scale.two_tasks.tasks)
    rows = {
        "joint": ("Joint search (Table 6)", (joint,)),
        "segmentation": ("Search for segmentation", (scale.search(("segmentation",)),)),
        "depth": ("Search for depth (Table 7)", (scale.search(("depth",)),)),
    }
    return Table(
        "table6",
        "Backbones that searches find",
        (
            *(
                SearchRow(key, title, searches, printed=Printed({BACKBONE: BACKBONES[key]}, runs=1))
                for key, (title, searches) in rows.items()
            ),
            SearchRow("random", "Random networks, as fast", (joint,), random=True),
        ),
        (
            Better("Searches favour Fused-IBN", "joint", "random", FUSED, "14 of 16 blocks"),
            Better("They favour IBN in block 2", "joint", "random", f"{BACKBONE}.ibn_2_percent", "4 of 5 networks"),
            Better("They favour IBN in block 7", "joint", "random", f"{BACKBONE}.ibn_7_percent", "5 of 5 networks"),
            Better("Search for segmentation finds fewer Fused-IBN", "joint", "segmentation", FUSED, "+12.5 points"),
            Better("Search for depth finds fewer Fused-IBN", "joint", "depth", FUSED, "+18.8 points"),
        ),
        notes=(
            f"Means over the best {BEST} networks of each search that are no slower than the base.",
            "The paper counts blocks of what it found, with no random networks beside. Here these are drawn from all "
            "networks of the space that are no slower than the base, and differences are to them.",
            "By our simulator Table 6's networks are slower than the base (see speed): no search here could find them.",
        ),
    )
