"""What an apply of the settings beside this says that it has made, and its record.

`python -m tests.site.applied` makes the record anew, which takes Terraform and a stand-in for its
provider of AWS; who has only the record can do without both.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.site.clone import Clone, make_clone
from tests.site.cloud import MAKERS
from tests.site.registry_server import RDS_PORT, answer
from tests.terraform.stand_in import Resource, find_provider

SETTINGS = Path(__file__).parent / "settings"
RECORD = Path(__file__).parent / "applied.json"

Json = dict[str, Any]


@dataclass(frozen=True)
class Applied:
    """What an apply says.

    Attributes
    ----------
    site
        Its output: what is to stand in ``config/site.json``.
    resources
        Of types that something here uses.
    left_out
        How many there are of other types.
    """

    site: Json
    resources: tuple[Resource, ...]
    left_out: dict[str, int]

    def to_json(self) -> str:
        """Write it down, a line a resource."""
        rows = [[item.address, item.type, item.values] for item in self.resources]
        lines = ",\n".join(json.dumps(row, sort_keys=True) for row in rows)
        head = {"site": self.site, "left_out": self.left_out}
        return f'{json.dumps(head, indent=1)[:-2]},\n "resources": [\n{lines}\n ]\n}}\n'


def _shorten(value: Any) -> Any:
    """Leave out what is not set."""
    if isinstance(value, dict):
        return {name: _shorten(item) for name, item in value.items() if item is not None}
    return [_shorten(item) for item in value] if isinstance(value, list) else value


def read_applied(clone: Clone, site: Json) -> Applied:
    """Read what the last apply of a clone has made."""
    return select(site, clone.resources("data") + clone.resources("cluster"))


def select(site: Json, resources: Iterable[Resource]) -> Applied:
    """Take of some resources those that something here uses; count the others."""
    resources = sorted(resources, key=lambda item: item.address)
    used = tuple(
        Resource(item.address, item.type, _shorten(item.values))
        for item in resources
        if item.type in MAKERS
    )
    others = Counter(item.type for item in resources if item.type not in MAKERS)
    return Applied(site, used, dict(sorted(others.items())))


def read_record(port: int) -> Applied:
    """Read the record, as if RDS had said another port of the database."""
    content = json.loads(RECORD.read_bytes())
    site = content["site"]
    site["registry"]["port"] = port
    resources = [Resource(*row) for row in content["resources"]]
    for item in resources:
        if item.values.get("key") == f"clusters/{site['name']}/site.json":
            item.values["content"] = json.dumps(site)
    return Applied(site, tuple(resources), content["left_out"])


def bring_up(folder: Path, endpoint: str, port: int = RDS_PORT) -> Applied:
    """Plan and apply as a person does, with `lsstpipe site up`; the stand-in makes nothing.

    Parameters
    ----------
    folder
        An empty one, for a clone of the code.
    endpoint
        Of moto's server, which keeps Terraform's state.
    port
        What RDS would say about the database.
    """
    clone = make_clone(folder, find_provider(folder), endpoint, answer(port))
    shutil.copytree(SETTINGS, folder / "site")
    clone.site("up", "up", "--yes", "--no-check")
    told = clone.told["up"]
    assert told.returncode == 0, told.stderr
    return read_applied(clone, json.loads((folder / "config" / "site.json").read_bytes()))


def main() -> None:
    """Make the record anew."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        with tempfile.TemporaryDirectory() as folder:
            RECORD.write_text(bring_up(Path(folder), f"http://{host}:{port}").to_json())
    finally:
        server.stop()


if __name__ == "__main__":
    main()
