"""Grading: a submission is captured as a graph, checked, trained and reported."""
