"""EC2 for a real Slurm: moto's server, whose instances are processes, and whose market fails.

What moto lacks is added in front of it: capacity that runs short, requests that are refused or are
recognised by their token, instances that are shown late or cannot be ended, the Spot market taking
back, the metadata service, and a machine behind each instance.
A machine is a PID namespace with a folder of its own at ``/run``; to kill its first process is to
end it, as EC2 does.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from moto.ec2 import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

REGION = "us-east-1"
ACCOUNT = "123456789012"
# Addresses of the instances are of this host, so that slurmctld reaches each by its own.
NETWORK = "127.0.0.0/16"

_OVERRIDE = re.compile(r"^LaunchTemplateConfigs\.1\.Overrides\.(\d+)\.(\w+)$")
_MARKET = "TargetCapacitySpecification.DefaultTargetCapacityType"
_TAG = re.compile(r"^TagSpecification\.1\.Tag\.(\d+)\.Key$")
_ID = re.compile(r"^InstanceId\.\d+$")
_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
_FLEET_ERRORS = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<CreateFleetResponse xmlns="{_NAMESPACE}">
<requestId>1</requestId><fleetId>fleet-0</fleetId><fleetInstanceSet/>
<errorSet>{{}}</errorSet></CreateFleetResponse>"""
_REFUSAL = """\
<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>{}</Code><Message>simulated</Message></Error></Errors>
<RequestID>1</RequestID></Response>"""
_ERROR = (
    "<item><errorCode>{code}</errorCode><errorMessage>{instance_type} ({market}): simulated"
    "</errorMessage><lifecycle>{market}</lifecycle></item>"
)

# It boots after it was asked for, and never seems to have booted before or after its slurmd spoke:
# Slurm would take it for another machine, or for one that has rebooted. So its uptime is its own.
_MACHINE = """\
sleep 3
exec unshare --time --boottime -$(cut -d. -f1 /proc/uptime) --pid --fork --kill-child=KILL \\
    --mount-proc sh -c 'mount --bind "$0" /run && . "$0/fault" && { "$@" & } && wait $!' "$0" "$@"
"""


@dataclass
class Market:
    """What can be had.

    Attributes
    ----------
    short
        Pairs of instance type and market without capacity.
    code
        What EC2 answers then.
    boots
        Whether new instances become nodes; those that do not hang for ever.
    """

    short: set[tuple[str, str]] = field(default_factory=set)
    code: str = "InsufficientInstanceCapacity"
    boots: bool = True


@dataclass
class PoolFaults:
    """What goes wrong with the instances of one pool.

    Attributes
    ----------
    code, markets
        What EC2 answers instead of launching any, and where; empty where nothing is wrong.
    spared
        Pool for which nothing is wrong any more once this one was refused.
    n_throttled
        How many of the next requests to launch are refused because there were too many.
    machines
        What goes wrong inside the next machines, a shell script each, before anything starts.
    hidden_s
        How long DescribeInstances does not show an instance.
    n_stuck
        How many of the next requests to end an instance, and no other, are refused; until then
        those to end it together with others are.
    """

    code: str = ""
    markets: tuple[str, ...] = ("spot", "on-demand")
    spared: str = ""
    n_throttled: int = 0
    machines: list[str] = field(default_factory=list)
    hidden_s: float = 0.0
    n_stuck: int = 0


