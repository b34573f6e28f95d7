"""The metadata service of EC2, as an instance asks it about itself (version 2, with a token)."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping

from lsstpipe.errors import TemporaryError

ADDRESS = "http://169.254.169.254"

_TOKEN_S = 21600
_TIMEOUT_S = 5.0


class Imds:
    """The metadata service.

    Parameters
    ----------
    url
        Where it is.
    """

    def __init__(self, url: str = ADDRESS) -> None:
        self._url = url.rstrip("/")
        self._token = ""

    def get(self, path: str) -> str | None:
        """Get what there is at a path; None where there is nothing.

        Parameters
        ----------
        path
            Such as ``meta-data/instance-id``.

        Raises
        ------
        TemporaryError
            If the service does not answer.
        """
        for is_last in (False, True):
            if not self._token:
                life = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_S)}
                self._token = self._ask("PUT", "api/token", life) or ""
            try:
                return self._ask("GET", path, {"X-aws-ec2-metadata-token": self._token})
            except PermissionError:
                self._token = ""  # it has expired
                if is_last:
                    raise TemporaryError(f"{self._url} takes no token.") from None
        return None

    def tag(self, name: str) -> str | None:
        """Get a tag of the instance; None while it has none.

        Parameters
        ----------
        name
            Name of the tag.
        """
        return self.get(f"meta-data/tags/instance/{name}")

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> str | None:
        request = urllib.request.Request(
            f"{self._url}/latest/{path}", method=method, headers=dict(headers)
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                if error.code == 401:
                    raise PermissionError from error
                raise TemporaryError(f"{self._url} answers {error.code} to {path}.") from error
        except OSError as error:
            raise TemporaryError(f"{self._url} does not answer: {error}.") from error
