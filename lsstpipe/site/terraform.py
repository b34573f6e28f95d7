"""Terraform, by python-terraform: run it in a root, read what it says, make errors sentences."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsstpipe.errors import TemporaryError, UserError

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_BOX = re.compile(r"[\s│╷╵]+")
# Where in the code an error was found says nothing to whom the message of a validation is for.
_PLACE = re.compile(r" on \S+ line \d+(?:, in [^:]+)?: \d+: .*? (?=[A-Z])")

_TOLD = 300
"""Letters that are shown of what is no error of Terraform's own."""

_PREFACE = "Terraform encountered problems during initialisation"
"""It comes before what the problems are."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a plan does to a resource.

    Attributes
    ----------
    action
        ``create``, ``update``, ``replace`` or ``delete``.
    address
        Such as ``module.key.aws_kms_key.this``.
    """

    action: str
    address: str


class Root:
    """A root: a folder of Terraform with a state of its own.

    Parameters
    ----------
    folder
        Where it is.
    settings
        Its settings, files ``*.tfvars``.
    variables
        Settings by name, which go before those of the files.
    """

    def __init__(
        self,
        folder: Path,
        settings: Sequence[Path] = (),
        variables: Mapping[str, object] | None = None,
    ) -> None:
        self.folder = folder
        self._given: dict[str, Any] = {
            "var_file": [str(path.absolute()) for path in settings],
            "var": dict(variables or {}) or None,
        }
        self._terraform = _wrap(folder)

    @property
    def name(self) -> str:
        """Its name, which is that of the folder."""
        return self.folder.name

    def init(self, backend: Path | None = None) -> None:
        """Fetch providers and modules, find the state.

        Parameters
        ----------
        backend
            Where the state is; None for a file in the folder.
        """
        where = None if backend is None else str(backend.absolute())
        self._run("init", backend_config=where, reconfigure=_flag())

    def plan(self, file: Path, destroy: bool = False) -> list[Change]:
        """Work out what would change.

        Parameters
        ----------
        file
            Where the plan is written, for :meth:`apply`.
        destroy
            Whether all is to go.

        Raises
        ------
        UserError
            If Terraform refuses the settings or AWS does.
        """
        text = self._run(
            "plan",
            out=str(file.absolute()),
            json=_flag(),
            destroy=_flag() if destroy else None,
            **self._given,
        )
        return [
            Change(row["change"]["action"], row["change"]["resource"]["addr"])
            for row in _rows(text)
            if row.get("type") == "planned_change" and row["change"]["action"] != "read"
        ]

    def apply(self, file: Path) -> None:
        """Do what was planned; Terraform tells on the standard error how it goes.

        Parameters
        ----------
        file
            The plan.

        Raises
        ------
        UserError
            If something could not be made; what was stays, and the next plan goes on from there.
        """
        self._run("apply", str(file.absolute()), shown=True)

    def outputs(self) -> dict[str, Any]:
        """Give the outputs of the last apply, by name; none before the first."""
        found = json.loads(self._run("output", json=_flag()))
        return {name: entry["value"] for name, entry in found.items()}

    def _run(self, command: str, *words: str, shown: bool = False, **options: Any) -> str:
        options = {"input": False, "no_color": _flag()} | options
        if command == "output":
            del options["input"]
        with _found(), redirect_stdout(sys.stderr):
            status, out, err = self._terraform.cmd(
                command, *words, capture_output=not shown, **options
            )
        if status != 0:
            raise UserError(f"Terraform cannot {command} {self.name}: {_explain(out, err)}")
        return str(out)


def evaluate(expression: str, folder: Path, settings: Path) -> str:
    """Evaluate an expression of Terraform's language.

    Parameters
    ----------
    expression
        Which gives text.
    folder
        Folder of the variables that it names.
    settings
        Their values, a file ``*.tfvars``.

    Raises
    ------
    UserError
        If a value is refused.
    TemporaryError
        If Terraform itself fails, as where the machine has no threads left for it.
    """
    words = _wrap(folder).generate_cmd_string("console", var_file=str(settings))
    with _found():
        result = subprocess.run(
            words, cwd=folder, input=expression, check=False, capture_output=True, text=True
        )
    # It prints errors and goes on: its exit code says nothing.
    if "Error: " in _COLOURS.sub("", result.stderr):
        raise UserError(f"{settings}: {_explain('', result.stderr)}")
    if result.returncode != 0 or not result.stdout.strip():
        raise TemporaryError(
            f"Terraform cannot read {settings}: it ended with exit code {result.returncode}: "
            f"{_explain(result.stdout, result.stderr)}"
        )
    return str(json.loads(result.stdout))


def _wrap(folder: Path) -> Any:
    # Here, because it is needed by few commands and comes with the extra `aws` only.
    from python_terraform import Terraform

    # It logs the errors that are raised here.
    logging.getLogger("python_terraform").setLevel(logging.CRITICAL)
    return Terraform(working_dir=str(folder))


@contextmanager
def _found() -> Iterator[None]:
    """Say what is missing where Terraform is."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(
            f"The program {error.filename} is not found: install Terraform 1.10 or later."
        ) from error


def _flag() -> object:
    from python_terraform import IsFlagged

    return IsFlagged


def _rows(text: str) -> Iterator[dict[str, Any]]:
    """Read the lines of a report that are JSON."""
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def _explain(out: str | None, err: str | None) -> str:
    """Give the first error that Terraform tells, in one line."""
    for row in _rows(out or ""):
        told = row.get("diagnostic")
        if told and told["severity"] == "error":
            return _shorten(f"{told['summary']}: {told['detail']}")
    text = _BOX.sub(" ", _COLOURS.sub("", err or out or ""))
    errors = [part for part in text.split("Error: ")[1:] if not part.startswith(_PREFACE)]
    told = errors[0] if errors else text[-_TOLD:]
    return _shorten(told) or "what it says is above."


def _shorten(text: str) -> str:
    """Take an error without the places in the code that it names."""
    text = _PLACE.sub(": ", _BOX.sub(" ", text))
    return text.partition(" This was checked by the validation rule")[0].strip()
