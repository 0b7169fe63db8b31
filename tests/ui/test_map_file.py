"""map.html from disk in a real browser: every way to ask the map, without server or network."""

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from latent_maps import HOSTILE, make_latent_map

from workbench.latent_map import LatentMap
from workbench.render.map_html import map_html

pytestmark = pytest.mark.browser

AT = """point => { const view = document.querySelector("[data-testid=map-stage]").map;
  const [x, y] = view.overlay.at(point); const box = view.stage.getBoundingClientRect();
  return [box.left + x, box.top + y]; }"""
PIXELS = """() => { const canvas = document.querySelector(".mp-points"); const small = document.createElement("canvas");
  small.width = small.height = 64; const pen = small.getContext("2d"); pen.drawImage(canvas, 0, 0, 64, 64);
  return Array.from(pen.getImageData(0, 0, 64, 64).data).join(","); }"""

PAINTED = """() => { const canvas = document.querySelector(".mp-points"); const pen = canvas.getContext("2d");
  const values = pen.getImageData(0, 0, canvas.width, canvas.height).data; let count = 0;
  for (let i = 0; i < values.length; i += 4) if (values[i] < 225 || values[i + 1] < 225 || values[i + 2] < 225) count += 1;
  return count; }"""
PIXEL = """point => { const view = document.querySelector("[data-testid=map-stage]").map; const [x, y] = view.overlay.at(point);
  const sharp = window.devicePixelRatio;
  return [...view.canvas.getContext("2d").getImageData(Math.floor(x * sharp), Math.floor(y * sharp), 1, 1).data].slice(0, 3); }"""
PLACE = """([x, y]) => { const { canvas, plot } = document.querySelector("[data-testid=map-stage]").map;
  const box = canvas.getBoundingClientRect(); const [width, height] = [canvas.clientWidth, canvas.clientHeight]; const view = plot.view;
  return [((x - box.left - width / 2) * 2 / height - view[12]) / view[0], ((height / 2 - y + box.top) * 2 / height - view[13]) / view[5]]; }"""
UNLABELLED = """() => { const { overlay } = document.querySelector("[data-testid=map-stage]").map; overlay.set({ labels: false });
  return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))); }"""
FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def one() -> LatentMap:
    return make_latent_map()


def show(page: Any, folder: Path, latent_map: LatentMap, query: str = "") -> None:
    (folder / "map.html").write_text(map_html(latent_map), encoding="utf-8")
    # Shaders are compiled by software, which takes its time on a busy machine.
    page.set_default_timeout(120_000)
    page.goto(f"{(folder / 'map.html').as_uri()}{query}", wait_until="commit")
    page.locator(".mp-root[data-ready]").wait_for()


def says(page: Any, sentence: str) -> None:
    page.get_by_test_id("selection-says").get_by_text(sentence).wait_for()


def drag(page: Any, corners: list[tuple[float, float]]) -> None:
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=4)
    page.mouse.up()


def around(page: Any, points: list[int], margin: float = 14) -> tuple[float, float, float, float]:
    places = np.array([page.evaluate(AT, point) for point in points])
    return *(places.min(axis=0) - margin), *(places.max(axis=0) + margin)


def saved(page: Any, button: str) -> str:
    with page.expect_download() as waiting:
        page.get_by_test_id(button).click()
    return Path(waiting.value.path()).read_text(encoding="utf-8")


