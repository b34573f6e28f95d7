"""Metrics are made of events that lsstpipe writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.terraform.module_tables import TERRAFORM

COMMANDS = TERRAFORM.parent / "lsstpipe" / "cli"
MAIN = (TERRAFORM / "modules" / "observability" / "main.tf").read_text()
METRICS = (TERRAFORM / "modules" / "observability" / "metrics.tf").read_text()


def test_each_event_that_is_counted_is_written() -> None:
    events = pytest.importorskip("lsstpipe.cluster.events")
    counted = METRICS.partition("counted = {")[2].partition("}")[0]
    names = re.findall(r'= "([a-z-]+)"', counted)
    assert names
    assert not set(names) - set(events.SCHEMA)


def test_each_field_that_is_measured_is_in_its_event() -> None:
    events = pytest.importorskip("lsstpipe.cluster.events")
    fields = re.findall(r'event = "([a-z-]+)", field = "(\w+)"', METRICS)
    assert fields
    assert not [(event, field) for event, field in fields if field not in events.SCHEMA[event]]


def test_machines_write_into_the_log_groups_that_there_are() -> None:
    shipping = pytest.importorskip("lsstpipe.cluster.log_shipping")
    made = set(re.findall(r'"(\w+)"', MAIN.partition("for_each = toset([")[2].partition("]")[0]))
    for sources in (shipping.head_sources(Path("a")), shipping.node_sources()):
        assert set(sources) == made
    assert 'name              = "/lsstpipe/${var.name}/${each.key}"' in MAIN
    assert '"/lsstpipe/{cluster}"' in (COMMANDS / "cluster_head.py").read_text()
