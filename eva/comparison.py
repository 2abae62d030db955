"""Two runs side by side: in what they differ, and what came of it."""

from __future__ import annotations

import difflib
import html
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from eva.recipe import Recipe
from eva.record import EpochRow, Run

WIDTH = 80  # columns of the text
_LABEL = 20  # columns of the names on the left
_COLUMN = (WIDTH - _LABEL - 4) // 2


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two records say of their difference.

    Attributes:
        first: A run.
        second: Another.
        names: What they are called above the columns; submission and seed by default.
    """

    first: Run
    second: Run
    names: tuple[str, str] = ("", "")

    def recipe(self) -> dict[str, tuple[str, str]]:
        """Keys of the recipe that differ, with both values."""
        one, two = self.first.recipe, self.second.recipe
        ours, theirs = one.to_json(), two.to_json()
        found: dict[str, tuple[str, str]] = {}
        for key in Recipe.model_fields:
            a, b = ours.get(key), theirs.get(key)
            if a == b:
                continue
            if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
                parts = {f"{key}.{k}": (str(a[k]), str(b[k])) for k in a if a[k] != b[k]}
                if not any(isinstance(value, dict | list) for value in (*a.values(), *b.values())):
                    found |= parts
                    continue
            found[key] = (_shown(getattr(one, key)), _shown(getattr(two, key)))
        return found

    def network(self) -> str:
        """Whether both train the same operations, in a sentence."""
        one, two = self.first, self.second
        if one.network and two.network:
            return "the same network." if one.network == two.network else "another network."
        if one.parameters != two.parameters or (
            one.layers and two.layers and one.layers != two.layers
        ):
            return "another network."
        return "the same number of parameters; the records don't say whether it is the same."

    def layers(self) -> list[str]:
        """Lines of the layers that differ, "-" of the first run and "+" of the second."""
        if not self.first.layers or not self.second.layers:
            return []
        lines = difflib.ndiff(self.first.layers, self.second.layers)
        return [line for line in lines if line.startswith(("- ", "+ "))]

    def to_text(self) -> str:
        """Both runs in text of at most 80 columns."""
        return "\n".join(line.rstrip() for line in self._lines())

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.to_text())}</pre>"

    def _lines(self) -> Iterator[str]:
        one, two = self.first, self.second
        default = tuple(f"{run.submission}, seed {run.seed}" for run in (one, two))
        yield from _row(
            "", *(name or other for name, other in zip(self.names, default, strict=True))
        )
        for label, values in {
            "submission": (one.submission, two.submission),
            "seed": (one.seed, two.seed),
            "status": (one.status, two.status),
            "data": (one.data.name, two.data.name),
            "device": (one.device.name, two.device.name),
            "parameters": (f"{one.parameters:,}", f"{two.parameters:,}"),
            "seconds": (f"{one.seconds:.0f}", f"{two.seconds:.0f}"),
        }.items():
            yield from _row(label, *map(str, values))
        if one.data.name == two.data.name and one.data.checksum != two.data.checksum:
            yield "The data have the same name, and other content."
        yield ""
        differ = self.recipe()
        yield "Recipe: " + ("other in" if differ else "the same.")
        for key, pair in differ.items():
            yield from _row(f"  {key}", *pair)
        yield ""
        yield from textwrap.wrap(f"Network: {self.network()}", WIDTH, subsequent_indent="  ")
        for line in self.layers():
            yield f"  {line}"[:WIDTH]
        yield ""
        yield from self._curves()
        for name, run in (("First", one), ("Second", two)):
            yield from textwrap.wrap(f"{name}: {run.verdict()}", WIDTH, subsequent_indent="  ")
        if one.seed == two.seed and one.rows and two.rows:
            yield from textwrap.wrap(
                "One run of each says little: another seed may turn a small difference around. "
                "`eva study` trains several.",
                WIDTH,
            )

    def _curves(self) -> Iterator[str]:
        rows: dict[int, list[EpochRow | None]] = {}
        for place, run in enumerate((self.first, self.second)):
            for row in run.rows:
                rows.setdefault(row.epoch + 1, [None, None])[place] = row
        if not rows:
            return
        yield "epoch   train %  train %    test %   test %   second - first"
        for epoch in sorted(rows):
            a, b = rows[epoch]
            train = " ".join(
                "-".rjust(8) if r is None else f"{r.train_accuracy:8.2f}" for r in (a, b)
            )
            test = " ".join(
                "-".rjust(8) if r is None else f"{r.test_accuracy:8.2f}" for r in (a, b)
            )
            change = "" if a is None or b is None else f"{b.test_accuracy - a.test_accuracy:+15.2f}"
            yield f"{epoch:>5}  {train}  {test}  {change}"
        yield ""


def _shown(value: object) -> str:
    return str(value) if isinstance(value, str) else repr(value)


def _row(label: str, one: str, two: str) -> Iterator[str]:
    """A label and two values, each wrapped in its column."""
    columns = [textwrap.wrap(label, _LABEL) or [""]]
    columns += [textwrap.wrap(text, _COLUMN, break_on_hyphens=False) or [""] for text in (one, two)]
    for index in range(max(map(len, columns))):
        cells = [lines[index] if index < len(lines) else "" for lines in columns]
        yield f"{cells[0]:<{_LABEL}}  {cells[1]:<{_COLUMN}}  {cells[2]}"
