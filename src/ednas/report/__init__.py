"""Reports for people: the HTML report of a run, tables for the terminal, drawings of architectures and costs."""

from ednas.report.collect import collect
from ednas.report.content import ReportData
from ednas.report.cost import draw_cost
from ednas.report.drawing import draw_architecture
from ednas.report.html import render, write_report

__all__ = ["ReportData", "collect", "draw_architecture", "draw_cost", "render", "write_report"]
