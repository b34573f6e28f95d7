"""A site comes and goes: the three roots, with a stand-in for the provider and a state in S3.

The provider has the real schema and no cloud behind it (tests/terraform/stand_in.py). Terraform's
own backend is the real one: its state and its lock are objects of moto's server.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from moto.server import ThreadedMotoServer

from lsstpipe.site.site_file import read_schema
from tests.site.applied import RECORD, SETTINGS, read_applied
from tests.site.clone import Clone, make_clone
from tests.site.conftest import ACCOUNT
from tests.site.registry_server import RDS_PORT, answer
from tests.terraform.stand_in import find_provider

pytestmark = pytest.mark.xdist_group("terraform")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    folder = tmp_path_factory.mktemp("clone")
    config = find_provider(folder)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        clone = make_clone(folder, config, f"http://{host}:{port}", answer(RDS_PORT))
        shutil.copytree(SETTINGS, folder / "site")
        yield clone
    finally:
        server.stop()


@pytest.fixture(scope="module")
def life(clone: Clone) -> Clone:
    """The life of a site, command by command."""
    clone.site("nothing yet", "outputs")
    clone.site("first plan", "plan", "--no-check", "--json")
    clone.site("declined", "up", "--no-check", answer="n\n")
    clone.site("checked", "up", "--yes")
    clone.site("up", "up", "--yes", "--no-check")
    site = json.loads((clone.folder / "config" / "site.json").read_text())
    (clone.folder / "applied.json").write_text(read_applied(clone, site).to_json())
    clone.site("second plan", "plan", "--no-check", "--json")
    clone.site("outputs", "outputs", "--json", "--out", "config/again.json")
    clone.site("would go", "down", "--dry-run", "--json")
    clone.site("misspelt", "down", "--yes", "--data", "trail")
    clone.site("one switch", "down", "--yes", "--data", "trial")
    clone.site("down", "down", "--yes")
    clone.site("after", "plan", "--no-check", "--json")
    clone.set("allow_destroy = true")
    words = ["-auto-approve", f"-var-file={clone.folder}/site/data.tfvars"]
    clone.terraform("data", "apply", *words)
    clone.site("two switches", "down", "--yes", "--data", "trial", "--json")
    clone.site("empty", "plan", "--no-check", "--json")
    return clone


def counts(plans: list[dict[str, Any]]) -> dict[str, set[str]]:
    """What a plan does in each root."""
    return {plan["root"]: {change["action"] for change in plan["changes"]} for plan in plans}


def test_before_the_first_apply_the_first_root_is_planned(life: Clone) -> None:
    plans = life.answer("first plan")
    assert counts(plans) == {"bootstrap": {"create"}, "data": set(), "cluster": set()}
    assert [plan["waits_for"] for plan in plans] == ["", "bootstrap", "bootstrap"]
    assert "There is no cluster yet" in life.told["nothing yet"].stderr


def test_who_does_not_agree_gets_nothing(life: Clone) -> None:
    result = life.told["declined"]
    assert result.returncode == 1
    assert "create  aws_s3_bucket.state" in result.stderr
    assert "The root bootstrap was not applied: it was not agreed to." in result.stderr


def test_what_would_fail_is_found_before_anything_is_made(life: Clone) -> None:
    result = life.told["checked"]
    assert result.returncode == 1
    assert "There is no image ami-00000000000000001" in result.stderr
    assert "AWSServiceRoleForEC2Fleet is absent" in result.stderr
    assert "Nothing was done" in result.stderr
    assert "Apply complete" not in result.stderr


def test_a_site_is_made_root_by_root_and_says_what_to_do_next(life: Clone) -> None:
    result = life.told["up"]
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("Apply complete") == 3
    last = result.stdout.splitlines()[-1]
    assert "Next: aws ssm start-session --region us-east-1 --target i-" in last


def test_what_the_workflow_needs_is_written_as_its_schema_says(life: Clone) -> None:
    schema = read_schema()
    site = json.loads((life.folder / "config" / "site.json").read_text())
    Draft202012Validator(schema).validate(site)
    assert (site["name"], site["region"]) == ("trial", "us-east-1")
    assert site["buckets"]["products"] == f"trial-{ACCOUNT}-products"
    again = json.loads((life.folder / "config" / "again.json").read_text())
    assert again == site == life.answer("outputs")["site"]


def test_the_record_of_an_apply_is_of_this_code(life: Clone) -> None:
    made = (life.folder / "applied.json").read_text()
    assert made == RECORD.read_text(), "python -m tests.site.applied makes it anew"


def test_a_second_plan_changes_nothing(life: Clone) -> None:
    plans = life.answer("second plan")
    assert counts(plans) == {"bootstrap": set(), "data": set(), "cluster": set()}
    assert {plan["waits_for"] for plan in plans} == {""}


def test_a_dry_run_says_what_goes_and_ends_nothing(life: Clone) -> None:
    told = life.answer("would go")
    assert counts(told["roots"]) == {"cluster": {"delete"}}
    # All was there still when it was really ended.
    assert f"{len(told['roots'][0]['changes'])} destroyed" in life.told["down"].stderr


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("misspelt", "These data are called trial, not trail: nothing is destroyed."),
        ("one switch", "may not be destroyed: set allow_destroy = true in data.tfvars"),
    ],
)
def test_data_are_not_ended_with_one_switch(life: Clone, name: str, sentence: str) -> None:
    result = life.told[name]
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "destroyed" not in result.stderr.replace(sentence, "").replace(
        "nothing is destroyed", ""
    )


def test_the_cluster_goes_and_data_stay(life: Clone) -> None:
    result = life.told["down"]
    assert result.returncode == 0, result.stderr
    assert "cluster trial has no nodes" in result.stderr  # nodes were looked for
    assert "Its data stay. Next: lsstpipe site up site" in result.stdout
    assert counts(life.answer("after")) == {
        "bootstrap": set(), "data": set(), "cluster": {"create"},
    }  # fmt: skip


def test_with_both_switches_data_go_too(life: Clone) -> None:
    told = life.answer("two switches")
    assert told["data"] == "trial"
    assert "Destroy complete!" in life.told["two switches"].stderr
    plans = life.answer("empty")
    assert counts(plans)["data"] == {"create"}
    assert plans[2]["waits_for"] == "data"


def test_the_state_of_another_site_is_refused(life: Clone) -> None:
    settings = life.folder / "site" / "data.tfvars"
    text = settings.read_text()
    settings.write_text(text.replace('"trial"', '"other"'))
    try:
        life.site("other", "plan", "--no-check")
    finally:
        settings.write_text(text)
    assert life.told["other"].returncode == 1
    assert "is that of trial, not of other: give each site a copy" in life.told["other"].stderr
