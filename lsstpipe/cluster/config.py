"""``pools.json``: the pools of a cluster, as Terraform renders them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from lsstpipe.errors import ConfigError

Market = Literal["spot", "on-demand"]
PoolName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,15}$")]

ALL_POOLS = "all"
"""Partition of all nodes: a job that names none gets the smallest node that is large enough."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Subnet(_Section):
    """A subnet that nodes may be in."""

    vpc_id: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]+$")]
    zone: str


class Pool(_Section):
    """Nodes of one kind; node ``n`` is called ``<name>-<n>``."""

    name: PoolName
    """Small letters and digits: a hyphen would make names of nodes ambiguous."""
    max_nodes: PositiveInt
    min_nodes: Annotated[int, Field(ge=0)] = 0
    """Nodes that are always there; the first ones."""
    capacity: Market = "spot"
    fallback: Literal["none", "on-demand"] = "on-demand"
    """What is asked for when Spot has no capacity."""
    instance_types: Annotated[tuple[str, ...], Field(min_length=1)]
    subnet_ids: Annotated[tuple[str, ...], Field(min_length=1)]
    launch_template_id: Annotated[str, Field(pattern=r"^lt-[0-9a-f]+$")]
    launch_template_version: Annotated[str, Field(pattern=r"^[1-9][0-9]*$")]
    """A number, never ``$Latest``: a plan shows when it changes."""
    spot_strategy: Literal["price-capacity-optimized", "capacity-optimized"] = (
        "price-capacity-optimized"
    )
    cpus: PositiveInt
    memory_mb: PositiveInt
    max_hourly_usd: PositiveFloat

    @model_validator(mode="after")
    def _check(self) -> Pool:
        if self.min_nodes > self.max_nodes:
            raise ValueError(f"min_nodes {self.min_nodes} is above max_nodes {self.max_nodes}")
        return self

    def node_names(self) -> list[str]:
        """Give the names of all its nodes."""
        return [f"{self.name}-{n}" for n in range(1, self.max_nodes + 1)]

    def is_static(self, node: str) -> bool:
        """Tell whether a node is always there.

        Parameters
        ----------
        node
            Name of one of its nodes.
        """
        return int(node.rpartition("-")[2]) <= self.min_nodes


class Cluster(_Section):
    """A cluster: its pools, what it may cost, how long things may take."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    """Value of the tag ``lsstpipe:cluster``: instances of another cluster are never touched."""
    region: str
    vpc_id: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]+$")]
    subnets: dict[str, Subnet]
    pools: Annotated[tuple[Pool, ...], Field(min_length=1)]
    max_hourly_usd: PositiveFloat
    tags: dict[str, str] = {}
    """Further tags of all instances, volumes and interfaces, such as the cost centre."""
    boot_timeout_s: PositiveFloat = 600.0
    """How long a node may take from its launch until it has joined."""
    orphan_grace_s: PositiveFloat = 300.0
    """How old an instance without a node must be to be ended: EC2 shows new ones late."""
    capacity_cooldown_s: PositiveFloat = 600.0
    quota_cooldown_s: PositiveFloat = 3600.0
    """How long a pool rests that found no capacity, or met a quota."""
    breaker_limit: PositiveInt = 5
    """Nodes in a row that may fail to boot before their pool launches nothing more."""
    heartbeat_timeout_s: PositiveFloat = 300.0
    """How old the sign of life of `reconcile` may be for `resume` to launch anything."""

    @model_validator(mode="after")
    def _check(self) -> Cluster:
        names = [pool.name for pool in self.pools]
        if len(set(names)) < len(names):
            raise ValueError("two pools have one name")
        if ALL_POOLS in names:
            raise ValueError(f"a pool is called {ALL_POOLS}, as the partition of all pools is")
        for pool in self.pools:
            for subnet in pool.subnet_ids:
                if subnet not in self.subnets:
                    known = ", ".join(self.subnets)
                    raise ValueError(f"pool {pool.name} names subnet {subnet}; there are {known}")
                if self.subnets[subnet].vpc_id != self.vpc_id:
                    raise ValueError(
                        f"pool {pool.name} names subnet {subnet} of {self.subnets[subnet].vpc_id}, "
                        f"another network than {self.vpc_id}"
                    )
        return self

    def find_pool(self, node: str) -> Pool | None:
        """Find the pool of a node; None for a node that is not ours.

        Parameters
        ----------
        node
            Its name.
        """
        name, _, number = node.rpartition("-")
        for pool in self.pools:
            if pool.name == name and number.isdecimal() and 1 <= int(number) <= pool.max_nodes:
                return pool
        return None


def read_cluster(path: str | Path) -> Cluster:
    """Read and check ``pools.json``.

    Parameters
    ----------
    path
        Where it is.

    Raises
    ------
    ConfigError
        If it is absent, or says what cannot be.
    """
    try:
        return parse_cluster(Path(path).read_bytes(), str(path))
    except FileNotFoundError:
        raise ConfigError(f"{path} is absent: it says which pools the cluster has.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error


def parse_cluster(content: bytes, where: str) -> Cluster:
    """Check the content of a ``pools.json``.

    Parameters
    ----------
    content
        What it says.
    where
        What messages call it.

    Raises
    ------
    ConfigError
        If it says what cannot be.
    """
    try:
        return Cluster.model_validate(json.loads(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where}: {place or 'the whole'}: {first['msg']}.") from error
    except ValueError as error:
        raise ConfigError(f"{where} cannot be read: {error}.") from error
