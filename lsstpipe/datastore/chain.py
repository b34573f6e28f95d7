"""Several datastores as one: read from the first that has a file, write into the first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lsstpipe.datastore.cache import ReadCache
from lsstpipe.datastore.datastore import Datastore
from lsstpipe.datastore.files import files_of
from lsstpipe.datastore.stored import Stored


class ChainedDatastore(Datastore):
    """A datastore with others behind it, such as a folder of one's own before a release.

    Parameters
    ----------
    roots
        Where to look, in this order; what is written goes into the first.
    write_through
        Whether it goes into all others, too.
    cache
        Keeps copies of remote files that are read with their checksums.
    """

    def __init__(
        self,
        roots: Sequence[str | Path],
        *,
        write_through: bool = False,
        cache: ReadCache | None = None,
    ) -> None:
        super().__init__(roots[0], cache)
        self._others = [Datastore(root) for root in roots[1:]]
        self._write_through = write_through

    def resolve(self, path: str) -> str:
        """Give the absolute path or URL of a file in the first root that has it.

        Parameters
        ----------
        path
            Path below the roots, or an absolute path or URL of a file that lies elsewhere. One
            that no root has is where it would be written.
        """
        first = super().resolve(path)
        if first == path or not path:
            return first
        places = [first, *(other.resolve(path) for other in self._others)]
        found = (where for where in places if _may_have(where))
        return next(found, first)

    def write(self, path: str, content: bytes) -> Stored:
        """Put a file into the first root, and with ``write_through`` into the others.

        Parameters
        ----------
        path
            Path below the roots.
        content
            Its bytes.

        Raises
        ------
        RepositoryError, TemporaryError
            As for `Datastore.write`.
        """
        # The first comes last: what it has is found, so then the others have it, too.
        if self._write_through:
            for other in self._others:
                other.write(path, content)
        return super().write(path, content)


def _may_have(where: str) -> bool:
    """Tell whether a file is there, or nobody can tell: who reads it is told why."""
    try:
        return files_of(where).size(where) is not None
    except OSError:
        return True
