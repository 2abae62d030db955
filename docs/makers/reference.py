"""Reference pages from the code: the command line from its typer app, errors from their `raise`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import typer
import typer.core
import typer.main

from eva import errors
from eva.cli import app
from makers.records import ROOT

BLANK = re.compile("‹[^›]*›|")
ERRORS = [name for name, value in vars(errors).items() if isinstance(value, type)]


def command_line() -> str:
    """Every command with its arguments, options and defaults."""
    return "\n\n".join(_commands("eva", typer.main.get_command(app)))


def _commands(name: str, command: Any) -> Iterator[str]:
    if isinstance(command, typer.core.TyperGroup):
        for key, inner in command.commands.items():
            yield from _commands(f"{name} {key}", inner)
        return
    parameters = [p for p in command.params if not getattr(p, "hidden", False)]
    arguments = [p for p in parameters if not isinstance(p, typer.core.TyperOption)]
    places = " ".join(map(_place, arguments))
    yield f"## `{name}`"
    yield (command.help or "").strip()
    yield f"```text\n{f'{name} {places}'.strip()} [OPTIONS]\n```"
    rows = []
    for parameter in parameters:
        shown = ", ".join(parameter.opts) if parameter not in arguments else parameter.name.upper()
        text = (parameter.help or "").replace("|", "\\|")
        rows.append(f"| `{shown}` | {text} | {_default(parameter)} |")
    if rows:
        yield "\n".join(["| argument or option | what it does | default |", "|---|---|---|", *rows])


def _place(argument: Any) -> str:
    """An argument as a usage line shows it."""
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if value is None or callable(value) or isinstance(value, (list, tuple)):
        return ""
    return "off" if value is False else f"`{value}`"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One ``raise`` of an error of ours; what is filled in at run time stands in ‹›."""

    error: str
    place: str
    problem: str
    hint: str


def messages() -> list[Message]:
    """All of them, in the order of files and lines."""
    trees = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "eva").rglob("*.py"))}
    families = _families(trees.values())
    found = []
    for path, tree in trees.items():
        place = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[problem, *rest]) if name in families:
                    texts = [_template(arg, _constants(tree)) for arg in (problem, *rest[:1])]
                    hint = texts[1] if rest else ""
                    family = families[name]
                    found.append(Message(error=family, place=place, problem=texts[0], hint=hint))
    return found


def _families(trees: Iterable[ast.Module]) -> dict[str, str]:
    """Each error class of ours -> the class whose list it stands in: its base, or itself."""
    found = {name: name for name in ERRORS}
    classes = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    for node in classes:
        bases = [ast.unparse(base) for base in node.bases]
        if node.name not in found and bases and bases[0] in ERRORS:
            found[node.name] = node.name if bases[0] == "EvaError" else bases[0]
    return found


def _constants(tree: ast.Module) -> dict[str, str]:
    """Texts that a file has given a name, such as EXAMPLE."""
    found = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                found[name] = text
    return found


def _template(node: ast.expr, constants: dict[str, str]) -> str:
    """A message as a reader meets it, with names in ‹› for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Constant():
            return ""
        case ast.Name(id=name) if name.isupper() and name in constants:
            return constants[name]
        case ast.JoinedStr(values=values):
            return "".join(_template(value, constants) for value in values)
        case ast.FormattedValue(value=value):
            return f"‹{_name(value)}›"
        case ast.BoolOp(values=[*_, last]):
            return _template(last, constants)
        case ast.IfExp(body=body, orelse=other):
            texts = [_template(one, constants) for one in (body, other)]
            return ", or: ".join(filter(None, texts))
        case _:
            return f"‹{_name(node)}›"


def _name(node: ast.expr) -> str:
    """The last word of an expression: enough to know what stands there."""
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name.strip("_").replace("_", " ")
        case ast.Call(func=ast.Name(id="type" | "len"), args=[inner, *_]):
            return _name(inner)
        case ast.Call(func=ast.Attribute(attr="join"), args=[inner, *_]):
            return _name(inner)
        case ast.Call(func=func):
            return _name(func)
        case ast.Subscript(value=inner):
            return _name(inner)
        case _:
            words = re.findall(r"[a-z_]+", ast.unparse(node))
            return words[-1].strip("_").replace("_", " ") if words else "value"


def error_lists() -> dict[str, str]:
    """A table for each class of error that is raised somewhere."""
    by_class: dict[str, list[Message]] = {}
    for message in messages():
        by_class.setdefault(message.error, []).append(message)
    made = {}
    for name, found in by_class.items():
        lines = ["| message | what to do |", "|---|---|"]
        for problem, hint in dict.fromkeys((_cell(m.problem), _cell(m.hint)) for m in found):
            if BLANK.fullmatch(problem) and BLANK.fullmatch(hint):
                continue  # handed on from where the words are
            lines.append(f"| {problem} | {hint or 'See above.'} |")
        made[name] = "\n".join(lines)
    return made


def _cell(text: str) -> str:
    """Text that Markdown leaves as it is, in one line."""
    text = " ".join(text.split())
    return re.sub(r"([\\|*_<>\[\]])", r"\\\1", text).replace("`", "")


def texts() -> dict[str, str]:
    """All that this file makes."""
    made = {f"generated/errors-{name}.md": text for name, text in error_lists().items()}
    return made | {"generated/cli.md": command_line()}
