"""Metrics are made of events that lsstpipe writes."""

from __future__ import annotations

import re

import pytest

from tests.terraform.module_tables import TERRAFORM

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
