from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.report.test_page import DRAWINGS, SECTIONS

_WIDTH_PROBE = """
<script>
addEventListener("load", () => {
  const page = document.documentElement;
  page.dataset.overflow = String(page.scrollWidth - page.clientWidth);
  const box = document.querySelector("#show-stars");
  const shown = () => getComputedStyle(document.querySelector(".stars")).display;
  page.dataset.before = shown(); box.click(); page.dataset.after = shown();
  page.dataset.drawn = String([...document.querySelectorAll("figure svg")]
    .filter(svg => svg.getBoundingClientRect().height > 50).length);
});
</script>
"""


@pytest.fixture(scope="module")
def shown(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "report.html"
    path.write_text(text)
    return path


def browse(page: Path, width: int, profile: Path) -> tuple[str, str]:
    """Open a page without a screen; give its document as the browser sees it, and its log."""
    command = [
        str(shutil.which("chromium")), "--headless", "--no-sandbox", "--disable-gpu",
        f"--user-data-dir={profile}", f"--window-size={width},1200",
        "--enable-logging=stderr", "--v=0", "--dump-dom",
        page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


@pytest.mark.needs_program("chromium")
def test_a_browser_shows_all_sections_without_an_error_and_fetches_nothing(
    shown: Path, tmp_path: Path
) -> None:
    document, messages = browse(shown, 1400, tmp_path / "profile")
    for name in (*SECTIONS, *DRAWINGS):
        assert f'id="{name}"' in document
    assert "CONSOLE" not in messages
    text = shown.read_text().replace("http://www.w3.org/", "")
    assert "http:" not in text
    assert "https:" not in text


@pytest.mark.needs_program("chromium")
def test_an_error_in_the_browser_would_be_seen(tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text("<!DOCTYPE html><script>nothing.there()</script>")
    _, messages = browse(broken, 1400, tmp_path / "profile")
    assert "CONSOLE" in messages


@pytest.mark.needs_program("chromium")
@pytest.mark.parametrize("width", [1400, 500])
def test_the_page_fits_its_window_and_its_marks_can_be_switched(
    shown: Path, tmp_path: Path, width: int
) -> None:
    # The page forbids scripts; the probe is given leave in a copy.
    text = shown.read_text()
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert policy in text
    probed = tmp_path / "probed.html"
    probed.write_text(
        text.replace(policy, f"{policy}; script-src 'unsafe-inline'").replace(
            "</body>", f"{_WIDTH_PROBE}</body>"
        )
    )
    document, _ = browse(probed, width, tmp_path / "profile")
    assert 'data-overflow="0"' in document
    assert 'data-before="none"' in document
    assert 'data-after="inline"' in document
    assert f'data-drawn="{len(DRAWINGS) + 1}"' in document
