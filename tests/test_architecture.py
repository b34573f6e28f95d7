"""The architecture holds: sizes, names, layers, and one name per thing."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from importlinter.cli import lint_imports

from lsstpipe.cli.main import cli
from lsstpipe.config import campaign_model
from lsstpipe.stages import STAGES

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "lsstpipe"
MODULES = sorted(PACKAGE.rglob("*.py"))
GRAB_BAGS = {"utils", "util", "helpers", "helper", "common", "manager", "handler", "misc"}
TASKS = sorted({task.name for stage in STAGES.values() for task in stage.tasks})


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def public_definitions(scope: ast.AST) -> list[ast.FunctionDef | ast.ClassDef]:
    """The public classes, and the public functions or methods, right in a module or a class."""
    if not isinstance(scope, ast.Module | ast.ClassDef):
        return []
    return [
        node
        for node in scope.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command below this one, as the words that call it."""
    if not isinstance(command, click.Group):
        yield words
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from commands(child, (*words, name))


def locked_versions() -> dict[str, str]:
    lock = (REPOSITORY / "envs" / "requirements.lock").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ]+)", lock, flags=re.MULTILINE))


def pins(environment: Path) -> list[str]:
    """The packages that a conda environment takes by pip."""
    dependencies = yaml.safe_load(environment.read_text())["dependencies"]
    return next(entry["pip"] for entry in dependencies if isinstance(entry, dict))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_short_and_says_what_it_is_about(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 400
    assert ast.get_docstring(ast.parse(text))
    assert path.stem.strip("_") not in GRAB_BAGS


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_everything_public_has_a_docstring(path: Path) -> None:
    module = ast.parse(path.read_text())
    public = public_definitions(module)
    members = [member for node in public for member in public_definitions(node)]
    undocumented = [node.name for node in public + members if not ast.get_docstring(node)]
    assert not undocumented


def test_import_contracts_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_one_name_in_its_table_and_its_rule(stage: str) -> None:
    assert STAGES[stage].name == stage
    rules = (REPOSITORY / "workflow" / "rules" / f"{stage}.smk").read_text()
    assert re.search(rf"^rule {stage}:", rules, flags=re.MULTILINE)


@pytest.mark.parametrize("stage", [name for name, stage in STAGES.items() if stage.tasks])
def test_a_stage_has_a_section_in_the_configuration_with_a_part_for_each_task(stage: str) -> None:
    section = campaign_model().model_fields[stage].annotation
    assert inspect.isclass(section)
    for task in STAGES[stage].tasks:
        assert section.model_fields[task.name].annotation is task.module.Config


def test_every_rule_file_belongs_to_a_stage() -> None:
    files = {path.stem for path in (REPOSITORY / "workflow" / "rules").glob("*.smk")}
    assert files - set(STAGES) <= {"plan", "collect", "publish", "chunks", "pilots"}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_a_module_with_config_inputs_outputs_and_run(task: str) -> None:
    module = import_module(f"lsstpipe.tasks.{task}")
    assert all(inspect.isclass(getattr(module, name)) for name in ("Config", "Inputs", "Outputs"))
    assert list(inspect.signature(module.run).parameters)[:2] == ["inputs", "config"]


@pytest.mark.parametrize("words", list(commands(cli)), ids=" ".join)
def test_a_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0
    example = " ".join(["lsstpipe", *words])
    assert re.search(rf"Example.*{example}\b", result.output, flags=re.DOTALL)


@pytest.mark.parametrize("environment", ["lsstpipe.yaml", "dev.yaml"])
def test_a_conda_environment_has_the_locked_versions(environment: str) -> None:
    locked = locked_versions()
    for pin in pins(REPOSITORY / "envs" / environment):
        name, version = pin.split("==")
        assert locked[name] == version


def test_the_conda_environment_of_the_rules_has_every_dependency_of_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=]", dependency)[0] for dependency in project["dependencies"]}
    assert wanted == {pin.split("==")[0] for pin in pins(REPOSITORY / "envs" / "lsstpipe.yaml")}


def test_the_lock_file_names_no_package_index() -> None:
    lock = (REPOSITORY / "envs" / "requirements.lock").read_text()
    assert not re.search(r"://|^-", lock, flags=re.MULTILINE)