class Ec2Shim:
    """EC2 on a port of its own.

    Parameters
    ----------
    folder
        Where the machines have their files.
    command
        What a machine runs, given its id.
    munge
        Socket of munge; machines have it where it is by default.
    """

    def __init__(self, folder: Path, command: Callable[[str], list[str]], munge: Path) -> None:
        self.market = Market()
        self.faults: dict[str, PoolFaults] = defaultdict(PoolFaults)
        self.calls: list[str] = []
        self.launches: list[tuple[str, str]] = []
        self.notices: dict[str, str] = {}
        self._folder, self._command, self._munge = folder, command, munge
        self._machines: dict[str, subprocess.Popen[bytes]] = {}
        self._answers: dict[str, tuple[bytes, str]] = {}
        self._born: dict[str, float] = {}
        self._lock = threading.RLock()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What clients of it need."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def start(self) -> dict[str, Any]:
        """Start it; give the network and the launch template that pools need."""
        self.serve()
        vpc = self.client.create_vpc(CidrBlock=NETWORK)["Vpc"]["VpcId"]
        subnet = self.client.create_subnet(VpcId=vpc, CidrBlock=NETWORK)["Subnet"]["SubnetId"]
        image = self.client.describe_images()["Images"][0]["ImageId"]
        template = self.client.create_launch_template(
            LaunchTemplateName="node", LaunchTemplateData={"ImageId": image}
        )["LaunchTemplate"]["LaunchTemplateId"]
        return {"vpc": vpc, "subnet": subnet, "template": template}

    def serve(self) -> None:
        """Start it with nothing in it."""
        import boto3

        ec2_backends[ACCOUNT][REGION].reset()
        self._thread.start()
        self.client: Any = boto3.client(
            "ec2",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="only for a test",
        )

    def stop(self) -> None:
        """End all machines and the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.client.close()
        for key in list(self._machines):
            self._kill(key)

    def instances(self, state: str = "running") -> list[Any]:
        """Give the instances of a state, as moto has them."""
        every = ec2_backends[ACCOUNT][REGION].all_instances()
        return [item for item in every if item.state == state]

    def tags(self, key: str) -> dict[str, str]:
        """Give the tags of an instance."""
        found = ec2_backends[ACCOUNT][REGION].get_instance(key)
        return {tag["key"]: tag["value"] for tag in found.get_tags()}

    def lose(self, key: str) -> None:
        """Let the Spot market take an instance back."""
        with self._lock:
            instance = ec2_backends[ACCOUNT][REGION].get_instance(key)
            instance.terminate()
            instance.state_reason.message = "Server.SpotInstanceTermination"
            self._kill(key)

    def give_notice(self, key: str) -> None:
        """Announce that the Spot market takes an instance back in two minutes."""
        self.notices[key] = "2026-01-01T00:02:00Z"

    def _kill(self, key: str) -> None:
        machine = self._machines.pop(key, None)
        if machine is not None:
            os.killpg(machine.pid, signal.SIGKILL)
            machine.wait()

    def _follow(self) -> None:
        """Start machines for instances that run, end those of instances that do not."""
        with self._lock:
            alive = {item.id for item in self.instances("running")}
            for key in list(self._machines):
                if key not in alive:
                    self._kill(key)

    def _boot(self, key: str) -> None:
        folder = self._folder / key
        (folder / "run" / "munge").mkdir(parents=True)
        (folder / "run" / "munge" / "munge.socket.2").symlink_to(self._munge)
        machines = self.faults[self.pool_of(key)].machines
        (folder / "run" / "fault").write_text(machines.pop(0) if machines else "true\n")
        with (folder / "console").open("ab") as console:
            self._machines[key] = subprocess.Popen(
                ["sh", "-c", _MACHINE, str(folder / "run"), *self._command(key)],
                stdout=console, stderr=console, stdin=subprocess.DEVNULL,
                start_new_session=True, cwd=folder,
            )  # fmt: skip
        threading.Thread(target=self._watch, args=(key,), daemon=True).start()

    def _watch(self, key: str) -> None:
        """End an instance whose machine has shut itself down."""
        self._machines[key].wait()
        with self._lock:
            if self._machines.pop(key, None) is not None:
                instance = ec2_backends[ACCOUNT][REGION].get_instance(key)
                instance.terminate()
                instance.state_reason.message = "Client.InstanceInitiatedShutdown: simulated"

    def pool_of(self, key: str) -> str:
        """Give the pool of an instance; empty where it has none."""
        return self.tags(key).get("lsstpipe:pool", "")

    def of_pool(self, name: str) -> list[str]:
        """Give the ids of all instances that a pool ever had, in their order."""
        every = ec2_backends[ACCOUNT][REGION].all_instances()
        return [item.id for item in every if self.pool_of(item.id) == name]

    def _answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/imds/"):
            return self._answer_metadata(Request(environ))(environ, start)
        request = Request(environ)
        body = request.get_data()
        form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        self.calls.append(form.get("Action", ""))
        if form.get("Action") == "CreateFleet":
            return self._create_fleet(environ, form)(environ, start)
        if form.get("Action") == "TerminateInstances" and self._is_stuck(form):
            refusal = _REFUSAL.format("OperationNotPermitted")
            return Response(refusal, 400, content_type="text/xml")(environ, start)
        answer = self._forward(environ, body)
        if form.get("Action") == "TerminateInstances":
            self._follow()
        if form.get("Action") == "DescribeInstances":
            answer.set_data(self._hide(answer.get_data()))
        return answer(environ, start)

    def _is_stuck(self, form: dict[str, str]) -> bool:
        """Tell whether one of some instances cannot be ended: then none of them is."""
        ids = [value for name, value in form.items() if _ID.match(name)]
        stuck = [fault for key in ids if (fault := self.faults[self.pool_of(key)]).n_stuck]
        if stuck and len(ids) == 1:
            stuck[0].n_stuck -= 1
        return bool(stuck)

    def _hide(self, content: bytes) -> bytes:
        """Take out of an answer what EC2 does not show yet."""
        root = ET.fromstring(content)
        for group in root.iterfind(".//{*}instancesSet"):
            for item in list(group):
                key = item.findtext("{*}instanceId", "")
                born = self._born.get(key, 0.0)
                if time.monotonic() - born < self.faults[self.pool_of(key)].hidden_s:
                    group.remove(item)
        return ET.tostring(root)

    def _forward(self, environ: dict[str, Any], body: bytes) -> Response:
        import io

        inner = environ | {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return Response.from_app(self._moto, inner, buffered=True)

    def _create_fleet(self, environ: dict[str, Any], form: dict[str, str]) -> Response:
        with self._lock:
            token = form["ClientToken"]
            pool = _pool_of_request(form)
            self.launches.append((pool, form[_MARKET]))
            if self.faults[pool].n_throttled:
                self.faults[pool].n_throttled -= 1
                refusal = _REFUSAL.format("RequestLimitExceeded")
                return Response(refusal, 503, content_type="text/xml")
            if token not in self._answers:
                response = self._launch(environ, form)
                if response.status_code != 200:
                    return response
                self._answers[token] = (response.get_data(), response.content_type)
            content, kind = self._answers[token]
            return Response(content, content_type=kind)

    def _launch(self, environ: dict[str, Any], form: dict[str, str]) -> Response:
        """Launch of the first type that there is; say which there are not."""
        market = form[_MARKET]
        types = {
            m[1]: value for name, value in form.items()
            if (m := _OVERRIDE.match(name)) and m[2] == "InstanceType"
        }  # fmt: skip
        fault = self.faults[_pool_of_request(form)]
        code = fault.code if market in fault.markets else ""
        if code:
            self.faults[fault.spared].code = ""
        short = {n for n, kind in types.items() if code or (kind, market) in self.market.short}
        errors = "".join(
            _ERROR.format(code=code or self.market.code, instance_type=types[n], market=market)
            for n in sorted(short)
        )
        if len(short) == len(types):
            return Response(_FLEET_ERRORS.format(errors), content_type="text/xml")
        # moto takes overrides that are numbered from 1 without a gap.
        kept = sorted((n for n in types if n not in short), key=int)
        numbers = {old: str(new) for new, old in enumerate(kept, 1)}
        left = {
            _renumber(name, numbers): value for name, value in form.items()
            if not (m := _OVERRIDE.match(name)) or m[1] in numbers
        }  # fmt: skip
        before = {item.id for item in self.instances("running")}
        response = self._forward(environ, urlencode(left).encode())
        for item in self.instances("running"):
            if item.id not in before:
                self._born[item.id] = time.monotonic()
                if self.market.boots:
                    self._boot(item.id)
        return response

    def _answer_metadata(self, request: Request) -> Response:
        """Answer as IMDSv2 does: with a token only."""
        _, _, key, path = request.path.split("/", 3)
        if path == "latest/api/token" and request.method == "PUT":
            return Response(f"token of {key}")
        if request.headers.get("X-aws-ec2-metadata-token") != f"token of {key}":
            return Response(status=401)
        if path == "latest/meta-data/instance-id":
            return Response(key)
        if path.startswith("latest/meta-data/tags/instance/"):
            value = self.tags(key).get(path.rpartition("/")[2])
            return Response(status=404) if value is None else Response(value)
        if path == "latest/meta-data/spot/instance-action" and key in self.notices:
            return Response(json.dumps({"action": "terminate", "time": self.notices[key]}))
        return Response(status=404)


def _pool_of_request(form: dict[str, str]) -> str:
    """Find the pool that instances are asked for, among their tags."""
    for name, value in form.items():
        if value == "lsstpipe:pool" and (found := _TAG.match(name)):
            return form[f"TagSpecification.1.Tag.{found[1]}.Value"]
    return ""


def _renumber(name: str, numbers: dict[str, str]) -> str:
    """Give the name of a field of an override its new number."""
    if (match := _OVERRIDE.match(name)) is None:
        return name
    return f"LaunchTemplateConfigs.1.Overrides.{numbers[match[1]]}.{match[2]}"
