"""Log lines carry what is bound, as text and as JSON."""

from __future__ import annotations

import io
import json
import logging

from lsstpipe.logs import bind, configure


def test_bound_values_stand_in_every_line_of_the_block_only() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    logger = logging.getLogger("lsstpipe.test")
    with bind(stage="visit"), bind(data_id="visit=3"):
        logger.info("inside %d", 1)
    logger.info("outside")
    inside, outside = stream.getvalue().splitlines()
    assert inside.endswith("INFO inside 1 [stage=visit data_id=visit=3]")
    assert outside.endswith("INFO outside")


def test_json_lines_hold_values_by_name_and_the_traceback_in_one_line() -> None:
    stream = io.StringIO()
    configure(as_json=True, stream=stream)
    with bind(visit=3):
        try:
            int("wrong")
        except ValueError:
            logging.getLogger("lsstpipe.test").exception("failed")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["visit"], entry["level"], entry["message"]) == ("3", "error", "failed")
    assert "ValueError: invalid literal" in entry["traceback"]


def test_lower_levels_are_left_out() -> None:
    stream = io.StringIO()
    configure(level=logging.WARNING, stream=stream)
    logging.getLogger("lsstpipe.test").info("quiet")
    assert stream.getvalue() == ""