def test_a_map_is_asked_in_every_way(gl_page: Any, tmp_path: Path, one: LatentMap) -> None:
    page = gl_page
    show(page, tmp_path, one)
    assert page.get_by_test_id("map-count").inner_text() == "Showing 120 of 240 points, of 30 samples."
    assert "A sample of half the points" in page.get_by_test_id("map-notes").inner_text()
    assert "how far apart groups lie says little" in page.get_by_test_id("map-reading").inner_text()
    assert "0.91" in page.get_by_test_id("map-quality").inner_text()

    # A lasso around one group, clockwise from its top left corner.
    blue = [point for point in range(120) if one.sample[point] % 3 == 2]
    left, top, right, bottom = around(page, blue)
    page.get_by_test_id("mode-lasso").click()
    drag(page, [(left, top), (right, top), (right, bottom), (left, bottom)])
    says(page, "40 points of 10 samples inside the shape.")
    assert page.locator("[data-testid=selection] tbody tr").count() == 10

    found = json.loads(saved(page, "save-json"))
    assert [row["id"] for row in found["samples"]] == [one.samples[i].id for i in range(2, 30, 3)]
    first = found["samples"][0]["points"][0]
    assert (first["x"], first["y"]) == pytest.approx(one.projections["pca"][8].tolist())
    rows = list(csv.reader(io.StringIO(saved(page, "save-csv"))))
    assert rows[1][:2] == ["test-000002", "3"]
    assert rows[1][4] == "the blue square is left of the circle"

    # A box takes away with Alt.
    page.get_by_test_id("mode-box").click()
    page.keyboard.down("Alt")
    drag(page, [(left, top), (right, bottom)])
    page.keyboard.up("Alt")
    says(page, "Nothing is selected")

    page.get_by_test_id("map-search").fill("PICTURE 7?")
    page.get_by_test_id("map-search").press("Enter")
    says(page, "4 points of 1 sample found for “PICTURE 7?”.")
    page.get_by_test_id("map-search").fill("<b>nobody\u2028 said this")
    page.get_by_test_id("map-search").press("Enter")
    says(page, "Nothing is found for")

    page.get_by_test_id("cluster-1").click()
    says(page, "40 points of 10 samples in the cluster.")


@pytest.mark.parametrize("painter", ["webgl", "pixels"])
def test_colours_clicks_keys_and_projections(gl_page: Any, tmp_path: Path, one: LatentMap, painter: str) -> None:
    page = gl_page
    show(page, tmp_path, one, f"?painter={painter}")
    assert page.get_by_test_id("map-stage").get_attribute("data-painter") == painter
    assert page.get_by_test_id("map-painter").is_visible() == (painter == "pixels")
    page.get_by_test_id("mode-move").click()
    drawn = page.evaluate(PIXELS)
    page.get_by_test_id("map-colour").select_option("confidence")
    page.locator("[data-drawn='pca confidence']").wait_for()
    assert page.evaluate(PIXELS) != drawn
    legend = page.get_by_test_id("map-legend").inner_text()
    confidence = one.column("confidence").values
    assert f"{np.nanmin(confidence):.3g}" in legend
    assert f"{np.nanmax(confidence):.3g}" in legend
    assert "1 point without a value" in legend

    page.get_by_test_id("map-colour").select_option("answer")
    page.get_by_test_id("legend-red").click()
    assert page.get_by_test_id("map-count").inner_text() == "Showing 80 of 240 points, of 30 samples."
    page.get_by_test_id("legend-red").click()

    # A click keeps a point beside the map, with its neighbours in the original space; the thought is shown as text.
    page.mouse.click(*page.evaluate(AT, 5))
    page.locator("[data-testid=map-point][data-point='5']").wait_for()
    assert HOSTILE in page.get_by_test_id("map-point").inner_text()
    assert page.locator("[data-testid=map-near] li").count() == 5
    near = page.locator("[data-testid=map-near] li").first.inner_text()
    assert near.startswith(f"{one.distances[5, 0]:.3f}")
    assert page.title() != "broken into"
    assert page.locator("img[src=x]").count() == 0
    page.mouse.move(*page.evaluate(AT, 60))
    page.locator(".mp-tip[data-point='60']:not([hidden])").wait_for()
    assert page.locator(".mp-tip img").get_attribute("src").startswith("data:image/jpeg")

    # The same with the keyboard: n goes to the nearest neighbour, an arrow in its direction.
    page.get_by_test_id("map-stage").focus()
    page.keyboard.press("n")
    page.locator(f"[data-testid=map-point][data-point='{one.neighbours[5, 0]}']").wait_for()
    before = page.get_by_test_id("map-point").get_attribute("data-point")
    page.keyboard.press("ArrowUp")
    page.wait_for_function("old => document.querySelector('[data-testid=map-point]').dataset.point !== old", arg=before)
    after = int(page.get_by_test_id("map-point").get_attribute("data-point"))
    assert one.projections["pca"][after, 1] > one.projections["pca"][int(before), 1]
    page.keyboard.press("Enter")
    says(page, "1 point of 1 sample chosen.")
    assert page.get_by_test_id("map-stage").get_attribute("aria-label").startswith("Map of 120 points of 30 samples")

    page.get_by_test_id("projection-umap").click()
    page.locator("[data-drawn='umap answer']").wait_for()
    page.get_by_test_id("map-in").click()
    page.get_by_test_id("map-home").click()
    assert page.get_by_test_id("map-stage").get_attribute("data-mode") == "move"


