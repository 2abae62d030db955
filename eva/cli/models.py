"""Commands about a model that train nothing: ``eva summary``, ``eva rf``, ``eva export onnx``."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from eva.cli.options import FAILED, JsonOption, SubmissionArgument, err, friendly_errors, out

TargetArgument = Annotated[
    str,
    typer.Argument(help="file.py:Name, package.module:Name, or a submission.", metavar="TARGET"),
]
SIZE_HELP = "Channels x height x width, such as 1x28x28; once an input."
InputOption = Annotated[list[str], typer.Option("--input", "-i", help=SIZE_HELP)]
DtypeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--dtype",
        help="Type of the inputs' numbers, such as long; once for all or once an input.",
        show_default="of the parameters",
    ),
]


class Mode(StrEnum):
    """How batch norm and dropout act."""

    EVAL = "eval"
    TRAIN = "train"


ModeOption = Annotated[Mode, typer.Option(help="How batch norm and dropout act.")]


class SummaryFormat(StrEnum):
    """The formats of :class:`eva.summary.Format`, known without importing PyTorch."""

    CLASSIC = "classic"
    RICH = "rich"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"
    CSV = "csv"


def summary_command(
    target: TargetArgument,
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            help=SIZE_HELP,
            show_default="none: parameters and structure only",
        ),
    ] = None,
    dtypes: DtypeOption = None,
    mode: ModeOption = Mode.EVAL,
    format: Annotated[SummaryFormat, typer.Option(help="How to show it.")] = SummaryFormat.RICH,
    depth: Annotated[
        int | None, typer.Option(min=0, help="Depth of the deepest rows.", show_default="all")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Such as input,output,kernel,stride,padding,groups,params,params_percent,rf."
        ),
    ] = None,
    ops: Annotated[bool, typer.Option("--ops", help="Rows for functional operations too.")] = False,
) -> None:
    """Show what every layer of a model gets, gives, holds and sees."""
    with friendly_errors():
        from eva.model_summary import (
            ModelForwardError,
            Summary,
            parse_dtypes,
            parse_size,
            summary,
        )
        from eva.model_summary.columns import DEFAULT_COLUMNS
        from eva.submission import load_model

        def show(found: Summary) -> None:
            color = out.is_terminal and not out.no_color
            text = found.render(format.value, width=out.width, color=color)
            sys.stdout.write(text if text.endswith("\n") else text + "\n")

        model = load_model(target)
        shown = DEFAULT_COLUMNS if columns is None else columns.split(",")
        parsed = [parse_size(size) for size in sizes] if sizes else None
        try:
            found = summary(
                model,
                parsed,
                dtype=parse_dtypes(dtypes),
                mode=mode.value,
                columns=shown,
                depth=depth,
                ops=ops,
            )
            show(found)
        except ModelForwardError as error:
            show(error.summary)
            err.print(f"{error}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(FAILED) from error


def rf_command(
    target: TargetArgument,
    sizes: InputOption,
    layer: Annotated[
        str | None, typer.Option(help="Name of a layer.", show_default="the output")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Layer in whose output the field lies.", show_default="the input"),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="Say what this unit sees, such as 3,4 for row 3 and column 4."),
    ] = None,
    dtypes: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what one unit of a layer sees of the input."""
    with friendly_errors():
        from eva.model_summary import parse_dtypes, parse_size
        from eva.model_summary.columns import format_field, format_region, parse_unit
        from eva.rf import receptive_field
        from eva.submission import load_model

        at = None if unit is None else parse_unit(unit)
        field = receptive_field(
            load_model(target),
            [parse_size(size) for size in sizes],
            layer=layer,
            source=source,
            dtype=parse_dtypes(dtypes),
        )
        if as_json:
            region = {} if at is None else {"unit": list(at), "region": format_region(field, at)}
            sys.stdout.write(json.dumps(field.to_json() | region) + "\n")
            return
        apart = field.without_statistics
        shown = field if apart is None else apart
        statistics = "" if apart is None else " (+ statistics of the whole map)"
        lines = {
            "field": f"{format_field(shown)} ({shown.status}){statistics}",
            "jump": _join(shown.jump),
            "padding": _join(shown.padding),
            "start": _join(shown.start),
            "density": _join(shown.density),
        }
        if at is not None:
            lines[f"unit {','.join(map(str, at))}"] = format_region(shown, at) + statistics
        for name, text in lines.items():
            out.print(f"{name:<8} {text}", highlight=False, soft_wrap=True)
        if field.misaligned:
            out.print("Branches of unequal centers were joined: units see a union.")
        for cause in field.causes:
            out.print(f"Not exact because of {cause}.", markup=False, highlight=False)


def _join(values: tuple[object, ...]) -> str:
    """One value where all axes agree; fractions as people write them."""
    texts = ["none" if value is None else str(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else " x ".join(texts)


def onnx_command(
    submission: SubmissionArgument,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Left by `eva train`. Default: runs/NAME-seed0/checkpoint.pt.", show_default=False
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--out", help="Default: NAME.onnx.", show_default=False)
    ] = None,
) -> None:
    """Write a trained network as an ONNX file, for programs without PyTorch."""
    with friendly_errors():
        from eva.export import export_onnx
        from eva.submission import load_submission
        from eva.training.checkpoint import load_weights

        loaded = load_submission(submission)
        model = loaded.build()
        run = load_weights(
            checkpoint or Path("runs") / f"{loaded.slug}-seed0" / "checkpoint.pt", model
        )
        written = export_onnx(model, run, file or Path(f"{loaded.slug}.onnx"))
        tested = f", {run.rows[-1].test_accuracy:.2f} % on {run.data.name}" if run.rows else ""
        out.print(
            f"{written}: {run.parameters:,} parameters{tested}, "
            f"{written.stat().st_size / 1000:.0f} kB",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
