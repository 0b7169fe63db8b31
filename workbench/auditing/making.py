"""How an audit is made: the model reads the question as for a comparison, then edits; figures and verdict need no model."""

import hashlib
import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.assets import bundled_checkpoints, read_card, resolve_checkpoint
from workbench.audit import Audit, Audited
from workbench.auditing.budgets import find_budget
from workbench.auditing.figures import edit_figures, shares, whole_figures
from workbench.auditing.findings import find, not_tested, task_figures
from workbench.auditing.geometry import find_geometry
from workbench.auditing.measuring import SIZE, VERSION, WRITTEN_ROWS, Asked, measure, part_path
from workbench.auditing.partners import find_partners
from workbench.auditing.parts import gather
from workbench.auditing.planned import plan
from workbench.auditing.verdict import judge, thresholds_json
from workbench.comparing.kept import Kept
from workbench.comparing.making import Chosen, Setup, is_memory
from workbench.comparing.question import MAX_N, Question, check_unchanged, pose
from workbench.comparing.reading import Reading
from workbench.comparing.tracing import is_read, read_question
from workbench.comparison import Source
from workbench.embedder import Editable, Embedder
from workbench.errors import BadInput, OutOfMemory, Unsupported
from workbench.models.checkpoint import load_checkpoint
from workbench.models.reading import check_folder, checkpoint_hash
from workbench.stages import Progress, part_of, quiet

DEFAULT_N = 500
_READ, _EDITED = 0.35, 0.95
"""Share of the progress that is behind when the model has read, and when it has edited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An audit that is asked for, checked before a model is loaded."""

    chosen: Chosen
    question: Question
    seed: int


def ask(checkpoint: Path | str, data: str, *, split: str, n: int, seed: int) -> Wanted:
    """Find checkpoint and data. Raises BadInput or BadCheckpoint with one sentence."""
    if not 0 <= seed < 2**31:
        raise BadInput(f"The seed is {seed}, but must be a whole number from 0 to 2,147,483,647.")
    if not 1 <= n <= MAX_N:
        raise BadInput(f"The number of samples is {n:,}, but must be 1 to {MAX_N:,}.")
    path = resolve_checkpoint(str(checkpoint))
    check_folder(path)
    chosen = Chosen(path=path, name=read_card(path).name, sha256=checkpoint_hash(path))
    return Wanted(chosen=chosen, question=pose(data, split=split, n=n), seed=seed)


def run_audit(
    checkpoint: Path | str,
    data: str,
    *,
    split: str,
    n: int,
    seed: int = 0,
    kept: Path | None = None,
    tell: Progress = quiet,
    cancelled: Callable[[], bool] = lambda: False,
) -> Audit:
    """Audit the think tokens of a checkpoint on the first rows of a data set.

    What the model makes goes to the disk part by part, so memory does not grow with the samples but by a few numbers each,
    and the same audit, started again, goes on where it stopped.

    Args:
        checkpoint: bundled name or folder.
        data: as `find_reader` takes it.
        split: part of the data.
        n: rows, bad ones included.
        seed: of partners, noise and intervals.
        kept: folder in which readings are kept; None: the user's cache.
        tell: told the share done.
        cancelled: asked before each sample.

    Raises:
        BadInput: for data that cannot be read or of which no row can be used, or a folder that cannot be written.
        BadCheckpoint: for a folder that is no checkpoint.
        Unsupported: for a model without think tokens, or whose thoughts cannot be edited.
        OutOfMemory: when the model does not fit; complete parts stay.
        Cancelled: when `cancelled` said so; complete parts stay.
    """
    return make_audit(
        ask(checkpoint, data, split=split, n=n, seed=seed), Setup(kept=Kept(kept)), tell=tell, cancelled=cancelled
    )


def make_audit(
    wanted: Wanted, setup: Setup, *, tell: Progress = quiet, cancelled: Callable[[], bool] = lambda: False
) -> Audit:
    """As `run_audit`, of what was asked for."""
    begin = time.perf_counter()
    question, chosen = wanted.question, wanted.chosen
    reading_key = setup.key(question, chosen)
    folder = setup.kept.open(reading_key)
    key = hashlib.sha256(json.dumps([VERSION, reading_key, wanted.seed]).encode()).hexdigest()[:32]
    own = setup.kept.open(f"audit-{key}")
    try:
        reading = _measure(wanted, setup, folder, own, tell, cancelled)
    except Exception as error:
        if not is_memory(error):
            raise
        raise OutOfMemory(
            f"Memory ran out while '{chosen.name}' was audited. What was measured before is kept in {setup.kept.root}, and the "
            "same audit goes on from there; close other programs, or take a smaller dtype (--dtype bfloat16) or another device."
        ) from error
    setup.kept.tidy({folder.name, own.name})
    tell(_EDITED, "Making figures")
    audit = _figures(wanted, reading, own, begin)
    tell(1.0, "done")
    return audit


