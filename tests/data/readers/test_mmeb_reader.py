"""MMEB-v2: every parser against rows as they are published, with the texts that the published code makes of them."""

from pathlib import Path
from typing import Any

import pytest
from published import encoded, write_beir, write_frames, write_jsonl, write_mmeb_image, write_mmeb_video, write_picture

from workbench.data.mmeb.tasks import NOT_AVERAGED, TASKS
from workbench.data.reader import Document, Pair, find_reader
from workbench.data.sifting import Report
from workbench.errors import BadInput, UnknownName

QUESTION = (
    "Given a video and a question, select the most accurate answer from the provided candidates. "
    "Return only the exact text of your chosen answer. Question:  "
)


def read(source: str) -> list[Pair]:
    reader, path = find_reader(f"mmeb-v2:{source}")
    return list(reader.read(path, split="test"))


def pool(source: str) -> dict[str, Document]:
    reader, path = find_reader(f"mmeb-v2:{source}")
    return {document.id: document for document in reader.documents(path, split="test")}


def image_row(**given: Any) -> dict[str, Any]:
    written = {
        "qry_inst": "<|image_1|> Represent the given image for classification \n",
        "qry_text": "",
        "qry_img_path": "T/red.jpg",
        "tgt_inst": "<|image_1|> Represent the given image. \n",
        "tgt_text": ["red", "blue"],
        "tgt_img_path": ["T/red.jpg", "T/blue.jpg"],
    }
    return written | given


def write_images(folder: Path) -> None:
    write_picture(folder / "image-tasks" / "T" / "red.jpg")
    write_picture(folder / "image-tasks" / "T" / "blue.jpg", "blue")


def test_there_are_78_tasks_and_three_beside_them() -> None:
    kinds = {kind: [task for task in TASKS.values() if task.kind == kind] for kind in ("image", "video", "visdoc")}
    assert {kind: len(tasks) for kind, tasks in kinds.items()} == {"image": 36, "video": 18, "visdoc": 27}
    assert len(TASKS) - len(NOT_AVERAGED) == 78
    assert set(NOT_AVERAGED) <= set(TASKS)
    assert {task.metric for task in kinds["visdoc"]} == {"ndcg_linear@5"}
    assert {task.metric for task in (*kinds["image"], *kinds["video"])} == {"hit@1"}
    assert all(task.pool == "local" for task in kinds["image"])
    assert all(task.pool == "global" for task in kinds["visdoc"])
    assert sorted(task.name for task in kinds["video"] if task.pool == "local") == [
        *("ActivityNetQA", "Charades-STA", "EgoSchema", "MVBench", "MomentSeeker", "NExTQA", "QVHighlight"),
        *("SmthSmthV2", "Video-MME"),
    ]
    assert sum(1 for task in TASKS.values() if task.pinned) == 10


# What stands after the image's token and its space in the text that the published code writes.
@pytest.mark.parametrize(
    ("task", "row", "query", "candidates"),
    [
        (
            "ImageNet-1K",
            image_row(),
            " Represent the given image for classification\n\n",
            {"red": "red", "blue": "blue"},
        ),
        (
            "DocVQA",
            image_row(qry_inst="<|image_1|> Represent the image with the question: \n", qry_text="what ?"),
            "\nRepresent the image with the question: what ?\n",
            {"red": "red", "blue": "blue"},
        ),
        (
            "MSCOCO_t2i",
            image_row(qry_inst="Find the image: ", qry_text="a cat", tgt_text=["", ""]),
            "Find the image:  a cat\n",
            dict.fromkeys(("T/red.jpg", "T/blue.jpg"), " Represent the given image.\n\n"),
        ),
        (
            "VisDial",
            image_row(qry_inst="Find it:", qry_text="a cat", tgt_text=["one", "two"]),
            "Find it: a cat\n\n",
            {"T/red.jpg": " Represent the given image.\n one\n", "T/blue.jpg": " Represent the given image.\n two\n"},
        ),
        (
            "RefCOCO-Matching",
            image_row(qry_inst="<|image_1|> Select: \n", qry_text="left", tgt_text=['"a"', '"b"']),
            "\nSelect: left\n",
            {
                "T/red.jpg:a": ' Represent the given image.\n "a"\n',
                "T/blue.jpg:b": ' Represent the given image.\n "b"\n',
            },
        ),
        (
            "CIRR",
            image_row(qry_inst="<|image_1|>Change: ", qry_text="it is blue", tgt_text=["", ""]),
            "\nChange: it is blue\n",
            dict.fromkeys(("T/red.jpg:", "T/blue.jpg:"), " Represent the given image.\n"),
        ),
    ],
)
def test_image_tasks_make_the_published_texts(
    tmp_path: Path, task: str, row: dict[str, Any], query: str, candidates: dict[str, str]
) -> None:
    write_images(tmp_path)
    source = write_mmeb_image(tmp_path, task, [row])
    [pair] = read(source)
    assert pair.query.text == query
    assert len(pair.query.images) == (0 if task in ("MSCOCO_t2i", "VisDial") else 1)
    assert pair.candidates == tuple(candidates)
    first = next(iter(candidates))
    assert (pair.target_id, pair.relevance) == (first, {first: 1.0})
    documents = pool(source)
    assert {name: document.sample.text for name, document in documents.items()} == candidates
    assert pair.target == documents[first].sample


