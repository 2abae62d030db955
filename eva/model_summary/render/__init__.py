"""Formats of a summary, one a file."""
