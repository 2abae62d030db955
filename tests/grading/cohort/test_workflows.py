"""The workflows of the docs: their YAML parses, their shell parses, and eva knows their options."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from eva.cli import app
from eva.grading.reports import FORMATS

SNIPPETS = Path(__file__).parents[3] / "docs" / "snippets"
NAMES = ("practice", "official", "classroom")


def _workflow(name: str) -> Any:
    return yaml.safe_load((SNIPPETS / f"{name}.yml").read_text())


def _steps(name: str) -> list[dict[str, Any]]:
    return [step for job in _workflow(name)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", NAMES)
def test_the_shell_of_each_step_parses(name: str) -> None:
    scripts = [step["run"] for step in _steps(name) if "run" in step]
    assert scripts
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("name", NAMES)
def test_eva_knows_every_command_and_option(name: str) -> None:
    found = 0
    for step in _steps(name):
        for line in step.get("run", "").splitlines():
            words = shlex.split(line.split("||")[0]) if line.strip().startswith("eva ") else []
            if not words:
                continue
            command = typer.main.get_command(app)
            words = words[1:]
            while hasattr(command, "commands"):
                command, words = command.commands[words[0]], words[1:]
            context = command.make_context("eva", list(words))  # an unknown option raises
            for report in context.params.get("report") or ():
                assert report.split("=")[0] in FORMATS
            found += 1
    assert found


@pytest.mark.parametrize("name", ["practice", "classroom"])
def test_what_students_run_holds_no_secret(name: str) -> None:
    text = (SNIPPETS / f"{name}.yml").read_text()
    assert "secrets." not in text
    assert "pull_request_target" not in text and "workflow_run" not in text
    assert "--secret-file" not in text and "--official" not in text


def test_the_official_job_is_the_instructors_alone() -> None:
    flow = _workflow("official")
    assert flow[True] == "workflow_dispatch"  # YAML reads `on` as true
    assert flow["permissions"] == {"contents": "read"}
    text = (SNIPPETS / "official.yml").read_text()
    assert text.count("secrets.") == 2, "to grade, and to see that no journal was changed"
    checkout = next(
        s for s in _steps("official") if s.get("uses", "").startswith("actions/checkout")
    )
    assert checkout["with"]["persist-credentials"] is False


def test_nothing_of_an_event_is_pasted_into_a_script() -> None:
    for name in NAMES:
        for step in _steps(name):
            assert not re.search(r"\$\{\{", step.get("run", "")), (name, step)


def test_the_shards_of_the_matrix_are_all_parts_of_one_whole() -> None:
    shards = _workflow("official")["jobs"]["grade"]["strategy"]["matrix"]["shard"]
    assert shards == [f"{i}/{len(shards)}" for i in range(1, len(shards) + 1)]
