"""Where the bytes are."""

from lsstpipe.datastore.datastore import Datastore, Stored

__all__ = ["Datastore", "Stored"]
