"""The audit as a judge of plants: it is given a checkpoint and data, as anybody would give them."""

from workbench.audit import Verdict
from workbench.auditing.making import run_audit
from workbench.planting.cases import Question


def ask_audit(question: Question) -> Verdict:
    """The audit's verdict."""
    audit = run_audit(question.checkpoint, question.data, split=question.split, n=question.n, kept=question.kept)
    return audit.verdict
