"""An explanation as text for the terminal."""

import shutil

from workbench.attribution import remarks_of
from workbench.cli._screen import has_colour, paint, plain, table
from workbench.explanation import Explanation, sentences_of, values_of
from workbench.probe import probe_of
from workbench.render.text import panel_text
from workbench.render.values import number
from workbench.targets import words_of
from workbench.telling import about_text, name_of_text
from workbench.types import ProbeResult
from workbench.views import Note

_TITLE = "1"


def report(explanation: Explanation) -> str:
    """The thought with its words numbered, each target's number, the maps, and what speaks for or against them."""
    result = explanation.result
    probe = probe_of(result)
    level = result.parameters.get("level", "tokens")
    head = (
        f"{paint(plain(explanation.card.title), _TITLE)}: {probe.title} on {level}, "
        f"target {plain(explanation.target)}, {explanation.seconds['total']:.2f} s"
    )
    tests = [figure for found in explanation.judged.values() for figure in _figures(found)]
    parts = [
        head,
        _thought(explanation),
        _numbers(explanation),
        *_figures(result),
        "\n".join(sentences_of(result)),
        *tests,
        _trust(explanation),
    ]
    return "\n\n".join(part for part in parts if part)


def _figures(result: ProbeResult) -> list[str]:
    width = shutil.get_terminal_size((100, 24)).columns
    return [
        panel_text(panel, result, colour=has_colour(), width=width)
        for panel in probe_of(result).view(result)
        if not isinstance(panel, Note)  # failed checks stand at the end, with those that passed
    ]


def _thought(explanation: Explanation) -> str:
    if explanation.thought is None:
        return ""
    words = words_of(explanation.thought.tokens)
    numbered = "  ".join(f"{i} {plain(word.text)}" for i, word in enumerate(words, start=1))
    title = paint(f"Words of the {name_of_text(explanation.info)}", _TITLE)
    return f"{title}\n{numbered or '(none)'}\n{about_text(explanation.info, explanation.thought.context)}"


def _numbers(explanation: Explanation) -> str:
    columns = {
        "target": [plain(label) for label in explanation.labels],
        "value": _column(explanation, "value"),
        "at the baseline": _column(explanation, "baseline_value"),
        "unexplained": _column(explanation, "completeness_gap", share=True),
    }
    shown = {name: column for name, column in columns.items() if column}
    return table(list(zip(*shown.values(), strict=True)), head=tuple(shown))


def _column(explanation: Explanation, name: str, *, share: bool = False) -> list[str]:
    found = values_of(explanation.result, name)
    return [] if found is None else [f"{value:.1%}" if share else number(value) for value in found]


def _trust(explanation: Explanation) -> str:
    result = explanation.result
    checks = [*result.checks, *(check for found in explanation.judged.values() for check in found.checks)]
    lines = [f"{'ok' if check.passed else 'NOT'}: {check.name}: {plain(check.about)}" for check in checks]
    lines += [f"{name} was not tested: {plain(reason)}" for name, reason in explanation.skipped.items()]
    lines += [plain(remark) for remark in remarks_of(result)]
    lines += [plain(note) for note in explanation.notes]
    if explanation.card.knows:
        lines.append(f"The checkpoint knows: {plain(explanation.card.knows)}")
    return "\n".join([paint("How far to trust it", _TITLE), *(f"- {line}" for line in lines)]) if lines else ""
