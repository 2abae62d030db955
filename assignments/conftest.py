"""Makes pytest show an assignment as a student should see it; the work is in eva.grading."""

import pytest

PLUGIN = "eva.grading.practice.pytest_plugin"


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register eva's plugin, which the conftest.py of another assignment may have done."""
    pluginmanager.import_plugin(PLUGIN)
