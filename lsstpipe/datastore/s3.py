"""Files of S3: conditional, checked, parallel and patient.

A request is tried again by botocore's ``standard`` mode (waits with full jitter, `ATTEMPTS` times
or ``$AWS_MAX_ATTEMPTS``); a body that breaks off is fetched again here, since botocore has handed
it over by then. Endpoint, region and credentials are those of the environment, as for every program
of AWS.

Every object carries its checksum as metadata, so that one small request tells whether an object is
the one that is wanted. What is sent is checked by S3 against a CRC that goes with it, and botocore
checks what comes back: CRC64NVME, which covers an object of many parts as a whole, where the
package awscrt is there, else CRC32.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from lsstpipe.datastore.remote import RemoteFiles
from lsstpipe.datastore.stored import compute_checksum
from lsstpipe.errors import ConfigError, LsstpipeError, RepositoryError, TemporaryError

ATTEMPTS = 6
PART_BYTES = 16 * 2**20
"""Larger parts need fewer requests, smaller ones go in parallel: files of two parts and more do."""

_CHECKSUM_KEY = "checksum"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_REFUSALS = {
    "AccessDenied", "ExpiredToken", "Forbidden", "InvalidAccessKeyId", "InvalidToken",
    "SignatureDoesNotMatch", "TokenRefreshRequired", "403",
}  # fmt: skip
_SKEWED = {"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"}
_ALLOWED_SKEW_S = 900.0
"""S3 takes no request whose time is further from its own."""
_TEMPORARY = {
    "ConditionalRequestConflict", "InternalError", "OperationAborted", "RequestTimeout",
    "ServiceUnavailable", "SlowDown", "409", "500", "502", "503", "504",
}  # fmt: skip

T = TypeVar("T")


class S3Files(RemoteFiles):
    """Files by URLs ``s3://bucket/key``.

    Parameters
    ----------
    read_timeout_s
        How long to wait for the next bytes of an answer.
    """

    def __init__(self, *, read_timeout_s: float = 60.0) -> None:
        self._read_timeout_s = read_timeout_s

    def holds(self, path: str, size: int, checksum: str) -> bool:
        """Tell by one request whether an object is there with this size and checksum.

        Parameters
        ----------
        path
            Its URL.
        size
            Bytes.
        checksum
            ``algorithm:hexdigest``; an object that others wrote without one is read.
        """
        files, where = self._open(path)
        bucket, key, _ = files.split_path(where)
        try:
            with self._explained(path, "read"):
                found = files.call_s3("head_object", Bucket=bucket, Key=key)
        except FileNotFoundError:
            return False
        if found["ContentLength"] != size:
            return False
        kept = found["Metadata"].get(_CHECKSUM_KEY)
        return bool((kept or compute_checksum(self.read(path))) == checksum)

    def read(self, path: str) -> bytes:
        """Read an object, a large one in parts at the same time."""
        return self._insist(lambda: super(S3Files, self).read(path))

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read parts of an object, several at once.

        Parameters
        ----------
        path
            Its URL.
        ranges
            First byte, and the byte after the last, of each.
        """
        return self._insist(lambda: super(S3Files, self).read_ranges(path, ranges))

    def remove(self, path: str) -> None:
        """Remove an object; nothing happens where there is none."""
        files, where = self._open(path)
        with self._explained(path, "removed"):
            files.rm_file(where)

    def _open(self, path: str) -> tuple[Any, str]:
        import fsspec

        try:
            files, where = fsspec.url_to_fs(path, **self._options())
        except ImportError as error:
            raise RepositoryError(
                f"{path} needs the package s3fs; `pip install lsstpipe[aws]` brings it."
            ) from error
        files.retries = 1  # botocore's and ours would multiply with these
        return files, where

    def _options(self) -> dict[str, Any]:
        from botocore.compat import HAS_CRT

        retries = {"mode": "standard", "total_max_attempts": _attempts()}
        return {
            "use_listings_cache": False,  # others write, too
            "default_block_size": PART_BYTES,
            "config_kwargs": {"retries": retries, "read_timeout": self._read_timeout_s},
            "s3_additional_kwargs": {"ChecksumAlgorithm": "CRC64NVME"} if HAS_CRT else {},
        }

    def _put(self, path: str, content: bytes, *, mode: str) -> None:
        checksum = compute_checksum(content)
        if (
            mode == "create"
            and len(content) >= 2 * PART_BYTES
            and self.holds(path, len(content), checksum)
        ):
            return  # S3 would tell only when all parts have been sent
        files, where = self._open(path)

        def put() -> None:
            with self._explained(path, "written"):
                files.pipe_file(
                    where, content, mode=mode, chunksize=PART_BYTES,
                    Metadata={_CHECKSUM_KEY: checksum},
                )  # fmt: skip

        self._insist(put)

    def _insist(self, call: Callable[[], T]) -> T:
        """Call again, after waits with jitter, where botocore does not do so by itself."""
        n_attempts = _attempts()
        for attempt in range(1, n_attempts + 1):
            try:
                return call()
            except TemporaryError as error:
                if attempt == n_attempts or not _is_ours_to_repeat(error):
                    raise
            wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt)
            time.sleep(random.uniform(0.0, wait_s))
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _explained(self, path: str, verb: str) -> Iterator[None]:
        """Say in one sentence what failed. Answers of S3 are not quoted: they may name keys."""
        try:
            yield
        except LsstpipeError:
            raise
        except FileExistsError:
            raise
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                bucket = path.removeprefix("s3://").partition("/")[0]
                raise RepositoryError(f"There is no bucket '{bucket}'.") from error
            raise
        except Exception as error:
            if (told := self._tell(error, path, verb)) is None:
                raise
            raise told from error

    def _tell(self, error: Exception, path: str, verb: str) -> LsstpipeError | None:
        """Make the error that says what failed; None for a bug."""
        import aiohttp
        from botocore import exceptions as aws

        code = _code(error)
        if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError):
            return RepositoryError(
                f"{path} cannot be {verb}: there are no credentials of AWS; set AWS_PROFILE or use "
                "a machine with a role."
            )
        is_refused = isinstance(error, PermissionError) or code in _REFUSALS
        if code in _SKEWED or (is_refused and abs(_skew_s(error)) > _ALLOWED_SKEW_S):
            return RepositoryError(
                f"{path} cannot be {verb}: the clock of this machine is {_spell_skew(error)}; set "
                "it right (`timedatectl set-ntp true` keeps it so)."
            )
        if is_refused:
            return RepositoryError(
                f"{path} cannot be {verb}: access is refused ({code}); check the credentials and "
                "what they allow."
            )
        if code in _TEMPORARY or isinstance(
            error, aws.BotoCoreError | aiohttp.ClientError | TimeoutError | ConnectionError
        ):
            return TemporaryError(
                f"{path} cannot be {verb}: {code or type(error).__name__} in {_attempts()} "
                "attempts; try again later."
            )
        if isinstance(error, OSError):
            return RepositoryError(f"{path} cannot be {verb}: {code or error.strerror}.")
        return None


