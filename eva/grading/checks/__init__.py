"""Checks: what an assignment asks of a graph, a recipe and a record."""
