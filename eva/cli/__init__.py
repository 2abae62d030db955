"""The command line. Heavy rooms are imported inside each command, so that help comes at once."""

from eva.cli.app import app

__all__ = ["app"]
