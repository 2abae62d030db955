"""Receptive fields: exact, or they say that they are not.

``receptive_field`` and ``trace`` run a model once, on tensors without numbers. ``register_rule``
teaches them an operation. :mod:`eva.rf.gradients` measures the same thing in another way.
"""

from eva.rf.algebra import FieldStatus
from eva.rf.field import AxisField, ReceptiveField
from eva.rf.rules import (
    Mix,
    Op,
    Pointwise,
    Reduce,
    Registration,
    Sliding,
    Whole,
    register_rule,
    sliding_rule,
)
from eva.rf.tracing.calls import Call, Failure, OpCall, Trace
from eva.rf.tracing.trace import receptive_field, trace

__all__ = [
    "AxisField",
    "Call",
    "Failure",
    "FieldStatus",
    "Mix",
    "Op",
    "OpCall",
    "Pointwise",
    "ReceptiveField",
    "Reduce",
    "Registration",
    "Sliding",
    "Trace",
    "Whole",
    "receptive_field",
    "register_rule",
    "sliding_rule",
    "trace",
]
