"""The benchmark of training: contestants, start-up, and how cost grows, from its record."""

from __future__ import annotations

import json
import math
from typing import Any

from makers import svg
from makers.records import RECORDS, load, packages, spread
from makers.svg import LEFT, RIGHT, TOP, WIDTH, Point

RECORD = RECORDS / "benchmarks" / "training.json"
WHOLE = RECORDS / "benchmarks" / "training_whole.json"
FOLDING = RECORDS / "benchmarks" / "folding.json"
PANEL, GAP = 150, 84  # heights of a panel and of what stands below it
AXES = {"images": "training images", "batch": "images a batch", "width": "times the channels"}
LINES = {"floor_seconds": ("published", "floor"), "eva": ("exp2", "eva")}
LINES |= {"eva compiled": ("exp5", "eva, compiled")}


def table(record: dict[str, Any]) -> str:
    """Seconds of an epoch of each contestant, and the ratios that the project aims at."""
    lines = [
        "| | epoch, s | first epoch, s | whole process, s | test % |",
        "|---|--:|--:|--:|--:|",
    ]
    rows = record["contestants"].items()
    for name, row in sorted(rows, key=lambda item: item[1]["epoch_seconds"]):
        lines.append(
            f"| {name} | {row['epoch_seconds']:.2f} | {row['first_epoch_seconds']:.2f} "
            f"| {row['process_seconds']:.1f} | {row['test_accuracy']:.2f} |"
        )
    lines.append(f"| *floor* | {record['floor']['epoch_seconds']:.2f} | | | |")
    device = record["device"]
    versions = packages(record["contestants"].values())
    lines += [
        "",
        f"{record['images']:,} images; rounds, in each of which all ran in turn: "
        f"{record['rounds']}, medians over them; {record['epochs']} epochs each; "
        f"{device['name']}, threads: "
        f"{device['threads']}; {versions}; {record['date']}.",
    ]
    for name, reason in record["skipped"].items():
        lines += ["", f"Skipped: {name} ({reason})."]
    return "\n".join(lines)


def ratios(record: dict[str, Any]) -> str:
    """Our epochs against the floor's and the best peer's, round by round."""
    lines = [
        "| | times the floor | best peer of no coarser precision | it takes, times |",
        "|---|--:|---|--:|",
    ]
    for name, row in record["ratios"].items():
        cells = [middle(row[key]) if key in row else "" for key in ("to_floor", "best_peer_to_it")]
        lines.append(f"| {name} | {cells[0]} | {row.get('best_peer', '')} | {cells[1]} |")
    if record["rounds"] > 1:
        lines += ["", "Medians of the ratios within a round, with the lowest and the highest."]
    for name, row in record["ratios"].items():
        if "to_own_step" in row:
            times = middle(row["to_own_step"])
            lines += ["", f"*{name}*, data and evaluation too, takes {times} times its own step."]
    return "\n".join(lines)


def folding(record: dict[str, Any]) -> str:
    """A step with and without BatchNorms folded, in both precisions."""
    lines = [
        "| precision | | ms a step | times plain compiling |",
        "|---|---|--:|--:|",
    ]
    for precision, ways in record["steps"].items():
        for way, row in ways.items():
            ratio = middle(row | {"median": row["to_compiled"]})
            lines.append(f"| {precision} | {way} | {1000 * row['seconds']:.1f} | {ratio} |")
    device, versions = record["device"], record["versions"]
    lines += [
        "",
        f"Medians of {record['rounds']} rounds in which all ran in turn, with the lowest and the "
        f"highest; {device['name']}, threads: {device['threads']}; torch {versions['torch']}; "
        f"{record['date']}. Repeat it with:",
        "",
        f"```sh\n{record['command']}\n```",
    ]
    return "\n".join(lines)


def compiled() -> str:
    """How well seeds do that were trained compiled, beside those that were not."""
    ours, plain = (
        [run.rows[-1].test_accuracy for run in load(name)] for name in ("exp5_compiled", "exp5")
    )
    if not ours or not plain:
        return "No record yet."
    return (
        f"Trained for all 15 epochs with `--compile on`, experiment 5 ends at {spread(ours)} % "
        f"(n={len(ours)} seeds); without it, on another processor, at {spread(plain)} % "
        f"(n={len(plain)})."
    )


