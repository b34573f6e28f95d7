"""What a campaign took, summed up so that it can be priced on another site."""

from __future__ import annotations

import json
from pathlib import Path

import fake_campaign as fake
import pytest

from lsstpipe.errors import UserError
from lsstpipe.site.past_work import measure_work


def test_the_work_of_a_campaign_is_that_of_its_quanta(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path)
    with pytest.raises(UserError, match="has finished: nothing can be priced"):
        measure_work(plan)
    fake.run_all(plan)
    manifests = [json.loads(path.read_text()) for path in tmp_path.glob("manifests/*/*.json")]
    quanta = [quantum for manifest in manifests for quantum in manifest["quanta"]]
    work = measure_work(plan)
    assert work.core_hours == pytest.approx(sum(q["cpu_s"] for q in quanta) / 3600)
    # The sky map was there before.
    made = [content for path, content in fake.products(tmp_path).items() if "skymap" not in path]
    assert work.objects == len(made) > 0
    assert work.product_gb == pytest.approx(sum(map(len, made)) / 1e9)
