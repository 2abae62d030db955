"""Workflows, templates and hooks of the repository: they parse, and what they run is there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _steps(path: Path) -> list[dict[str, Any]]:
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [step for job in flow["jobs"].values() for step in job["steps"]]


def _commands() -> list[tuple[str, list[str]]]:
    """Every line of shell of every workflow, as words."""
    return [
        (path.name, shlex.split(line.split("||")[0], comments=True))
        for path in WORKFLOWS
        for step in _steps(path)
        for line in step.get("run", "").splitlines()
    ]


def test_tests_docs_release_and_the_reference_are_there() -> None:
    assert [path.stem for path in WORKFLOWS] == ["docs", "reference", "release", "tests"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_reads_alone_and_pastes_no_event_into_a_script(path: Path) -> None:
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert flow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in flow[True]  # YAML reads `on` as true
    assert "secrets." not in path.read_text(encoding="utf-8")
    for step in _steps(path):
        assert ("uses" in step) != ("run" in step), step
        assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v1)", step.get("uses", "a/b@v1")), step
        assert "${{" not in step.get("run", ""), step
        subprocess.run(["bash", "-n"], input=step.get("run", ""), text=True, check=True)
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


def test_every_command_of_a_workflow_is_one_that_exists() -> None:
    """Paths are there, extras are declared, and programs are those of the environment."""
    seen = 0
    for flow, words in _commands():
        if not words:
            continue
        if words[0] == "python" and words[1] == "-m":
            assert words[2] in ("pytest", "pip", "mkdocs", "hatchling"), (flow, words)
        for word in words:
            if re.match(r"^(tests|docs|\.ci)/", word):
                assert (ROOT / word).exists(), (flow, word)
                seen += 1
            for extra in re.findall(r"^\.\[([\w,]+)\]$", word):
                declared = PYPROJECT["project"]["optional-dependencies"]
                assert set(extra.split(",")) <= declared.keys(), (flow, word)
                seen += 1
    assert seen > 10


def test_all_systems_and_versions_are_tried() -> None:
    flow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    matrix = flow["jobs"]["portable"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["system"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    named = [text.rpartition(" ")[2] for text in PYPROJECT["project"]["classifiers"]]
    assert [text for text in named if text.startswith("3.")] == matrix["python"]
    assert PYPROJECT["project"]["requires-python"] == f">={matrix['python'][0]}"


def test_portable_tests_are_collected_where_there_is_no_unix() -> None:
    (command,) = (
        words
        for _, words in _commands()
        if words[:3] == ["python", "-m", "pytest"] and "tests/rf" in words
    )
    options = ["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    code = f"import without_unix, pytest, sys; sys.exit(pytest.main({options + command[3:]}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests/fakes")])},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_the_release_is_published_without_a_token() -> None:
    flow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    publish = flow["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["needs"] == "build"
    assert publish["steps"][-1]["uses"].startswith("pypa/gh-action-pypi-publish@")
    assert "with" not in publish["steps"][-1]


def test_the_pages_are_published_as_versions_side_by_side() -> None:
    flow = yaml.safe_load((ROOT / ".github/workflows/docs.yml").read_text(encoding="utf-8"))
    publish = flow["jobs"]["publish"]
    assert publish["permissions"] == {"contents": "write"} and publish["needs"] == "build"
    assert publish["steps"][-1]["env"]["EVA_DOCS_VERSIONS"] == "mike"
    deploys = [words for name, words in _commands() if name == "docs.yml" and words[:1] == ["mike"]]
    assert ["mike", "deploy", "--push", "dev"] in deploys
    assert any("--update-aliases" in words and words[-1] == "latest" for words in deploys)
    assert flow[True]["push"]["tags"] == ["v*"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_issue_forms_parse(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert form == {"blank_issues_enabled": True}
        return
    assert form["name"] and form["description"]
    ids = [part["id"] for part in form["body"]]
    assert len(ids) == len(set(ids))
    for part in form["body"]:
        assert part["type"] in ("textarea", "input") and part["attributes"]["label"]


def test_hooks_run_programs_of_the_environment() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    lint = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2]
    for hook in config["repos"][0]["hooks"]:
        program, *words = shlex.split(hook["entry"])
        assert program.startswith(".venv/bin/")
        name = program.removeprefix(".venv/bin/")
        if name == "python":
            assert (ROOT / words[0]).is_file()
        else:
            assert f"$(BIN)/{name}" in lint


def test_the_container_installs_what_ci_installs() -> None:
    config = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    wanted = set(re.findall(r"missing\+=\(([\w+]+)\)", ci))
    assert wanted <= set(config["onCreateCommand"].split())
    assert config["postCreateCommand"].startswith("make ")


def test_security_links_the_threat_model() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (ROOT / link).exists()
    assert "docs/guides/threat-model.md" in text


def test_dependabot_looks_after_actions_and_packages() -> None:
    config = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))
    assert [one["package-ecosystem"] for one in config["updates"]] == ["github-actions", "pip"]
