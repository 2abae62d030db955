"""The sandbox: where a stranger's code runs once.

:class:`eva.grading.sandbox.sandbox.Sandbox` takes sources and gives an ``Extraction``. It works on
Linux alone; importing it works everywhere.
"""
