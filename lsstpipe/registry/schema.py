"""What must be known of the tables without SQLAlchemy: the version, the columns of datasets.

`lsstpipe.registry.tables` describes them in full; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lsstpipe.data_model import DIMENSIONS, WIDE

SCHEMA_VERSION = 2
"""Version of the tables in `lsstpipe.registry.tables`."""

NARROW = tuple(n for n, kind in DIMENSIONS.items() if kind is int and n not in WIDE)
"""Dimensions whose numbers need 32 bits."""

WORDS = tuple(n for n, kind in DIMENSIONS.items() if kind is str)
"""Dimensions whose values are text."""

DATASET_COLUMNS: dict[str, str] = {
    "id": "uuid",
    "quantum_id": "uuid",
    "size": "bigint",
    **dict.fromkeys(WIDE, "bigint"),
    "run_id": "integer",
    **dict.fromkeys(NARROW, "integer"),
    "type_id": "smallint",
    **dict.fromkeys(WORDS, "varchar"),
    "checksum": "bytea",
    "path": "varchar",
}
"""Columns of the table ``dataset``, in their order, and what PostgreSQL calls their types."""

_ALGORITHMS = {"xxh3_128": 1, "blake2b": 2, "sha256": 3, "crc64nvme": 4}
_ALGORITHM_NAMES = {code: name for name, code in _ALGORITHMS.items()}
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


def pack_checksum(text: str) -> bytes:
    """Pack a checksum; one of another form is kept as text behind a byte 0.

    Parameters
    ----------
    text
        ``algorithm:hexdigest``.
    """
    algorithm, _, digest = text.partition(":")
    if algorithm in _ALGORITHMS and _HEX.fullmatch(digest):
        return bytes([_ALGORITHMS[algorithm]]) + bytes.fromhex(digest)
    return b"\0" + text.encode()


def pack_checksums(texts: Sequence[str]) -> list[str]:
    """Pack many checksums as `pack_checksum` does, and give the hexadecimal digits of each.

    Parameters
    ----------
    texts
        ``algorithm:hexdigest`` each.
    """
    algorithm, sign, _ = texts[0].partition(":") if texts else ("", "", "")
    prefix = algorithm + sign
    if algorithm in _ALGORITHMS and all(text.startswith(prefix) for text in texts):
        # Those of one batch are alike: looked at as one text, each costs a tenth.
        digests = [text[len(prefix) :] for text in texts]
        are_whole = all(n and n % 2 == 0 for n in set(map(len, digests)))
        if are_whole and _HEX.fullmatch("".join(digests)):
            code = f"{_ALGORITHMS[algorithm]:02x}"
            return [code + digest for digest in digests]
    return [pack_checksum(text).hex() for text in texts]


def unpack_checksum(packed: bytes) -> str:
    """Spell what `pack_checksum` packed.

    Parameters
    ----------
    packed
        Its result.
    """
    name = _ALGORITHM_NAMES.get(packed[0])
    return packed[1:].decode() if name is None else f"{name}:{packed[1:].hex()}"