def _measure(
    wanted: Wanted, setup: Setup, folder: Path, own: Path, tell: Progress, cancelled: Callable[[], bool]
) -> Reading:
    question, path = wanted.question, wanted.chosen.path
    done = is_read(folder)
    parts = -(-len(question.rows) // SIZE)
    if done and all(part_path(own, number).is_file() for number in range(parts)):
        return Reading(folder)
    check_unchanged(question)
    tell(0.0, f"Loading {wanted.chosen.name}")
    model = setup.load(path) if setup.load else load_checkpoint(path, device=setup.device, dtype=setup.dtype)
    _check(model)
    with setup.turn() as give_way:

        def between() -> bool:
            if not cancelled():
                give_way()
            return cancelled()

        reading = (
            Reading(folder)
            if done
            else read_question(model, question, folder, path, tell=part_of(tell, 0.0, _READ), cancelled=between)
        )
        try:
            measure(model, _asked(wanted, reading), own, tell=part_of(tell, _READ, _EDITED - _READ), cancelled=between)
        except OSError as error:
            raise BadInput(
                f"The audit cannot be written to {own.parent} ({error.strerror or error}); free some space, or name another "
                "folder with --keep."
            ) from error
    return reading


def _check(model: Embedder) -> None:
    info = model.info
    if not info.n_think:
        raise Unsupported(
            f"'{info.name}' has no think tokens (K = 0), so there is nothing to audit; choose a checkpoint that thinks in latents."
        )
    if not isinstance(model, Editable):
        raise Unsupported(f"The thoughts of '{info.name}' cannot be edited, so they cannot be audited.")


def _asked(wanted: Wanted, reading: Reading) -> Asked:
    info = reading.info
    partners = find_partners(wanted.question, reading.embeddings(), n_think=info.n_think, size=SIZE, seed=wanted.seed)
    return Asked(
        question=wanted.question,
        reading=reading,
        partners=partners,
        planned=plan(info.n_think, info.n_layers),
        seed=wanted.seed,
    )


def _figures(wanted: Wanted, reading: Reading, own: Path, begin: float) -> Audit:
    question, seed, info = wanted.question, wanted.seed, reading.info
    planned = plan(info.n_think, info.n_layers)
    measured = gather(own, len(question.rows), SIZE)
    n_candidates = len(question.documents) - len(reading.refused_documents)
    edits = edit_figures(measured, planned, seed)
    measures = whole_figures(measured, planned, n_candidates, seed)
    lost = shares(measured, planned, n_candidates, seed)
    tasks = task_figures(question, measured, planned, seed)
    geometry = find_geometry(reading, measured.squares, seed)
    # A latent decoder tells its target and reads final states; the backbone's own reads keys and values.
    findings = find(info, edits, measures, lost, tasks, geometry, reads_last=info.tells == "target")
    card = read_card(wanted.chosen.path)
    return Audit(
        verdict=judge(findings),
        checkpoint=Audited(
            name=card.name,
            title=card.title,
            n_think=info.n_think,
            n_layers=info.n_layers,
            contexts=info.contexts,
            tells=info.tells,
            provenance=info.provenance,
        ),
        source=Source(
            data=question.data,
            split=question.split,
            title=question.title,
            revision=question.revision,
            n=len(question.rows),
            n_candidates=n_candidates,
        ),
        seed=seed,
        measures=measures,
        shares={name: one for name, one in lost.items() if name.endswith(".all") or name.startswith("block")},
        edits=edits,
        tasks=tasks,
        budget=find_budget(measured, planned, seed),
        geometry=geometry,
        not_tested=tuple(not_tested(info, question, edits, measures, tasks)),
        notes=tuple(_notes(question, reading)),
        command=_command(wanted),
        seconds=round(time.perf_counter() - begin, 3),
        thresholds=thresholds_json(),
    )


def _notes(question: Question, reading: Reading) -> list[str]:
    found = [*question.notes]
    if failed := [row.error for row in reading.rows if row.error]:
        found.append(
            f"{len(failed):,} of {len(reading.rows):,} samples could not be read. The first reason: {failed[0]}"
        )
    if refused := reading.refused_documents:
        found.append(
            f"{len(refused):,} candidates could not be embedded. The first reason: {next(iter(refused.values()))}"
        )
    if reading.info.contexts and len(question.rows) > WRITTEN_ROWS:
        found.append(
            f"Texts under edits were written for the first {WRITTEN_ROWS} samples; everything else is of all samples."
        )
    found.append("Only the thoughts of queries are edited; candidates keep theirs.")
    return found


def _command(wanted: Wanted) -> str:
    question, path = wanted.question, wanted.chosen.path
    named = path.name if bundled_checkpoints().get(path.name) == path else str(path)
    asked = ["--data", question.data, "--split", question.split, "--n", str(len(question.rows))]
    return shlex.join(["thinkscope", "audit", named, *asked, "--seed", str(wanted.seed)])
