"""A simulated campaign on disk and its page, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsstpipe.report.load import load_page
from lsstpipe.report.manifests import read_records
from lsstpipe.report.page import Page
from lsstpipe.report.render import render
from tests.report.simulated_campaign import simulate_campaign
from tests.report.simulated_repository import measure, write_repository


@pytest.fixture(scope="session")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repo")
    campaign = simulate_campaign(seed=2)
    write_repository(root, campaign, measure(campaign))
    return root


@pytest.fixture(scope="session")
def page(repo: Path) -> Page:
    return load_page(repo, read_records(repo))


@pytest.fixture(scope="session")
def text(page: Page) -> str:
    return render(page)
