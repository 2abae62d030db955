"""Make everything in the README and the docs that is drawn from records or from the code.

python docs/generate.py                writes the README's table and docs/generated
python docs/generate.py --check        writes nothing; exits 1 where something is not up to date
python docs/generate.py --transcripts  runs the commands of docs/snippets again, and writes those;
                                       names after it choose some
python docs/generate.py --weights FILE writes the weights of "Draw a digit" from what
                                       `eva export onnx eva.experiments.reference` has written
python docs/generate.py --clean        trains on mnist-mini for the record of lesson 4
python docs/generate.py --replay       trains on mnist-mini for the records of the replay
"""

from __future__ import annotations

import sys
from pathlib import Path

from makers import (
    benchmarks,
    charts,
    clean,
    code,
    cuda,
    fields,
    frontier,
    glossary,
    gradebook,
    layers,
    notebook,
    recipes,
    records,
    reference,
    replay,
    rubric,
    training,
    transcripts,
    tuning,
    weights,
    widgets,
)
from makers.records import DOCS, ROOT

README = ROOT / "README.md"
GENERATED = DOCS / "generated"
BEGIN, END = "<!-- experiments: made by docs/generate.py -->", "<!-- end of experiments -->"


def made() -> dict[str, str]:
    """Text of every generated file by its path under the repository."""
    found = {"README.md": current_readme()}
    makers = (
        recipes,
        records,
        charts,
        clean,
        fields,
        code,
        reference,
        rubric,
        layers,
        benchmarks,
        training,
        cuda,
        frontier,
        glossary,
        gradebook,
        tuning,
        notebook,
        replay,
        widgets,
    )
    for maker in makers:
        found |= {f"docs/{path}": text.rstrip() + "\n" for path, text in maker.texts().items()}
    return found


def current_readme() -> str:
    """The README with the table between its two marks made anew."""
    text = README.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    table = records.experiments_table("eva/experiments/{name}.py")
    return f"{head}{BEGIN}\n{table}\n{END}{tail}"


def stale(files: dict[str, str]) -> list[str]:
    """Files that differ from what they should be, are missing, or are made no more."""
    old = {f"docs/generated/{path.name}" for path in GENERATED.glob("*")} - files.keys()
    changed = {
        path
        for path, text in files.items()
        if not (ROOT / path).exists() or (ROOT / path).read_text() != text
    }
    return sorted(old | changed)


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit code."""
    if arguments[:1] == ["--transcripts"]:
        transcripts.run(arguments[1:])
        return 0
    if arguments == ["--clean"]:
        clean.measure()
        return 0
    if arguments == ["--replay"]:
        replay.measure()
        return 0
    if arguments[:1] == ["--weights"]:
        weights.write(Path(arguments[1]))
        return 0
    files = made()
    if arguments == ["--check"]:
        names = stale(files)
        if names:
            sys.stderr.write(
                f"Not up to date: {', '.join(names)}. Run `python docs/generate.py`.\n"
            )
        return 1 if names else 0
    for path in stale(files):
        if path in files:
            (ROOT / path).parent.mkdir(exist_ok=True)
            (ROOT / path).write_text(files[path])
        else:
            (ROOT / path).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
