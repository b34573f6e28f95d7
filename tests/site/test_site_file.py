"""`config/site.json` is written and read as its schema says, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from lsstpipe.cli.main import cli
from lsstpipe.datastore.layout import locate
from lsstpipe.errors import ConfigError
from lsstpipe.repository import read_repository, write_repository
from lsstpipe.site.site_file import read_schema, read_site, site_repository, write_site

CONFIG = Path(__file__).parents[2] / "config"


def test_what_is_as_the_schema_says_is_written(tmp_path: Path) -> None:
    site = json.loads((CONFIG / "site.example.json").read_text())
    path = tmp_path / "config" / "site.json"
    write_site(site, path)
    assert json.loads(path.read_text()) == site


def test_the_schema_beside_the_example_is_that_of_the_package() -> None:
    assert json.loads((CONFIG / "site.schema.json").read_text()) == read_schema()


def test_what_is_not_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    site = json.loads((CONFIG / "site.example.json").read_text())
    path = tmp_path / "site.json"
    path.write_text("old")
    site["registry"]["tls"] = "prefer"
    with pytest.raises(ConfigError, match=r"site\.schema\.json says: registry\.tls: 'prefer'"):
        write_site(site, path)
    assert path.read_text() == "old"


def test_a_repository_gets_registry_and_bucket_of_the_site(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    site = read_site(CONFIG / "site.example.json")
    settings = site_repository(site, ["releases/dp1", "s3://other/releases/dp2"], 50.0)
    write_repository(repo, settings)
    assert read_repository(repo) == settings
    url = sa.make_url(settings.registry)
    assert url.host == site["registry"]["host"]
    assert (url.username, url.port, url.database) == ("lsstpipe", 5432, "registry")
    assert dict(url.query) == {"auth": "iam", "region": "us-east-1", "sslmode": "verify-full"}
    assert settings.products == "s3://survey-123456789012-products"
    assert settings.also_read == (
        "s3://survey-123456789012-products/releases/dp1",
        "s3://other/releases/dp2",
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"is absent: `lsstpipe site up` and `lsstpipe site outputs` write it\."),
        ("{", r"site\.json cannot be read: Expecting property name"),
        ("[]", r"the whole: \[\] is not of type 'object'\."),
        ('{"schema_version": 2}', r"is not as site\.schema\.json says: "),
        ("no port", r"registry: 'port' is a required property\."),
        ("--registry", r"says where the registry is; leave out --registry\."),
    ],
)
def test_a_site_that_cannot_be_is_refused_in_a_sentence(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    path = tmp_path / "site.json"
    site = json.loads((CONFIG / "site.example.json").read_text())
    options: list[str] = []
    if content == "no port":
        del site["registry"]["port"]
        content = json.dumps(site)
    elif content == "--registry":
        content, options = json.dumps(site), ["--registry", "postgresql://a/b"]
    if content is not None:
        path.write_text(content)
    command = ["init", str(tmp_path / "repo"), "--site", str(path), *options]
    with pytest.raises(ConfigError, match=sentence):
        CliRunner().invoke(cli, command, catch_exceptions=False)
    assert not (tmp_path / "repo").exists()


@pytest.mark.parametrize(
    ("given", "bucket", "url"),
    [
        ("releases/dp1", "s3://b", "s3://b/releases/dp1"),
        ("embargo/2026-11-26", "s3://b", "s3://b/embargo/2026-11-26"),
        ("releases/dp1", "", "releases/dp1"),
        ("s3://c/releases/dp1", "s3://b", "s3://c/releases/dp1"),
        ("/disk/releases/dp1", "s3://b", "/disk/releases/dp1"),
        ("releases/", "s3://b", "releases/"),
        ("other/dp1", "s3://b", "other/dp1"),
    ],
)
def test_a_prefix_alone_lies_in_the_bucket_of_the_site(given: str, bucket: str, url: str) -> None:
    assert locate(given, bucket) == url
