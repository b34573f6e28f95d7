"""How the bucket of products is laid out: THE place where its prefixes are spelled.

::

    releases/<right>/index.json            what the release has (`lsstpipe.execute.index`)
    releases/<right>/<run>/<type>/<file>   who holds the right reads all below its prefix
    embargo/<night>/...                    the same; the pipeline alone reads it

A right is a prefix, never a tag of each object: policies of access points name prefixes, and a tag
would cost a request an object.
"""

from __future__ import annotations

import datetime
import re

from lsstpipe.errors import UserError

INDEX = "index.json"
"""Path of the index below the prefix of a release, and in a folder that was exported."""

_RIGHT = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def release_prefix(right: str) -> str:
    """Spell the prefix of what the holders of a right may read.

    Parameters
    ----------
    right
        Its name: small letters, digits and hyphens, such as ``dp1``.

    Raises
    ------
    UserError
        If it is no such name.
    """
    if not _RIGHT.fullmatch(right):
        raise UserError(
            f"A right is named by up to 63 small letters, digits and hyphens, got '{right}'."
        )
    return f"releases/{right}"


def embargo_prefix(night: str) -> str:
    """Spell the prefix of what nobody but the pipeline may read yet.

    Parameters
    ----------
    night
        Date of its evening, such as ``2026-11-26``.

    Raises
    ------
    UserError
        If it is no date.
    """
    try:
        date = datetime.date.fromisoformat(night)
    except ValueError:
        raise UserError(f"A night is a date such as 2026-11-26, got '{night}'.") from None
    return f"embargo/{date.isoformat()}"


def locate(given: str, bucket: str) -> str:
    """Give the URL of a release that is named by its prefix alone.

    Parameters
    ----------
    given
        Such as ``releases/dp1``, which lies in the bucket; anything else stays as it is.
    bucket
        URL of the bucket of products, such as ``s3://survey-123456789012-products``; empty where
        none is known.
    """
    kind, _, name = given.partition("/")
    is_prefix = kind in ("releases", "embargo") and name and "/" not in name
    return f"{bucket}/{given}" if bucket and is_prefix else given


def parse_prefix(url: str) -> str:
    """Give the prefix of an URL that lies in the layout.

    Parameters
    ----------
    url
        Such as ``s3://products/releases/dp1``.

    Raises
    ------
    UserError
        If it does not lie in the layout.
    """
    bucket, kind, name = (["", "", *url.rsplit("/", 2)])[-3:]
    if bucket.rstrip("/").endswith(":"):
        bucket = ""  # s3://releases/dp1 would be a bucket of the name releases
    if kind == "releases" and bucket:
        return release_prefix(name)
    if kind == "embargo" and bucket and embargo_prefix(name) == f"embargo/{name}":
        return f"embargo/{name}"
    raise UserError(
        "Products are published to s3://BUCKET/releases/RIGHT or s3://BUCKET/embargo/YYYY-MM-DD, "
        f"without the bucket only where the repository knows its site's; got '{url}'."
    )
