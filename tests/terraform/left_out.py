"""What becomes of a test whose tool a registry of packages brings, where it does not come."""

from __future__ import annotations

import re
from typing import NoReturn

import pytest

from tests.conftest import IN_CI

# As pip and npm say that no registry answers, or that it has not the package; and Debian's Python
# that it makes no environments. Whatever else they say is ours to mend.
NOT_OFFERED = re.compile(
    r"Retrying \(|NewConnectionError|from versions: none|ensurepip is not|"
    r"ECONNREFUSED|ECONNRESET|ENOTFOUND|ENETUNREACH|EAI_AGAIN|ETIMEDOUT|E40[134]\b"
)


def leave_out(tool: str, said: str, in_ci: bool = IN_CI) -> NoReturn:
    """Leave a test out whose tool could not be installed; in CI only where nobody offers the tool.

    Parameters
    ----------
    tool
        Its name.
    said
        What the installation said.
    in_ci
        Whether nothing may be left out without such a reason.
    """
    reason = f"{tool} cannot be had here: {said.strip()[-200:]}"
    if in_ci and not NOT_OFFERED.search(said):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
