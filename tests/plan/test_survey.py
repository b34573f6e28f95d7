"""Campaigns of the size of public surveys have that size."""

from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.errors import UserError
from lsstpipe.instruments import get_camera
from lsstpipe.plan.build import Builder
from lsstpipe.plan.survey import SURVEYS, Survey
from tests.plan.made_up import task_of


def test_the_tract_of_the_proof_of_concept_has_its_detectors_and_patches() -> None:
    survey = Survey("rc2_tract")
    quanta = Builder(survey.campaign, survey.select_all()).build()
    # DMTN-137: 6,787 detector images, 79 patches (2 of 81 were left out for a bug), 4,580 warps.
    assert len(task_of(quanta, "isr").rows) == 6_787
    assert len(np.unique(task_of(quanta, "isr").rows["visit"])) == 112
    assert len(task_of(quanta, "object").rows) == 81
    assert len(task_of(quanta, "assemble").rows) == 5 * 81
    # A circle around each detector touches more patches than the detector itself.
    assert 4_580 < len(task_of(quanta, "warp").rows) < 1.3 * 4_580


def test_a_part_of_a_survey_is_what_the_whole_has_of_it() -> None:
    survey = Survey("rc2", 20)
    whole = survey.select_all().raws
    visits = np.array([3, 7, 8])
    part = survey.select_visits(survey.visits["exposure"][visits]).raws
    same = whole.take(np.isin(whole["exposure"], survey.visits["exposure"][visits]))
    assert len(part) > 0
    for name, values in part.columns.items():
        np.testing.assert_array_equal(values, same[name])


@pytest.mark.parametrize("name", SURVEYS)
def test_a_survey_covers_its_area_with_tracts(name: str) -> None:
    survey = Survey(name)
    visits = survey.visits.take(np.arange(0, len(survey.visits), 97))
    tract, _ = survey.skymap.find_primary(visits["ra_deg"], visits["dec_deg"])
    assert np.all(tract >= 0)
    assert np.all(np.diff(survey.visits["mid_mjd"]) > 0)


@pytest.mark.parametrize(
    ("name", "raw_bytes", "raw_tb"), [("pdr1", 18.2e6, 80.0), ("dc2", 26e6, 1300.0)]
)
def test_the_bytes_of_the_largest_are_those_of_their_names(
    name: str, raw_bytes: float, raw_tb: float
) -> None:
    survey = Survey(name)
    n_detectors = len(get_camera(survey.campaign.instrument).detectors)
    assert len(survey.visits) * n_detectors * raw_bytes / 1e12 == pytest.approx(raw_tb, rel=1e-4)


def test_the_tracts_are_those_of_the_rings_sky_map() -> None:
    # COSMOS is in 9813 (Bosch et al. 2018), 3828 is a tract of DC2.
    centres = [tract.centre_deg for tract in Survey("rc2").skymap.tracts]
    assert centres[2] == pytest.approx((150.248, 2.231), abs=1e-3)


def test_an_unknown_survey_names_those_that_there_are() -> None:
    with pytest.raises(UserError, match="no survey 'pdr9'; there are rc2_tract, rc2,"):
        Survey("pdr9")
