"""The tests mirror the package: every module has its own test file, or stands in a short list of exceptions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import fwsvd_export

PACKAGE = Path(str(fwsvd_export.__file__)).parent
TESTS = Path(__file__).parent

# Modules that are one group with others, or whose tests stand under another name: module -> the file with its tests
TESTED_ELSEWHERE = {
    "architectures.batches": "test_api_errors.py",
    "architectures.unwrap": "test_api_modes.py",
    "modeling.configuration_lowrank_camembert": "modeling/test_reload.py",
    "modeling.modeling_lowrank_camembert": "modeling/test_reload.py",
    "modeling.configuration_lowrank_deberta_v2": "modeling/test_reload.py",
    "modeling.modeling_lowrank_deberta_v2": "modeling/test_reload.py",
    "modeling.configuration_lowrank_electra": "modeling/test_reload.py",
    "modeling.modeling_lowrank_electra": "modeling/test_reload.py",
    "modeling.configuration_lowrank_esm": "modeling/test_reload.py",
    "modeling.modeling_lowrank_esm": "modeling/test_reload.py",
    "modeling.configuration_lowrank_modernbert": "modeling/test_reload.py",
    "modeling.modeling_lowrank_modernbert": "modeling/test_reload.py",
    "modeling.configuration_lowrank_mpnet": "modeling/test_reload.py",
    "modeling.modeling_lowrank_mpnet": "modeling/test_reload.py",
    "modeling.configuration_lowrank_roberta": "modeling/test_reload.py",
    "modeling.modeling_lowrank_roberta": "modeling/test_reload.py",
    "modeling.configuration_lowrank_xlm_roberta": "modeling/test_reload.py",
    "modeling.modeling_lowrank_xlm_roberta": "modeling/test_reload.py",
    "architectures.bert_shape": "architectures/test_encoder.py",
    "architectures.electra": "compression/test_sequences.py",
    "architectures.encoder_layer": "compression/test_sequences.py",
    "architectures.esm": "compression/test_sequences.py",
    "architectures.modernbert": "compression/test_sequences.py",
    "architectures.mpnet": "compression/test_sequences.py",
    "architectures.pre_norm": "compression/test_sequences.py",
    "architectures.roberta": "compression/test_sequences.py",
    "checkpoints.gate": "checkpoints/test_folder.py",
    "checkpoints.adapters": "cli/test_foreign_checkpoints.py",
    "checkpoints.carried": "cli/test_sentence_transformers.py",
    "checkpoints.fetch": "cli/test_foreign_checkpoints.py",
    "checkpoints.keys": "cli/test_foreign_checkpoints.py",
    "checkpoints.module_embed": "cli/test_embedding_tasks.py",
    "checkpoints.sentence_modules": "cli/test_sentence_transformers.py",
    "checkpoints.settings": "cli/test_hostile.py",
    "checkpoints.stored": "cli/test_foreign_checkpoints.py",
    "checkpoints.unread": "cli/test_foreign_checkpoints.py",
    "cli.compress": "cli/test_commands.py",
    "cli.console": "cli/test_iterative.py",
    "cli.densify": "cli/test_history.py",
    "cli.evaluate": "cli/test_against.py",
    "cli.inspect": "cli/test_hostile.py",
    "cli.methods": "cli/test_commands.py",
    "cli.options": "cli/test_bad_input.py",
    "cli.signals": "cli/test_interrupted.py",
    "cli.targets": "cli/test_max_drop.py",
    "cli.training_options": "cli/test_finetune.py",
    "compression.build": "compression/test_compress.py",
    "compression.record": "workflows/test_compress.py",
    "compression.regression": "compression/test_reconstruct.py",
    "data.collection_batches": "data/test_collection.py",
    "evaluation.embedded": "evaluation/test_similarity.py",
    "export.openvino_int8": "cli/test_openvino_int8.py",
    "export.pooled": "cli/test_embedding_tasks.py",
    "evaluation.int8": "cli/test_onnx_target.py",
    "evaluation.labels": "test_api_errors.py",
    "evaluation.measures": "evaluation/test_similarity.py",
    "evaluation.outcomes": "evaluation/test_paired.py",
    "evaluation.scores": "evaluation/test_metrics.py",
    "modeling.configuration_lowrank_bert": "modeling/test_lowrank_bert.py",
    "modeling.configuration_lowrank_distilbert": "modeling/test_reload.py",
    "modeling.modeling_lowrank_bert": "modeling/test_lowrank_bert.py",
    "modeling.modeling_lowrank_distilbert": "modeling/test_reload.py",
    "report.bench": "cli/test_bench.py",
    "report.page.bench_section": "report/page/test_build.py",
    "report.page.checkpoint_section": "report/page/test_build.py",
    "report.page.done_section": "report/page/test_build.py",
    "report.page.facts": "report/page/test_read.py",
    "report.page.latency_plot": "report/page/test_plot.py",
    "report.page.latency_section": "report/page/test_build.py",
    "report.page.latency_table": "report/page/test_build.py",
    "report.page.loss_plot": "report/page/test_plot.py",
    "report.page.losses_section": "report/page/test_build.py",
    "report.page.rank_plot": "report/page/test_plot.py",
    "report.page.size_plot": "report/page/test_plot.py",
    "report.page.sweep_section": "report/page/test_build.py",
    "report.page.training_plot": "report/page/test_plot.py",
    "report.page.training_section": "report/page/test_build.py",
    "runtime.modes": "test_api_modes.py",
    "sweep.watch": "cli/test_sweep_progress.py",
    "workflows.base": "workflows/test_compress.py",
    "workflows.calibration": "cli/test_max_drop.py",
    "workflows.demo_report": "workflows/test_demo.py",
    "workflows.compress_request": "workflows/test_compress.py",
    "workflows.deployment": "cli/test_deployment.py",
    "workflows.deployment_request": "cli/test_deployment.py",
    "workflows.finetune": "cli/test_finetune.py",
    "workflows.finetune_request": "cli/test_finetune.py",
    "workflows.memory": "test_api.py",
    "workflows.sweep": "cli/test_sweep.py",
    "workflows.sweep_data": "cli/test_sweep.py",
    "workflows.sweep_keys": "cli/test_sweep.py",
    "workflows.sweep_models": "cli/test_sweep.py",
    "workflows.sweep_request": "cli/test_sweep.py",
    "workflows.sweep_statistics": "cli/test_sweep.py",
    "workflows.teacher": "cli/test_finetune.py",
}


def untested_modules(sources: Collection[str], tests: Collection[str], elsewhere: Mapping[str, str]) -> list[str]:
    """Modules without ``<package>/test_<module>.py`` among the tests, and exceptions that name no file or no module."""
    modules = {module.partition(".")[2] for module in sources}
    expected = {
        module: "/".join([*folders, f"test_{name}.py"])
        for module in sorted(modules)
        for *folders, name in [module.split(".")]
        if not name.startswith("__")
    }
    found = [f"{module} has no tests/{file}" for module, file in expected.items() if file not in tests]
    found = [sentence for sentence in found if sentence.partition(" ")[0] not in elsewhere]
    found += [
        f"{module} is an exception, and there is no tests/{elsewhere[module]}"
        for module in elsewhere
        if elsewhere[module] not in tests
    ]
    return found + [f"{module} is an exception and no module" for module in elsewhere if module not in expected]


def test_every_module_has_its_tests() -> None:
    modules = {
        ".".join(("fwsvd_export", *file.relative_to(PACKAGE).with_suffix("").parts)) for file in PACKAGE.rglob("*.py")
    }
    tests = {file.relative_to(TESTS).as_posix() for file in TESTS.rglob("test_*.py")}
    assert untested_modules(modules, tests, TESTED_ELSEWHERE) == []


def test_the_checker_reports_modules_without_tests_and_exceptions_of_nothing() -> None:
    made_up = dict.fromkeys(("p.__init__", "p.root", "p.a.__init__", "p.a.b", "p.a.c", "p.a.d"), "")
    found = untested_modules(
        made_up, {"a/test_b.py"}, {"a.c": "a/test_b.py", "a.d": "a/test_x.py", "a.y": "a/test_b.py"}
    )
    assert found == [
        "root has no tests/test_root.py",
        "a.d is an exception, and there is no tests/a/test_x.py",
        "a.y is an exception and no module",
    ]
