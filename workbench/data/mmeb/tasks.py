"""The tasks of MMEB-v2 by name: their tables, pictures, way of ranking and score.

78 tasks are averaged into the published score; the three English ViDoRe-v2 sets beside them are scored but left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from workbench.data.mmeb import image, video
from workbench.data.mmeb.row import Parsed
from workbench.data.records import Pool

Parse = Callable[[Mapping[str, Any], Path], Parsed]
FRAMES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Where one table of a task lies on the hub, and what makes a row of it."""

    config: str | None = None
    parse: Parse | None = None
    """None for document retrieval, which has three tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One of the tasks."""

    name: str
    kind: Literal["image", "video", "visdoc"]
    repository: str
    tables: tuple[Table, ...]
    split: str = "test"
    root: str
    """Folder of the pictures, under the folder into which TIGER-Lab/MMEB-V2 was unpacked."""
    pool: Pool
    limit: int | None = None
    """Only the first rows are scored."""
    labels: int | None = None
    """How many labels the published pool has, where the rows need not name all of them."""
    language: str | None = None
    hashed: bool = False
    """Whether page pictures are named by the start of their id and its hash (VisRAG)."""
    pinned: str = ""

    @property
    def metric(self) -> str:
        return "ndcg_linear@5" if self.kind == "visdoc" else "hit@1"


def _image(parse: Parse, *names: str) -> tuple[Task, ...]:
    return tuple(
        Task(
            name=name,
            kind="image",
            repository="ziyjiang/MMEB_Test_Instruct",
            tables=(Table(config=name, parse=parse),),
            root="image-tasks",
            pool="local",
        )
        for name in names
    )


def _video(name: str, place: str, parse: Parse, pool: Pool = "global", **further: Any) -> Task:
    given = {"repository": f"VLM2Vec/{name}", "tables": (Table(parse=parse),), **further}
    return Task(name=name, kind="video", root=f"video-tasks/frames/{place}", pool=pool, **given)


def _class(name: str, prompt: str, labels: int, **further: Any) -> Task:
    parse = partial(video.parse_class, frames=FRAMES, prompt=prompt)
    return _video(name, f"video_cls/{name}", parse, labels=labels, **further)


def _retrieval(name: str, prompt: str, field: str, caption: str, **further: Any) -> Task:
    parse = partial(video.parse_retrieval, frames=FRAMES, prompt=prompt, name=field, caption=caption)
    tables = (Table(config=further.pop("config", None), parse=parse),)
    return _video(name, f"video_ret/{name}", parse, tables=tables, **further)


def _answers(name: str, parse: Callable[..., Parsed], config: str | None = None) -> Task:
    bound = partial(parse, frames=FRAMES)
    return _video(name, f"video_qa/{name}", bound, "local", tables=(Table(config=config, parse=bound),))


def _pages(name: str, repository: str, *, root: str = "", pinned: str = "", language: str | None = None) -> Task:
    hashed = name.startswith("VisRAG")
    return Task(
        name=name,
        kind="visdoc",
        repository=repository,
        tables=(Table(),),
        split="train" if hashed else "test",
        root=f"visdoc-tasks/{root or name}",
        pool="global",
        language=language,
        hashed=hashed,
        pinned=pinned,
    )


_TO_TEXT = partial(image.parse_to_text, question=False)
_ANSWER = partial(image.parse_to_text, question=True)
_TO_IMAGE = partial(image.parse_text_to_image, dialogue=False)
IMAGE = (
    *_image(_TO_TEXT, "ImageNet-1K", "N24News", "HatefulMemes", "VOC2007", "SUN397", "Place365", "ImageNet-A"),
    *_image(_TO_TEXT, "ImageNet-R", "ObjectNet", "Country211", "MSCOCO_i2t", "VisualNews_i2t"),
    *_image(_ANSWER, "OK-VQA", "A-OKVQA", "DocVQA", "InfographicsVQA", "ChartQA", "Visual7W", "ScienceQA", "VizWiz"),
    *_image(_ANSWER, "GQA", "TextVQA"),
    *_image(partial(image.parse_text_to_image, dialogue=True), "VisDial"),
    *_image(_TO_IMAGE, "MSCOCO_t2i", "VisualNews_t2i", "WebQA", "EDIS", "Wiki-SS-NQ"),
    *_image(image.parse_image_to_image, "CIRR", "NIGHTS", "OVEN", "FashionIQ"),
    *_image(image.parse_image_to_image, "MSCOCO", "RefCOCO", "RefCOCO-Matching", "Visual7W-Pointing"),
)

