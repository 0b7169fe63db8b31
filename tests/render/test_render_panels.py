"""The same panels as text, HTML and figures: right numbers, safe strings, every kind of panel."""

import base64
import dataclasses
import html.parser
import io
import re
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from planted import PROVENANCE

from workbench.render import plotly_figures, svg, values
from workbench.render.html import checks_html, panel_html
from workbench.render.report import Section, report_html
from workbench.render.text import checks_text, panel_text, table
from workbench.types import Check, Measure, ProbeResult
from workbench.views import Bars, Heatmap, Lines, Note, Overlay, Panel, Scatter, Table, Words
from workbench.words import END

EVIL = "<img src=x onerror=alert(1)>\x1b[31m\u202e'\"&"
WORDS = ("red", EVIL, "圆")
MAP = np.zeros((2, 3, 5), dtype=np.float32)
MAP[0, 2, 1], MAP[1, 0, 4] = 1.0, 0.25


def measure(name: str, array: object, dims: tuple[str, ...], **facts: object) -> Measure:
    found = np.asarray(array)
    kept = found if found.dtype.kind in "Ui" else found.astype(np.float32)
    return Measure(name=name, values=kept, dims=dims, **({"units": "nats"} | facts))


RESULT = ProbeResult(
    probe="made",
    version=1,
    sample_id="s",
    parameters={"layer": 1, "text": EVIL},
    measures=(
        measure("p", [0.99, 0.4, 0.7], ("word",), units="probability", coords={"word": WORDS}),
        measure("gain", [2.0, -1.0, np.nan], ("word",), signed=True, coords={"word": WORDS}),
        measure("map", MAP, ("row", "rows", "cols"), units="share", coords={"row": ("think 1", EVIL)}),
        measure("frames", MAP[:, None].repeat(2, axis=1), ("row", "frame", "rows", "cols")),
        measure("grid", [[[1.0, 0.5], [2.0, 0.1]], [[3.0, 0.2], [4.0, 0.3]], [[5.0, 0.1], [6.0, 0.1]]], ("layer", "think", "rank")),
        measure("said", [[["a", "b"], ["c", EVIL]]] * 3, ("layer", "think", "rank"), units="text"),
        measure("line", [[1.0, 2.0, np.nan, 4.0], [4.0, 3.0, 2.0, -1.0]], ("kind", "x"), coords={"kind": ("up", EVIL)}),
        measure("flat", [0.0, 0.5, 1234567.0], ("x",), coords={"x": WORDS}),
        measure("count", [1, 2, 3], ("x",), units="number"),
        measure("places", [[0.0, 1.0], [2.0, 3.0], [4.0, np.nan]], ("point", "xy"), coords={"xy": ("one", "two")}),
        measure("group", ["a", EVIL, "a"], ("point",), units="text"),
    ),
    checks=(
        Check(name="sums", value=0.5, tolerance=0.1, passed=False, about=EVIL),
        Check(name="gap", value=float("nan"), tolerance=None, passed=True),
    ),
    provenance=PROVENANCE,
)  # fmt: skip
PANELS: tuple[Panel, ...] = (
    Note(text=EVIL, kind="warning"),
    Note(text="plain"),
    Words(measure="p", title=EVIL),
    Words(measure="gain"),
    Table(measures=("p", "gain")),
    Table(measures=("count", "flat")),
    Heatmap(measure="grid", rows="layer", cols="think", words="said", title="lens"),
    Heatmap(measure="line", rows="x", cols="kind"),
    Overlay(measure="map", image=0, each="row"),
    Overlay(measure="map", image=7, each="row", scale="each"),
    Overlay(measure="frames", image=0, each="row"),
    Bars(measure="flat", x="x"),
    Bars(measure="line", x="x", series="kind"),
    Lines(measure="flat", x="x"),
    Lines(measure="line", x="x", series="kind"),
    Scatter(measure="places", coordinate="xy", colour="group"),
    Scatter(measure="places", coordinate="xy"),
)
IMAGES = [Image.new("RGB", (100, 60), (10, 200, 30))]