def _attempts() -> int:
    given = os.environ.get("AWS_MAX_ATTEMPTS", str(ATTEMPTS))
    if not given.isdecimal() or not int(given):
        raise ConfigError(f"AWS_MAX_ATTEMPTS must be a number from 1 on, got '{given}'.")
    return int(given)


def _answer(error: BaseException | None) -> dict[str, Any]:
    """Give S3's answer as botocore does; empty where there was none."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return response
        error = error.__cause__
    return {}


def _code(error: BaseException | None) -> str:
    """Give the code of S3's answer; empty where there was none."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def _skew_s(error: BaseException) -> float:
    """Tell how far this clock is ahead of S3's, seconds; 0 where its answer has no time.

    The answer to HEAD has no body, so the time of its header is all that tells a wrong clock from
    wrong credentials.
    """
    headers = _answer(error).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        theirs = parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        return 0.0
    return time.time() - theirs


def _spell_skew(error: BaseException) -> str:
    """Say how wrong the clock is."""
    minutes = round(_skew_s(error) / 60.0)
    return f"{abs(minutes)} min {'ahead' if minutes > 0 else 'behind'}" if minutes else "wrong"


def _is_ours_to_repeat(error: TemporaryError) -> bool:
    """Tell whether a body broke off or was damaged, or two writers met.

    The rest botocore has tried often enough.
    """
    import aiohttp
    from botocore import exceptions as aws

    return isinstance(
        error.__cause__,
        aiohttp.ClientPayloadError
        | aws.FlexibleChecksumError
        | aws.IncompleteReadError
        | aws.ResponseStreamingError,
    ) or _code(error.__cause__) in {"ConditionalRequestConflict", "409"}
