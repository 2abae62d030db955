"""The command line: which commands there are. Each group of them has a file of its own.

What needs torch is imported inside the commands, so that help comes at once.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

import eva
from eva.cli import course, grading, models, new, records, study, training
from eva.cli.cohort import class_app
from eva.cli.data import data_app
from eva.cli.export import export_app
from eva.cli.plain_output import show_every_character

show_every_character()

app = typer.Typer(
    name="eva",
    help="Learn CNNs by measuring them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"eva {eva.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    os.environ.pop("MPLBACKEND", None)  # another program's, which may not even load here


app.command("new")(new.new_command)
app.command("check")(grading.check_command)
app.command("check-assignment")(new.check_assignment_command)
app.command("train")(training.train_command)
app.command("grade")(grading.grade_command)
app.command("watch")(grading.watch_command)
app.command("summary")(models.summary_command)
app.command("rf")(models.rf_command)
app.command("study")(study.study_command)
app.command("lr-find")(training.lr_find_command)
app.command("compare")(records.compare_command)
app.command("plot")(records.plot_command)
app.command("course")(course.course_command)
app.add_typer(class_app, name="class")
app.add_typer(data_app, name="data")
app.add_typer(export_app, name="export")
