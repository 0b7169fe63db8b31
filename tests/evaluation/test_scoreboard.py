import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
from checkpoints import write_tiny
from linear_world import LinearModel, ToyMap, linear_trace, picture, think

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Objective
from workbench.errors import BadInput, UnknownName, Unsupported
from workbench.evaluation import known_maps
from workbench.evaluation.known_maps import MOST, KnownSample, known_samples
from workbench.evaluation.scoreboard import SCORES, Board, choose_methods, score_maps
from workbench.models import writing_embedder
from workbench.models.checkpoint import load_checkpoint
from workbench.models.layout import explicit_cot
from workbench.render.board import board_cells, board_html, board_json, board_markdown, statement
from workbench.samples import make_sample
from workbench.stages import quiet
from workbench.stats import Interval
from workbench.targets import EmbeddingTarget, ThinkState, WordTarget

WEIGHTS = np.zeros((2, 24))
WEIGHTS[0, 2], WEIGHTS[1, 21] = 1.0, 1.0
TRUTH = (WEIGHTS > 0).astype(float)
METHODS: dict[str, Any] = {kind: ToyMap(kind=kind) for kind in ("perfect", "inverted", "even")}


def known(model: LinearModel, n: int) -> list[KnownSample]:
    found = []
    for number in range(n):
        cells = np.random.default_rng(number).uniform(0, 0.2, size=(4, 6))
        cells.flat[[2, 21]] = 1.0
        encoded = model.prepare(make_sample([picture(cells)], f"sample {number}"))
        found.append(
            KnownSample(
                encoded=encoded,
                trace=linear_trace(encoded),
                context=None,
                targets=(think(0), think(1)),
                kinds=("words", "embedding"),
                truth=TRUTH,
            )
        )
    return found


@pytest.fixture(scope="module")
def board() -> Board:
    model = LinearModel(WEIGHTS)
    return score_maps(model, METHODS, known=known(model, 6), n=6, data="toys")


def test_a_perfect_map_wins_an_inverted_one_loses(board: Board) -> None:
    assert [row.method for row in board.rows] == ["perfect", "even", "inverted"] * 2
    assert board.standings[0][0] == "perfect"
    for row in board.rows:
        scores = {name: found.value for name, found in row.scores.items() if found is not None}
        assert set(scores) == set(SCORES)
        if row.method == "perfect":
            assert scores["pointing_game"] == 1
            assert scores["relevance_mass"] > 0.9
            assert scores["insertion"] > 0.9
            assert scores["deletion"] < 0.1
        elif row.method == "inverted":
            assert scores["pointing_game"] == 0
            assert scores["insertion"] < 0.3
            assert scores["deletion"] > 0.7
        else:
            assert scores["pointing_game"] == pytest.approx(1 / 24)
            assert scores["relevance_mass"] == pytest.approx(1 / 24)


def test_whether_targets_hinge_on_their_evidence_is_told(board: Board) -> None:
    # Without the only cell that counts nothing is left but the fill.
    assert board.hinging == {"words": 1.0, "embedding": 1.0}
    model = LinearModel(WEIGHTS)
    elsewhere = [replace(one, truth=TRUTH[:, ::-1].copy()) for one in known(model, 2)]
    shifted = score_maps(
        model, METHODS, known=[replace(one, truth=np.roll(TRUTH, 5, 1)) for one in elsewhere], n=2, data="t"
    )
    assert shifted.hinging == {"words": 0.0, "embedding": 0.0}


def test_the_pointing_game_is_parted_by_what_targets_hinge_on(board: Board) -> None:
    hinging, other = board.rows[0].by_hinging
    assert hinging is not None
    assert hinging.value == 1
    assert other is None
    # The first target's evidence is put where nothing counts: the map is right to point elsewhere, and the part says so.
    model = LinearModel(WEIGHTS)
    away = np.stack([np.roll(TRUTH[0], 5), TRUTH[1]])
    words = [replace(one, truth=away, kinds=("words", "words")) for one in known(model, 4)]
    row, *_ = score_maps(model, {"perfect": METHODS["perfect"]}, known=words, n=4, data="toys").rows
    assert [None if part is None else part.value for part in row.by_hinging] == [1.0, 0.0]
    found = score_maps(model, {"perfect": METHODS["perfect"]}, known=words, n=4, data="toys")
    assert "hits 1.000 (1.000 to 1.000); of the others, 0.000 (0.000 to 0.000)" in statement(found)