def test_two_checkpoints_and_the_largest_movers(gl_page: Any, tmp_path: Path) -> None:
    two = make_latent_map(checkpoints=2)
    show(gl_page, tmp_path, two, "?theme=dark")
    assert gl_page.get_by_test_id("map-colour").input_value() == "checkpoint"
    movers = gl_page.get_by_test_id("map-movers")
    movers.get_by_text("What is left of the circle in picture 0?, think token 1").wait_for()
    assert movers.inner_text().startswith("100%")
    movers.locator("button").first.click()
    says(gl_page, "2 points of 1 sample moved.")
    gl_page.get_by_test_id("map-lines").select_option("all")
    heads = gl_page.locator("[data-testid=selection] th").all_inner_texts()
    assert heads[3:5] == ["thought of checkpoint-0", "thought of checkpoint-1"]


def many(one: LatentMap, times: int) -> LatentMap:
    """Every point of a map so many times, each time elsewhere."""
    rng = np.random.default_rng(0)

    def tile(values: np.ndarray) -> np.ndarray:
        return np.tile(values, (times, 1) if values.ndim > 1 else times)

    places = tile(one.projections["pca"])
    return dataclasses.replace(
        one,
        **{name: tile(getattr(one, name)) for name in ("sample", "k", "checkpoint", "neighbours", "distances", "kept")},
        projections={"pca": places + rng.normal(0, 0.7, places.shape).astype(np.float32)},
        columns=(),
        clusters=(),
    )


def test_many_points_move_as_squares_and_rest_as_discs(gl_page: Any, tmp_path: Path, one: LatentMap) -> None:
    page = gl_page
    show(page, tmp_path, many(one, 250))
    stage = page.get_by_test_id("map-stage")
    # Software WebGL is not used: a frame of it takes a quarter of a second.
    assert stage.get_attribute("data-painter") == "pixels"
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    plain, count = "document.querySelector('[data-testid=map-stage]').map.plot.plain", f"({PAINTED})()"
    at_rest, place = page.evaluate(count), page.evaluate(AT, 7)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1] + 25, steps=3)
    page.wait_for_function(plain)
    moving = page.evaluate(count)
    assert page.evaluate(AT, 7) == pytest.approx([place[0] + 40, place[1] + 25], abs=0.01)
    # Every point is there while the map moves: a sample of them would cover far less.
    assert 0.75 < moving / at_rest < 1.33
    page.mouse.up()
    page.wait_for_function(f"!{plain}")
    assert page.evaluate(count) == pytest.approx(at_rest, rel=0.05)
    page.get_by_test_id("map-lines").select_option("all")
    page.get_by_test_id("map-lines-note").get_by_text("Lines of 1,500 of 7,500 thoughts are drawn.").wait_for()
    page.get_by_test_id("map-lines").select_option("none")
    page.get_by_test_id("map-lines-note").wait_for(state="hidden")
    # What is under the pointer stays there when the wheel turns.
    under = [middle[0] + 40, middle[1] + 25]
    before = page.evaluate(PLACE, under)
    page.mouse.wheel(0, -300)
    page.wait_for_function("document.querySelector('[data-testid=map-stage]').map.plot.view[0] > 2")
    assert page.evaluate(PLACE, under) == pytest.approx(before, abs=1e-6)


