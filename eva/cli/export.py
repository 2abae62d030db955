"""``eva export``: files for other programs."""

from __future__ import annotations

import typer

from eva.cli import cohort, models

export_app = typer.Typer(help="Files for other programs and graders.", no_args_is_help=True)
export_app.command("gradescope")(cohort.gradescope_command)
export_app.command("onnx")(models.onnx_command)
