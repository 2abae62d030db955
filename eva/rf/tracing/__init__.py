"""Tracing: a model runs once on tensors without numbers, and every operation is seen."""