def start_up(record: dict[str, Any]) -> str:
    """Milliseconds until something happens."""
    lines = ["| | ms |", "|---|--:|"]
    lines += [f"| `{name}` | {value:.0f} |" for name, value in record["start_up"].items()]
    return "\n".join(lines)


def growth(record: dict[str, Any]) -> str:
    """Seconds of an epoch against images, batch size and width: a panel each, all logarithmic."""
    body, lines = [], _lines(record)
    for number, (axis, words) in enumerate(AXES.items()):
        rows = record["growth"][axis]
        top = TOP + number * (PANEL + GAP)
        seconds = [row[name] for row in rows for name in lines]
        low, high = min(seconds) / 1.2, max(seconds) * 1.2
        across = (rows[0][axis], rows[-1][axis])
        for mark in _marks(low, high):
            y = top + PANEL * (1 - _share(mark, low, high))
            body.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            body.append(svg.label(LEFT - 8, y + 5, f"{mark:g} s", "end"))
        for row in rows:
            x = LEFT + (WIDTH - LEFT - RIGHT - 24) * _share(row[axis], *across) + 12
            body.append(svg.label(x, top + PANEL + 24, f"{row[axis]:,}", "middle"))
        body.append(svg.label((LEFT + WIDTH - RIGHT) / 2, top + PANEL + 50, words, "middle"))
        for name, (css, _) in lines.items():
            points: list[Point] = [
                (
                    LEFT + (WIDTH - LEFT - RIGHT - 24) * _share(row[axis], *across) + 12,
                    top + PANEL * (1 - _share(row[name], low, high)),
                )
                for row in rows
            ]
            body.append(svg.line(points, f"line mean {css}"))
    drawn = svg.picture(
        "Seconds of an epoch",
        "Against the number of images, the batch size and the width, beside the floor; both axes "
        "are logarithmic. The table below has the numbers.",
        body,
        TOP + len(AXES) * (PANEL + GAP),
    )
    return svg.figure(drawn, list(lines.values()))


def growth_table(record: dict[str, Any]) -> str:
    """The numbers behind the picture."""
    measured = _lines(record)
    lines = [
        "| images | batch | width | " + " | ".join(words for _, words in measured.values()) + " |",
        "|--:|--:|--:|" + "--:|" * len(measured),
    ]
    for axis in AXES:
        for row in record["growth"][axis]:
            cells = " | ".join(f"{row[name]:.3g}" for name in measured)
            lines.append(f"| {row['images']:,} | {row['batch']:,} | {row['width']} | {cells} |")
    return "\n".join(lines)


def _lines(record: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Those that were measured: on a GPU nothing is compiled."""
    return {name: key for name, key in LINES.items() if name in record["growth"]["images"][0]}


def texts() -> dict[str, str]:
    """All that this file makes; a sentence in the place of a record that is not there."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else None
    files = {
        "benchmark-training.md": table,
        "benchmark-ratios.md": ratios,
        "benchmark-start-up.md": start_up,
        "benchmark-growth.html": growth,
        "benchmark-growth.md": growth_table,
    }
    made = {
        f"generated/{name}": make(record) if record else "No record yet."
        for name, make in files.items()
    }
    for name, path, make in (
        ("whole", WHOLE, table),
        ("whole-ratios", WHOLE, ratios),
        ("folding", FOLDING, folding),
    ):
        text = make(json.loads(path.read_text())) if path.exists() else "No record yet."
        made[f"generated/benchmark-{name}.md"] = text
    return made | {"generated/benchmark-compiled.md": compiled()}


def _share(value: float, low: float, high: float) -> float:
    return math.log(value / low) / math.log(high / low)


def _marks(low: float, high: float) -> list[float]:
    """Round numbers inside a range: 1, 2 and 5 times powers of ten."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
    return [mark for mark in marks if low < mark < high]


def middle(value: dict[str, float]) -> str:
    """A median, and the lowest and the highest where they differ."""
    if value["lowest"] == value["highest"]:
        return f"{value['median']:.2f}"
    return f"{value['median']:.2f} ({value['lowest']:.2f} to {value['highest']:.2f})"
