"""Layouts: read from JSON as written, refused when wrong, and obeyed by the pass."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pictures import picture

from workbench.errors import BadCheckpoint
from workbench.models.attention_rules import Switch
from workbench.models.latent_embedder import LatentEmbedder
from workbench.models.layout import Layout, lame, tte_flash
from workbench.models.sequence import EMBED, PAD, QUERY, TEXT, THINK, LayoutIds, pack, shown_to_text, visibility
from workbench.types import Sample

THOUGHTS_ONLY = {"query": ("query",), "think": ("query", "think"), "embed": ("think", "embed")}
NO_THOUGHTS = {"query": ("query",), "think": ("query", "think"), "embed": ("query", "embed")}


def ruled(**rules: Any) -> dict[str, Any]:
    return {"attends": {**tte_flash(2).to_json()["attends"], **rules}}


@given(n_think=st.integers(0, 9), n_embed=st.integers(1, 3), pooling=st.sampled_from(["last", "mean"]))
def test_json_round_trip(n_think: int, n_embed: int, pooling: Any) -> None:
    names = tuple(f"<|embed_{i}|>" for i in range(n_embed))
    layout = replace(tte_flash(n_think), embed_tokens=names, pooling=pooling)
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thinks": 3}, "unknown keys: thinks"),
        ({"think_tokens": None}, "lacks: think_tokens"),
        ({"embed_tokens": []}, "no embed token"),
        ({"order": ["think", "query", "embed"]}, "only query, think, embed"),
        ({"extraction": "third"}, "extraction is 'third'; built are: shared"),
        ({"contexts": ["everything"]}, "unknown decoder contexts: everything"),
        ({"attends": {"query": ["query"], "think": ["query"], "embed": ["embed"]}}, "'attends' of think"),
        (ruled(embed="think"), "'attends' of embed is think; it must be a list of names"),
        (ruled(vision=["query"]), "a rule for 'vision'; rows are query, image, words"),
        (ruled(image=["think", "image"]), "'attends' of image names think, which it cannot see"),
        (ruled(words=["image"]), "'attends' of words is .* holds itself"),
        (ruled(**{"<|think_9|>": ["query"]}), "a rule for '<.think_9.>'"),
        (ruled(**{"<|think_1|>": ["<|think_2|>", "think"]}), "'attends' of <.think_1.> names <.think_2.>"),
        (ruled(**{"<|think_1|>": ["query"]}), "'attends' of <.think_1.> is .* holds itself"),
        (ruled(reasoning=["words", "reasoning"]), "context latents_only, of which its 'attends' of reasoning lets"),
        ({"switches": {"tokens": ["Where"]}}, "switches must be a list"),
        ({"switches": [{"tokens": ["Where"]}]}, "an object with 'tokens'.* and 'attends'"),
        ({"switches": [{"tokens": "Where", "attends": {"embed": ["embed"]}}]}, "tokens Where; it must be a list"),
        ({"switches": [{"tokens": [], "attends": {"embed": ["embed"]}}]}, "no tokens or no rules"),
        ({"switches": [{"tokens": ["Where"], "attends": {"embed": ["think"]}}]}, "'attends' of embed is"),
    ],
)
def test_a_wrong_layout_is_one_sentence(change: dict[str, Any], message: str) -> None:
    values = {**tte_flash(2).to_json(), **change}
    values = {key: value for key, value in values.items() if value is not None}
    with pytest.raises(BadCheckpoint, match=message):
        Layout.from_json(values)


FINE = replace(
    tte_flash(4),
    attends={
        "query": ("query",),
        "words": ("words",),
        "think": ("query", "think"),
        "<|think_2|>": ("image", "<|think_2|>"),
        "<|think_4|>": ("<|think_2|>", "<|think_4|>"),
        "embed": ("words", "<|think_1|>", "embed"),
        "reasoning": ("image", "<|think_2|>", "<|think_3|>", "reasoning"),
    },
    switches=(Switch(tokens=("Where",), attends={"embed": ("query", "embed"), "reasoning": ("think", "reasoning")}),),
    contexts=("query_and_latents",),
)


def test_finer_rules_and_switches_come_back_as_written() -> None:
    assert Layout.from_json(json.loads(json.dumps(FINE.to_json()))) == FINE
    assert not FINE.is_causal
    assert "switches" not in tte_flash(4).to_json()


def test_a_tokenizer_without_the_tokens_is_refused(tiny_model: Any) -> None:
    tokenizer = tiny_model._backbone.processor.tokenizer
    with pytest.raises(BadCheckpoint, match="lacks 3 tokens"):
        LayoutIds.find(tte_flash(7), tokenizer)
    unknown = replace(FINE, switches=(Switch(tokens=("Wherefore",), attends={"embed": ("embed",)}),))
    with pytest.raises(BadCheckpoint, match=r"lacks 1 tokens of the layout \(Wherefore\)"):
        LayoutIds.find(unknown, tokenizer)


def test_a_latent_decoder_takes_no_rule_for_its_text() -> None:
    with pytest.raises(BadCheckpoint, match="'latent', which reads every think token"):
        replace(lame(2), attends={**lame(2).attends, "reasoning": ("think", "reasoning")})


def test_only_the_causal_layout_needs_no_mask() -> None:
    assert tte_flash(3).is_causal
    assert not replace(tte_flash(3), attends=THOUGHTS_ONLY).is_causal


@pytest.mark.parametrize("attends", [THOUGHTS_ONLY, NO_THOUGHTS])
def test_the_pass_obeys_who_attends_to_whom(tiny_model: Any, attends: Any) -> None:
    """Attention weights are 0 where the layout forbids them, in a trace of one and in a padded batch."""
    backbone = tiny_model._backbone
    layout = replace(backbone.layout, attends=attends)
    model = LatentEmbedder(replace(backbone, layout=layout), tiny_model.info)
    samples = [
        Sample(id="a", text="What is at the centre?", images=(picture(128, 80),)),
        Sample(id="b", text="Find the image: a red ring."),
    ]
    batch = [model.prepare(sample) for sample in samples]
    for traces in (model.trace(batch), [model.trace([encoded])[0] for encoded in batch]):
        for trace in traces:
            row = trace.attention[:, :, -1]
            query, think = row[..., : trace.think.start], row[..., trace.think]
            hidden, seen = (query, think) if attends is THOUGHTS_ONLY else (think, query)
            assert hidden.max() == 0
            assert seen.sum(-1).min() > 0
    if attends is NO_THOUGHTS:
        # What cannot be seen cannot matter: every truncation and knock-out is the embedding itself.
        assert np.abs(trace.stepwise - trace.embedding).max() < 1e-6
        assert np.abs(trace.knockout - trace.embedding).max() < 1e-6
    else:
        assert np.abs(trace.knockout - trace.embedding).max() > 1e-4


def test_visibility_by_hand(tiny_model: Any) -> None:
    """A short text-only sample beside a longer one: every entry of the mask, from the rules in words."""
    backbone = tiny_model._backbone
    prefixes = [tiny_model.prepare(Sample(id=t, text=t)).inputs["prefix"] for t in ("red", "red red red")]
    packed = pack(prefixes, backbone.ids, [torch.tensor([1, 2]), torch.tensor([3])])
    limit = torch.tensor([4, 2])
    may = {
        QUERY: {QUERY},
        THINK: {QUERY, THINK},
        EMBED: {QUERY, THINK, EMBED},
        TEXT: {THINK, TEXT},
    }
    mask = visibility(packed, backbone.layout, "latents_only", limit)
    for b in range(2):
        kinds = packed.segments[b].tolist()
        for i, row in enumerate(kinds):
            for j, column in enumerate(kinds):
                late = column == THINK and j - packed.think.start >= limit[b] and row in (EMBED, TEXT)
                expected = i == j or (row != PAD and column != PAD and j <= i and column in may[row] and not late)
                assert bool(mask[b, 0, i, j]) == expected, (b, i, j)


def test_finer_rules_by_hand(tiny_model: Any) -> None:
    """Two samples of different lengths with images, one of which turns the switch on: every entry of the mask."""
    backbone = replace(tiny_model._backbone, layout=FINE)
    ids = LayoutIds.find(FINE, backbone.processor.tokenizer)
    samples = [
        Sample(id="a", text="What is at the centre?", images=(picture(96, 80),)),
        Sample(id="b", text="Where is it?", images=(picture(80, 80),)),
    ]
    prefixes = [tiny_model.prepare(sample).inputs["prefix"] for sample in samples]
    packed = pack(prefixes, ids, [torch.tensor([1, 2]), torch.tensor([3])])
    may = {
        "words": {"words"},
        "image": {"words", "image"},
        "1": {"words", "image", "1"},
        "2": {"image", "2"},
        "3": {"words", "image", "1", "2", "3"},
        "4": {"2", "4"},
        "embed": {"words", "1", "embed"},
        "text": {"image", "2", "3", "text"},
    }
    switched = may | {"embed": {"words", "image", "embed"}, "text": {"1", "2", "3", "4", "text"}}
    mask = visibility(packed, FINE, "query_and_latents")
    shown = shown_to_text(packed, FINE, "query_and_latents")
    for b, rules in enumerate((may, switched)):
        kinds = []
        for column, segment in enumerate(packed.segments[b].tolist()):
            number = str(column - packed.think.start + 1)
            visual = "image" if packed.ids[b, column] == ids.image else "words"
            kinds.append({PAD: "pad", QUERY: visual, THINK: number, EMBED: "embed", TEXT: "text"}[segment])
        assert set(kinds) - {"pad"} == set(may)
        for i, row in enumerate(kinds):
            for j, column in enumerate(kinds):
                expected = i == j or (row != "pad" and j <= i and column in rules[row])
                assert bool(mask[b, 0, i, j]) == expected, (b, row, column)
        assert shown[b].tolist() == [kind in rules["text"] for kind in kinds]
