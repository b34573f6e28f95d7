"""What only a server can do to a registry: refuse, drop, run out of connections, die."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import boto3
import psycopg2
import pytest
import sqlalchemy as sa
from moto.server import ThreadedMotoServer

from lsstpipe import datasets
from lsstpipe.butler import Butler
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.errors import ConflictError, RepositoryError, TemporaryError
from lsstpipe.registry import collections, loading
from lsstpipe.registry import postgres as postgres_module
from lsstpipe.registry import source as source_module
from lsstpipe.registry.address import parse_address
from lsstpipe.registry.database import Database
from lsstpipe.registry.direct import Direct
from lsstpipe.registry.postgres import Renewed, spell_arguments
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.registry import Registry
from lsstpipe.registry.source import Source
from lsstpipe.repository import Repository
from tests.postgres_server import PASSWORD, USER, PostgresServer, find_program
from tests.registry.test_database import PREAMBLE, WRITER, summary
from tests.registry.test_registry import image as product
from tests.registry.test_registry import quantum

N_KILLS = 10
"""Kills at random instants of the server, and as many of a process that writes to it."""

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may kill; started by the test."""
    if find_program("postgres") is None:
        pytest.skip("PostgreSQL is not installed; envs/debian.txt names its package")
    server = PostgresServer({"max_connections": "20"})
    try:
        yield server
    finally:
        server.remove()


def image(visit: int, run: str = "run", content: str = "a") -> DatasetRecord:
    data_id = DataId(instrument="hsc", visit=visit, detector=0)
    ref = make_ref(datasets.visit_image, data_id, run)
    return DatasetRecord(ref.id, "visit_image", ref.data_id, run, ref.path, 1, f"blake2b:{content}")


