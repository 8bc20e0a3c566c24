"""A page has a section per folder and everything that is in it, and is the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fwsvd_export.report.page.build import build_page
from fwsvd_export.report.page.parts import Figure, Page, Section, Table
from tests.report.page.results import (
    BASE,
    bench_result,
    losses,
    measurements,
    record,
    sweep_result,
    write,
    write_all,
)

SECTIONS = [
    "What was done",
    "Sweep",
    "Benchmark",
    "Compressed checkpoint",
    "Latency of small",
    "Training of small",
    "Layer losses",
    "Repeat it",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Of all kinds of folders."""
    return build_page(write_all(tmp_path_factory.mktemp("results")))


def section(page: Page, title: str) -> Section:
    return next(found for found in page.chapters[0].sections if found.title == title)


def table(page: Page, title: str, name: str) -> Table:
    return next(found for found in section(page, title).tables if found.title == name)


def column(found: Table, title: str) -> list[str]:
    place = [column.title for column in found.columns].index(title)
    return [row[place].text for row in found.rows]


def figures(page: Page) -> dict[str, Figure]:
    return {found.title: figure for found in page.chapters[0].sections for figure in found.figures}


def test_the_sections_stand_in_one_order(page: Page) -> None:
    assert page.title == "Compression of dense"
    assert [found.title for found in page.chapters[0].sections] == SECTIONS
    assert page.sources == "sweep, bench, small and losses"
    assert len(page.chapters[0].headlines) == 2


def test_what_was_done_says_every_fact_once(page: Page) -> None:
    facts = {fact.term: fact.lines for fact in section(page, "What was done").facts}
    assert facts["Base model"] == (
        f"dense, weights {BASE[:16]}…",
        "22.0 million parameters, 10.0 million of them linear weights",
    )
    assert facts["Methods and sizes"] == (
        "svd and kfac at 5 %, 10 % and 25 % of the linear weights, 2 seeds",
        "small: kfac, greedy ranks, 10 %, layers reconstructed",
    )
    assert facts["Training"] == (
        "sweep: not trained, fine-tuned and distilled",
        "small: distilled from dense: 8,192 examples of train.jsonl, 3 epochs at a learning rate of 0.0003; accuracy "
        ".850 before and .870 after it on validation.jsonl (872 examples)",
    )
    assert facts["Machine"] == ("a processor, 2 threads",)
    assert facts["Versions"] == ("fwsvd-export 0.1.0, torch 2.13.0, accelerate 1.15.0",)
    assert "sst2: calibrated on 512 examples of train.jsonl, labels from the data" in facts["Task and data"]


def test_ranks_are_no_share_of_the_weights(tmp_path: Path) -> None:
    rows = [replace(row, ratio=None, rank=round(400 * row.ratio)) for row in sweep_result().rows if row.ratio]
    page = build_page([write(tmp_path / "sweep", "results.json", replace(sweep_result(), rows=tuple(rows)))])
    facts = {fact.term: fact.lines for fact in section(page, "What was done").facts}
    assert facts["Methods and sizes"] == ("svd and kfac at rank 20, rank 40 and rank 100, 2 seeds",)


def test_a_sweep_has_its_grid_its_seeds_and_its_figures(page: Page) -> None:
    grid = table(page, "Sweep", "Every cell of the grid")
    assert len(grid.rows) == 1 + 2 * 3 * 3
    assert column(grid, "method")[:2] == ["dense", "svd"]
    assert set(column(grid, "training")) == {"", "not trained", "fine-tuned", "distilled"}
    assert column(grid, "95 % interval")[0] == ""
    assert all(" to " in words for words in column(grid, "95 % interval")[1:])
    assert "asked for" not in [found.title for found in grid.columns], "the share says it"
    assert len(table(page, "Sweep", "Every seed").rows) == 2 * 2 * 3 * 3
    assert [figure.title for figure in section(page, "Sweep").figures] == ["Accuracy against size", "Rank per layer"]
    assert section(page, "Sweep").paragraphs == (
        "36 of 42 cells of the grid are done, measured by accuracy on validation.jsonl (872 examples).",
    )