def test_controls_score_by_chance(board: Board) -> None:
    assert {row.method for row in board.controls} == {"random maps", "centre map"}
    for row in board.controls:
        found = row.scores["relevance_mass"]
        assert found is not None
        assert found.value < 0.1


def test_json_has_exactly_the_keys_that_were_promised(board: Board) -> None:
    rows = json.loads(json.dumps(board_json(board), allow_nan=False))
    assert len(rows) == 6
    for row in rows:
        assert set(row) == {"method", "target", *SCORES, "seconds_per_map"}
        assert row["method"] in METHODS
        for score in SCORES:
            assert set(row[score]) == {"value", "low", "high"}
            assert row[score]["low"] <= row[score]["value"] <= row[score]["high"]
        assert row["seconds_per_map"] > 0


def test_equal_arguments_give_equal_scores(board: Board) -> None:
    model = LinearModel(WEIGHTS)
    again = score_maps(model, METHODS, known=known(model, 6), n=6, data="toys")
    assert [row.scores for row in again.rows] == [row.scores for row in board.rows]
    alone = {"perfect": METHODS["perfect"]}
    one = score_maps(model, alone, known=known(model, 6), n=6, data="toys")
    assert one.rows[0].scores == board.rows[0].scores


def test_tables_and_pages_name_every_row_and_the_winner(board: Board) -> None:
    assert len(board_cells(board)) == 6 + 4
    assert statement(board).startswith("Use perfect by default")
    assert "misses" not in statement(board)
    for text in (board_markdown(board), board_html(board)):
        assert "control: random maps" in text
        assert "Toys, 6 samples" in text
        assert text.count("inverted") >= 2
    assert "<script" not in board_html(board)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Gapped(AttributionProbe):
    """The perfect map with a completeness gap that is given. Unitless; it misleads never."""

    name = "gapped"
    title = "Gapped"
    version = 1
    reference = "none"
    signed = True
    gap: float = 0.0

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        found = METHODS["perfect"].attribute(objective, tick)
        return replace(found, gap=np.array([self.gap, 0.0]))


def test_of_methods_that_score_alike_the_one_that_converges_is_the_default(board: Board) -> None:
    assert board.converged == {}
    assert board.default == "perfect"
    model = LinearModel(WEIGHTS)
    alike: dict[str, Any] = {"a": Gapped(gap=0.06), "b": Gapped(gap=0.04), "inverted": METHODS["inverted"]}
    found = score_maps(model, alike, known=known(model, 3), n=3, data="toys")
    assert found.converged == {"a": 0.5, "b": 1.0}
    assert [name for name, _ in found.standings] == ["a", "b", "inverted"]
    assert found.default == "b"
    said = statement(found)
    assert said.startswith("Use b by default")
    assert "100% of the maps of b account for their target's value to within 5%, 50% of the maps of a" in said


def test_what_could_not_be_scored_is_null_and_said(board: Board) -> None:
    row = board.rows[0]
    changed = replace(board, rows=(replace(row, scores={**row.scores, "deletion": None}),), controls=())
    assert board_json(changed)[0]["deletion"] == {"value": None, "low": None, "high": None}
    assert board_cells(changed)[0][5] == "not measured"
    hit = Interval(value=0.4, low=0.3, high=0.5, n=9)
    missed = replace(board, rows=(replace(row, scores={**row.scores, "pointing_game": hit}),))
    assert "misses 0.95" in statement(missed)


def test_a_fill_that_lowers_nothing_leaves_the_curves_out() -> None:
    model = LinearModel(np.zeros((2, 24)))
    [row, *_] = score_maps(model, {"even": METHODS["even"]}, known=known(model, 2), n=2, data="toys").rows
    assert row.scores["insertion"] is None
    assert row.scores["pointing_game"] is not None


