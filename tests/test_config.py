"""The settings of a campaign: errors in one sentence, documents in step."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lsstpipe.config import Campaign, campaign_model, load_campaign, parse_campaign
from lsstpipe.config.document import write_schema, write_template
from lsstpipe.errors import ConfigError
from lsstpipe.stages import STAGES

_SMALLEST: dict[str, Any] = {
    "name": "small",
    "instrument": "st10",
    "raws": ["*.fits"],
    "repo": "runs/small",
    "reference_catalog": {"path": "stars.csv"},
    "skymap": {
        "name": "sky",
        "pixel_scale_arcsec": 1.0,
        "patch_inner_y": 100,
        "patch_inner_x": 100,
        "tracts": [{"ra_deg": 10.0, "dec_deg": 0.0}],
    },
}


def _error(**changes: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_campaign(_SMALLEST | changes)
    return str(caught.value)


def test_demo_campaign_is_valid(repository: Path) -> None:
    campaign = load_campaign(repository / "config" / "campaigns" / "demo.yaml")
    assert campaign.name == "demo"
    assert campaign.skymap.tracts[0].n_patches_y == 2


def test_every_task_has_a_section_with_its_defaults() -> None:
    campaign = parse_campaign(_SMALLEST)
    for stage in STAGES.values():
        for task in stage.tasks:
            assert type(campaign.task(stage.name, task.name)) is task.module.Config


def test_unknown_key_names_its_path_and_the_nearest_setting() -> None:
    message = _error(visit={"calibrate": {"psf_ordr": 2}})
    assert message.startswith("'visit.calibrate.psf_ordr' is not a setting (given 2)")
    assert "did you mean 'psf_order'?" in message


def test_unknown_stage_names_the_nearest() -> None:
    assert "did you mean 'coadd'?" in _error(coad={})


def test_quantity_with_a_unit_is_refused_with_the_unit_of_its_key() -> None:
    pointing = {"ra_deg": 1.0, "dec_deg": 2.0, "radius_arcmin": "10 arcmin"}
    assert _error(pointing=pointing) == (
        "'pointing.radius_arcmin' must be a number in arcmin, without a unit, got '10 arcmin'."
    )


def test_wrong_type_says_what_is_allowed() -> None:
    message = _error(visit={"calibrate": {"psf_order": "two"}})
    assert message == "'visit.calibrate.psf_order' must be a whole number, got 'two'."
    assert _error(raws="*.fits") == "'raws' must be a list, got '*.fits'."
    assert _error(name=3) == "'name' must be text, got 3."


def test_value_out_of_range_says_the_bound() -> None:
    message = _error(visit={"max_flagged": 1.5})
    assert message == "'visit.max_flagged' must be at most 1.0, got 1.5."


def test_missing_setting_says_what_it_is() -> None:
    settings = {key: value for key, value in _SMALLEST.items() if key != "repo"}
    with pytest.raises(ConfigError, match=r"'repo' is missing and has no default: Folder"):
        parse_campaign(settings)


def test_retained_dataset_type_must_exist() -> None:
    assert "names the dataset type 'warp'" in _error(retain=["warp"])


def test_skipped_stage_must_exist() -> None:
    assert "names the stage 'coad'" in _error(skip={"coad": "no time"})


@pytest.mark.parametrize(
    "target", ["", "releases/dp1", "s3://products/releases/dp1", "s3://products/embargo/2026-11-26"]
)
def test_what_publish_takes_may_be_the_target_of_a_campaign(target: str) -> None:
    assert parse_campaign(_SMALLEST | {"publish": target}).publish == target


def test_target_that_is_no_place_for_a_release_is_refused() -> None:
    assert _error(publish="releases/DP1") == (
        "'publish' is no target: A right is named by up to 63 small letters, digits and hyphens, "
        "got 'DP1'."
    )
    assert "a date such as 2026-11-26, got 'today'" in _error(publish="s3://bucket/embargo/today")
    for target in ("dp1", "s3://products/dp1", "s3://releases/dp1"):
        assert "'publish' is no target: Products are published to s3://BUCKET/r" in _error(
            publish=target
        )


def test_campaign_must_be_settings_by_name() -> None:
    with pytest.raises(ConfigError, match="A campaign is settings by name, got 'demo'"):
        parse_campaign("demo")


def test_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("name: a\nname: b\n")
    with pytest.raises(ConfigError, match=r"line 2 is not valid YAML: the key 'name' stands twice"):
        load_campaign(path)


def test_absent_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_campaign(tmp_path / "absent.yaml")


def test_exponent_without_a_point_is_a_number(tmp_path: Path) -> None:
    settings = _SMALLEST | {"visit": {"max_flagged": 0.125}}
    path = tmp_path / "campaign.yaml"
    path.write_text(yaml.safe_dump(settings).replace("0.125", "1e-3"))
    assert load_campaign(path).stage("visit").max_flagged == 0.001


def test_dash_reads_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(yaml.safe_dump(_SMALLEST)))
    assert load_campaign("-") == parse_campaign(_SMALLEST)


def test_target_and_pointing_reach_the_tasks_that_have_a_setting_for_them() -> None:
    campaign = parse_campaign(
        _SMALLEST
        | {
            "target": {"name": "T", "ra_deg": 1.0, "dec_deg": 2.0},
            "pointing": {"ra_deg": 1.0, "dec_deg": 2.0, "radius_arcmin": 7.0},
        }
    )
    for given in (campaign, parse_campaign(campaign.plain())):
        assert given.task("visit", "calibrate").model_dump()["pointing_radius_arcmin"] == 7.0
        assert given.task("report", "metrics").model_dump()["target_ra_deg"] == 1.0


def test_settings_of_one_stage_alone_read_the_same() -> None:
    settings = _SMALLEST | {"visit": {"calibrate": {"psf_order": 1}}}
    whole = parse_campaign(settings)
    part = parse_campaign(settings, only="visit")
    assert part.task("visit", "calibrate") == whole.task("visit", "calibrate")


def test_plain_settings_make_the_same_campaign_again() -> None:
    campaign = parse_campaign(_SMALLEST)
    assert parse_campaign(campaign.plain()).plain() == campaign.plain()


def test_schema_file_is_in_step(repository: Path) -> None:
    assert (repository / "config" / "schema.json").read_text() == write_schema()


def test_documented_settings_are_in_step(repository: Path) -> None:
    assert (repository / "config" / "config.yaml").read_text() == write_template()


def test_document_holds_every_setting_with_its_default() -> None:
    documented = yaml.safe_load(write_template())
    campaign = parse_campaign(_SMALLEST | documented)
    assert campaign.plain() == parse_campaign(_SMALLEST).plain()
    stages = {stage.name for stage in STAGES.values() if stage.tasks}
    assert stages <= documented.keys()
    for stage in stages:
        assert documented[stage].keys() == campaign.stage(stage).model_dump().keys()
        for task in STAGES[stage].tasks:
            assert documented[stage][task.name].keys() == task.module.Config.model_fields.keys()
    assert set(campaign_model().model_fields) == stages | set(Campaign.model_fields)