def test_local_tables_beside_the_pictures_are_found(tmp_path: Path) -> None:
    write_images(tmp_path)
    source = write_mmeb_image(tmp_path, "GQA", [image_row()])
    (tmp_path / "ziyjiang" / "MMEB_Test_Instruct" / "GQA").rename(tmp_path / "image-tasks" / "GQA")
    assert len(read(source)) == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"tgt_text": []}, "its 'tgt_text' is empty"),
        ({"tgt_text": None}, "its 'tgt_text' is missing"),
        ({"qry_img_path": None}, "its 'qry_img_path' is missing"),
        ({"qry_img_path": "T/gone.jpg"}, "There is no file"),
    ],
)
def test_rows_that_are_not_as_published_are_told(tmp_path: Path, given: dict[str, Any], sentence: str) -> None:
    write_images(tmp_path)
    source = write_mmeb_image(tmp_path, "GQA", [image_row(), image_row(**given)])
    reader, path = find_reader(f"mmeb-v2:{source}")
    with pytest.raises(BadInput, match=f"^Row 2 of 'test-00000-of-00001.parquet' \\(GQA\\): .*{sentence}"):
        list(reader.read(path, split="test"))


def test_a_candidate_whose_picture_is_gone_is_told_with_its_row(tmp_path: Path) -> None:
    write_images(tmp_path)
    (tmp_path / "image-tasks" / "T" / "blue.jpg").unlink()
    source = write_mmeb_image(tmp_path, "CIRR", [image_row(tgt_text=["", ""])])
    reader, path = find_reader(f"mmeb-v2:{source}")
    assert len(list(reader.read(path, split="test"))) == 1
    report = Report()
    assert len(list(reader.documents(path, split="test", on_error="skip", report=report))) == 1
    assert "candidate 'T/blue.jpg:': There is no file" in report.problems[0].reason


