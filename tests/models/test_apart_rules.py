"""Who may see whom where think and embed tokens are kept apart: what each position depends on, by hand from the rules.

A position that a rule hides has a weight of exactly 0, so its gradient is 0 to the last bit, through both passes of `two_pass`
and under both adapters of `dual_adapter`; what is seen, directly or through others, is not.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from apart import CONTEXTS, SAMPLES, packed_of

from workbench.models.apart import run_apart
from workbench.models.backbone import Backbone
from workbench.models.latent_embedder import LatentEmbedder
from workbench.models.sequence import EMBED, PAD, QUERY, TEXT, THINK, Packed, visibility
from workbench.types import Context, Sample

TWICE = ("dual_adapter", "two_pass")
QUERY_ROW = {"query": ("query",)}
ALL = {"image", "words", "1", "2", "3", "4"}
THOUGHTS = {"1", "2", "3", "4"}


def growing(*first: str) -> dict[str, set[str]]:
    """Each thought depends on some columns, on the thoughts before it, and on itself."""
    return {str(k): {*first, *map(str, range(1, k + 1))} for k in range(1, 5)}


CASES: dict[str, tuple[dict[str, tuple[str, ...]], dict[str, set[str]]]] = {
    "causal": (
        {"think": ("query", "think"), "embed": ("query", "think", "embed")},
        {
            **growing("image", "words"),
            "embed": ALL | {"embed"},
            # The query comes through the thoughts, whatever the context shows.
            "latents_only": ALL | {"text"},
            "query_and_latents": ALL | {"text"},
        },
    ),
    "thoughts that do not see the query": (
        {"think": ("think",), "embed": ("query", "think", "embed")},
        {
            **growing(),
            "embed": ALL | {"embed"},
            "latents_only": THOUGHTS | {"text"},
            "query_and_latents": ALL | {"text"},
        },
    ),
    "embed tokens that see thoughts alone, which see no query": (
        {"think": ("think",), "embed": ("think", "embed")},
        {
            **growing(),
            "embed": THOUGHTS | {"embed"},
            "latents_only": THOUGHTS | {"text"},
            "query_and_latents": ALL | {"text"},
        },
    ),
    "embed tokens that see no thought": (
        {"think": ("query", "think"), "embed": ("query", "embed")},
        {
            **growing("image", "words"),
            "embed": {"image", "words", "embed"},
            "latents_only": ALL | {"text"},
            "query_and_latents": ALL | {"text"},
        },
    ),
    "thoughts that see the words, which see no image": (
        {"words": ("words",), "think": ("words", "think"), "embed": ("think", "embed")},
        {
            **growing("words"),
            "embed": THOUGHTS | {"words", "embed"},
            "latents_only": THOUGHTS | {"words", "text"},
            "query_and_latents": ALL | {"text"},
        },
    ),
    "single thoughts with rules of their own": (
        {
            "think": ("think",),
            "<|think_2|>": ("query", "<|think_2|>"),
            "<|think_4|>": ("<|think_1|>", "<|think_4|>"),
            "embed": ("<|think_1|>", "<|think_3|>", "embed"),
            "reasoning": ("<|think_2|>", "<|think_4|>", "reasoning"),
        },
        {
            "1": {"1"},
            "2": {"image", "words", "2"},
            "3": {"image", "words", "1", "2", "3"},
            "4": {"1", "4"},
            "embed": {"image", "words", "1", "2", "3", "embed"},
            # The text's own rule can only take away, so the wider context shows it no more.
            "latents_only": {"image", "words", "1", "2", "4", "text"},
            "query_and_latents": {"image", "words", "1", "2", "4", "text"},
        },
    ),
}


def ruled(backbone: Backbone, rules: dict[str, tuple[str, ...]]) -> Backbone:
    return replace(backbone, layout=replace(backbone.layout, attends={**QUERY_ROW, **rules}))


def names(packed: Packed, row: int) -> list[str]:
    """What each column of a sample is, in the words of the cases."""
    found = []
    for column, segment in enumerate(packed.segments[row].tolist()):
        query = "image" if packed.image[row, column] else "words"
        think = str(column - packed.think.start + 1)
        found.append({PAD: "", QUERY: query, THINK: think, EMBED: "embed", TEXT: "text"}[segment])
    return found


def reached(backbone: Backbone, context: Context, limit: torch.Tensor | None = None) -> dict[int, torch.Tensor]:
    """For each column from the first think token on: upon the inputs of which columns its final state depends."""
    packed = packed_of(backbone)
    inputs = backbone.inputs(packed).detach().requires_grad_()
    apart = run_apart(backbone, packed, inputs, visibility(packed, backbone.layout, context, limit))
    states = torch.cat([apart.think, apart.embed, apart.text], dim=1)
    found = {}
    for place in range(states.shape[1]):
        [grown] = torch.autograd.grad(
            states[:, place].square().mul(torch.arange(1, 65)).sum(), inputs, retain_graph=True
        )
        found[packed.think.start + place] = (grown != 0).any(dim=-1)
    return found


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("extraction", TWICE)
def test_each_position_depends_on_what_its_rule_shows(
    extraction: str, case: str, context: Context, apart_models: dict[str, Any]
) -> None:
    """A padded batch of two, one with an image: every column from the first think token on, upon every column."""
    rules, expected = CASES[case]
    backbone = ruled(apart_models[extraction]._backbone, rules)
    packed, found = packed_of(backbone), reached(backbone, context)
    assert len(found) == packed.ids.shape[1] - packed.think.start
    for row in range(len(SAMPLES)):
        kinds = names(packed, row)
        assert {*kinds} >= {"words", "embed", "text", *THOUGHTS}
        for column, depends in found.items():
            if not kinds[column]:
                continue
            may = expected[context if kinds[column] == "text" else kinds[column]]
            for other, kind in enumerate(kinds):
                late = kind == "text" and other > column
                assert bool(depends[row, other]) == (kind in may and not late), (row, column, other, kind)


@pytest.mark.parametrize("extraction", TWICE)
def test_hidden_thoughts_reach_neither_embedding_nor_text(extraction: str, apart_models: dict[str, Any]) -> None:
    """The first sample keeps one thought, the second all four; thoughts themselves see each other as before."""
    backbone = apart_models[extraction]._backbone
    packed, found = packed_of(backbone), reached(backbone, "query_and_latents", torch.tensor([1, 4]))
    for row, kept in enumerate((1, 4)):
        kinds = names(packed, row)
        for column, depends in found.items():
            if kinds[column] in ("embed", "text"):
                assert depends[row, packed.think].tolist() == [k < kept for k in range(4)]
            elif kinds[column]:
                assert depends[row, packed.think].tolist() == [k < int(kinds[column]) for k in range(4)]


@pytest.mark.parametrize(
    "case", ["embed tokens that see no thought", "embed tokens that see thoughts alone, which see no query"]
)
@pytest.mark.parametrize("extraction", TWICE)
def test_a_trace_shows_no_weight_where_a_rule_hides(extraction: str, case: str, apart_models: dict[str, Any]) -> None:
    """Attention, truncations and knock-outs, in a batch and alone."""
    model = apart_models[extraction]
    model = LatentEmbedder(ruled(model._backbone, CASES[case][0]), model.info)
    batch = [model.prepare(sample) for sample in SAMPLES]
    for traces in (model.trace(batch), [model.trace([encoded])[0] for encoded in batch]):
        for trace in traces:
            thoughts, embed = trace.attention[:, :, :-1], trace.attention[:, :, -1]
            begin = trace.think.start
            # Thoughts see themselves and those before, and nothing behind them.
            assert (np.triu(thoughts[..., trace.think], 1) == 0).all()
            assert (thoughts[..., trace.think.stop :] == 0).all()
            if case == "embed tokens that see no thought":
                assert (embed[..., trace.think] == 0).all()
                assert (embed[..., :begin].sum(-1) > 0).all()
                assert (thoughts[..., :begin].sum(-1) > 0).all()
                assert np.abs(trace.stepwise - trace.embedding).max() < 1e-6
                assert np.abs(trace.knockout - trace.embedding).max() < 1e-6
            else:
                assert (embed[..., :begin] == 0).all()
                assert (thoughts[..., :begin] == 0).all()
                assert (embed[..., trace.think].sum(-1) > 0).all()
                assert np.abs(trace.knockout - trace.embedding).max() > 1e-4


@pytest.mark.parametrize("extraction", TWICE)
def test_a_text_sees_the_query_only_where_its_context_shows_it(extraction: str, apart_models: dict[str, Any]) -> None:
    """Two queries of one length under thoughts that see neither: written from the thoughts alone, the text cannot tell them."""
    model = apart_models[extraction]
    model = LatentEmbedder(ruled(model._backbone, CASES["thoughts that do not see the query"][0]), model.info)
    queries = ("Find the image: a red ring.", "Find the image: a blue star.")
    batch = [model.prepare(Sample(id=text, text=text)) for text in queries]
    assert len({len(encoded.tokens.ids) for encoded in batch}) == 1
    traces, texts = model.trace(batch), ["large red ring ."] * 2
    apart = {}
    for context in CONTEXTS:
        one, other = (np.array(score.log_probabilities) for score in model.score(traces, texts, context=context))
        apart[context] = np.abs(one - other).max()
    assert apart["latents_only"] < 1e-5
    assert apart["query_and_latents"] > 1e-3
