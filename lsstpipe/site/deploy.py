"""The three roots of a site in order: what would change, make it, say what it is, end it."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import ConflictError, UserError
from lsstpipe.site.settings import Settings
from lsstpipe.site.terraform import Change, Root

Ask = Callable[["RootPlan"], bool]
"""Asks whether a plan is to be done."""

ALL_ROOTS = ("bootstrap", "data", "cluster")


@dataclass(frozen=True, slots=True)
class RootPlan:
    """What would change in a root.

    Attributes
    ----------
    root
        Its name.
    changes
        What.
    waits_for
        The root that must be made before anything can be said; empty where that is known.
    """

    root: str
    changes: tuple[Change, ...] = ()
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """A site: its settings and the Terraform code.

    Attributes
    ----------
    settings
        As they were read.
    folder
        Of ``data.tfvars``, ``cluster.tfvars`` and, for a role of CI, ``bootstrap.tfvars``.
    code
        Folder of the Terraform code, which keeps where the state is.
    """

    settings: Settings
    folder: Path
    code: Path
    _initialised: set[str] = field(default_factory=set)

    @property
    def backend(self) -> Path:
        """The file that says where the state is; bootstrap makes it."""
        return self.code / "backend.hcl"

    @property
    def handed_on(self) -> Path:
        """The file by which the root `data` tells `cluster` what it has made."""
        return self.code / "cluster" / "data.auto.tfvars.json"

    def root(self, name: str) -> Root:
        """Give a root that can be planned.

        Parameters
        ----------
        name
            ``bootstrap``, ``data`` or ``cluster``.

        Raises
        ------
        ConflictError
            If the state that the code knows is another site's.
        """
        own = self.folder / f"{name}.tfvars"
        variables: dict[str, object] = {}
        if name == "bootstrap":
            data = self.settings.data
            variables = {"name": data.name, "region": data.region}
        root = Root(self.code / name, [own] if own.is_file() else [], variables)
        if name not in self._initialised:
            root.init(None if name == "bootstrap" else self.backend)
            self._require_own_state(root)
            self._initialised.add(name)
        return root

    def _require_own_state(self, root: Root) -> None:
        """Refuse the state of another site: a plan would replace it all."""
        outputs, settings = root.outputs(), self.settings
        own = settings.cluster.name if root.name == "cluster" else settings.data.name
        bucket = re.search(r'"(.+)-\d{12}-state"', outputs.get("backend", ""))
        known = {
            "bootstrap": bucket[1] if bucket else "",
            "data": outputs.get("name", ""),
            "cluster": outputs.get("site", {}).get("name", ""),
        }[root.name]
        if known and known != own:
            raise ConflictError(
                f"The state in {root.folder} is that of {known}, not of {own}: give each site a "
                "copy of the Terraform code, named with --terraform."
            )

    def is_bootstrapped_elsewhere(self) -> bool:
        """Tell whether a bucket for the state was made from another copy of the code."""
        return self.backend.exists() and not (self.code / "bootstrap/terraform.tfstate").exists()


def plan_site(site: Site) -> list[RootPlan]:
    """Work out what would change, root by root, as far as can be known.

    Parameters
    ----------
    site
        The site.
    """
    return [_plan(site, name) for name in ALL_ROOTS]


def bring_up(site: Site, ask: Ask) -> dict[str, Any]:
    """Make or change the roots in order; give the outputs of the cluster.

    Parameters
    ----------
    site
        The site.
    ask
        Asks before each root that something changes in.

    Raises
    ------
    UserError
        If it was refused, by a person or by Terraform; what was made before stays.
    """
    outputs: dict[str, Any] = {}
    for name in ALL_ROOTS:
        with _planned(site, name) as (root, plan, file):
            if plan.changes:
                if not ask(plan):
                    raise UserError(f"The root {name} was not applied: it was not agreed to.")
                root.apply(file)
            outputs = root.outputs()
        if name == "bootstrap" and not site.is_bootstrapped_elsewhere():
            write_atomically(site.backend, outputs["backend"].encode())
    return outputs


def read_outputs(site: Site) -> dict[str, Any]:
    """Read what the cluster's last apply has told.

    Parameters
    ----------
    site
        The site.

    Raises
    ------
    UserError
        If there is none.
    """
    outputs = site.root("cluster").outputs() if site.backend.exists() else {}
    if "site" not in outputs:
        raise UserError("There is no cluster yet: lsstpipe site up makes it.")
    return outputs


def plan_down(site: Site) -> RootPlan:
    """Work out what would go with the cluster.

    Parameters
    ----------
    site
        The site.
    """
    return _plan(site, "cluster", destroy=True)


def take_down(site: Site, ask: Ask) -> RootPlan:
    """End the cluster, nodes first; data stay.

    Parameters
    ----------
    site
        The site.
    ask
        Asks before.

    Raises
    ------
    UserError
        If it was refused.
    """
    with _planned(site, "cluster", destroy=True) as (root, plan, file):
        if plan.changes:
            if not ask(plan):
                raise UserError("The cluster was not ended: it was not agreed to.")
            root.apply(file)
    return plan


def require_switches(site: Site, name: str) -> None:
    """Refuse to end data unless both switches are on: the setting, and their name as typed.

    Parameters
    ----------
    site
        The site.
    name
        Whose data are to end, as a person has typed it.

    Raises
    ------
    UserError
        If a switch is off.
    """
    own = site.settings.data.name
    if name != own:
        raise UserError(f"These data are called {own}, not {name}: nothing is destroyed.")
    outputs = site.root("data").outputs() if site.backend.exists() else {}
    if not outputs:
        raise UserError(f"There are no data {own}: nothing is destroyed.")
    if outputs.get("allow_destroy") is not True:
        raise UserError(
            f"The data {own} may not be destroyed: set allow_destroy = true in data.tfvars and "
            "run lsstpipe site up first."
        )


def destroy_data(site: Site) -> None:
    """End the data for good, by the script that holds the second switch.

    Parameters
    ----------
    site
        The site, whose cluster has ended.

    Raises
    ------
    UserError
        If the script refuses.
    """
    script = str(site.code / "destroy-data")
    settings = f"-var-file={(site.folder / 'data.tfvars').absolute()}"
    # Its report is for people, as Terraform's is.
    result = subprocess.run(
        [script, site.settings.data.name, "-auto-approve", "-no-color", settings],
        check=False,
        stdout=2,
    )
    if result.returncode != 0:
        raise UserError(f"The data {site.settings.data.name} were not destroyed: see above.")
    site.handed_on.unlink(missing_ok=True)


def _plan(site: Site, name: str, destroy: bool = False) -> RootPlan:
    with _planned(site, name, destroy=destroy) as (_, plan, _):
        return plan


@contextmanager
def _planned(site: Site, name: str, destroy: bool = False) -> Iterator[tuple[Root, RootPlan, Path]]:
    """Plan a root; the file of the plan is there as long as the context."""
    waits_for = _missing(site, name)
    if waits_for or (name == "bootstrap" and site.is_bootstrapped_elsewhere()):
        yield Root(site.code / name), RootPlan(name, waits_for=waits_for), Path()
        return
    root = site.root(name)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{name}.plan"
        yield root, RootPlan(name, tuple(root.plan(file, destroy))), file


def _missing(site: Site, name: str) -> str:
    """Give the root that must be made before another one; empty if none."""
    if name != "bootstrap" and not site.backend.exists():
        return "bootstrap"
    return "data" if name == "cluster" and not _hand_on(site) else ""


def _hand_on(site: Site) -> bool:
    """Write what the cluster needs to know of the data; tell whether there are data."""
    outputs = site.root("data").outputs()
    # After an apply that failed half-way there are some outputs, but not this one.
    is_whole = "data" in outputs
    if is_whole:
        content = json.dumps({"data": outputs["data"]}, indent=1)
        write_atomically(site.handed_on, content.encode())
    return is_whole