VIDEO: list[tuple[str, str, str, str, dict[str, Any], str, tuple[str, ...], str]] = [
    (
        *("SmthSmthV2", "VLM2Vec/SmthSmthV2", "data/test", "video_cls/SSv2/9"),
        {"video_id": 9, "pos_text": "b", "neg_text": ["a", "b"]},
        "What actions or object interactions are being performed by the person in the video?",
        *(("a", "b"), "b"),
    ),
    (
        *("K700", "VLM2Vec/Kinetics-700", "data/test", "video_cls/K700/v"),
        {"video_id": "v", "pos_text": "archery"},
        "Recognize the category of the video content.",
        *((), "archery"),
    ),
    (
        *("Video-MME", "VLM2Vec/Video-MME", "data/test", "video_qa/Video-MME/v"),
        {"videoID": "v", "question": "Who ?", "options": ["A. me.", "B. you."], "answer": "B"},
        f"{QUESTION}Who ?\nA. me.\nB. you.",
        *(("A. me.", "B. you."), "B. you."),
    ),
    (
        *("NExTQA", "VLM2Vec/NExTQA", "MC/test", "video_qa/NExTQA/7"),
        {"video": 7, "question": "why", "answer": 4, "a0": "a", "a1": "b", "a2": "c", "a3": "d", "a4": "e"},
        f"{QUESTION}why\nOptions:\n(A) a\n(B) b\n(C) c\n(D) d\n(E) e",
        *(("a", "b", "c", "d", "e"), "e"),
    ),
    (
        *("EgoSchema", "VLM2Vec/EgoSchema", "Subset/test", "video_qa/EgoSchema/v"),
        {"video_idx": "v", "question": "why?", "answer": "0", "option": ["A. x", "B. y"]},
        f"{QUESTION}why?A. x B. y",
        *(("A. x", "B. y"), "A. x"),
    ),
    (
        *("ActivityNetQA", "VLM2Vec/ActivityNetQA", "data/test", "video_qa/ActivityNetQA/v_x"),
        {"video_name": "x", "question": "is it", "answer": "no", "question_id": "q"},
        f"{QUESTION}is it? (A) yes; (B) no.",
        *(("yes", "no"), "no"),
    ),
]


@pytest.mark.parametrize(("task", "repository", "table", "frames", "row", "query", "candidates", "right"), VIDEO)
def test_video_tasks_make_the_published_texts(
    tmp_path: Path,
    task: str,
    repository: str,
    table: str,
    frames: str,
    row: dict[str, Any],
    query: str,
    candidates: tuple[str, ...],
    right: str,
) -> None:
    write_frames(tmp_path / "video-tasks" / "frames" / frames, n=12)
    source = write_mmeb_video(tmp_path, task, repository, table, [row])
    [pair] = read(source)
    assert pair.query.text == query
    # Eight of twelve frames, at equal distances from the first to the last: 0, 1.57, 3.14 ... 11, cut to whole numbers.
    assert [ref.width - 40 for ref in pair.query.images] == [1, 2, 4, 5, 7, 8, 10, 12]
    assert pair.query.metadata == {"frames": 8}
    assert pair.candidates == candidates
    assert pair.relevance == {right: 1.0}
    assert set(pool(source)) == set(candidates or (right,))


def test_options_lose_their_letter_in_the_text_of_a_candidate(tmp_path: Path) -> None:
    task, repository, table, frames, row, *_ = VIDEO[2]
    write_frames(tmp_path / "video-tasks" / "frames" / frames)
    source = write_mmeb_video(tmp_path, task, repository, table, [row])
    assert {name: held.sample.text for name, held in pool(source).items()} == {"A. me.": "me", "B. you.": "you"}


@pytest.mark.parametrize(
    ("task", "repository", "table", "row", "video", "prompt"),
    [
        (
            "MSR-VTT",
            "VLM2Vec/MSR-VTT",
            "test_1k/test",
            {"video_id": "v1", "video": "v1.mp4", "caption": "c"},
            "v1",
            None,
        ),
        ("MSVD", "VLM2Vec/MSVD", "data/test", {"video_id": "v1", "video": "v.avi", "caption": ["c", "d"]}, "v1", None),
        ("DiDeMo", "VLM2Vec/DiDeMo", "data/test", {"video": "test/v2.mp4", "caption": "c"}, "v2", None),
        ("YouCook2", "lmms-lab/YouCook2", "data/val", {"id": "v3", "video_path": "x", "sentence": "c"}, "v3", None),
        ("VATEX", "VLM2Vec/VATEX", "data/test", {"videoID": "v4", "enCap": ["c", "d"]}, "v4", None),
    ],
)
def test_video_retrieval_ranks_all_videos(
    tmp_path: Path, task: str, repository: str, table: str, row: dict[str, Any], video: str, prompt: None
) -> None:
    write_frames(tmp_path / "video-tasks" / "frames" / "video_ret" / task / video)
    source = write_mmeb_video(tmp_path, task, repository, table, [row])
    [pair] = read(source)
    assert pair.query.text.endswith(": c")
    assert (pair.candidates, pair.relevance) == ((), {video: 1.0})
    [document] = pool(source).values()
    assert (document.id, document.sample.text) == (video, "Understand the content of the provided video.")
    assert len(document.sample.images) == 2


