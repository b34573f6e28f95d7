"""The bucket's prefixes are those that policies name."""

from __future__ import annotations

import pytest

from lsstpipe.datastore.layout import embargo_prefix, parse_prefix, release_prefix
from lsstpipe.errors import UserError


def test_prefixes() -> None:
    assert release_prefix("dp1") == "releases/dp1"
    assert embargo_prefix("2026-11-26") == "embargo/2026-11-26"
    assert embargo_prefix("20261126") == "embargo/2026-11-26"


@pytest.mark.parametrize("right", ["", "..", "a/b", "DP1", "dp1/", "-a", "a b", "a" * 64])
def test_a_right_that_would_leave_its_prefix_is_refused(right: str) -> None:
    with pytest.raises(UserError, match="A right is named by"):
        release_prefix(right)


@pytest.mark.parametrize("night", ["", "..", "2026-13-01", "last", "2026-11-26/x"])
def test_a_night_that_is_no_date_is_refused(night: str) -> None:
    with pytest.raises(UserError, match="A night is a date"):
        embargo_prefix(night)


@pytest.mark.parametrize("url", ["s3://releases/dp1", "s3:///releases/dp1", "s3://b/dp1", ""])
def test_a_url_that_names_no_bucket_or_no_prefix_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="Products are published to s3://BUCKET/releases/RIGHT"):
        parse_prefix(url)
