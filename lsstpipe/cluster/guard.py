"""The guard: what may be launched without costing more an hour than was allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lsstpipe.cluster.config import Cluster, Market, Pool
from lsstpipe.cluster.prices import PriceTable

_ROUNDING_USD = 1e-9


@dataclass(frozen=True, slots=True)
class Verdict:
    """What of a launch is allowed: nodes, and why the rest is not (empty where all are)."""

    allowed: tuple[str, ...]
    refused: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Spending:
    """What runs now, US dollars an hour.

    Attributes
    ----------
    by_pool
        Of each pool's instances, those that are being launched included.
    is_budget_spent
        Whether the budget's flag is up.
    """

    by_pool: Mapping[str, float]
    is_budget_spent: bool = False

    @property
    def total(self) -> float:
        """Sum over the pools."""
        return sum(self.by_pool.values())


def check(
    cluster: Cluster,
    prices: PriceTable,
    spending: Spending,
    pool: Pool,
    nodes: Sequence[str],
    market: Market,
) -> Verdict:
    """Decide how many of some nodes may be launched; the first ones of the list may.

    Each node is taken for the dearest type that it may become.

    Parameters
    ----------
    cluster
        Its ceilings.
    prices
        What instances cost.
    spending
        What runs now.
    pool
        The pool of the nodes.
    nodes
        What is to be launched.
    market
        Where.

    Raises
    ------
    ConfigError
        If a price is missing.
    """
    if spending.is_budget_spent:
        return Verdict((), tuple(nodes), "the budget is spent")
    price = prices.dearest(pool, market)
    rooms = {
        f"pool {pool.name}": (pool.max_hourly_usd, spending.by_pool.get(pool.name, 0.0)),
        "the cluster": (cluster.max_hourly_usd, spending.total),
    }
    n_allowed, reason = len(nodes), ""
    for name, (ceiling, spent) in rooms.items():
        n_fitting = max(0, int((ceiling - spent + _ROUNDING_USD) / price))
        if n_fitting < n_allowed:
            n_allowed = n_fitting
            reason = (
                f"{name} may cost {ceiling:.2f} USD an hour and costs {spent:.2f}; a node more "
                f"({market}) costs up to {price:.3f}"
            )
    return Verdict(tuple(nodes[:n_allowed]), tuple(nodes[n_allowed:]), reason)