def test_moments_are_clips_beside_the_query(tmp_path: Path) -> None:
    clips = tmp_path / "video-tasks" / "frames" / "video_mret" / "Charades_STA" / "v1"
    for name in ("query", "negative_10", "negative_9", "positive_1"):
        write_frames(clips / name)
    row = {"query": "he sits", "video_path": "videos/v1.mp4"}
    source = write_mmeb_video(tmp_path, "Charades-STA", "VLM2Vec/Charades-STA", "data/test", [row])
    [pair] = read(source)
    assert pair.candidates == ("v1/negative_9", "v1/negative_10", "v1/positive_1")
    assert pair.relevance == {"v1/positive_1": 1.0}
    assert pair.query.text == "Find the clip that corresponds to the described scene in the given video: he sits"


@pytest.mark.parametrize(
    ("given", "prompt", "n"),
    [
        ("", "Find the clip that corresponds to the given text: he sits", 0),
        ("a/b.jpg", "Select the video clip that aligns with the given text and image: he sits", 1),
        ("a/b.mp4", "Find the clip that corresponds to the given sentence and video segment: he sits", 3),
    ],
)
def test_moment_seeker_asks_in_three_ways(tmp_path: Path, given: str, prompt: str, n: int) -> None:
    root = tmp_path / "video-tasks" / "frames" / "video_mret" / "MomentSeeker"
    for name in ("a_b", "c_right", "c_wrong"):
        write_frames(root / "video_frames" / name, n=3)
    write_picture(root / "query_a" / "b.jpg")
    row = {
        "query": "he sits",
        "input_frames": given,
        "positive_frames": [{"output_path": "c/right.mp4"}],
        "negative_frames": [{"output_path": "c/wrong.mp4"}],
    }
    table = tmp_path / "VLM2Vec" / "MomentSeeker" / "test.jsonl"
    write_jsonl(table, [row])
    [pair] = read(str(tmp_path / "MomentSeeker"))
    assert (pair.query.text, len(pair.query.images)) == (prompt, n)
    assert pair.candidates == ("c/right.mp4", "c/wrong.mp4")
    assert pair.relevance == {"c/right.mp4": 1.0}


def test_mv_bench_is_twenty_tables_in_a_row(tmp_path: Path) -> None:
    for table in TASKS["MVBench"].tables:
        assert table.config
        write_frames(tmp_path / "video-tasks" / "frames" / "video_qa" / "MVBench" / table.config / "v.mp4")
        row = {"video": "v.mp4", "question": table.config, "candidates": ["x", "y"], "answer": "y"}
        write_mmeb_video(tmp_path, "MVBench", "VLM2Vec/MVBench", f"{table.config}/train", [row])
    pairs = read(str(tmp_path / "MVBench"))
    assert [pair.row for pair in pairs] == list(range(1, 21))
    assert pairs[1].query.text == f"{QUESTION}action_sequence\nOptions:\n(A) x\n(B) y"
    assert (pairs[1].candidates, pairs[1].relevance) == (("(A) x", "(B) y"), {"(B) y": 1.0})


def visdoc(folder: Path, *, language: bool = False, split: str = "test") -> None:
    queries = [
        {"query-id": place, "query": f"q{place}", "language": "english" if place else "french"} for place in range(3)
    ]
    write_beir(
        folder,
        queries=queries if language else [{"query-id": row["query-id"], "query": row["query"]} for row in queries],
        corpus=[{"corpus-id": f"{name}.jpg", "image": encoded(name)} for name in ("red", "green", "blue")],
        qrels=[
            {"query-id": 0, "corpus-id": "red.jpg", "score": 1},
            {"query-id": 0, "corpus-id": "green.jpg", "score": 2},
            {"query-id": 0, "corpus-id": "green.jpg", "score": 1},
            {"query-id": 0, "corpus-id": "blue.jpg", "score": 0},
            {"query-id": 1, "corpus-id": "blue.jpg", "score": 1},
            {"query-id": 2, "corpus-id": "black.jpg", "score": 1},
        ],
        split=split,
    )