def test_a_sweep_of_ranks_and_one_seed(tmp_path: Path) -> None:
    rows = tuple(
        replace(row, ratio=None, rank=64 + place, difference=None)
        for place, row in enumerate(row for row in sweep_result(seeds=1).rows if row.training == "none")
    )
    found = build_page([write(tmp_path, "results.json", sweep_result(rows=rows))])
    grid = table(found, "Sweep", "Every cell of the grid")
    assert [column.title for column in grid.columns] == [
        "method", "asked for", "linear weights", "parameters", "accuracy", "against dense", "seconds",
    ]  # fmt: skip
    assert column(grid, "asked for")[1:] == [f"rank {64 + place}" for place in range(6)]
    assert len(section(found, "Sweep").tables) == 1


def test_a_sweep_that_has_just_begun(tmp_path: Path) -> None:
    found = build_page([write(tmp_path, "results.json", sweep_result(rows=()))])
    assert section(found, "Sweep").paragraphs == ("0 of 42 cells of the grid are done.",)
    assert section(found, "Sweep").figures == section(found, "Sweep").tables == ()


def test_a_benchmark_has_models_and_latencies(page: Page) -> None:
    models, latency = table(page, "Benchmark", "Models"), table(page, "Benchmark", "Latency")
    assert column(models, "against dense") == ["", "", "−.0140", "−.0140", "−.3840", "−.3840"]
    assert column(models, "95 % interval")[2] == "−.0270 to −.0020"
    assert [row[0].series for row in models.rows] == ["dense"] * 2 + ["kfac"] * 2 + ["compressed"] * 2
    assert len(latency.rows) == 3 * 2 * 2
    faster = {tuple(pair) for pair in zip(column(latency, "model"), column(latency, "times faster"), strict=True)}
    assert faster == {("dense", "1.00"), ("small", "2.90"), ("tiny", "4.00")}
    assert set(column(latency, "front")) == {"", "yes"}
    assert [figure.title for figure in section(page, "Benchmark").figures] == ["Accuracy against latency"]


def test_a_benchmark_of_speed_alone(tmp_path: Path) -> None:
    result = bench_result()
    models = []
    for model in result.models:
        runtimes = {name: replace(found, value=None, difference=None) for name, found in model.runtimes.items()}
        models.append(replace(model, metric=None, value=None, runtimes=runtimes))
    environment = replace(result.environment, task=None, data=None)
    found = build_page(
        [write(tmp_path, "results.json", replace(result, models=tuple(models), environment=environment))]
    )
    assert section(found, "Benchmark").figures == ()
    titles = [found.title for found in table(found, "Benchmark", "Models").columns]
    assert titles == ["model", "runtime", "parameters", "file"]
    assert "front" not in [found.title for found in table(found, "Benchmark", "Latency").columns]


def test_a_checkpoint_has_sizes_scores_trials_and_what_was_done_to_it(page: Page) -> None:
    found = section(page, "Compressed checkpoint")
    assert [table.title for table in found.tables] == ["Sizes", "Scores", "Sizes that were tried for small"]
    assert found.paragraphs == (
        "small since its compression: fine-tuned (epochs 2, teacher dense).",
        "ONNX of small: 2.0e-06 from torch at most, within the 0.0001 allowed, in 1 shape.",
    )
    assert column(found.tables[1], "against dense") == ["−.0140"]
    assert found.tables[2].note == (
        "The target of at most 0.02 below the dense model's accuracy of .8840 on held.jsonl (400 examples) with 95 % "
        "confidence is met."
    )
    assert column(found.tables[2], "interval") == ["−.0190 to +.0010", "−.0410 to −.0100"]
    assert column(found.tables[2], "target") == ["met", "missed"]
    assert len(section(page, "Latency of small").tables[0].rows) == 2


