"""Make every table and figure that is drawn from the records in docs/records.

python docs/generate.py          writes the README's table and the figures of docs/figures
python docs/generate.py --check  writes nothing; exits 1 where a table is not up to date
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from eva import plots
from eva.record import Run

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "records"
FIGURES = ROOT / "docs" / "figures"
README = ROOT / "README.md"
BEGIN, END = "<!-- experiments: made by docs/generate.py -->", "<!-- end of experiments -->"

# The table of the course that this one reproduces: best train and best test accuracy, one run each.
PUBLISHED = {
    "exp1": (98.2, 99.36),
    "exp2": (99.64, 99.21),
    "exp3": (98.28, 99.37),
    "exp4": (98.75, 99.43),
    "exp5": (98.86, 99.52),
}
NAMES = (*PUBLISHED, "reference")


def load(name: str) -> list[Run]:
    """Records of one experiment, by seed."""
    return sorted((Run.load(p) for p in (RECORDS / name).glob("seed*.json")), key=lambda r: r.seed)


def spread(values: list[float]) -> str:
    """Mean, and the standard deviation over seeds where there are at least two."""
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.2f}"


def experiments_table() -> str:
    """Markdown table of all experiments with records."""
    lines = [
        "| experiment | parameters | seeds | final train % | final test % | lowest of the last 4 "
        "epochs, worst seed | holds 99.40 % | published best train / test % | s/epoch |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    everything: list[Run] = []
    for name in NAMES:
        runs = load(name)
        if not runs:
            continue
        everything += runs
        last = [run.rows[-1] for run in runs]
        lowest = min(row.test_accuracy for run in runs for row in run.rows[-4:])
        seconds = statistics.median(
            row.seconds_train + row.seconds_test for run in runs for row in run.rows
        )
        published = " / ".join(f"{value:g}" for value in PUBLISHED.get(name, ())) or "–"
        lines.append(
            f"| [{name}](eva/experiments/{name}.py) | {runs[0].parameters:,} | {len(runs)} "
            f"| {spread([row.train_accuracy for row in last])} "
            f"| {spread([row.test_accuracy for row in last])} | {lowest:.2f} "
            f"| {sum(run.held() for run in runs)} of {len(runs)} | {published} | {seconds:.1f} |"
        )
    devices = sorted({f"{r.device.name}, {r.device.threads} thread" for r in everything})
    versions = sorted({f"torch {run.versions['torch']}" for run in everything})
    lines += [
        "",
        "Mean ± standard deviation over seeds 0, 1, ...; 15 epochs of all 60,000 training images, "
        "tested on the 10,000 test images after each; seconds are medians. "
        f"{'; '.join(devices)}; {', '.join(versions)}; float32. Records: `docs/records`.",
    ]
    return "\n".join(lines)


def current_readme() -> str:
    """The README with the table between its two marks made anew."""
    text = README.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{experiments_table()}\n{END}{tail}"


def write_figures() -> None:
    """Curves of each experiment over all its seeds, and of all experiments together."""
    together = []
    for name in NAMES:
        runs = load(name)
        if runs:
            plots.save_record_plots(runs[:1], FIGURES / name)
            together.append(runs[0])
    plots.save_record_plots(together, FIGURES / "all")


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit code."""
    readme = current_readme()
    if arguments == ["--check"]:
        if readme == README.read_text():
            return 0
        sys.stderr.write("README.md is not up to date: run `python docs/generate.py`.\n")
        return 1
    README.write_text(readme)
    write_figures()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
