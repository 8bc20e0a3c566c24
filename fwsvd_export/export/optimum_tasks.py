"""Compressed models in the tables of optimum's TasksManager.

Optimum's own export of a checkpoint needs no call: ``export_model_type`` in its configuration says which architecture
to export it as. The tables are for programs that look a model type up in them.
"""

from __future__ import annotations

from importlib import import_module

from fwsvd_export.architectures.registry import LOW_RANK_FAMILIES
from fwsvd_export.errors import MissingExtraError

_BACKEND = "onnx"


def register_with_optimum() -> None:
    """Gives every compressed model type the ONNX configuration and the tasks of its dense one; calling twice is fine.

    Raises:
        MissingExtraError: optimum-onnx is not installed.

    Example:
        >>> from importlib.util import find_spec
        >>> if find_spec("optimum"):  # of the extra fwsvd-export[optimum]
        ...     register_with_optimum()
    """
    try:
        import_module("optimum.exporters.onnx.model_configs")  # fills the tables
        manager = import_module("optimum.exporters.tasks").TasksManager
    except ModuleNotFoundError as error:
        raise MissingExtraError("optimum-onnx", "optimum") from error
    register = manager.create_register(_BACKEND)
    for family in LOW_RANK_FAMILIES.values():
        tasks = manager.get_supported_tasks_for_model_type(family.model_type, _BACKEND, library_name="transformers")
        for task, constructor in tasks.items():
            register(family.low_rank_type, task)(constructor.func)  # a partial of the configuration's class
