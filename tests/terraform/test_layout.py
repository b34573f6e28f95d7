"""Terraform modules are made alike: files, sizes, descriptions, tables, a refusal for each rule."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.terraform.module_tables import MODULES, ROOTS, TERRAFORM, attribute, blocks, tables

FILES = ("main.tf", "outputs.tf", "variables.tf", "versions.tf", "README.md")


def name_of(path: Path) -> str:
    return str(path.relative_to(TERRAFORM))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_has_its_files_and_tests(module: Path) -> None:
    assert not [name for name in FILES if not (module / name).is_file()]
    assert list(module.glob("tests/*.tftest.hcl"))


@pytest.mark.parametrize("module", MODULES + ROOTS, ids=name_of)
def test_no_file_of_a_module_is_long(module: Path) -> None:
    files = [path for path in module.rglob("*") if path.is_file() and ".terraform" not in str(path)]
    assert not [name_of(path) for path in files if len(path.read_text().splitlines()) > 150]


@pytest.mark.parametrize("module", MODULES + ROOTS, ids=name_of)
def test_inputs_have_types_and_all_is_described(module: Path) -> None:
    inputs = dict(blocks(module / "variables.tf", "variable"))
    outputs = dict(blocks(module / "outputs.tf", "output"))
    assert inputs
    assert outputs
    assert not [name for name, body in inputs.items() if not attribute(body, "type")]
    described = inputs | {f"output {name}": body for name, body in outputs.items()}
    assert not [
        name
        for name, body in described.items()
        if not re.fullmatch(r'"[A-Z].*\."', attribute(body, "description") or "")
    ]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_the_readme_has_the_tables_of_inputs_and_outputs(module: Path) -> None:
    assert tables(module) in (module / "README.md").read_text(), (
        "python -m tests.terraform.module_tables writes them"
    )


@pytest.mark.parametrize("module", MODULES + ROOTS, ids=name_of)
def test_each_validation_says_a_sentence_and_has_a_test_that_it_fails(module: Path) -> None:
    rules: Counter[str] = Counter()
    for name, body in blocks(module / "variables.tf", "variable"):
        messages = re.findall(r'error_message = "(.*)"', body)
        assert len(messages) == len(re.findall(r"^  validation \{", body, flags=re.MULTILINE))
        assert not [text for text in messages if not re.fullmatch(r"[A-Z].*[^.]\.", text)]
        rules[name] = len(messages)
    tests = "\n".join(path.read_text() for path in module.glob("tests/*.tftest.hcl"))
    refused = Counter(re.findall(r"expect_failures = \[var\.(\w+)\]", tests))
    assert not {name: n for name, n in rules.items() if refused[name] < n}


def test_no_module_is_from_elsewhere() -> None:
    sources = {
        source
        for path in TERRAFORM.rglob("*.tf")
        for source in re.findall(r'^module "\w+" \{\n\s+source\s+= "(.*)"', path.read_text(), re.M)
    }
    assert all(source.startswith(("./", "../")) for source in sources)
