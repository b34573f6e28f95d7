"""Places where a registry could be kept, behind one face, for `registry_alternatives.py`."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from _registry_server import Server, free_port

from lsstpipe.data_model import DataId
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.registry import Registry

N_SHARDS = 8
_KIND = "visit_image"


class Store(ABC):
    """A place that takes datasets and finds them again.

    Attributes
    ----------
    name
        What the table calls it.
    pid
        The process of its server, whose CPU time counts; 0 where there is none.
    """

    name: str
    pid = 0

    @abstractmethod
    def ingest(self, records: Sequence[DatasetRecord]) -> None:
        """Take many datasets."""

    @abstractmethod
    def put(self, record: DatasetRecord) -> None:
        """Take one dataset."""

    @abstractmethod
    def find(self, data_id: DataId, run: str) -> str | None:
        """Give the checksum of a dataset of a run."""

    @abstractmethod
    def count_detector(self, detector: int, run: str) -> int:
        """Count the datasets of a detector, with which the name of a data ID begins."""

    @abstractmethod
    def count_visit(self, visit: int, run: str) -> int:
        """Count the datasets of a visit, which comes last in it."""

    @abstractmethod
    def size(self) -> int:
        """Give the bytes that it keeps."""

    @abstractmethod
    def close(self) -> None:
        """Stop what was started."""


class RegistryStore(Store):
    """lsstpipe's registry."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.registry = Registry.create(url)

    def ingest(self, records: Sequence[DatasetRecord]) -> None:
        """Take many datasets."""
        self.registry.ingest(records)

    def put(self, record: DatasetRecord) -> None:
        """Take one dataset."""
        self.registry.put(record)

    def find(self, data_id: DataId, run: str) -> str | None:
        """Give the checksum of a dataset of a run."""
        found = self.registry.find(_KIND, data_id, [run])
        return found and found.checksum

    def count_visit(self, visit: int, run: str) -> int:
        """Count the datasets of a visit."""
        return len(self.registry.query_datasets(_KIND, f"visit = {visit}", [run]))

    def count_detector(self, detector: int, run: str) -> int:
        """Count the datasets of a detector."""
        return len(self.registry.query_datasets(_KIND, f"detector = {detector}", [run]))

    def close(self) -> None:
        """Close the connections."""
        self.registry.close()


class Sqlite(RegistryStore):
    """The registry in a file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "registry.sqlite3"
        super().__init__("SQLite", f"sqlite:///{self._path}")

    def size(self) -> int:
        """Give the bytes of the file."""
        self.registry.close()  # which brings what waits beside the file into it
        return self._path.stat().st_size


class Postgres(RegistryStore):
    """The registry on a server."""

    def __init__(self, server: Server) -> None:
        self._server, self._database = server, server.make_database()
        super().__init__("PostgreSQL", server.url(self._database))
        self.pid = server.pid

    def size(self) -> int:
        """Give the bytes of the table of datasets with its indexes."""
        return self._server.table_bytes(self._database, "^dataset$")


class SharedNothing(Sqlite):
    """A registry in a file for each job, which one process merges afterwards."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.name, self._folder = "SQLite a job, merged", folder
        self._n = 0

    def ingest(self, records: Sequence[DatasetRecord]) -> None:
        """Write shards, each as a job would, then merge them."""
        paths = []
        for n in range(N_SHARDS):
            self._n += 1
            path = self._folder / f"shard-{self._n}.sqlite3"
            with Registry.create(f"sqlite:///{path}") as shard:
                shard.ingest(records[n::N_SHARDS])
            paths.append(path)
        for path in paths:
            with Registry.open(f"sqlite:///{path}") as shard:
                self.registry.ingest(shard.query_datasets())