def test_a_pixel_has_the_colour_of_its_point(gl_page: Any, tmp_path: Path) -> None:
    page = gl_page
    show(page, tmp_path, make_latent_map(n_samples=3, k=0, umap=False), "?painter=pixels&theme=light")
    page.get_by_test_id("map-colour").select_option("answer")
    page.locator("[data-drawn='pca answer']").wait_for()
    colours = page.evaluate(
        "() => { const { colours, codes } = document.querySelector('[data-testid=map-stage]').map.coloured; return [0, 1, 2].map((i) => colours[codes[i]]); }"
    )
    assert len(set(colours)) == 3
    page.evaluate(UNLABELLED)
    for point, colour in enumerate(colours):
        wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        blended = [0.9 * value + 0.1 * 255 for value in wanted]
        assert page.evaluate(PIXEL, point) == pytest.approx(blended, abs=3)
    # Of a selection the others fade, and a hidden kind is gone.
    page.evaluate("document.querySelector('[data-testid=map-stage]').map.select([1], '')")
    page.evaluate(FRAME)
    chosen = [int(colours[1][at : at + 2], 16) for at in (1, 3, 5)]
    assert page.evaluate(PIXEL, 1) == pytest.approx(chosen, abs=2)
    faded = [0.27 * int(colours[0][at : at + 2], 16) + 0.73 * 255 for at in (1, 3, 5)]
    assert page.evaluate(PIXEL, 0) == pytest.approx(faded, abs=4)
    page.get_by_test_id("map-legend").locator("button").first.click()
    page.evaluate(FRAME)
    assert sum(page.evaluate(PIXEL, point) == [255, 255, 255] for point in range(3)) == 1


def test_a_card_that_is_too_slow_hands_over_to_the_processor(gl_page: Any, tmp_path: Path, one: LatentMap) -> None:
    page = gl_page
    show(page, tmp_path, one, "?painter=webgl")
    slow = """async () => { const view = document.querySelector("[data-testid=map-stage]").map;
      const pen = view.plot.plot.get("renderer").canvas.getContext("webgl");
      pen.readPixels = () => { for (const end = performance.now() + 60; performance.now() < end; ); };
      return view.plot.isSluggish(); }"""
    assert page.evaluate(slow)
    page.evaluate("document.querySelector('[data-testid=map-stage]').map.paintByPixels()")
    page.mouse.click(*page.evaluate(AT, 5))
    page.locator("[data-testid=map-point][data-point='5']").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_without_webgl_the_map_is_drawn_all_the_same(chromium: Any, tmp_path: Path, theme: str) -> None:
    page = chromium.new_page(viewport={"width": 800, "height": 900}, color_scheme=theme)
    try:
        page.add_init_script(
            "HTMLCanvasElement.prototype.getContext = (get => function (kind, ...rest) { return kind.startsWith('webgl') ? null : get.call(this, kind, ...rest); })(HTMLCanvasElement.prototype.getContext)"
        )
        small = make_latent_map(n_samples=6)
        show(page, tmp_path, small)
        assert "Drawn without a graphics card" in page.get_by_test_id("map-painter").inner_text()
        assert not page.get_by_test_id("map-trouble").is_visible()
        assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        page.mouse.click(*page.evaluate(AT, 9))
        page.locator("[data-testid=map-point][data-point='9']").wait_for()
        page.evaluate("document.querySelector('[data-testid=map-stage]').map.zoomTo([1, 2])")
        page.get_by_test_id("map-search").fill("red")
        page.get_by_test_id("map-search").press("Enter")
        says(page, "8 points of 2 samples")
    finally:
        page.close()
