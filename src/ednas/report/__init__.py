"""Reports for people: the HTML report of a run, tables for the terminal, drawings of architectures."""

from ednas.report.collect import collect
from ednas.report.content import ReportData
from ednas.report.drawing import draw_architecture
from ednas.report.html import render, write_report

__all__ = ["ReportData", "collect", "draw_architecture", "render", "write_report"]