class Redis(Store):
    """A value a dataset and a sorted set a run and type; every write is on the disk (AOF)."""

    name = "Redis"

    def __init__(self, folder: Path) -> None:
        import redis

        port = free_port()
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
             "--appendonly", "yes", "--appendfsync", "always", "--save", ""],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.pid = self._process.pid
        _wait_for_port(port)
        self._client: Any = redis.Redis(port=port)
        self._empty = 0
        self._empty = self.size()

    def _write(self, pipe: Any, record: DatasetRecord) -> None:
        key = f"{record.run}\n{record.dataset_type}"
        pipe.set(f"{key}\n{record.data_id}", _pack(record))
        pipe.zadd(key, {str(record.data_id): 0})

    def ingest(self, records: Sequence[DatasetRecord]) -> None:
        """Take many datasets, a thousand a round trip."""
        for part in _batches(records, 1000):
            with self._client.pipeline(transaction=True) as pipe:
                for record in part:
                    self._write(pipe, record)
                pipe.execute()

    def put(self, record: DatasetRecord) -> None:
        """Take one dataset."""
        with self._client.pipeline(transaction=True) as pipe:
            self._write(pipe, record)
            pipe.execute()

    def find(self, data_id: DataId, run: str) -> str | None:
        """Give the checksum of a dataset of a run."""
        content = self._client.get(f"{run}\n{_KIND}\n{data_id}")
        return None if content is None else str(json.loads(content)["checksum"])

    def count_detector(self, detector: int, run: str) -> int:
        """Count the datasets of a detector: a range of the sorted set."""
        first, end = f"[{_prefix(detector)}", f"[{_prefix(detector)}\xff"
        return len(self._client.zrange(f"{run}\n{_KIND}", first, end, bylex=True))

    def count_visit(self, visit: int, run: str) -> int:
        """Count the datasets of a visit: all names are read."""
        names = self._client.zrange(f"{run}\n{_KIND}", 0, -1)
        return sum(_visit_of(name.decode()) == visit for name in names)

    def size(self) -> int:
        """Give the memory of the server beyond that of an empty one."""
        used = int(self._client.info("memory")["used_memory"])
        return used - self._empty

    def close(self) -> None:
        """Stop the server."""
        self._client.close()
        self._process.terminate()
        self._process.wait()


class DynamoDb(Store):
    """An item a dataset: run and type are the partition, the data ID sorts within it.

    The server is moto's, which behaves but is no database: its time says nothing. What a request
    costs is counted by Amazon's rules: a unit a kB written, half a unit each 4 kB read.
    """

    name = "DynamoDB"

    def __init__(self) -> None:
        import boto3

        port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _wait_for_port(port)
        resource = boto3.resource(
            "dynamodb", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip
        names = (("pk", "HASH"), ("sk", "RANGE"))
        self._table: Any = resource.create_table(
            TableName="dataset",
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in names],
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n, _ in names],
            BillingMode="PAY_PER_REQUEST",
        )
        self.write_units = self.read_units = 0.0
        self._bytes = 0

    def _item(self, record: DatasetRecord) -> dict[str, str]:
        item = {
            "pk": f"{record.run}\n{record.dataset_type}",
            "sk": str(record.data_id),
            "v": _pack(record),
        }
        size = sum(len(key) + len(value.encode()) for key, value in item.items())
        self._bytes += size + 100  # which Amazon adds to each item that it keeps
        self.write_units += math.ceil(size / 1024)
        return item

    def ingest(self, records: Sequence[DatasetRecord]) -> None:
        """Take many datasets, 25 a request."""
        with self._table.batch_writer() as batch:
            for record in records:
                batch.put_item(Item=self._item(record))

    def put(self, record: DatasetRecord) -> None:
        """Take one dataset."""
        self._table.put_item(Item=self._item(record))

    def find(self, data_id: DataId, run: str) -> str | None:
        """Give the checksum of a dataset of a run."""
        key = {"pk": f"{run}\n{_KIND}", "sk": str(data_id)}
        item = self._table.get_item(Key=key).get("Item")
        self.read_units += 0.5
        return None if item is None else str(json.loads(item["v"])["checksum"])

    def count_detector(self, detector: int, run: str) -> int:
        """Count the datasets of a detector: a range of the sort key."""
        from boto3.dynamodb.conditions import Key

        own = Key("pk").eq(f"{run}\n{_KIND}")
        return len(self._query(own & Key("sk").begins_with(_prefix(detector))))

    def count_visit(self, visit: int, run: str) -> int:
        """Count the datasets of a visit: the whole partition is read."""
        from boto3.dynamodb.conditions import Key

        found = self._query(Key("pk").eq(f"{run}\n{_KIND}"))
        return sum(_visit_of(item["sk"]) == visit for item in found)

    def _query(self, condition: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            page = self._table.query(KeyConditionExpression=condition, **more)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                break
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        size = sum(len(key) + len(value) for item in found for key, value in item.items())
        self.read_units += 0.5 * math.ceil(size / 4096)
        return found

    def size(self) -> int:
        """Give the bytes that Amazon would charge."""
        return self._bytes

    def close(self) -> None:
        """Stop the server."""
        self._process.terminate()
        self._process.wait()


def _wait_for_port(port: int) -> None:
    """Wait until a server listens."""
    ends = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)
        else:
            return


def _pack(record: DatasetRecord) -> str:
    return json.dumps(
        {"id": str(record.id), "size": record.size, "checksum": record.checksum, "quantum": None}
    )


def _prefix(detector: int) -> str:
    """Say how the names of all data IDs of a detector begin."""
    return f"instrument=hsc,detector={detector},"


def _visit_of(name: str) -> int:
    return int(dict(part.split("=") for part in name.split(","))["visit"])


def _batches(records: Sequence[DatasetRecord], size: int) -> Iterator[list[DatasetRecord]]:
    remaining = iter(records)
    while part := list(islice(remaining, size)):
        yield part
