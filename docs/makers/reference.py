"""Reference pages from the code: the command line from its typer app, errors from `raise`."""

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

BLANK = re.compile(r"(‹[^›]*›|[\s.:,])*")  # nothing that a reader could search for
INTERNAL = tuple(
    f"eva.grading.{room}" for room in ("checks.allowlist", "cohort", "graph", "judge", "sandbox")
)
_PERSON = "The network is unusual, or its record was changed. A person looks at the file."
_LARGE = "The judge refuses what would take too long. Make it smaller."
# Part of a message that has no hint of its own -> what it means, and what to do.
ADVICE = {
    "training images out": "Some images must be left to train on. Give a smaller --holdout.",
    "expected MD5": "The download is damaged. Delete the file and run eva data fetch again.",
    "are trained here": _LARGE,
    "augmentations; at most": _LARGE,
    "multiplications and additions": _LARGE,
    "beyond all use": _LARGE,
    "of more than 64 bits": _PERSON,
    "can't run on a batch": "The exported network fails on this batch size. Run eva check on it.",
    "make sense": "Give an augmentation that fits 28 pixels.",
    "computes more than": _LARGE,
    "two checks are called": "A check was registered twice. Rename one of them.",
    "which is not declared": "Declare the check that it needs, or correct the name.",
    "must list the checks": "List exactly these checks, in this order, in assignment.toml.",
    "is not TOML": "Correct the file at the line that is named.",
    "a shard is such as": "Write the number of the part, a slash, and how many parts there are.",
    "can't be written": "Make room, or choose a folder that you may write to.",
    "can't be read": "Check that the file is there and that you may read it.",
    "has more than": "This is no roster of a class. Name the right file.",
    "is not CSV": "Save the roster as comma-separated text in UTF-8.",
    "one roster is enough": "Give a single .csv file.",
    "seeds decide nothing": "Give --seeds 1 or more.",
    "can't be listed": "Check that the folder is there and that you may read it.",
    "could not be captured": "eva check on the file says why.",
    "forward turns autocast on": "Leave autocast out; the recipe decides the precision.",
    "forward must return one tensor": "Return the scores alone.",
    "forward has an argument of type": "forward takes the images and nothing else.",
    "no word": "A person looks at it. Common layers of torch.nn are all known.",
    "can't follow": "Write -1 or x.shape[0] for the batch in view and reshape.",
    "nothing came out of the sandbox": "It crashed or took too long. Run eva check on it.",
    "is not trained": "A check before has failed. Its message says what to change.",
    "no graph to remember": "eva check on the file says why it has none.",
    "control group": "The sandbox needs control groups; see the threat model for the tiers.",
    "of sources are allowed": "Hand in the submission without data, records and environments.",
    "jobs can't work": "Give --jobs 1 or more.",
    "no Conv2d": "Draw another layer; kernels are drawn of convolutions.",
    "gives ‹shape›, not (1": "Choose a layer whose output is a map.",
    "there is nothing to draw": "Give a record of a training that finished one epoch or more.",
    "twice, without a name": "Write the value once, with its name.",
    "a recipe is a JSON object": "Read what Recipe.to_json wrote.",
    "is not a run record": "The file was edited or is of another kind. Train again.",
    "at least 1 seed and 1 job": "Give --seeds and --jobs of 1 or more.",
    "importing ‹target› raised": "Your file fails when it is imported. Read the last line quoted.",
    "EarlyStopping waits": "Give patience=1 or more.",
    "lr_find needs": "Give a lowest rate below the highest, and 10 steps or more.",
    "is of an old torchvision": "Delete the file and run eva data fetch again.",
    "is not what was published": "Delete the file and run eva data fetch again.",
    "Expected a module": "Give an nn.Module, or a function or class that builds one.",
    "not one tensor of scores": "Return the scores alone: one tensor (batch, classes).",
    "the backward pass raised": "PyTorch's own words say which operation has no gradient.",
    "takes its values by name": "Write the name before each value, such as SGD(lr=0.1).",
    "there is no module": "Give a path that ends in .py or .ipynb, or a dotted name.",
    "‹place› has no ‹name›": "Check the name after the colon: the file must define it.",
    "should be a ‹name›": "Give a value of the type that the message names.",
    "forward calls ‹op›": "Write it with layers of torch.nn; else a person looks at it.",
    "scores are floats": "Return the output of a layer, not argmax or whole numbers.",
}
DEFAULT = "The message names what is wrong. Change that, and try again."
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
    everywhere = {key: text for tree in trees.values() for key, text in _constants(tree).items()}
    for path, tree in trees.items():
        place = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[problem, *rest]) if name in families:
                    known = everywhere | _constants(tree)
                    texts = [_template(arg, known) for arg in (problem, *rest[:1])]
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
            return " Or: ".join(filter(None, texts))
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
    """A table for each class of error, and one of what only a grader meets."""
    by_class: dict[str, list[Message]] = {}
    for message in messages():
        inside = message.place.startswith(INTERNAL)
        by_class.setdefault("grader" if inside else message.error, []).append(message)
    made = {}
    for name, found in by_class.items():
        lines = ["| message | what it means, what to do |", "|---|---|"]
        rows = {}
        for one in found:
            problem, hint = _cell(one.problem), _cell(one.hint)
            if BLANK.fullmatch(problem):
                continue  # handed on from where the words are
            if BLANK.fullmatch(hint):
                hint = _cell(advice(one))
            rows[problem] = rows.get(problem) or hint
        lines += [f"| {problem} | {words} |" for problem, words in rows.items()]
        made[name] = "\n".join(lines)
    return made


def advice(message: Message) -> str:
    """What a message without a hint means, and what to do."""
    for part, words in ADVICE.items():
        if part in message.problem:
            return words
    return _PERSON if message.place.startswith(INTERNAL) else DEFAULT


def _cell(text: str) -> str:
    """Text that Markdown leaves as it is, in one line."""
    text = " ".join(text.split())
    text = text.replace("<", "&lt;").replace(">", "&gt;").replace("|", "&#124;")
    return re.sub(r"([\\*_\[\]])", r"\\\1", text).replace("`", "")


def texts() -> dict[str, str]:
    """All that this file makes."""
    made = {f"generated/errors-{name}.md": text for name, text in error_lists().items()}
    return made | {"generated/cli.md": command_line()}
