"""Where the bytes are."""

from lsstpipe.datastore.chain import ChainedDatastore
from lsstpipe.datastore.datastore import Datastore
from lsstpipe.datastore.stored import Found, Stored

__all__ = ["ChainedDatastore", "Datastore", "Found", "Stored"]
