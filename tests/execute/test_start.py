"""A job loads what it needs and nothing more: it waits for each package that it loads."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import lsstpipe.cli.run
import lsstpipe.execute.chunk
import lsstpipe.io.fits
import lsstpipe.tasks.calibrate
import lsstpipe.tasks.isr
from lsstpipe.execute.start import without_pandas
from lsstpipe.instruments import get_camera
get_camera("hsc")
with without_pandas():
    import pyarrow
    assert pyarrow.array([1, 2]).to_pylist() == [1, 2]
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_job_of_visits_loads_no_database_cloud_translator_or_workflow() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "numba" in loaded
    unwanted = {
        "aiohttp", "astro_metadata_translator", "boto3", "fsspec", "jinja2", "lsst", "matplotlib",
        "pandas", "psycopg2", "rich", "s3fs", "snakemake", "sqlalchemy",
    }  # fmt: skip
    assert unwanted.isdisjoint(loaded)
