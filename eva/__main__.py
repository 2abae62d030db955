"""``python -m eva`` is the command ``eva``."""

from eva.cli import app

app(prog_name="eva")
