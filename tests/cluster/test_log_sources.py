"""Logs are read on from where one stopped, whatever becomes of their files meanwhile."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from lsstpipe.cluster.log_sources import Journal, LogFile


class Reader:
    """Reads a log again and again, and remembers its position as the memory on disk does."""

    def __init__(self, source: LogFile | Journal) -> None:
        self.source, self.position = source, None

    def read(self, n: int | None = None) -> list[str]:
        """Read at most `n` lines more; all that there are if it is None."""
        texts = []
        for line, position in self.source.read(self.position):
            texts.append(line.text)
            self.position = json.loads(json.dumps(position))
            if len(texts) == n:
                break
        return texts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "slurmctld.log"


@pytest.fixture
def reader(path: Path) -> Reader:
    return Reader(LogFile("slurmctld", path))


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_log_that_is_not_there_yet_has_no_lines(reader: Reader, path: Path) -> None:
    assert reader.read() == []
    append(path, "one\n")
    assert reader.read() == ["one"]
    assert reader.read() == []


def test_a_line_is_read_when_it_is_whole_and_an_empty_one_never(reader: Reader, path: Path) -> None:
    append(path, "one\n\ntw")
    assert reader.read() == ["one"]
    append(path, "o\nthree\r\n")
    assert reader.read() == ["two", "three"]


def test_a_file_that_was_rotated_is_read_to_its_end_before_the_new_one(
    reader: Reader, path: Path
) -> None:
    append(path, "one\n")
    assert reader.read() == ["one"]
    append(path, "two\n")
    old = path.rename(f"{path}.1")
    append(path, "four\n")
    # A daemon writes into the old file until it is told to open the new one.
    append(old, "three\n")
    assert reader.read() == ["two", "three", "four"]
    append(old, "late\n")
    append(path, "five\n")
    assert reader.read() == ["late", "five"]


def test_a_file_that_is_rotated_amid_a_look_is_left_to_the_next(
    reader: Reader, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(path, "one\n")
    assert reader.read() == ["one"]
    append(path, "two\n")
    with monkeypatch.context() as patch:
        found = LogFile("slurmctld", path)._find()
        path.rename(f"{path}.1")
        append(path, "three\n")
        patch.setattr(LogFile, "_find", lambda _: found)
        assert reader.read() == []
    assert reader.read() == ["two", "three"]


def test_the_last_line_of_a_rotated_file_needs_no_end(reader: Reader, path: Path) -> None:
    append(path, "one\ntwo")
    assert reader.read() == ["one"]
    path.rename(f"{path}.1")
    append(path, "three\n")
    assert reader.read() == ["two", "three"]


def test_what_was_rotated_before_the_first_look_stays_where_it_is(
    reader: Reader, path: Path
) -> None:
    append(path.with_name(f"{path.name}.1"), "of another life\n")
    append(path, "one\n")
    assert reader.read() == ["one"]


def test_a_compressed_file_is_none(reader: Reader, path: Path) -> None:
    append(path, "one\n")
    assert reader.read() == ["one"]
    append(path.with_name(f"{path.name}.2.gz"), "no text\n")
    assert reader.read() == []


@pytest.mark.parametrize("text", ["new\n", "another, longer one\nand one more\n"])
def test_a_file_that_was_emptied_is_read_from_its_beginning(
    reader: Reader, path: Path, text: str
) -> None:
    append(path, "one\ntwo\n")
    assert reader.read() == ["one", "two"]
    path.write_text(text)  # the same inode
    assert reader.read() == text.splitlines()


def test_a_line_that_is_too_long_becomes_several(reader: Reader, path: Path) -> None:
    append(path, f"{'ab' * 100_000}\nshort\n")
    *pieces, last = reader.read()
    assert "".join(pieces) == "ab" * 100_000
    assert max(map(len, pieces)) == 2**16
    assert last == "short"


def test_what_is_no_text_is_read_all_the_same(reader: Reader, path: Path) -> None:
    path.write_bytes(b"\xff\xfe a\n\xc3\xa9\n")
    assert reader.read() == ["\ufffd\ufffd a", "é"]


@pytest.mark.parametrize("seed", range(20))
def test_every_line_is_read_once_whatever_happens_between_two_looks(
    reader: Reader, path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    append(path, "the first\n")
    written, found = ["the first"], reader.read()
    for step in range(300):
        match rng.choice(["write", "write", "look", "stop amid a look", "rotate"]):
            case "write":
                for i in range(rng.randint(1, 3)):
                    written.append(f"{step}.{i} {'x' * rng.choice([0, 10, 400])}".rstrip())
                    append(path, f"{written[-1]}\n")
            case "rotate" if path.exists():
                kept = sorted(path.parent.glob(f"{path.name}.*"))
                for old in reversed(kept):
                    old.rename(f"{path}.{int(old.suffix[1:]) + 1:03d}")
                path.rename(f"{path}.001")
            case "stop amid a look":
                found += reader.read(n=rng.randint(1, 4))
            case _:
                found += reader.read()
    found += reader.read()
    assert sorted(found) == sorted(written)


def times(text: str, path: Path) -> list[float]:
    path.write_text(text)
    return [line.time for line, _ in LogFile("a", path).read(None)]


def test_the_time_of_a_line_is_that_which_it_says(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsstpipe.cluster.log_sources.time.time", lambda: 5.0)
    event = json.dumps({"time": "2026-11-27T05:00:00.500000+00:00", "event": "node-ready"})
    assert times(f"{event}\n", path) == [1795755600.5]
    local = times("[2026-11-27T05:00:00.250] a\n  and more of it\n", path)
    assert local[0] == local[1]
    assert local[0] % 1 == 0.25
    assert times('a\n{"time": 7}\n{no JSON\n[2026-99-99T05:00:00] b\n', path) == [5.0] * 4


JOURNALCTL = """\
#!/bin/sh
case "$*" in
*--after-cursor=c2*) ;;
*--after-cursor=c1*) cat {folder}/second ;;
*) cat {folder}/first {folder}/second ;;
esac
"""


def entry(cursor: str, message: Any) -> str:
    row = {
        "__CURSOR": cursor, "__REALTIME_TIMESTAMP": "1795755600500000", "_BOOT_ID": "0",
        "_SYSTEMD_UNIT": "lsstpipe-node.service", "PRIORITY": "6", "MESSAGE": message,
    }  # fmt: skip
    return json.dumps(row) + "\n"


def test_the_journal_is_read_on_from_its_cursor(tmp_path: Path) -> None:
    (tmp_path / "first").write_text(entry("c1", "one"))
    (tmp_path / "second").write_text(entry("c2", [0xFF, 0x61]))
    program = tmp_path / "journalctl"
    program.write_text(JOURNALCTL.format(folder=tmp_path))
    program.chmod(0o755)
    reader = Reader(Journal(command=str(program)))
    (first,) = reader.read(n=1)
    assert json.loads(first) == {
        "unit": "lsstpipe-node.service", "priority": "6", "message": "one",
    }  # fmt: skip
    assert [json.loads(text)["message"] for text in reader.read()] == ["\ufffda"]
    assert reader.read() == []
    assert reader.position == "c2"


def test_a_machine_without_systemd_has_no_journal() -> None:
    assert list(Journal(command="no-such-program").read(None)) == []
