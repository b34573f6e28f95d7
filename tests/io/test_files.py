"""JSON and text come back exactly; wrong values and damaged files are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.data_model import Storage
from lsstpipe.errors import InputFileError
from lsstpipe.io import read, write

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter("$float".__ne__), inner),
)


@given(value=JSON)
def test_json_comes_back_exactly_and_is_json(value: object) -> None:
    content = write(value, "json")
    back = read(content, "json")
    assert repr(sorted_keys(back)) == repr(sorted_keys(value))
    assert write(back, "json") == content

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(content, parse_constant=refuse)


def sorted_keys(value: object) -> object:
    if isinstance(value, dict):
        return {key: sorted_keys(value[key]) for key in sorted(value)}
    return [sorted_keys(item) for item in value] if isinstance(value, list) else value


def test_numpy_scalars_and_tuples_become_plain() -> None:
    value = {"a": (np.float64(0.1), np.int32(3)), "b": np.bool_(True), "c": np.float32("nan")}
    back = read(write(value, "json"), "json")
    assert isinstance(back, dict)
    assert (back["a"], back["b"]) == ([0.1, 3], True)
    assert back["c"] != back["c"]


@pytest.mark.parametrize(
    "value",
    [
        {1: 2},
        [0, [{1: 2}]],
        {"$float": "x"},
        {"a": [{"$float": 1.0}]},
        {"a": {1, 2}},
        b"a",
        [object()],
    ],
)
def test_what_json_cannot_keep_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="JSON"):
        write(value, "json")


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_text_comes_back_exactly(text: str) -> None:
    assert read(write(text, "csv"), "csv") == text
    assert read(write(text, "html"), "html") == text


@pytest.mark.parametrize(
    ("storage", "kept"), [("exposure", "Exposure"), ("catalog", "Catalog"), ("csv", "str")]
)
def test_a_value_of_another_storage_class_is_refused(storage: Storage, kept: str) -> None:
    with pytest.raises(TypeError, match=f"{storage} keeps a {kept}, got int"):
        write(3, storage)


def test_raws_are_neither_written_nor_read_here() -> None:
    with pytest.raises(TypeError):
        write("x", "raw")
    with pytest.raises(TypeError):
        read(b"", "raw")


def test_a_path_is_read_and_named_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(InputFileError, match=r"a\.json cannot be read: No such file"):
        read(path, "json")
    path.write_bytes(b'{"a": 1')
    with pytest.raises(InputFileError, match=r"a\.json is not JSON"):
        read(path, "json")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputFileError, match=r"a\.json is not JSON"):
        read(path, "json")
    with pytest.raises(InputFileError, match=r"a\.json is not UTF-8 text"):
        read(path, "html")
    path.write_bytes(b'{"a": 1}')
    assert read(path, "json") == {"a": 1}


NEST = """
import json, sys
from lsstpipe.io.json import write_json
value = 1.5
for n in range(int(sys.argv[1])):
    value = {"a": [value]} if n % 2 else [value, value if n < 3 else 0]
assert json.loads(write_json(value)) == value
circle = []
circle += [circle, circle]
try:
    write_json(circle)
except RecursionError:
    print("circle")
"""


def test_deep_nesting_is_written_as_deep_as_the_encoder_goes() -> None:
    # In a process of its own: pytest has used up some of the depth.
    command = [sys.executable, "-c", NEST, "320"]  # 480 levels
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("circle\n", "")