_MV_BENCH = (
    *("episodic_reasoning", "action_sequence", "action_prediction", "action_antonym", "fine_grained_action"),
    *("unexpected_action", "object_existence", "object_interaction", "object_shuffle", "moving_direction"),
    *("action_localization", "scene_transition", "action_count", "moving_count", "moving_attribute", "state_change"),
    *("fine_grained_pose", "character_order", "egocentric_navigation", "counterfactual_inference"),
)
_MOMENT = partial(video.parse_moment, frames=FRAMES)
VIDEO = (
    _video(
        "SmthSmthV2",
        "video_cls/SSv2",
        partial(
            video.parse_class,
            frames=FRAMES,
            prompt="What actions or object interactions are being performed by the person in the video?",
        ),
        "local",
        limit=1000,
    ),
    _class("HMDB51", "What actions or objects interactions are the person in the video doing?", 51),
    _class("UCF101", "What activities or sports are being performed by the person in the video?", 101),
    _class("K700", "Recognize the category of the video content.", 700, repository="VLM2Vec/Kinetics-700"),
    _class("Breakfast", "Recognize the breakfast type that the person is cooking in the video. ", 10),
    _retrieval(
        *("MSR-VTT", "Find a video that contains the following visual content:", "video_id", "caption"),
        config="test_1k",
    ),
    _retrieval("MSVD", "Find the video snippet that corresponds to the given summary:", "video_id", "caption"),
    _retrieval("DiDeMo", "Find a video that includes the following described scenes:", "video", "caption"),
    _retrieval(
        *("YouCook2", "Find a video that demonstrates the following action while making a recipe:", "id", "sentence"),
        repository="lmms-lab/YouCook2",
        split="val",
    ),
    _retrieval("VATEX", "Select a video that fits the description provided:", "videoID", "enCap"),
    _video("QVHighlight", "video_mret/QVHighlight", _MOMENT, "local"),
    _video("Charades-STA", "video_mret/Charades_STA", _MOMENT, "local"),
    _video("MomentSeeker", "video_mret/MomentSeeker", video.parse_seeker, "local"),
    _answers("Video-MME", video.parse_video_mme),
    _answers("NExTQA", video.parse_next_qa, "MC"),
    _answers("EgoSchema", video.parse_ego_schema, "Subset"),
    _video(
        "MVBench",
        "video_qa/MVBench",
        _MOMENT,
        "local",
        split="train",
        tables=tuple(
            Table(config=subset, parse=partial(video.parse_mv_bench, frames=FRAMES, subset=subset))
            for subset in _MV_BENCH
        ),
    ),
    _answers("ActivityNetQA", video.parse_activity_qa),
)

# The commits are those that mteb pins for the same repositories.
_VIDORE = {
    "arxivqa": ("arxivqa_test_subsampled_beir", "7d94d570960eac2408d3baa7a33f9de4822ae3e4"),
    "docvqa": ("docvqa_test_subsampled_beir", "162ba2fc1a8437eda8b6c37b240bc1c0f0deb092"),
    "infovqa": ("infovqa_test_subsampled_beir", "b802cc5fd6c605df2d673a963667d74881d2c9a4"),
    "tabfquad": ("tabfquad_test_subsampled_beir", "61a2224bcd29b7b261a4892ff4c8bea353527a31"),
    "tatdqa": ("tatdqa_test_beir", "5feb5630fdff4d8d189ffedb2dba56862fdd45c0"),
    "shiftproject": ("shiftproject_test_beir", "84a382e05c4473fed9cff2bbae95fe2379416117"),
    "syntheticDocQA_artificial_intelligence": (
        "syntheticDocQA_artificial_intelligence_test_beir",
        "2d9ebea5a1c6e9ef4a3b902a612f605dca11261c",
    ),
    "syntheticDocQA_energy": ("syntheticDocQA_energy_test_beir", "9935aadbad5c8deec30910489db1b2c7133ae7a7"),
    "syntheticDocQA_government_reports": (
        "syntheticDocQA_government_reports_test_beir",
        "b4909afa930f81282fd20601e860668073ad02aa",
    ),
    "syntheticDocQA_healthcare_industry": (
        "syntheticDocQA_healthcare_industry_test_beir",
        "f9e25d5b6e13e1ad9f5c3cce202565031b3ab164",
    ),
}
_VIDORE_2 = ("biomedical_lectures_v2", "economics_reports_v2", "esg_reports_v2")
VISDOC = (
    *(_pages(f"ViDoRe_{name}", f"vidore/{table}", pinned=commit) for name, (table, commit) in _VIDORE.items()),
    _pages(
        "ViDoRe_esg_reports_human_labeled_v2",
        "vidore/esg_reports_human_labeled_v2",
        root="esg_reports_human_labeled_v2",
    ),
    *(_pages(f"ViDoRe_{name}", f"vidore/{name}", root=name, language="english") for name in _VIDORE_2),
    *(_pages(f"ViDoRe_{name}_multilingual", f"vidore/{name}", root=f"{name}_multilingual") for name in _VIDORE_2),
    *(
        _pages(f"VisRAG_{name}", f"openbmb/VisRAG-Ret-Test-{name}")
        for name in ("ArxivQA", "ChartQA", "MP-DocVQA", "SlideVQA", "InfoVQA", "PlotQA")
    ),
    _pages("ViDoSeek-page", "VLM2Vec/ViDoSeek-page-fixed"),
    _pages("ViDoSeek-doc", "VLM2Vec/ViDoSeek"),
    _pages("MMLongBench-doc", "VLM2Vec/MMLongBench-doc"),
    _pages("MMLongBench-page", "VLM2Vec/MMLongBench-page-fixed"),
)

TASKS = {task.name: task for task in (*IMAGE, *VIDEO, *VISDOC)}
NOT_AVERAGED = tuple(f"ViDoRe_{name}" for name in _VIDORE_2)
"""Scored, but left out of the published mean."""
