"""The ``onnx`` folder of a model on the Hub."""

from __future__ import annotations

from pathlib import Path

from fwsvd_export.errors import ExportError, message_of
from fwsvd_export.export.place import Place
from fwsvd_export.storage.file_names import CONFIG_FILE, ONNX_FOLDER


def fetched_place(folder: Path, source: str, file_name: str) -> Place:
    """The copy of a model on the Hub, completed by one ONNX file and the configuration beside it.

    Args:
        folder: the copy, in the Hub's cache: what its files were before.
        source: the model's id.
        file_name: of the ONNX file.

    Raises:
        ExportError: the repository lacks one of the two, or it cannot be fetched.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    place = Place(folder, source, fetched=True)
    for name in (file_name, CONFIG_FILE):
        wanted = f"{ONNX_FOLDER}/{name}"
        try:
            # The cache calls a copy by its commit: both files are of the weights' own, whatever was pushed since
            hf_hub_download(source, wanted, revision=folder.name)
        except LocalEntryNotFoundError as error:
            raise ExportError(
                f"{wanted} of {source} was not fetched before, and the Hub cannot be reached; "
                f"make it with {place.advice(file_name)}"
            ) from error
        except EntryNotFoundError as error:
            raise ExportError(f"{source} has no {wanted} on the Hub; make it with {place.advice(file_name)}") from error
        except Exception as error:  # the Hub's client raises its own, the HTTP library's and OS errors alike
            raise ExportError(f"{wanted} of {source} could not be fetched from the Hub: {message_of(error)}") from error
    return place
