"""The evaluation gives a model that knows the truth full marks, one that errs at known places exactly its due, and a swapped
thought what chance gives."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from workbench.data.readers.shapes import to_pair
from workbench.data.shapes import ShapesConfig, make_sample
from workbench.embedder import DecodesThoughts, Embedder, Keep
from workbench.errors import BadInput, UnknownName
from workbench.evaluation.shapes import LOOK_AHEAD, evaluate_shapes
from workbench.types import Context, DecodedThought, Encoded, Sample, TextScore, TokenTable, Trace

N = 40


class Oracle(Embedder, DecodesThoughts):
    """Knows every sample of the test split; wrong on purpose where told."""

    def __init__(
        self,
        *,
        wrong_thoughts: Sequence[int] = (),
        wrong_targets: Sequence[int] = (),
        world: ShapesConfig | None = None,
        known: int = 400,
    ) -> None:
        self.info = planted_info()
        samples = [make_sample(world or ShapesConfig(), "test", index) for index in range(known)]
        keys = sorted({sample.target_id for sample in samples})
        self.reasoning: dict[Any, str] = {}
        self.vector: dict[Any, np.ndarray] = {}
        for index, sample in enumerate(samples):
            pair = to_pair(sample)
            vector = np.eye(len(keys), dtype=np.float32)[keys.index(sample.target_id)]
            self.vector.setdefault(content(pair.target), vector)
            self.vector[content(pair.query)] = np.roll(vector, 1) if index in wrong_targets else vector
            wrong = sample.reasoning.replace("small", "large", 1).replace("answer: ", "answer: not ")
            self.reasoning[content(pair.query)] = wrong if index in wrong_thoughts else sample.reasoning

    def prepare(self, sample: Sample) -> Encoded:
        table = TokenTable(ids=np.zeros(0, dtype=np.int64), texts=(), kinds=())
        return Encoded(sample=sample, inputs={}, tokens=table, grids=(), think=slice(0, 0), embed=0)

    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        return [blank_trace(encoded.sample, self.vector[content(encoded.sample)]) for encoded in batch]

    def embed(self, batch: Sequence[Encoded]) -> np.ndarray:
        return np.stack([self.vector[content(encoded.sample)] for encoded in batch])

    def decode(
        self,
        traces: Sequence[Trace],
        *,
        context: Context | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        thoughts_from: Sequence[Trace] | None = None,
    ) -> list[DecodedThought]:
        return [thought(self.reasoning[content(trace.sample)]) for trace in thoughts_from or traces]

    def score(self, traces: Any, texts: Any, *, context: Any = None, thoughts_from: Any = None) -> list[TextScore]:
        raise NotImplementedError


def content(sample: Sample) -> Any:
    return sample.text, tuple(image.sha256 for image in sample.images)


def planted_info() -> Any:
    from planted import PlantedModel

    return PlantedModel().info


def blank_trace(sample: Sample, vector: np.ndarray) -> Trace:
    return Trace(
        sample=sample,
        tokens=TokenTable(ids=np.zeros(0, dtype=np.int64), texts=(), kinds=()),
        grids=(),
        think=slice(0, 0),
        embed=0,
        latents=np.zeros((0, 0, 4), dtype=np.float32),
        attention=np.zeros((0, 1, 1, 0), dtype=np.float32),
        embedding=vector,
        stepwise=vector[None],
        knockout=np.zeros((0, len(vector)), dtype=np.float32),
        provenance=planted_info().provenance,
    )


def thought(text: str) -> DecodedThought:
    return DecodedThought(
        text=text, tokens=(text,), token_ids=(0,), log_probabilities=(-0.5,), context="latents_only", finish="end"
    )


def test_the_truth_gets_full_marks_and_swapping_gets_chance() -> None:
    report = evaluate_shapes(Oracle(), n=N, batch=16)
    for name in ("thought_exact", "answer_exact", "hit_at_1"):
        assert report.metrics[name] == (1.0, 1.0, 1.0, N)
    assert report.metrics["swapped_thought_exact"].value == report.chance_thought_exact
    assert (report.chance_thought_exact or 0) < 0.05
    assert report.metrics["token_log_probability"].value == pytest.approx(-0.5)
    assert report.n_candidates >= 200
    assert sum(metrics["hit_at_1"].n for metrics in report.by_task.values()) == N


def test_a_world_with_few_targets_is_ranked_among_those_that_it_has() -> None:
    """Scenes of one object have fewer than 200 distinct targets, however many are drawn."""
    world = ShapesConfig(objects=(1, 1))
    report = evaluate_shapes(Oracle(world=world, known=N + LOOK_AHEAD), n=N, batch=16, world=world)
    # Neighbours are the pairs that are swapped, so chance is exactly what the truth gets.
    assert report.metrics["swapped_thought_exact"].value == report.chance_thought_exact
    assert 100 < report.n_candidates < 200
    assert report.metrics["hit_at_1"].value == 1


def test_errors_are_counted_exactly() -> None:
    samples = [make_sample(ShapesConfig(), "test", index) for index in range(N)]
    listed = [index for index, sample in enumerate(samples) if "small" in sample.reasoning][:6]
    report = evaluate_shapes(Oracle(wrong_thoughts=listed, wrong_targets=[0, 9, 17]), n=N, batch=7)
    assert report.metrics["thought_exact"].value == pytest.approx(1 - 6 / N)
    assert report.metrics["answer_exact"].value == pytest.approx(1 - 6 / N)
    assert report.metrics["hit_at_1"].value == pytest.approx(1 - 3 / N)
    low, high = report.metrics["hit_at_1"].low, report.metrics["hit_at_1"].high
    assert low < 1 - 3 / N < high


def test_batches_do_not_matter(tiny_model: Any) -> None:
    one = evaluate_shapes(tiny_model, n=6, batch=6, max_tokens=8)
    many = evaluate_shapes(tiny_model, n=6, batch=4, max_tokens=8)
    assert one.metrics["hit_at_1"] == many.metrics["hit_at_1"]
    assert one.metrics["token_log_probability"].value == pytest.approx(
        many.metrics["token_log_probability"].value, abs=1e-4
    )


def test_refusals() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'test'"):
        evaluate_shapes(Oracle(), split="tset")
    with pytest.raises(BadInput, match="2 or more"):
        evaluate_shapes(Oracle(), n=1)


def test_a_model_that_writes_nothing_is_measured_by_its_embedding() -> None:
    silent = Oracle(wrong_targets=[3])
    silent.info = replace(silent.info, contexts=())
    report = evaluate_shapes(silent, n=N, batch=16)
    assert set(report.metrics) == {"hit_at_1"}
    assert report.metrics["hit_at_1"].value == pytest.approx(1 - 1 / N)
    assert {name for rows in report.by_task.values() for name in rows} == {"hit_at_1"}
    assert set(report.undefined) == {"thought_exact", "answer_exact", "swapped_thought_exact"}
    assert all("writes no text" in reason for reason in report.undefined.values())
    assert report.chance_thought_exact is None


def test_thoughts_that_tell_the_target_are_compared_with_its_words() -> None:
    samples = [make_sample(ShapesConfig(), "test", index) for index in range(N)]
    teller = Oracle()
    teller.info = replace(teller.info, tells="target")
    for index, sample in enumerate(samples):
        words = sample.target_text or sample.target_id.removeprefix("image:")
        teller.reasoning[content(to_pair(sample).query)] = "something else" if index < 5 else words
    report = evaluate_shapes(teller, n=N, batch=16)
    assert report.metrics["target_exact"].value == pytest.approx(1 - 5 / N)
    assert set(report.metrics) == {"hit_at_1", "target_exact", "swapped_target_exact", "token_log_probability"}
    assert report.metrics["swapped_target_exact"].value <= (report.chance_thought_exact or 0)
    assert all(set(rows) == {"hit_at_1", "target_exact"} for rows in report.by_task.values())
    assert all("not a reasoning" in reason for reason in report.undefined.values())
    assert any(sample.target_is_image for sample in samples[5:])
