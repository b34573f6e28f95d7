"""The reaper's sign of life where nodes find it: a file that they share, or an object of S3.

Nodes do not look at the time in it, but whether it is another than before: no two clocks need to
agree. Neither side waits long for S3, since both have other things to look after. And no sign is
given sooner than somebody may miss it: each costs a request, day and night.
"""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from typing import Any

from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import LsstpipeError, TemporaryError

SHARE_EVERY_S = 120.0
"""How long `reconcile` is silent between two signs of life: a node waits for one five times as
long before it ends itself, and a day of them costs a third of a cent."""

MOST_BYTES = 63
"""Size of the largest sign of life. By it terraform/modules/buckets knows old ones, and keeps them
for a day only, where all else of the bucket can be brought back for months."""


class SharedHeartbeat:
    """A sign of life that one gives and others take.

    Parameters
    ----------
    place
        A path, or ``s3://bucket/key``.
    every_s
        How long after a sign of life no other is given.
    """

    def __init__(self, place: str, every_s: float = 0.0) -> None:
        self._place = place
        self._every_s = every_s
        self._given: float | None = None
        self._heard: str | None = None

    def give(self, beat: str) -> None:
        """Give a sign of life, unless the last one is fresh.

        Parameters
        ----------
        beat
            It; another one each time, of `MOST_BYTES` at most.

        Raises
        ------
        TemporaryError
            If it cannot be given.
        """
        now = time.monotonic()
        if self._given is not None and now - self._given < self._every_s:
            return
        try:
            if self._bucket is None:
                write_atomically(Path(self._place), beat.encode())
            else:
                self._client.put_object(**self._bucket, Body=beat.encode())
        except self._failures as error:
            raise TemporaryError(f"No sign of life at {self._place}: {error}") from error
        self._given = now

    def is_new(self) -> bool:
        """Tell whether there is another sign of life than at the last look.

        Raises
        ------
        TemporaryError
            If nobody can tell, as where there never was one.
        """
        try:
            if self._bucket is None:
                beat = Path(self._place).read_text()
            else:
                beat = self._client.get_object(**self._bucket)["Body"].read().decode()
        except self._failures as error:
            raise TemporaryError(f"No sign of life at {self._place}: {error}") from error
        is_new = beat != self._heard
        self._heard = beat
        return is_new

    @cached_property
    def _bucket(self) -> dict[str, str] | None:
        """Bucket and key; None for a file."""
        if not self._place.startswith("s3://"):
            return None
        bucket, _, key = self._place.removeprefix("s3://").partition("/")
        return {"Bucket": bucket, "Key": key}

    @cached_property
    def _failures(self) -> tuple[type[Exception], ...]:
        if self._bucket is None:
            return (OSError, LsstpipeError)
        from botocore.exceptions import BotoCoreError, ClientError

        return (BotoCoreError, ClientError)

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=3.0,
            read_timeout=5.0,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        return boto3.client("s3", config=config)
