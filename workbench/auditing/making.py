"""How an audit is made: the model reads the question as for a comparison, then edits; figures and verdict need no model."""

import hashlib
import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.assets import bundled_checkpoints, read_card, resolve_checkpoint
from workbench.audit import TELLS_TARGET, Audit, Audited
from workbench.auditing.budgets import find_budget
from workbench.auditing.figures import edit_figures, shares, whole_figures
from workbench.auditing.findings import find, not_tested, task_figures
from workbench.auditing.fitting import KIND as FIT
from workbench.auditing.fitting import LEAST, Fit, gather_fit, measure_fit, pose_fit
from workbench.auditing.geometry import find_geometry
from workbench.auditing.measuring import VERSION, Asked, measure
from workbench.auditing.partners import find_partners
from workbench.auditing.parts import SIZE, gather, is_complete
from workbench.auditing.planned import plan
from workbench.auditing.texts import FIRST_ROWS
from workbench.auditing.verdict import judge, thresholds_json
from workbench.comparing.kept import Kept, mark_used
from workbench.comparing.making import Chosen, Setup, check_loaded
from workbench.comparing.question import MAX_N, Question, check_unchanged, pose
from workbench.comparing.reading import Reading
from workbench.comparing.tracing import is_read, read_question
from workbench.comparison import Source
from workbench.embedder import Editable, Embedder
from workbench.errors import BadInput, Unsupported
from workbench.memory import memory_told
from workbench.models.checkpoint import load_checkpoint
from workbench.models.editable import check_editable
from workbench.models.reading import check_folder, checkpoint_hash
from workbench.stages import Progress, part_of, quiet

DEFAULT_N = 500
FIT_SPLIT = "validation"
_READ, _FITTED, _EDITED = 0.3, 0.35, 0.95
"""Share of the progress that is behind when the model has read, has truncated the rows to fit on, and has edited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An audit that is asked for, checked before a model is loaded."""

    chosen: Chosen
    question: Question
    seed: int
    fit_split: str
    """Split on which the adaptive policy is fitted."""
    fit: Question | None
    """What is read of it; None where it cannot serve."""
    unfit: str
    """Why it cannot."""


def ask(checkpoint: Path | str, data: str, *, split: str, n: int, seed: int, fit_split: str = FIT_SPLIT) -> Wanted:
    """Find checkpoint and data. Raises BadInput, BadCheckpoint or Unsupported with one sentence."""
    if not 0 <= seed < 2**31:
        raise BadInput(f"The seed is {seed}, but must be a whole number from 0 to 2,147,483,647.")
    if not 1 <= n <= MAX_N:
        raise BadInput(f"The number of samples is {n:,}, but must be 1 to {MAX_N:,}.")
    path = resolve_checkpoint(str(checkpoint))
    check_folder(path)
    check_editable(path)
    chosen = Chosen(path=path, name=read_card(path).name, sha256=checkpoint_hash(path))
    question = pose(data, split=split, n=n)
    fit, unfit = pose_fit(data, fit_split, question)
    return Wanted(chosen=chosen, question=question, seed=seed, fit_split=fit_split, fit=fit, unfit=unfit)


