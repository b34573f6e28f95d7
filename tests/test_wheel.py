"""What is installed has all that the package needs: nothing is read from a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of what git has, or would take, of the package."""
    source = tmp_path_factory.mktemp("source")
    for name in [*tracked(), "pyproject.toml", "README.md", "LICENSE"]:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((REPOSITORY / name).read_bytes())
    build = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (made,) = (source / "dist").glob("*.whl")
    return made


def tracked() -> list[str]:
    """The files of the package."""
    options = ["-z", "--cached", "--others", "--exclude-standard", "lsstpipe"]
    listing = ["git", "-C", str(REPOSITORY), "ls-files", *options]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout
    return [name for name in names.split("\0") if name and (REPOSITORY / name).exists()]


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        assert set(tracked()) <= set(packed.namelist())


def test_a_site_is_read_without_a_checkout(wheel: Path, tmp_path: Path) -> None:
    example = REPOSITORY / "config" / "site.example.json"
    ask = (
        "import sys; from pathlib import Path; from lsstpipe.site import site_file;"
        "print(site_file.__file__, site_file.read_site(Path(sys.argv[1]))['name'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask, str(example)], cwd=tmp_path, check=True, capture_output=True,
        text=True, env=os.environ | {"PYTHONPATH": str(wheel)},
    )  # fmt: skip
    assert done.stdout.split() == [f"{wheel}/lsstpipe/site/site_file.py", "survey"]