class Strict(html.parser.HTMLParser):
    """Collects tags and fails on what a fragment must not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.tips: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "iframe", "object", "link", "form")
        for name, value in attrs:
            assert not name.startswith("on"), f"handler on {tag}"
            assert name not in ("src", "href") or (value or "").startswith("data:image/png;base64,")
            if name == "title":
                self.tips.append(value or "")
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(fragment: str) -> Strict:
    parser = Strict()
    parser.feed(fragment)
    parser.close()
    assert parser.open == []
    return parser


def test_every_kind_of_panel_is_tried() -> None:
    assert {type(panel) for panel in PANELS} == set(get_args(Panel))


@pytest.mark.parametrize("panel", PANELS, ids=repr)
@pytest.mark.parametrize("images", [None, IMAGES], ids=["alone", "image"])
def test_html_is_well_formed_and_untrusted_text_stays_text(panel: Panel, images: list[Image.Image] | None) -> None:
    fragment = panel_html(panel, RESULT, images)
    parsed(fragment)
    assert "<img src=x" not in fragment
    assert "\x1b" not in fragment
    assert "\u202e" not in fragment
    assert "nan" not in re.sub(r'base64,[^"]*', "", fragment)


@pytest.mark.parametrize("panel", PANELS, ids=repr)
def test_plain_text_has_no_escapes_and_fits_and_colour_adds_only_colours(panel: Panel) -> None:
    plain = panel_text(panel, RESULT, width=60)
    assert plain.strip()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", plain)
    coloured = panel_text(panel, RESULT, IMAGES, colour=True, width=60)
    without = re.sub(r"\x1b\[(?:0|(?:30|97);48;5;\d+)m", "", coloured)
    assert "\x1b" not in without
    assert coloured.count("\x1b[0m") * 2 == coloured.count("\x1b[")


def test_text_words_mark_the_doubtful_ones() -> None:
    lines = panel_text(Words(measure="p"), RESULT).splitlines()
    assert lines[0].startswith("red <img")
    assert lines[0].endswith("圆[0.7]")
    assert lines[1] == "[number]: p (probability); words of 0.9 and more have none"


@pytest.mark.parametrize("colour", [False, True])
def test_long_texts_are_wrapped_between_words(colour: bool) -> None:
    long = measure(
        "p", np.linspace(0, 1, 40), ("word",), units="probability", coords={"word": ("circle",) * 39 + ("圆" * 9,)}
    )
    result = dataclasses.replace(RESULT, measures=(long,))
    drawn = panel_text(Words(measure="p"), result, colour=colour, width=50)
    lines = re.sub(r"\x1b\[[\d;]+m", "", drawn).splitlines()
    assert max(len(line) for line in lines[:-1]) <= 50
    assert sum(line.count("circle") for line in lines) == 39


def test_html_words_hold_their_numbers_and_colours() -> None:
    fragment = panel_html(Words(measure="p"), RESULT)
    assert parsed(fragment).tips == ["p 0.99 probability", "p 0.4 probability", "p 0.7 probability"]
    washes = [float(alpha) for alpha in re.findall(r"<span style=\"background:rgba\([\d,]+,([\d.]+)\)\"", fragment)]
    np.testing.assert_allclose(washes, [0.75 * 0.01, 0.75 * 0.6, 0.75 * 0.3], atol=1e-3)
    signed = re.findall(
        r"<span style=\"background:rgba\(([\d,]+),([\d.]+)\)\"", panel_html(Words(measure="gain"), RESULT)
    )
    assert [colour for colour, _ in signed[:2]] == ["214,60,60", "60,110,220"]
    assert [float(alpha) for _, alpha in signed] == [0.75, 0.375, 0.0]


def test_heatmap_shows_first_words_and_keeps_the_others_in_the_tip() -> None:
    found = parsed(panel_html(Heatmap(measure="grid", rows="layer", cols="think", words="said"), RESULT))
    assert found.tips[0] == "layer 1, think 1\n1. a 1\n2. b 0.5"
    assert "1. c 2" in found.tips[1]
    text = panel_text(Heatmap(measure="grid", rows="layer", cols="think", words="said"), RESULT)
    assert "a 1" in text
    assert "c 2" in text


def test_heatmap_tells_the_end_of_a_text_in_words() -> None:
    said = measure("said", [[["a", " "], [END, "c"]]], ("layer", "think", "rank"), units="text")
    grid = measure("grid", [[[0.9, 0.1], [0.8, 0.2]]], ("layer", "think", "rank"))
    result = dataclasses.replace(RESULT, measures=(grid, said))
    panel = Heatmap(measure="grid", rows="layer", cols="think", words="said")
    assert parsed(panel_html(panel, result)).tips == [
        "layer 1, think 1\n1. a 0.9\n2. ␣ 0.1",
        "layer 1, think 2\n1. (text end) 0.8\n2. c 0.2",
    ]
    assert "(text end) <small>0.8</small>" in panel_html(panel, result)
    assert "(text end) 0.8" in panel_text(panel, result)
    [row] = plotly_figures.figure(panel, result).data[0].text
    assert list(row) == ["a", "(text end)"]


def test_heatmap_can_be_turned() -> None:
    turned = values.matrix(RESULT.measure("line"), "x", "kind")
    np.testing.assert_array_equal(turned, RESULT.measure("line").values.T)


def test_wide_heatmap_is_cut_into_blocks_that_fit() -> None:
    wide = measure("wide", np.arange(60).reshape(2, 30), ("layer", "think"))
    result = dataclasses.replace(RESULT, measures=(wide,))
    lines = panel_text(Heatmap(measure="wide", rows="layer", cols="think"), result, width=40).splitlines()
    assert max(map(len, lines)) <= 40
    assert re.findall(r"\d+", " ".join(line for line in lines if line.startswith("2"))).count("59") == 1


def test_shared_scale_is_one_and_own_scales_are_several() -> None:
    shared = values.maps(RESULT.measure("map"), Overlay(measure="map", image=0, each="row"))
    assert [(found.low, found.high) for found in shared] == [(0.0, 1.0), (0.0, 1.0)]
    each = values.maps(RESULT.measure("map"), Overlay(measure="map", image=0, each="row", scale="each"))
    assert [(found.low, found.high) for found in each] == [(0.0, 1.0), (0.0, 0.25)]
    assert panel_html(Overlay(measure="map", image=0, each="row"), RESULT).count("ts-scale") == 1
    assert panel_html(Overlay(measure="map", image=0, each="row", scale="each"), RESULT).count("ts-scale") == 2


def test_overlay_lies_on_the_image_that_it_names() -> None:
    clear = measure("clear", np.full((1, 2, 3), np.nan), ("row", "rows", "cols"))
    result = dataclasses.replace(RESULT, measures=(clear,))
    images = [Image.new("RGB", (60, 40), "red"), Image.new("RGB", (40, 60), "blue")]
    fragment = panel_html(Overlay(measure="clear", image=1, each="row"), result, images)
    [data] = re.findall(r"base64,([^\"]+)", fragment)
    drawn = Image.open(io.BytesIO(base64.b64decode(data)))
    assert drawn.height > drawn.width
    assert drawn.getpixel((5, 5)) == (0, 0, 255)


def test_bars_stand_on_zero_and_lines_rise_with_their_numbers() -> None:
    drawn = svg.bars(values.Series(names=("",), x=("a", "b"), values=np.array([[3.0, -1.0]])), units="u", x="x")
    (top_a, tall_a), (top_b, tall_b) = (
        map(float, bar) for bar in re.findall(r'<rect x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', drawn)
    )
    assert top_a + tall_a == pytest.approx(top_b, abs=0.2)
    assert tall_a == pytest.approx(3 * tall_b, abs=0.4)
    line = svg.lines(values.Series(names=("",), x=("a", "b"), values=np.array([[1.0, 2.0]])), units="u", x="x")
    low, high = (float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', line))
    assert high < low


def test_lines_break_where_a_number_is_missing() -> None:
    found = values.Series(names=("",), x=("a", "b", "c"), values=np.array([[1.0, np.nan, 2.0]]))
    [path] = re.findall(r'<path d="([^"]+)" fill="none"', svg.lines(found, units="u", x="x"))
    assert path.count("M") == 2
    assert "L" not in path


def test_frames_become_maps_of_their_own() -> None:
    found = values.maps(RESULT.measure("frames"), Overlay(measure="frames", image=0, each="row"))
    assert [entry.name for entry in found] == ["1, frame 1", "1, frame 2", "2, frame 1", "2, frame 2"]


def test_small_map_in_the_terminal_has_the_hot_patch_in_its_place() -> None:
    lines = panel_text(Overlay(measure="map", image=0, each="row"), RESULT).splitlines()
    assert lines[0].startswith("think 1")
    assert lines[3][:10] == "··██······"
    assert "share: 0 '·' to 1 '█'" in lines[-1]


def test_large_map_is_averaged_down_and_keeps_its_place() -> None:
    large = np.zeros((1, 40, 60), dtype=np.float32)
    large[0, 30:33, 57:60] = 1
    result = dataclasses.replace(RESULT, measures=(measure("large", large, ("row", "rows", "cols")),))
    lines = panel_text(Overlay(measure="large", image=0, each="row"), result).splitlines()
    assert lines[1 + 10].endswith("█")
    assert all(set(line) == {"·"} for line in lines[1:11])


@pytest.mark.parametrize(
    ("facts", "array", "expected"),
    [
        ({"units": "probability"}, [0.2, 0.3], (0.0, 1.0)),
        ({"signed": True}, [-3.0, 1.0], (-3.0, 3.0)),
        ({}, [2.0, 5.0], (0.0, 5.0)),
        ({}, [-2.0, np.nan], (-2.0, 0.0)),
        ({}, [], (0.0, 0.0)),
    ],
)
def test_colour_limits(facts: dict[str, object], array: list[float], expected: tuple[float, float]) -> None:
    assert values.limits(measure("m", array, ("x",), **facts)) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.123456), "0.123"),
        (np.int64(12), "12"),
        (1234.5, "1,234"),
        (1e-9, "1e-09"),
        (1e12, "1e+12"),
        (float("nan"), "–"),
        (-np.inf, "-∞"),
        (np.True_, "True"),
        ("a\nb\tc\x00", "a↵b c\\x00"),
        ("👨\u200d👩 ok", "👨\u200d👩 ok"),
    ],
)
def test_numbers_and_text(value: object, text: str) -> None:
    assert values.number(value) == text


def test_wrong_axes_are_named() -> None:
    with pytest.raises(ValueError, match="'map' has the axes"):
        panel_html(Heatmap(measure="map", rows="rows", cols="cols"), RESULT)
    with pytest.raises(ValueError, match="no axis 'rown'"):
        panel_html(Overlay(measure="map", image=0, each="rown"), RESULT)
    with pytest.raises(ValueError, match="needs rows and cols last"):
        panel_html(Overlay(measure="p", image=0, each="word"), RESULT)
    with pytest.raises(ValueError, match="names only x"):
        panel_text(Bars(measure="line", x="x"), RESULT)


def test_tables_align_wide_characters() -> None:
    lines = table(["a", "b"], [["圆圆", "1"], ["x", "2"], ["e\u0301", "3"]]).splitlines()
    assert lines[2] == "圆圆  1"
    assert lines[3] == "x     2"
    assert lines[4] == "e\u0301     3"
    assert table(["a"], [["x" * 99]]).splitlines()[2].endswith("x…")


def test_checks_are_told_with_limit_and_meaning() -> None:
    text = checks_text(RESULT).splitlines()
    assert text[0].startswith("NOT sums: 0.5 (limit 0.1)")
    assert text[1].startswith("ok  gap: –")
    assert "not passed" in checks_html(RESULT)
    parsed(checks_html(RESULT))
    assert checks_html(dataclasses.replace(RESULT, checks=())) == ""


@pytest.mark.parametrize("panel", [p for p in PANELS if isinstance(p, get_args(plotly_figures.Charted))], ids=repr)
def test_plotly_draws_every_chart_without_tags_in_its_texts(panel: plotly_figures.Charted) -> None:
    drawn = plotly_figures.figure(panel, RESULT).to_dict()
    assert drawn["data"]
    assert "<img" not in repr(drawn)


def test_plotly_shows_the_numbers_of_the_measure() -> None:
    bars = plotly_figures.figure(Bars(measure="line", x="x", series="kind"), RESULT).data
    assert bars[0].name == "up"
    np.testing.assert_array_equal(bars[1].y, RESULT.measure("line").values[1])
    grid = plotly_figures.figure(Heatmap(measure="grid", rows="layer", cols="think", words="said"), RESULT).data[0]
    np.testing.assert_array_equal(grid.z, [[1, 2], [3, 4], [5, 6]])
    scatter = plotly_figures.figure(Scatter(measure="places", coordinate="xy", colour="group"), RESULT).data
    assert scatter[0].name == "a"
    np.testing.assert_array_equal(scatter[0].x, [0, 4])


def test_report_is_one_file_that_asks_nothing_of_anyone() -> None:
    document = report_html(
        f"Report {EVIL}",
        [Section(title="Made", panels=PANELS, result=RESULT, about="What it is.")],
        dataclasses.replace(PROVENANCE, data_revision="revision 7", seed=41),
        query=EVIL,
        images=IMAGES,
        facts={"nearest": EVIL},
    )
    found = parsed(document.removeprefix("<!doctype html>\n"))
    assert "http://" not in document
    assert "https://" not in document
    assert "url(" not in document
    assert "default-src 'none'" in document
    text = "".join(found.words)
    assert "What it is." in text
    assert PROVENANCE.weights_sha256 in text
    assert "probe made, version 1" in text
    assert "revision 7" in text
    assert "41" in text
    assert "prefers-color-scheme:dark" in document
