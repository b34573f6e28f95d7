"""Tables of a Terraform module's inputs and outputs; run it to write them into the READMEs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

TERRAFORM = Path(__file__).parents[2] / "terraform"
MODULES = sorted(path.parent for path in TERRAFORM.glob("modules/*/main.tf"))
ROOTS = sorted(path.parent for path in TERRAFORM.glob("*/main.tf"))

BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"


def blocks(path: Path, kind: str) -> Iterator[tuple[str, str]]:
    """The top-level blocks of a kind in a formatted file: name and body."""
    pattern = rf'^{kind} "(\w+)" \{{\n(.*?)^\}}'
    yield from re.findall(pattern, path.read_text(), flags=re.MULTILINE | re.DOTALL)


def attribute(body: str, name: str) -> str | None:
    """An attribute right in a block, if it fits on its line."""
    found = re.search(rf"^  {name}\s+= (.*)$", body, flags=re.MULTILINE)
    return found.group(1) if found else None


def tables(module: Path) -> str:
    """The two tables of a module, as its README has them."""
    lines = [BEGIN, "", "| input | what | default |", "|---|---|---|"]
    for name, body in blocks(module / "variables.tf", "variable"):
        default = attribute(body, "default")
        shown = "needed" if default is None else f"`{default if default != '{' else '{…}'}`"
        lines.append(f"| `{name}` | {(attribute(body, 'description') or '')[1:-1]} | {shown} |")
    lines += ["", "| output | what |", "|---|---|"]
    for name, body in blocks(module / "outputs.tf", "output"):
        lines.append(f"| `{name}` | {(attribute(body, 'description') or '')[1:-1]} |")
    return "\n".join([*lines, "", END])


def write(module: Path) -> None:
    """Write the tables of a module into its README, in place of those that are there."""
    readme = module / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    readme.write_text(before + tables(module) + (rest.partition(END)[2] or "\n"))


if __name__ == "__main__":
    for each in MODULES:
        write(each)
