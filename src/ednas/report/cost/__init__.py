"""The picture of a cost."""

from ednas.report.cost.picture import cost_page, draw_cost

__all__ = ["cost_page", "draw_cost"]
