"""Pilots: every chunk in one of them, none longer than asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.plan.chunks import Chunk, write_chunks
from lsstpipe.plan.pilots import group_chunks, read_pilots


def chunk(number: int, cpu_s: float = 30.0, digest: str = "d", stage: str = "visit") -> Chunk:
    upstream = (("calibs", f"d{number % 2}"),)
    return Chunk(stage, f"v{number}", upstream, 3, cpu_s, 500 + number, 5, digest)


@given(
    st.lists(st.floats(0.1, 500.0), min_size=1, max_size=40),
    st.floats(0.5, 20.0),
    st.integers(1, 4),
)
def test_every_chunk_is_in_one_pilot_and_no_pilot_is_too_long(
    cpu_s: list[float], minutes: float, n_cores: int
) -> None:
    chunks = [chunk(n, seconds) for n, seconds in enumerate(cpu_s)]
    found = group_chunks(chunks, minutes, n_cores)
    assert [name for pilot in found for name in pilot.chunks] == [c.name for c in chunks]
    seconds = {c.name: c.cpu_s for c in chunks}
    for pilot, after in zip(found, [*found[1:], None], strict=True):
        own = sum(seconds[name] for name in pilot.chunks)
        most = 60 * minutes * n_cores
        assert own <= most * (1 + 1e-9) or len(pilot.chunks) == 1
        if after is not None:
            assert own + seconds[after.chunks[0]] > most * (1 - 1e-9), "there was room for another"
    assert len({pilot.job.name for pilot in found}) == len(found)


def test_a_pilot_takes_what_its_chunks_take_together() -> None:
    (pilot,) = group_chunks([chunk(n) for n in range(4)], minutes=10, n_cores=2)
    job = pilot.job
    assert (job.name, job.n_quanta, job.cpu_s) == ("v0+3", 12, 60.0)
    assert job.upstream == (("calibs", "d0"), ("calibs", "d1"))
    assert job.mem_mb == 2 * 503 + 150, "two of the largest and the Snakemake between them"


def test_a_pilot_depends_on_every_one_of_its_chunks() -> None:
    def digest_of(*digests: str) -> str:
        chunks = [chunk(n, digest=digest) for n, digest in enumerate(digests)]
        return group_chunks(chunks, minutes=10, n_cores=1)[0].job.digest

    digests = {digest_of("a", "a"), digest_of("a", "b"), digest_of("b", "a"), digest_of("a")}
    assert len(digests) == 4
    assert digest_of("a", "b") == digest_of("a", "b")


def test_pilots_are_for_the_stages_that_ask_for_them(tmp_path: Path) -> None:
    table, campaign = tmp_path / "chunks.tsv", tmp_path / "campaign.json"
    stages = ("visit", "visit", "coadd")
    table.write_text(write_chunks([chunk(n, stage=name) for n, name in enumerate(stages)]))
    section = {"pilot_stages": ["visit"], "pilot_minutes": 20, "pilot_cores": 1}
    campaign.write_text(json.dumps({"submission": section}))
    assert read_pilots(table, campaign, "coadd").by_name == {}
    assert read_pilots(table, campaign, "visit").of_chunk == {"v0": "v0+1", "v1": "v0+1"}
    campaign.write_text(json.dumps({"submission": section | {"pilot_minutes": 0.5}}))
    os.utime(campaign, ns=(1, 1))
    assert read_pilots(table, campaign, "visit").of_chunk == {"v0": "v0+0", "v1": "v1+0"}
