"""The command line; what needs torch is imported inside each command, so help comes at once."""

from eva.cli.app import app

__all__ = ["app"]
