"""The settings of a site: ``data.tfvars`` and ``cluster.tfvars``, as Terraform reads them."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lsstpipe.errors import ConfigError
from lsstpipe.site.terraform import evaluate

Market = Literal["spot", "on-demand"]


class _Section(BaseModel):
    # Terraform knows settings that nothing here asks for.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Network(_Section):
    """A network that is made."""

    cidr: str
    zones: tuple[str, ...]
    nat: str
    endpoints: frozenset[str] | None = None
    """Services with an endpoint in each zone; None for those that are needed."""


class ExistingNetwork(_Section):
    """A network that is there: its id, and a subnet in each zone."""

    vpc_id: str
    subnets: dict[str, str]


class Storage(_Section):
    """The disk of a database, GiB."""

    first: float
    most: float


class Registry(_Section):
    """The database."""

    engine_version: str
    instance_class: str
    storage_gib: Storage
    multi_az: bool


class PersistentLustre(_Section):
    """A file system that outlives clusters."""

    storage_gib: float
    throughput_mbps_per_tib: int


class Data(_Section):
    """What ``terraform/data`` makes."""

    name: str
    region: str
    network: Network | None = None
    existing_network: ExistingNetwork | None = None
    registry: Registry
    persistent_lustre: PersistentLustre | None = None

    def zones(self) -> list[str]:
        """Give the zones with a subnet for nodes."""
        made = self.network.zones if self.network else ()
        return sorted(self.existing_network.subnets if self.existing_network else made)


class Images(_Section):
    """Ids of the images that machines start from."""

    head: str
    node: str


class Pool(_Section):
    """Nodes of one kind."""

    instance_types: Annotated[tuple[str, ...], Field(min_length=1)]
    cpus: int
    memory_mb: int
    max_nodes: int
    min_nodes: int
    max_hourly_usd: float
    capacity: Market
    fallback: Literal["none", "on-demand"]
    zones: tuple[str, ...]
    disk_gib: float

    def markets(self) -> tuple[Market, ...]:
        """Give where its nodes may be bought, the first choice first."""
        if self.capacity == "spot" and self.fallback == "on-demand":
            return "spot", "on-demand"
        return (self.capacity,)


class HeadNode(_Section):
    """The head node."""

    instance_type: str
    root_gib: float
    state_gib: float
    zone: str | None = None


class Lustre(_Section):
    """The scratch file system, gone with the cluster."""

    storage_gib: float


class Cluster(_Section):
    """What ``terraform/cluster`` makes."""

    name: str
    images: Images
    pools: dict[str, Pool]
    max_hourly_usd: float
    head: HeadNode
    lustre: Lustre | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a site.

    Attributes
    ----------
    data, cluster
        Of the two roots.
    """

    data: Data
    cluster: Cluster

    @property
    def head_zone(self) -> str:
        """The zone of the head node and of Lustre: the first unless it is given."""
        return self.cluster.head.zone or self.data.zones()[0]

    def pool_zones(self, pool: Pool) -> list[str]:
        """Give the zones that nodes of a pool may be in.

        Parameters
        ----------
        pool
            The pool.
        """
        return sorted(pool.zones or self.data.zones())


Section = TypeVar("Section", bound=BaseModel)


def read_settings(folder: Path, code: Path) -> Settings:
    """Read the settings of a site; Terraform fills in defaults and refuses what cannot be.

    Parameters
    ----------
    folder
        Folder of ``data.tfvars`` and ``cluster.tfvars``.
    code
        Folder of the Terraform code.

    Raises
    ------
    ConfigError
        If a file is absent, or a setting is unknown, of the wrong type or out of range.
    """
    data = _read_root(Data, "data", folder, code)
    if (data.network is None) == (data.existing_network is None):
        raise ConfigError("Either network or existing_network is set in data.tfvars, not both.")
    cluster = _read_root(Cluster, "cluster", folder, code)
    if data.persistent_lustre and cluster.lustre:
        raise ConfigError(
            "The cluster mounts persistent_lustre of data.tfvars in place of a file system of its "
            "own: lustre is left out of cluster.tfvars."
        )
    return Settings(data, cluster)


def _read_root(model: type[Section], root: str, folder: Path, code: Path) -> Section:
    settings = folder / f"{root}.tfvars"
    if not settings.is_file():
        raise ConfigError(f"{settings} is absent: a site has data.tfvars and cluster.tfvars.")
    variables = code / root / "variables.tf"
    if not variables.is_file():
        raise ConfigError(f"{code} is no folder of Terraform code: it has no {root}/variables.tf.")
    known = re.findall(r'^variable "(\w+)"', variables.read_text(), flags=re.MULTILINE)
    names = [name for name in model.model_fields if name in known]
    wanted = ", ".join(f"{name} = var.{name}" for name in names)
    # The variables alone need neither providers nor modules nor a state.
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(variables, scratch)
        text = evaluate(f"jsonencode({{{wanted}}})", Path(scratch), settings.absolute())
    try:
        return model.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{settings}: {where}: {first['msg']}.") from error