def test_checkpoints_that_were_scored_alike_stand_in_one_figure(tmp_path: Path) -> None:
    folders = []
    for name, ratio in (("small", 0.1), ("smaller", 0.05)):
        sizes = replace(record().parameters, ratio=ratio)
        folders.append(
            write(tmp_path / name, "compression.json", record(parameters=sizes, history=record().history[:1]))
        )
        write(folders[-1], "measurements.json", measurements())
    figure = section(build_page(folders), "Compressed checkpoints").figures[0]
    (plot,) = figure.plots
    assert plot.data[0]["x"] == [5.0, 10.0]
    assert figure.series == ("kfac",)
    write(folders[0], "measurements.json", replace(measurements(), scores=()))
    titles = [figure.title for figure in section(build_page(folders), "Compressed checkpoints").figures]
    assert titles == ["Rank per layer"]


def test_weights_of_unknown_origin_are_called_so(tmp_path: Path) -> None:
    write(tmp_path, "compression.json", record())
    (tmp_path / "model.safetensors").write_bytes(b"other")
    (sentence,) = section(build_page([tmp_path]), "Compressed checkpoint").paragraphs
    assert sentence.endswith("the weights were changed by something that left no word of it.")


def test_losses_have_a_verdict_and_every_layer(page: Page) -> None:
    found = section(page, "Layer losses")
    assert found.paragraphs[0].startswith("The predictions order the layers usefully (rank correlation 0.90).")
    assert column(found.tables[0], "measured / predicted") == ["2.00"] * 5
    assert found.tables[0].folded


def test_losses_in_another_unit_have_no_ratio(tmp_path: Path) -> None:
    found = build_page([write(tmp_path, "losses.json", losses(method="svd"))])
    assert "measured / predicted" not in [c.title for c in table(found, "Layer losses", "Every layer").columns]
    empty = build_page([write(tmp_path, "losses.json", losses(layers=(), rank_correlation=None))])
    assert section(empty, "Layer losses").tables == ()


def test_two_folders_of_a_kind_are_told_apart(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, "results.json", bench_result()) for name in ("quiet", "busy")]
    titles = [found.title for found in build_page(folders).chapters[0].sections]
    assert titles[1:3] == ["Benchmark: quiet", "Benchmark: busy"]


def test_two_dense_models_make_two_chapters(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "results.json", sweep_result())
    other = write(tmp_path / "other", "results.json", sweep_result(base_sha256="9" * 64, model="stsb", task="stsb"))
    page = build_page([one, other])
    assert page.title == "Compression of dense and stsb"
    assert [chapter.title for chapter in page.chapters] == ["dense", "stsb"]


def test_the_training_is_drawn_and_its_start_named(page: Page) -> None:
    found = section(page, "Training of small")
    (figure,) = found.figures
    assert [plot.label for plot in figure.plots] == ["Training loss", "Accuracy on validation.jsonl"]
    assert "before training, .850; the weights that were kept have .870" in figure.summary
    assert [plot.data[0]["x"] for plot in figure.plots] == [[10, 20], [0, 10, 20]]
    assert column(found.tables[0], "kept") == ["", "", "yes"]
    assert found.paragraphs[0].startswith("Distilled from dense: 8,192 examples of train.jsonl")


def test_a_training_that_only_the_history_knows_is_told_from_there(tmp_path: Path) -> None:
    found = build_page([write(tmp_path / "small", "compression.json", record())])
    facts = {fact.term: fact.lines for fact in section(found, "What was done").facts}
    assert facts["Training"] == ("small: fine-tuned (epochs 2, teacher dense)",)


def test_pictures_of_the_folders_are_found(tmp_path: Path) -> None:
    folder = write(tmp_path, "results.json", bench_result())
    (folder / "latency.png").write_bytes(b"")
    (picture,) = section(build_page([folder]), "Benchmark").pictures
    assert (picture.path, picture.alt) == (folder / "latency.png", "Latency")


def test_the_page_is_the_same_every_time(page: Page, tmp_path: Path) -> None:
    assert build_page(write_all(tmp_path)) == page