def run_audit(
    checkpoint: Path | str,
    data: str,
    *,
    split: str,
    n: int,
    seed: int = 0,
    fit_split: str = FIT_SPLIT,
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
        fit_split: part of the data on which the adaptive policy's threshold is chosen; where it cannot serve, halves of the
            audited rows do, and the audit says so.
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
    wanted = ask(checkpoint, data, split=split, n=n, seed=seed, fit_split=fit_split)
    return make_audit(wanted, Setup(kept=Kept(kept)), tell=tell, cancelled=cancelled)


def make_audit(
    wanted: Wanted, setup: Setup, *, tell: Progress = quiet, cancelled: Callable[[], bool] = lambda: False
) -> Audit:
    """As `run_audit`, of what was asked for."""
    begin = time.perf_counter()
    folders = _open(wanted, setup)
    with memory_told(
        f"Memory ran out while '{wanted.chosen.name}' was audited. What was measured before is kept in {setup.kept.root}, and the "
        "same audit goes on from there; close other programs, or take a smaller dtype (--dtype bfloat16) or another device."
    ):
        reading, edited = _measure(wanted, setup, folders, tell, cancelled)
    setup.kept.tidy({one.name for one in (*folders.used, edited)})
    tell(_EDITED, "Making figures")
    audit = _figures(wanted, setup, reading, folders.fitted, edited, begin)
    tell(1.0, "done")
    return audit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folders:
    """Where lies what an audit has the model read."""

    reading: Path
    fitted: Path | None

    @property
    def used(self) -> tuple[Path, ...]:
        return (self.reading,) if self.fitted is None else (self.reading, self.fitted)


def _open(wanted: Wanted, setup: Setup) -> _Folders:
    return _Folders(
        reading=setup.kept.open(setup.key(wanted.question, wanted.chosen)),
        fitted=None if wanted.fit is None else _opened(setup, FIT, setup.key(wanted.fit, wanted.chosen)),
    )


def _open_edited(wanted: Wanted, setup: Setup, reading: Reading) -> Path:
    """Where the parts of the edits lie. Means, partners and candidates are of what could be read, so that names them too."""
    failed = [place for place, row in enumerate(reading.rows) if row.error]
    key = setup.key(wanted.question, wanted.chosen)
    return _opened(setup, "audit", key, wanted.seed, failed, sorted(reading.refused_documents))


def _opened(setup: Setup, kind: str, *parts: object) -> Path:
    name = hashlib.sha256(json.dumps([VERSION, *parts]).encode()).hexdigest()[:32]
    return setup.kept.open(f"{kind}-{name}")


def _measure(
    wanted: Wanted, setup: Setup, folders: _Folders, tell: Progress, cancelled: Callable[[], bool]
) -> tuple[Reading, Path]:
    """The reading, and the folder of what came of the edits."""
    question, path = wanted.question, wanted.chosen.path
    known = Reading(folders.reading) if is_read(folders.reading) else None
    edited = None if known is None else _open_edited(wanted, setup, known)
    fitted = folders.fitted is None or (
        wanted.fit is not None and is_complete(folders.fitted, FIT, len(wanted.fit.rows))
    )
    if known is not None and edited is not None and fitted and is_complete(edited, "audit", len(question.rows)):
        return known, edited
    check_unchanged(question)
    tell(0.0, f"Loading {wanted.chosen.name}")
    model = setup.load(path) if setup.load else load_checkpoint(path, device=setup.device, dtype=setup.dtype)
    check_loaded(wanted.chosen, model)
    _check(model)
    with setup.turn() as give_way:

        def between() -> bool:
            # It may take hours, and no other run is to tidy away what it goes on from or reads in the end.
            mark_used(folders.used if edited is None else (*folders.used, edited))
            if not cancelled():
                give_way()
            return cancelled()

        reading = known or read_question(
            model, question, folders.reading, path, tell=part_of(tell, 0.0, _READ), cancelled=between
        )
        edited = _open_edited(wanted, setup, reading)
        try:
            if wanted.fit is not None and folders.fitted is not None:
                progress = part_of(tell, _READ, _FITTED - _READ)
                measure_fit(model, wanted.fit, folders.fitted, tell=progress, cancelled=between)
            progress = part_of(tell, _FITTED, _EDITED - _FITTED)
            measure(model, _asked(wanted, reading), edited, tell=progress, cancelled=between)
        except OSError as error:
            raise BadInput(
                f"The audit cannot be written to {edited.parent} ({error.strerror or error}); free some space, or name "
                "another folder with --keep."
            ) from error
    return reading, edited


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


def _figures(wanted: Wanted, setup: Setup, reading: Reading, fitted: Path | None, edited: Path, begin: float) -> Audit:
    question, seed, info = wanted.question, wanted.seed, reading.info
    planned = plan(info.n_think, info.n_layers)
    measured = gather(edited, len(question.rows))
    fit = None if wanted.fit is None or fitted is None else gather_fit(fitted, wanted.fit)
    n_candidates = len(question.documents) - len(reading.refused_documents)
    edits = edit_figures(measured, planned, seed)
    measures = whole_figures(measured, planned, n_candidates, seed)
    lost = shares(measured, planned, n_candidates, seed)
    tasks = task_figures(question, measured, planned, n_candidates, seed)
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
        budget=find_budget(measured, planned, fit, seed),
        geometry=geometry,
        not_tested=tuple(not_tested(info, question, edits, measures, tasks)),
        notes=tuple(_notes(wanted, reading, fit)),
        command=_command(wanted, setup),
        seconds=round(time.perf_counter() - begin, 3),
        thresholds=thresholds_json(),
        is_whole=not reading.about.n_passing,
    )


def _notes(wanted: Wanted, reading: Reading, fit: Fit | None) -> list[str]:
    question = wanted.question
    found = [*question.notes]
    if reading.info.tells == "target" and reading.info.contexts:
        found.append(TELLS_TARGET)
    if failed := [row.error for row in reading.rows if row.error]:
        found.append(
            f"{len(failed):,} of {len(reading.rows):,} samples could not be read. The first reason: {failed[0]}"
        )
    if refused := reading.refused_documents:
        found.append(
            f"{len(refused):,} candidates could not be embedded. The first reason: {next(iter(refused.values()))}"
        )
    if reading.info.contexts and len(question.rows) > FIRST_ROWS:
        found.append(
            f"Of the first {FIRST_ROWS} samples alone: texts that are written under edits (words changed, fluency), and how likely "
            "the own text is when one thought is edited or attention is cut. Everything else is of all samples."
        )
    if fit is not None and fit.unranked:
        found.append(
            f"{fit.unranked:,} of {fit.unranked + len(fit.hits):,} rows of the split {fit.split}, on which the adaptive policy is "
            "chosen, were left out: the query or its right candidate could not be read."
        )
    unfit = wanted.unfit
    if fit is not None and not fit.is_enough:
        unfit = f"of its {len(fit.hits)} ranked rows {LEAST} are needed"
    if unfit:
        found.append(
            f"The adaptive policy is chosen on one half of the samples and measured on the other, both ways, because {unfit}."
        )
    found.append("Only the thoughts of queries are edited; candidates keep theirs.")
    return found


def _command(wanted: Wanted, setup: Setup) -> str:
    question, path = wanted.question, wanted.chosen.path
    named = path.name if bundled_checkpoints().get(path.name) == path else str(path)
    asked = ["--data", question.data, "--split", question.split, "--n", str(len(question.rows))]
    if wanted.fit_split != FIT_SPLIT:
        asked += ["--fit-split", wanted.fit_split]
    asked += ["--seed", str(wanted.seed)]
    asked += ["--device", setup.device] if setup.device else []
    asked += ["--dtype", setup.dtype] if setup.dtype else []
    return shlex.join(["thinkscope", "audit", named, *asked])
