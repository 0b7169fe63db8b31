"""What the tests of exports share."""

from pathlib import Path

import pytest
from quick import quicken, write_rows


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports of this test load no model."""
    quicken(monkeypatch)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A data set of ten rows without images."""
    return write_rows(tmp_path / "rows.jsonl", 10)