def test_pages_are_judged_by_grade(tmp_path: Path) -> None:
    visdoc(tmp_path / "vidore" / "tatdqa_test_beir")
    reader, path = find_reader(f"mmeb-v2:{tmp_path / 'ViDoRe_tatdqa'}")
    report = Report()
    pairs = list(reader.read(path, split="test", on_error="skip", report=report))
    assert [pair.id for pair in pairs] == ["0", "1"]
    assert pairs[0].relevance == {"red.jpg": 1.0, "green.jpg": 2.0}
    assert (pairs[0].target_id, pairs[0].target, pairs[0].candidates) == ("green.jpg", None, ())
    assert pairs[0].query.text == "Find a document image that matches the given query: q0"
    assert "its relevant document 'black.jpg' is not in the corpus" in report.problems[0].reason
    documents = pool(str(tmp_path / "ViDoRe_tatdqa"))
    assert list(documents) == ["red.jpg", "green.jpg", "blue.jpg"]
    assert documents["red.jpg"].sample.text == "Understand the content of the provided document image."
    info = reader.describe(path, split="test")
    assert (info.rows, info.metric, info.pool) == (3, "ndcg_linear@5", "global")
    assert info.pinned == "5feb5630fdff4d8d189ffedb2dba56862fdd45c0"


def test_unpacked_pages_are_preferred_under_their_published_names(tmp_path: Path) -> None:
    visdoc(tmp_path / "openbmb" / "VisRAG-Ret-Test-PlotQA", split="train")
    pictures = tmp_path / "visdoc-tasks" / "VisRAG_PlotQA"
    # The first eight hexadecimal digits of the MD5 of the whole name, as `printf red.jpg | md5sum` gives them.
    for name in ("red_c30acb20.jpg", "green_1.jpg"):
        write_picture(pictures / name, size=(77, 11))
    reader, path = find_reader(f"mmeb-v2:{tmp_path / 'VisRAG_PlotQA'}")
    report = Report()
    documents = list(reader.documents(path, split="test", on_error="skip", report=report))
    assert [(document.id, document.sample.images[0].width) for document in documents] == [("red.jpg", 77)]
    assert [problem.row for problem in report.problems] == [2, 3]


def test_only_queries_of_the_task_s_language_are_rows(tmp_path: Path) -> None:
    visdoc(tmp_path / "vidore" / "esg_reports_v2", language=True)
    reader, path = find_reader(f"mmeb-v2:{tmp_path / 'ViDoRe_esg_reports_v2'}")
    report = Report()
    assert [pair.id for pair in reader.read(path, split="test", on_error="skip", report=report)] == ["1"]
    assert report.problems[0].row == 3
    assert reader.describe(path, split="test").rows is None
    assert any("not part of the published mean" in note for note in reader.describe(path, split="test").notes)


def test_a_missing_table_is_told_with_the_line_that_downloads_it(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"hf download --repo-type dataset ziyjiang/MMEB_Test_Instruct --local-dir .*ziyjiang"
    ):
        read(str(tmp_path / "ImageNet-1K"))
    with pytest.raises(BadInput, match="--revision 7d94d570960eac2408d3baa7a33f9de4822ae3e4"):
        read(str(tmp_path / "ViDoRe_arxivqa"))
    with pytest.raises(UnknownName, match="Did you mean 'ImageNet-1K'"):
        read(str(tmp_path / "ImageNet1K"))
    with pytest.raises(BadInput, match="There is no folder"):
        read(str(tmp_path / "gone" / "ImageNet-1K"))


def test_missing_frames_are_told(tmp_path: Path) -> None:
    source = write_mmeb_video(
        tmp_path, "UCF101", "VLM2Vec/UCF101", "data/test", [{"video_id": "v", "pos_text": "Diving"}]
    )
    with pytest.raises(BadInput, match=r"There are no frames in '.*UCF101/v'"):
        read(source)