def test_writers_side_by_side_lose_nothing(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    # They meet at the making of the tables already.
    make = PREAMBLE + "Registry.create(url, exist_ok=True).close()\n"
    writers = [
        subprocess.Popen([sys.executable, "-c", make + WRITER, url, str(first)])
        for first in (0, 20, 40)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with Registry.open(url) as registry:
        assert registry.query_datasets() == [summary(visit) for visit in range(81)]


def test_a_put_is_one_statement_and_a_find_another(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    name = url.rpartition("/")[2]
    with Registry.create(url) as registry:
        registry.put(image(0))
        postgres.execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
        registry.close()  # the next call needs a new connection
        registry.put(image(1))  # and makes the plan of its own
        before = postgres.log().count("LOG:  statement:")
        registry.put(image(2))
        assert postgres.log().count("LOG:  statement:") == before + 1
        assert registry.find("visit_image", image(2).data_id, ["run"]) == image(2)
        assert postgres.log().count("LOG:  statement:") == before + 2


def test_a_put_is_planned_once_a_connection_and_done_without_a_plan_that_a_pooler_lost(
    postgres: PostgresServer,
) -> None:
    with Registry.create(postgres.create_database()) as registry:
        for visit in range(3):
            registry.put(image(visit))
        with registry.database.connection() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT name FROM pg_prepared_statements")
            assert cursor.fetchall() == [("lsstpipe_put",)]
            cursor.execute("DEALLOCATE ALL")
        registry.put(image(3))
        with registry.database.connection() as connection, connection.cursor() as cursor:
            cursor.execute("PREPARE lsstpipe_put AS SELECT 1")
        # One that does not know what its connection has, as behind a pooler.
        Direct(registry.database).put(image(4, content="b"))
        for visit in range(4):
            assert registry.find("visit_image", image(visit).data_id, ["run"]) == image(visit)
        assert registry.find("visit_image", image(4).data_id, ["run"]) == image(4, content="b")


def test_puts_share_their_connection_with_queries_until_it_met_an_error_or_is_old(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.create_database()
    name = url.rpartition("/")[2]
    with Registry.create(url) as registry:
        database = registry.database

        def backend() -> int:
            with database.connection() as connection:
                return int(connection.info.backend_pid)

        first = backend()
        for visit in range(3):
            registry.put(image(visit))
            assert len(registry.query_datasets()) == visit + 1
        assert backend() == first
        statement = f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'"
        assert postgres.execute(statement) == [(first,)]
        with suppress(ZeroDivisionError), database.connection():
            raise ZeroDivisionError
        second = backend()
        assert second != first
        monkeypatch.setattr("lsstpipe.registry.database.CONNECTION_LIFE_S", -1.0)
        assert backend() != second


def test_a_connection_that_is_kept_for_puts_is_free_for_queries_of_other_threads(
    postgres: PostgresServer,
) -> None:
    with Registry.create(postgres.create_database()) as registry:
        registry.put(image(0))

        def work(number: int) -> None:
            for visit in range(20):
                registry.put(image(20 * number + visit))
                assert registry.query_datasets("visit_image", f"visit = {20 * number + visit}")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert len(registry.query_datasets()) == 80


def test_a_connection_is_kept_from_nobody_who_waits_for_one(postgres: PostgresServer) -> None:
    with Registry.create(postgres.create_database()) as registry:
        database = registry.database
        # A transaction has one of the two connections for long, a put the other for a moment.
        with ThreadPoolExecutor(2) as pool, database.write():
            with database.connection():
                query = pool.submit(registry.query_datasets)
                put = pool.submit(registry.put, image(1))
                time.sleep(0.5)
            query.result(timeout=10)
            put.result(timeout=10)


def test_a_run_is_not_frozen_while_something_is_written_into_it(postgres: PostgresServer) -> None:
    with Registry.create(postgres.create_database()) as registry:
        registry.load([image(1)])
        frozen = threading.Event()

        def freeze() -> None:
            registry.freeze("run")
            frozen.set()

        with registry.database.write() as connection:
            connection.execute(sa.text("SELECT id FROM collection FOR SHARE"))
            thread = threading.Thread(target=freeze)
            thread.start()
            assert not frozen.wait(0.3)
        thread.join(30)
        assert frozen.is_set()
        with pytest.raises(ConflictError, match="frozen"):
            registry.put(image(2))


def test_two_that_certify_at_once_never_both_succeed(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    darks = []
    for run in ("a", "b"):
        ref = make_ref(datasets.dark, DataId(instrument="hsc", detector=0), run)
        darks.append(DatasetRecord(ref.id, "dark", ref.data_id, run, ref.path, 1, "blake2b:a"))
    with Registry.create(url) as registry:
        registry.load(darks)
        for round_ in range(5):
            outcome: list[str] = []

            def certify(item: DatasetRecord, name: str, into: list[str] = outcome) -> None:
                with Registry.open(url) as own:
                    try:
                        own.certify(name, [item.id], 1.0, 2.0)
                        into.append("done")
                    except ConflictError:
                        into.append("refused")

            threads = [
                threading.Thread(target=certify, args=(item, f"calibs{round_}")) for item in darks
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert sorted(outcome) == ["done", "refused"]


def test_two_that_tag_at_once_never_both_succeed(postgres: PostgresServer) -> None:
    with Registry.create(postgres.create_database()) as registry:
        registry.load([image(0), image(1, "a"), image(1, "b")])
        registry.tag("best", [image(0).id])  # a collection that is there is not waited for
        outcome: list[str] = []
        ended = threading.Event()

        def tag() -> None:
            try:
                registry.tag("best", [image(1, "b").id])
                outcome.append("done")
            except ConflictError:
                outcome.append("refused")
            ended.set()

        with registry.database.write() as connection:
            collections.tag(connection, "best", [image(1, "a").id])
            thread = threading.Thread(target=tag)
            thread.start()
            assert not ended.wait(0.5)
        thread.join(30)
        assert outcome == ["refused"]
        registry.tag("best", [image(0).id])
        assert registry.query_datasets(names=["best"]) == [image(1, "a"), image(0)]


def test_a_wrong_password_is_refused_at_once_and_not_shown(own_server: PostgresServer) -> None:
    (own_server.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    own_server.start()
    right = own_server.url("postgres", PASSWORD.replace(" ", "%20"))
    Registry.create(right).close()
    started = time.monotonic()
    with pytest.raises(RepositoryError, match="password authentication failed") as caught:
        Registry.open(own_server.url("postgres", "hunter2"))
    assert time.monotonic() - started < 5
    shown = f"{caught.value} {caught.value.__cause__}"
    assert "hunter2" not in shown
    assert PASSWORD not in shown


def test_a_server_without_the_right_certificate_is_refused(own_server: PostgresServer) -> None:
    own, other = (own_server.folder / name for name in ("own", "other"))
    for path in (own, other):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", f"{path}.key", "-out", f"{path}.crt"],
            check=True, capture_output=True,
        )  # fmt: skip
    own_server.give(Path(f"{own}.key"))
    with (own_server.data / "postgresql.conf").open("a") as file:
        file.write(f"ssl = on\nssl_cert_file = '{own}.crt'\nssl_key_file = '{own}.key'\n")
    (own_server.data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
    own_server.start()
    url = own_server.url("postgres") + "?sslmode=verify-full&sslrootcert="
    Registry.create(f"{url}{own}.crt").close()
    with pytest.raises(RepositoryError, match="certificate verify failed"):
        Registry.open(f"{url}{other}.crt")
    with pytest.raises(RepositoryError, match=r"no pg_hba\.conf entry"):
        Registry.open(own_server.url("postgres") + "?sslmode=disable")


def test_a_parameter_that_postgresql_does_not_know_is_named() -> None:
    with pytest.raises(RepositoryError, match=r'dr1 on db\.example\.org says .* option "foo"\.$'):
        Registry.open("postgresql://drp@db.example.org/dr1?foo=1")


def test_a_distant_server_must_prove_who_it_is() -> None:
    for url, mode in (
        ("postgresql://drp@db.example.org/dr1", "verify-full"),
        ("postgresql://drp@db.example.org/dr1?sslmode=require", "require"),
        ("postgresql://drp@127.0.0.1/dr1", None),
    ):
        assert spell_arguments(parse_address(url)).get("sslmode") == mode


def test_libpq_is_told_what_the_url_says() -> None:
    url = "postgresql+psycopg2://a%40b:p%2Fw@[2001:db8::1]:6432/dr1?auth=iam&connect_timeout=3"
    told = spell_arguments(parse_address(url))
    wanted = {"user": "a@b", "password": "p/w", "host": "2001:db8::1", "port": 6432}
    assert {name: told.get(name) for name in wanted} == wanted
    assert (told["dbname"], told["connect_timeout"], told.get("auth")) == ("dr1", "3", None)
    assert "p/w" not in repr(parse_address(url))


JOBS = """if True:
    import os, sys, time
    import psycopg2
    from lsstpipe.butler import Butler

    def work(visit):
        with Butler(sys.argv[1], run="run") as butler:
            data_id = {"instrument": "st10", "visit": visit, "detector": 0}
            butler.put({}, "visit_detector_summary", data_id)
            time.sleep(0.3)  # with its connection

    jobs = []
    for visit in range(1, 201):
        job = os.fork()
        if job == 0:
            try:
                work(visit)
                os._exit(0)
            finally:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
        jobs.append(job)
    sys.exit(sum(os.waitpid(job, 0)[1] != 0 for job in jobs))
"""


def test_many_more_jobs_than_connections_all_get_through(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    own_server.start()
    Butler.create(tmp_path, settings=Repository(own_server.url("postgres")))
    with Butler(tmp_path, run="run") as butler:
        butler.put({}, "visit_detector_summary", instrument="st10", visit=0, detector=0)
    # Processes, each with connections of its own; forked, for all that they import takes longest.
    subprocess.run([sys.executable, "-c", JOBS, str(tmp_path)], check=True, timeout=250)
    assert "too many clients" in own_server.log()
    with Butler(tmp_path, ["run"]) as butler:
        assert {record.data_id["visit"] for record in butler.query()} == set(range(201))


def test_a_process_that_computes_keeps_no_connection_from_others(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = str(spell_arguments(parse_address("postgresql://u@h/d"))["options"])
    assert options.endswith("idle_session_timeout=60s")
    short = {"options": options.replace("timeout=60s", "timeout=100ms")}
    monkeypatch.setattr(postgres_module, "_LIBPQ", short)
    url = postgres.create_database()
    name = url.rpartition("/")[2]
    count = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"

    def compute() -> None:
        assert postgres.execute(count) == [(1,)]
        ends = time.monotonic() + 30
        while postgres.execute(count) != [(0,)] and time.monotonic() < ends:
            time.sleep(0.05)
        assert postgres.execute(count) == [(0,)]

    Butler.create(tmp_path, settings=Repository(url))
    data_id = {"instrument": "st10", "visit": 1, "detector": 0}
    with Butler(tmp_path, run="run") as butler:
        compute()
        butler.put({"n": 1}, "visit_detector_summary", data_id)
        compute()
        butler.put({"n": 2}, "visit_detector_summary", data_id)
        compute()
        assert len(butler.query()) == 1
        compute()
        assert butler.get("visit_detector_summary", data_id) == {"n": 2}


def test_a_server_that_does_not_come_back_is_one_clear_error(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "PATIENCE_S", 0.5)
    own_server.start()
    with Registry.create(own_server.url("postgres")) as registry:
        registry.put(image(1))
        own_server.kill()
        with pytest.raises(TemporaryError, match=r"postgres on 127\.0\.0\.1 is not free"):
            registry.put(image(2))


def test_a_server_that_was_restarted_is_used_again_without_sqlalchemy(
    own_server: PostgresServer,
) -> None:
    own_server.start()
    url = own_server.url("postgres")
    with Registry.create(url) as registry:
        registry.load([image(1)])
    direct = Direct(Source(url))
    assert direct.is_current()
    assert direct.put(image(2))
    own_server.kill()
    own_server.start()
    assert direct.put(image(3))
    assert direct.find(datasets.visit_image, image(2).data_id, ["run"]) == image(2)
    assert direct.find(datasets.visit_image, image(3).data_id, ["run"]) == image(3)
    direct.source.close()


def test_a_server_that_dies_again_and_again_loses_nothing(own_server: PostgresServer) -> None:
    """Kill the server at random instants while two processes write; each answer must hold."""
    own_server.start()
    url = own_server.url("postgres")
    Registry.create(url).close()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + _STEADY_WRITER, url, str(first)],
            stdout=subprocess.PIPE, text=True,
        )
        for first in (0, 100_000)
    ]  # fmt: skip
    rng = random.Random(20120617)
    for _ in range(N_KILLS):
        time.sleep(rng.uniform(0.1, 0.6))
        own_server.kill()
        own_server.start()
    said: set[int] = set()
    for writer in writers:
        writer.send_signal(signal.SIGINT)
        output, _ = writer.communicate(timeout=120)
        said |= {int(line) for line in output.splitlines() if line.isdigit()}
        assert "stopped" in output
    with Registry.open(url) as registry:
        there = [record.data_id.integer("visit") for record in registry.query_datasets()]
    assert len(there) == len(set(there))
    assert said <= set(there)
    # At most the one that each was about to say.
    assert len(set(there) - said) <= len(writers)
    assert len(said) > 20


_STEADY_WRITER = """
import signal
stopped = []
signal.signal(signal.SIGINT, lambda *_: stopped.append(True))
visit = int(sys.argv[2])
with Registry.open(url) as registry:
    while not stopped:
        registry.put(summary(visit))
        print(visit, flush=True)
        visit += 1
print("stopped", flush=True)
"""


def test_a_writer_that_is_killed_leaves_all_of_its_call_or_nothing(
    postgres: PostgresServer,
) -> None:
    """Kill writers at random instants; each call of ten datasets is there whole or not at all."""
    url = postgres.create_database()
    Registry.create(url).close()
    rng = random.Random(20120617)
    writer: subprocess.Popen[str] | None = None
    for _ in range(N_KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + _BATCH_WRITER, url], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        # Five threads of one process die together, each in the middle of something else.
        time.sleep(rng.uniform(0.0, 0.25))
        writer.kill()
        writer.communicate()
    with Registry.open(url) as registry:
        there = [record.data_id.integer("visit") for record in registry.query_datasets()]
    assert len(there) % 10 == 0
    assert {visit // 10 for visit in there} == {visit // 10 for visit in there if visit % 10 == 9}
    assert len(there) == len(set(there))


_BATCH_WRITER = """
import threading, os
print("ready", flush=True)
def work(first):
    with Registry.open(url) as registry:
        while True:
            registry.load([summary(visit) for visit in range(first, first + 10)])
            first += 10
for n in range(5):
    threading.Thread(target=work, args=(os.getpid() * 100_000 + n * 10_000,)).start()
"""


def test_credentials_are_fetched_before_they_expire() -> None:
    now, fetched = [0.0], []

    def fetch() -> dict[str, str]:
        fetched.append(now[0])
        return {"password": f"token {len(fetched)}"}

    source = Renewed(fetch, 600.0, clock=lambda: now[0])
    given = []
    for second in range(0, 1800, 100):
        now[0] = float(second)
        given.append(source()["password"])
    assert fetched == [0.0, 600.0, 1200.0]
    assert given == ["token 1"] * 6 + ["token 2"] * 6 + ["token 3"] * 6
    source.forget()
    assert source()["password"] == "token 4"


def test_the_token_of_a_role_opens_a_connection(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    url = postgres.create_database() + "?auth=iam&region=us-west-2"
    database = Database(url)
    used: list[str] = []

    @sa.event.listens_for(database.engine, "connect")
    def look(raw: object, _record: object) -> None:
        used.append(raw.info.password)  # type: ignore[attr-defined]

    with database.read() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1
    database.close()
    assert "Action=connect" in used[0]
    assert "X-Amz-Signature=" in used[0]


def test_a_secret_that_was_rotated_is_read_again(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_server.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    own_server.start()
    aws = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    aws.start()
    try:
        host, port = aws.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        secrets = boto3.client("secretsmanager", region_name="us-west-2")
        content = {"username": USER, "password": PASSWORD}
        secrets.create_secret(Name="registry", SecretString=json.dumps(content))
        url = own_server.url("postgres") + "?auth=secret&secret=registry&region=us-west-2"
        with Registry.create(url) as registry:
            registry.put(image(1))
            own_server.execute(f"ALTER USER {USER} PASSWORD 'rotated'")
            content["password"] = "rotated"
            secrets.put_secret_value(SecretId="registry", SecretString=json.dumps(content))
            registry.close()  # the next call needs a new connection
            registry.put(image(2))
            assert registry.query_datasets() == [image(1), image(2)]
        content["password"] = "wrong"
        secrets.put_secret_value(SecretId="registry", SecretString=json.dumps(content))
        with pytest.raises(RepositoryError, match="password authentication failed"):
            Registry.open(url)
        with pytest.raises(RepositoryError, match="The secret 'absent' of the registry cannot be"):
            Registry.open(url.replace("secret=registry", "secret=absent"))
    finally:
        aws.stop()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u@h/d", "cannot be kept by 'mysql'; allowed are sqlite and postgresql"),
        ("nonsense", "allowed are sqlite:///FILE and postgresql://USER@HOST/DATABASE"),
        ("postgresql://u@h/d?auth=kerberos", "auth=kerberos; allowed are iam and secret"),
        ("postgresql://u@h/d?auth=secret", "auth=secret without secret=NAME"),
    ],
)
def test_a_url_that_cannot_be_used_is_explained(url: str, says: str) -> None:
    with pytest.raises(RepositoryError, match=says):
        Database(url)


def test_of_two_that_load_one_quantum_at_once_the_newer_record_counts(
    postgres: PostgresServer,
) -> None:
    url = postgres.create_database()
    old = quantum("isr", 1, (), (product(1),))
    new = replace(old, started_mjd=1.0)
    made = [replace(product(1, content=c), quantum_id=old.id) for c in ("a", "b")]
    with Registry.create(url) as first, Registry.open(url) as second:
        first.load([product(9)])
        late = threading.Thread(target=second.load, args=([made[0]], [old]))
        with first.database.write() as connection:
            loading.load(connection, first.type_ids, [made[1]], [new])
            late.start()
            late.join(1.0)
            assert late.is_alive()
        late.join(60)
        assert first.query_datasets() == [made[1], product(9)]
        assert first.provenance(made[1].id).quanta == {new.id: new}


@pytest.mark.parametrize(
    ("reason", "is_temporary"),
    [
        ("Name or service not known", False),
        ("No address associated with hostname", False),
        ("Temporary failure in name resolution", True),
    ],
)
def test_only_a_host_that_may_be_found_later_is_looked_for_again(
    reason: str, is_temporary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    def connect(**_: object) -> None:
        tries.append(time.monotonic())
        text = f'could not translate host name "h" to address: {reason}\n'
        raise psycopg2.OperationalError(text)

    monkeypatch.setattr(psycopg2, "connect", connect)
    monkeypatch.setattr(source_module, "PATIENCE_S", 0.2)
    with pytest.raises((RepositoryError, TemporaryError)) as refused:
        Registry.open("postgresql://u@h/d")
    assert isinstance(refused.value, TemporaryError) is is_temporary
    assert (len(tries) > 1) is is_temporary
    assert f'host name "h" to address: {reason}' in str(refused.value)
    assert ("must name a host that this machine can find" in str(refused.value)) is not is_temporary