def test_nothing_known_is_a_clear_refusal() -> None:
    model = LinearModel(WEIGHTS)
    empty = [replace(one, targets=(), kinds=(), truth=TRUTH[:0]) for one in known(model, 2)]
    with pytest.raises(Unsupported, match="None of 2 samples"):
        score_maps(model, METHODS, known=empty, n=2, data="toys")


def test_methods_are_chosen_by_name() -> None:
    assert list(choose_methods(["saliency", "saliency"])) == ["saliency"]
    assert len(choose_methods(None)) > 5
    with pytest.raises(UnknownName, match="saliency"):
        choose_methods(["salience"])
    with pytest.raises(BadInput, match="No method"):
        choose_methods([])


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model leads by next to nothing."""
    monkeypatch.setattr(known_maps, "LEAST_LEAD", 1e-9)


@pytest.mark.usefixtures("lenient")
def test_samples_of_a_real_model_have_targets_in_their_places(tiny_model: Any) -> None:
    found = list(known_samples(tiny_model, split="test", n=20, seed=7))
    assert len(found) == 20
    assert any("embedding" in sample.kinds for sample in found)
    for sample in found:
        cells = sum(grid.n_tokens for grid in sample.encoded.grids)
        assert sample.truth.shape == (len(sample.targets), cells)
        assert len(sample.kinds) == len(sample.targets)
        for kind, most in MOST.items():
            assert sample.kinds.count(kind) <= most
        for kind, target in zip(sample.kinds, sample.targets, strict=True):
            expected = {"words": WordTarget, "embedding": EmbeddingTarget, "think": ThinkState}[kind]
            assert isinstance(target, expected)
        assert (sample.truth.max(axis=1, initial=1) > 0).all()
    again = list(known_samples(tiny_model, split="test", n=5, seed=7))
    assert [[t.label for t in one.targets] for one in again] == [[t.label for t in one.targets] for one in found[:5]]


def test_leads_by_luck_are_no_targets(tiny_model: Any) -> None:
    for sample in known_samples(tiny_model, split="test", n=20, seed=7):
        for target in sample.targets:
            if isinstance(target, EmbeddingTarget):
                assert (
                    sample.trace.embedding @ (target.score.positive - target.score.others[0]) >= known_maps.LEAST_LEAD
                )


@pytest.mark.usefixtures("lenient")
def test_a_real_model_is_scored_end_to_end(tiny_model: Any) -> None:
    told: list[float] = []
    samples = known_samples(tiny_model, split="test", n=6, seed=7)
    chosen = choose_methods(["saliency"])
    board = score_maps(
        tiny_model, chosen, known=samples, n=6, data="Shapes", progress=lambda share, _: told.append(share)
    )
    assert told == sorted(told)
    assert told[-1] == 1
    assert {row.method for row in board.rows} == {"saliency"}
    assert board.n == 6
    assert set(board.hinging) == {row.target for row in board.rows}


@pytest.mark.usefixtures("lenient")
def test_words_that_were_written_before_the_embedding_are_scored(
    tmp_path: Path, shapes_rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words and embedding of one sample go together, the text is written once, and the board says that it was held."""
    monkeypatch.setattr(writing_embedder, "MAX_WRITTEN", 6)
    model: Any = load_checkpoint(write_tiny(tmp_path / "tiny", shapes_rows, layout=explicit_cot()), device="cpu")
    samples = [one for one in known_samples(model, split="test", n=8, seed=7) if one.targets]
    tokens = samples[0].trace.tokens
    said = tuple(tokens.ids[[kind == "reasoning" for kind in tokens.kinds]].tolist())
    assert len(said) == 6
    word = WordTarget(label="word 2", tokens=said, start=1, stop=2)
    one = replace(
        samples[0],
        targets=(*samples[0].targets, word),
        kinds=(*samples[0].kinds, "words"),
        truth=np.concatenate([samples[0].truth, samples[0].truth[:1]]),
    )

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a text was written anew")

    monkeypatch.setattr(writing_embedder, "write_and_embed", never)
    board = score_maps(model, choose_methods(["saliency"]), known=[one], n=1, data="Shapes")
    assert {row.target for row in board.rows} >= {"words"}
    assert any("holds that text as it is" in remark for remark in board.remarks)
