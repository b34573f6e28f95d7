"""The fake production, importable by name."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from tests.datastore.conftest import bucket, s3, s3_server

__all__ = ["bucket", "s3", "s3_server"]
