"""Lines joined, weakened and rearranged, equal work done once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eva.rf.geometry import IDENTITY, Window
from eva.rf.seen import RANK, Line, Masks, Status, objects, scalar, worst


@dataclass(frozen=True, eq=False)
class Lines:
    """Operations on one or two lines.

    Rows and columns usually share a line, so what was made is kept: under the ids of what it was
    made from, which are kept alive with it.
    """

    _memo: dict[Any, Any] = field(default_factory=dict)

    def _identity(self, size: int) -> Line:
        key = ("identity", size)
        if key not in self._memo:
            masks = objects([1 << i for i in range(size)])
            self._memo[key] = Line(masks=masks, window=IDENTITY)
        line: Line = self._memo[key]
        return line

    def union(self, a: Line, b: Line) -> Line:
        """Union of two lines over the same units."""
        if a is b:
            return a
        key = ("union", id(a), id(b))
        if key not in self._memo:
            self._memo[key] = (self._union(a, b), a, b)  # a and b kept alive: ids stay theirs
        line: Line = self._memo[key][0]
        return line

    def _union(self, a: Line, b: Line) -> Line:
        masks = a.masks | b.masks
        masks = masks if isinstance(masks, np.ndarray) else scalar(masks)
        window, misaligned = None, a.misaligned or b.misaligned
        if a.window is not None and b.window is not None:
            window = a.window.union(b.window)
            same = window is not None and a.window.drift == b.window.drift
            misaligned = misaligned or not (same or None in (a.window.drift, b.window.drift))
        return Line(
            masks=masks,
            window=window,
            status=worst((a.status, b.status)),
            misaligned=misaligned,
            causes=a.causes | b.causes,
        )

    def weaken(self, line: Line, status: Status, cause: str) -> Line:
        """The same line with a worse status, and why."""
        if RANK[line.status] >= RANK[status] and cause in line.causes:
            return line
        key = ("weaken", id(line), status, cause)
        if key not in self._memo:
            weak = replace(line, status=worst((line.status, status)), causes=line.causes | {cause})
            self._memo[key] = (weak, line)
        weaker: Line = self._memo[key][0]
        return weaker

    def still(self, line: Line) -> Line:
        """A line of one unit, now seen by many: its window no longer moves with the unit."""
        return line if line.window is None else self.remade(line, ("still",), lambda m: m)

    def remade(self, line: Line, key: Any, change: Callable[[Masks], Any]) -> Line:
        """The line with its units rearranged; no pattern is known any more."""
        memo = ("remade", id(line), key)
        if memo not in self._memo:
            masks = change(line.masks)
            masks = masks if isinstance(masks, np.ndarray) else scalar(masks)
            self._memo[memo] = (replace(line, masks=masks, window=None, origin=None), line)
        made: Line = self._memo[memo][0]
        return made

    def known(self, key: Any, named: object, make: Callable[[], Any]) -> Any:
        """What ``make`` returns, made once for a key that names an object by its id."""
        if key not in self._memo:
            self._memo[key] = (make(), named)
        return self._memo[key][0]

    def patterned(self, line: Line, window: Window | None) -> Line:
        """The line with a window."""
        key = ("patterned", id(line), window)
        if key not in self._memo:
            self._memo[key] = (replace(line, window=window), line)
        made: Line = self._memo[key][0]
        return made
