"""Auditing for the page: what was asked is checked, then a job audits; what came out is sent as figures and as a file."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from workbench.auditing.making import Wanted, ask, make_audit
from workbench.comparing.making import Setup
from workbench.comparing.question import MAX_N
from workbench.errors import BadInput, Cancelled
from workbench.render import audit_parts as parts
from workbench.render.audit_html import audit_html, sections
from workbench.render.comparison_parts import notes_html
from workbench.stages import Progress
from workbench.ui.asked import split_of, whole_of
from workbench.ui.audit_shelf import AuditOrder
from workbench.ui.desk import Desk


def check_asked(desk: Desk, checkpoint: object, data: object, split: object, n: object, seed: object) -> AuditOrder:
    """The order, in names that the page offered. Raises WorkbenchError for anything else."""
    desk.path_of(checkpoint)
    desk.data_of(data)
    return AuditOrder(
        checkpoint=str(checkpoint),
        data=str(data),
        split=split_of(split),
        n=whole_of(n, "The number of samples", 1, MAX_N),
        seed=whole_of(seed, "The seed", 0, 2**31 - 1),
    )


def start_audit(desk: Desk, order: AuditOrder, tab: str | None) -> str:
    """Begin an audit, or find the one that this tab already waits for; returns the page's JSON."""
    shelf = desk.audits
    if (job := shelf.running(tab, order)) is not None:
        return json.dumps({"job": job})

    def work(progress: Progress, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        return {"audit": _make(desk, order, progress, cancelled)}

    shelf.leave(tab)
    begun = shelf.jobs.start(work)
    if "job" in begun:
        shelf.note(tab, order, begun["job"])
    return json.dumps(begun)


def look_audit(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """How far an audit is: as `Jobs.look`; `answer.audit` is its key."""
    return desk.audits.jobs.look(asked.get("job"))


def cancel_audit(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Give an audit up; what was measured stays, and the same one goes on from there."""
    desk.audits.jobs.cancel(asked.get("job"))
    return {}


def fetch_audit(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Verdict and figures as HTML fragments of ours, in which every text is escaped."""
    audit = desk.audits.get(asked.get("audit"))
    source = audit.source
    return {
        "title": f"{audit.checkpoint.name} on {source.title}, split {source.split}: {source.n:,} samples, "
        f"{source.n_candidates:,} candidates",
        "kind": audit.verdict.kind,
        "verdict": parts.verdict_html(audit),
        "notes": notes_html(audit.notes),
        "sections": [{"title": title, "about": about, "html": part} for title, about, part in sections(audit) if part],
    }


def save_audit(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The report as a file for the browser to save: html or json."""
    audit, kind = desk.audits.get(asked.get("audit")), asked.get("kind")
    if kind == "html":
        return {"name": "audit.html", "type": "text/html", "text": audit_html(audit)}
    if kind != "json":
        raise BadInput("An audit is saved as 'html' or 'json'.")
    text = json.dumps(audit.to_json(), ensure_ascii=False, allow_nan=False)
    return {"name": "audit.json", "type": "application/json", "text": text}


def _make(desk: Desk, order: AuditOrder, progress: Progress, cancelled: Callable[[], bool]) -> str:
    progress(0.0, "Reading the data set")
    session = desk.session
    setup = Setup(
        kept=desk.audits.kept,
        device=session.device,
        dtype=session.dtype,
        load=lambda path: session.model(str(path)),
        turn=session.occupied,
    )
    path = desk.path_of(order.checkpoint)
    wanted = ask(path, desk.data_of(order.data), split=order.split, n=order.n, seed=order.seed)
    key = _key(setup, wanted)

    def waiting() -> None:
        if cancelled():
            raise Cancelled("The audit was cancelled; what was measured so far is kept.")
        progress(0.0, "Waiting for somebody who asked the same")

    desk.audits.make(key, lambda: make_audit(wanted, setup, tell=progress, cancelled=cancelled), waiting)
    return key


def _key(setup: Setup, wanted: Wanted) -> str:
    """Of everything that an audit shows, so that none stands for another."""
    fit = wanted.unfit if wanted.fit is None else setup.key(wanted.fit, wanted.chosen)
    asked = [setup.key(wanted.question, wanted.chosen), fit, wanted.fit_split, wanted.question.data]
    asked += [str(wanted.chosen.path), wanted.seed, setup.device, setup.dtype]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
