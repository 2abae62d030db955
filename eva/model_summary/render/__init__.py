"""Formats of a summary, one a file; importing this registers them all."""

from eva.model_summary.render import classic, csv, html, json, markdown, terminal

__all__ = ["classic", "csv", "html", "json", "markdown", "terminal"]
