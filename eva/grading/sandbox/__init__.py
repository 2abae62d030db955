"""The sandbox: where a stranger's code runs once."""
