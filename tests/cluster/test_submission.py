"""What is asked of Slurm: never what it has not, and after a failure more of what was lacking."""

from __future__ import annotations

import pytest

from lsstpipe.cluster.submission import (
    Partition,
    check_account,
    find_lacks,
    find_partition,
)
from lsstpipe.errors import ConfigError
from lsstpipe.plan.attempts import grow_memory, grow_minutes, guess_lacks

SINFO = "spot|15000\nall*|15000\nall*|61000\nlarge|61000\n"
COMMENT = "rule_visit_chunk_wildcards_st10_1"


def job(number: int, state: str, comment: str = COMMENT, **steps: tuple[str, str]) -> str:
    """Lines of sacct of a job that asked for 800 MB, and of its steps: state and memory used."""
    lines = [f"{number}|{state}|800M||{comment}"]
    lines += [f"{number}.{name}|{s}|800M|{used}|" for name, (s, used) in steps.items()]
    return "\n".join(lines) + "\n"


def test_a_partition_has_the_memory_of_its_largest_node() -> None:
    assert find_partition(SINFO) == Partition("all", 61000)
    assert find_partition(SINFO, "spot") == Partition("spot", 15000)
    with pytest.raises(ConfigError, match="no partition 'gpu'; it has spot, all, large"):
        find_partition(SINFO, "gpu")
    with pytest.raises(ConfigError, match="no default partition; set slurm_partition to one of a"):
        find_partition("a|100\n")


def test_what_no_node_is_large_enough_for_is_refused() -> None:
    find_partition(SINFO).require_memory(61000, "Chunk a")
    with pytest.raises(ConfigError, match=r"Chunk a asks for 61001 MB, but .* all has 61000 MB"):
        find_partition(SINFO).require_memory(61001, "Chunk a")


def test_an_account_that_the_user_has_not_is_refused() -> None:
    check_account("DRP", ["drp", "test"])
    check_account("", ["drp"])
    check_account("drp", [])
    with pytest.raises(ConfigError, match=r"no account 'dpr' of user \w+; there are drp, test"):
        check_account("dpr", ["drp", "test"])


def test_only_a_step_tells_that_memory_was_lacking() -> None:
    killed = job(1, "FAILED", batch=("FAILED", "90M"), x0=("OUT_OF_MEMORY", "799M"))
    broken = job(2, "FAILED", batch=("FAILED", "90M"), x0=("FAILED", "300M"))
    assert find_lacks(killed, "visit", "st10_1") == ["memory"]
    assert find_lacks(broken, "visit", "st10_1") == [""]
    assert find_lacks(killed + broken, "visit", "st10_1") == ["memory", ""]


def test_a_job_that_failed_with_more_than_it_asked_for_lacked_memory() -> None:
    """So on nodes whose Slurm does not watch over memory; its units are powers of 1024."""
    assert find_lacks(job(1, "FAILED", x0=("FAILED", "819200K")), "visit", "st10_1") == ["memory"]
    assert find_lacks(job(1, "FAILED", x0=("FAILED", "819199K")), "visit", "st10_1") == [""]
    done = job(1, "COMPLETED", x0=("COMPLETED", "900000K"))
    assert find_lacks(done, "visit", "st10_1") == []


def test_time_nodes_and_people_are_no_lack_of_memory() -> None:
    text = (
        job(1, "TIMEOUT", batch=("CANCELLED", "90M"))
        + job(2, "NODE_FAIL", batch=("CANCELLED", ""))
        + job(3, "CANCELLED by 0", batch=("CANCELLED", "90M"))
        + job(4, "RUNNING", batch=("RUNNING", ""))
    )
    assert find_lacks(text, "visit", "st10_1") == ["time", "", ""]


def test_jobs_of_other_chunks_do_not_count() -> None:
    other = job(1, "FAILED", "rule_visit_chunk_wildcards_st10_11", x0=("OUT_OF_MEMORY", "1M"))
    pilot = job(2, "FAILED", "rule_visit_pilot_wildcards_st10_1+3", x0=("OUT_OF_MEMORY", "1M"))
    assert find_lacks(other + pilot, "visit", "st10_1") == []
    assert find_lacks(other + pilot, "visit", "st10_1+3") == ["memory"]


def test_the_next_attempt_has_more_of_what_was_lacking_and_no_more_of_the_rest() -> None:
    assert [grow_memory(500, lacks) for lacks in ([], [""], ["memory", "", "memory"])] == [
        500,
        500,
        2000,
    ]
    assert [grow_minutes(5, lacks) for lacks in ([], ["memory"], ["time", "time"])] == [5, 5, 15]
    assert grow_memory(500, guess_lacks(3)) == 2000, "where nothing is known, of both"
    assert grow_minutes(5, guess_lacks(3)) == 15
