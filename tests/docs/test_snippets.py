"""Every Python block of the README and the docs runs, and every command in them exists."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
from _pytest.monkeypatch import MonkeyPatch
from typer.testing import CliRunner

from eva.cli import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PRIVATE = ("generated", "snippets", "records")
FILES = [
    ROOT / "README.md",
    *sorted(p for p in DOCS.rglob("*.md") if p.relative_to(DOCS).parts[0] not in PRIVATE),
]
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INCLUDED = re.compile(r"^\s*--8<-- \"snippets/(.+)\.txt(?::2)?\"\s*$")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block; ``line`` is that of its first line of text."""

    language: str
    title: str
    text: str
    line: int


def blocks(path: Path) -> list[Block]:
    text = path.read_text()
    return [
        Block(
            language=match[1],
            title=match[2].strip(),
            text=match[3],
            line=text.count("\n", 0, match.start(3)) + 1,
        )
        for match in FENCE.finditer(text)
    ]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def run_blocks(path: Path) -> None:
    """Run a file's Python blocks in one namespace; compare with the outputs that follow them."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    found = blocks(path)
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block.language != "python":
            continue
        code = compile("\n" * (block.line - 1) + block.text, str(path), "exec")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(code, namespace)
        if after is not None and after.title == 'title="Output"':
            assert out.getvalue() == after.text, f"{path.name}, line {after.line}"


WITH_PYTHON = [path for path in FILES if any(b.language == "python" for b in blocks(path))]


@pytest.mark.parametrize("path", WITH_PYTHON, ids=name)
@pytest.mark.filterwarnings("default")
def test_python_blocks_run_and_print_what_the_page_says(
    path: Path, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_blocks(path)


def test_a_wrong_output_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('```python\nprint(7 + 1)\n```\n\n```text title="Output"\n7\n```\n')
    with pytest.raises(AssertionError, match=r"page\.md, line 6"):
        run_blocks(page)


def commands(path: Path) -> Iterator[tuple[str, list[str]]]:
    """`eva ...` lines of shell blocks."""
    for block in blocks(path):
        if block.language in ("", "sh"):
            for line in block.text.splitlines():
                words = shlex.split(line.split("#")[0])
                if words[:1] == ["eva"]:
                    yield line, words[1:]


@pytest.mark.parametrize(
    ("line", "words"), [pytest.param(*c, id=c[0]) for path in FILES for c in commands(path)]
)
def test_commands_of_the_docs_exist(line: str, words: list[str]) -> None:
    command = typer.main.get_command(app)
    parent = None
    if words == ["--help"]:
        return
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"no command {words[0]!r} in: {line}"
        command, words = command.commands[words[0]], words[1:]
    names = {"--out": "x", "--data-dir": "."}
    values = [names.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    command.make_context("eva", values, parent=parent)  # unknown options raise


def test_transcripts_are_included_from_files_that_were_produced() -> None:
    shown = set()
    for path in FILES:
        for block in blocks(path):
            included = INCLUDED.match(block.text)
            if included:
                shown.add(included[1])
            if block.language in ("console", "text", ""):
                assert not re.search(r"^\$ ", block.text, re.MULTILINE), (
                    f"{name(path)}, line {block.line}: include a transcript from docs/snippets"
                )
    assert shown
    for one in shown:
        text = (DOCS / "snippets" / f"{one}.txt").read_text()
        assert text.startswith("$ ") and len(text.splitlines()) > 1


@pytest.mark.parametrize(
    ("snippet", "arguments"),
    [
        ("summary", "summary eva.experiments.exp5 --input 1x28x28 --format classic"),
        ("shapes", "summary shapes.py --input 1x28x28"),
        ("rf", "rf eva.experiments.exp5 --input 1x28x28 --layer transition_1"),
    ],
)
def test_transcripts_that_print_the_same_everywhere_are_current(
    snippet: str, arguments: str, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.chdir(DOCS / "snippets")
    monkeypatch.setenv("COLUMNS", "80")
    command, _, printed = (DOCS / "snippets" / f"{snippet}.txt").read_text().partition("\n")
    assert command == f"$ eva {arguments}"
    result = CliRunner().invoke(app, arguments.split())
    # Some versions of PyTorch begin a message with the operator's name.
    lines = (result.stdout + result.stderr).replace("RuntimeError: addmm: ", "RuntimeError: ")
    expected = printed.replace("RuntimeError: addmm: ", "RuntimeError: ")
    assert [line.rstrip() for line in lines.splitlines()] == expected.splitlines()


def test_the_transcript_of_help_lists_commands_that_exist() -> None:
    text = (DOCS / "snippets" / "help.txt").read_text()
    names = re.findall(r"^│ ([a-z][a-z-]*) ", text, re.MULTILINE)
    assert names and set(names) <= set(typer.main.get_command(app).commands)


def test_the_submission_that_learns_too_fast_stops_as_its_transcript_says(tmp_path: Path) -> None:
    submission = str(DOCS / "snippets" / "too_fast.py")
    arguments = ["train", submission, "--data", "mnist-mini", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, arguments)
    said = "TrainingError: the loss became NaN or infinite in epoch 1"
    assert result.exit_code == 1 and said in " ".join(result.output.split())
    assert said in " ".join((DOCS / "snippets" / "too-fast.txt").read_text().split())
