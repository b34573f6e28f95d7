"""`config/site.json` is written as its schema says, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsstpipe.errors import ConfigError
from lsstpipe.site.site_file import write_site

CONFIG = Path(__file__).parents[2] / "config"
SCHEMA = CONFIG / "site.schema.json"


def test_what_is_as_the_schema_says_is_written(tmp_path: Path) -> None:
    site = json.loads((CONFIG / "site.example.json").read_text())
    path = tmp_path / "config" / "site.json"
    write_site(site, path, SCHEMA)
    assert json.loads(path.read_text()) == site


def test_what_is_not_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    site = json.loads((CONFIG / "site.example.json").read_text())
    path = tmp_path / "site.json"
    path.write_text("old")
    site["registry"]["tls"] = "prefer"
    with pytest.raises(ConfigError, match=r"site\.schema\.json says: registry\.tls: 'prefer'"):
        write_site(site, path, SCHEMA)
    assert path.read_text() == "old"
