"""What the page Audit asks of the server, without a browser."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from comparisons import shorten_audit, write_data

from workbench.comparing.kept import Kept
from workbench.embedder import Embedder
from workbench.runner import Session
from workbench.ui.audit_shelf import AuditShelf
from workbench.ui.audit_work import check_asked, fetch_audit, look_audit, start_audit
from workbench.ui.desk import Desk


class Losing(Session):
    """A picture goes away while its model is loaded, after the data were looked at."""

    def __init__(self, picture: Path) -> None:
        super().__init__(device="cpu", dtype="float32")
        self.picture = picture
        self.lost = picture.with_name("lost")

    def model(self, checkpoint: str = "") -> Embedder:
        self.picture.rename(self.lost)
        return super().model(checkpoint)


def test_an_audit_that_lacked_a_picture_is_made_anew_and_another_is_not(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_audit(monkeypatch)
    data = write_data(tmp_path / "data")
    session = Losing(tmp_path / "data" / "2.png")
    desk = Desk(session, [tiny_checkpoint], data=[str(data)], upload_folder=tmp_path)
    desk.audits = AuditShelf(Kept(tmp_path / "kept"))
    name = next(one for one in desk.datasets if one != "Shapes")

    def audit() -> str:
        order = check_asked(desk, tiny_checkpoint.name, name, "test", 6, 0)
        found: dict[str, Any] = json.loads(start_audit(desk, order, "tab"))
        end = time.monotonic() + 120
        while "answer" not in found:
            assert "error" not in found
            assert time.monotonic() < end
            time.sleep(0.02)
            found = look_audit(desk, {"job": found["job"]})
        return found["answer"]["audit"]

    key = audit()
    assert "1 of 6 samples could not be read" in fetch_audit(desk, {"audit": key})["notes"]
    session.lost.rename(session.picture)
    monkeypatch.setattr(session, "lost", session.picture)
    assert audit() == key
    assert "could not be read" not in fetch_audit(desk, {"audit": key})["notes"]
    made = desk.audits.get(key)
    assert audit() == key
    assert desk.audits.get(key) is made
