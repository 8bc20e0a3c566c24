"""A verified folder becomes one commit on the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwsvd_export import __version__
from fwsvd_export.architectures.family import Family
from fwsvd_export.errors import PushError, message_of
from fwsvd_export.hub.refusals import MAYBE_DONE, MAYBE_PROPOSED, in_one_sentence, status_of
from fwsvd_export.hub.verify.contents import belongs, is_legal
from fwsvd_export.hub.verify.folder import Verified, verify_folder
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.storage.digest import file_sha256

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

DEFAULT_REVISION = "main"
DEFAULT_MESSAGE = "Compressed with fwsvd-export"
_ATTRIBUTES = ".gitattributes"  # the Hub makes it with every repository


@dataclass(frozen=True)
class PushRequest:
    """Everything ``push`` was asked for.

    Attributes:
        folder: of a checkpoint that ``compress`` wrote.
        repo_id: namespace/name; made when it does not exist.
        private: make it private; a public repository that exists is refused.
        revision: branch that gets the commit, made when it does not exist; None is ``main``.
        create_pr: propose the commit as a pull request instead.
        message: of the commit.
    """

    folder: Path
    repo_id: str
    private: bool = False
    revision: str | None = None
    create_pr: bool = False
    message: str = DEFAULT_MESSAGE

    def __post_init__(self) -> None:
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        advice = "give NAMESPACE/NAME, such as somebody/my-model-small"
        try:
            validate_repo_id(self.repo_id)
        except HFValidationError as error:
            raise PushError(f"{self.repo_id!r} is no repository id ({message_of(error)}); {advice}") from error
        if "/" not in self.repo_id:
            raise PushError(f"{self.repo_id!r} does not say whose repository it is; {advice}")
        if not self.message.strip():
            raise PushError("the commit message is empty; give some words with --commit-message")
        if self.revision is not None and not self.revision.strip():
            raise PushError("the revision is empty; give the name of a branch with --revision")


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        repo_id: of the repository.
        revision: branch that has the commit, or that the pull request is for.
        commit: the commit's SHA; the branch's own when nothing had changed.
        url: of the commit.
        files: all of the folder, path -> bytes.
        changed: those that were sent.
        removed: files of an earlier push that the commit takes away.
        kept: files of the repository that are no part of a checkpoint and stay.
        training: what the Trainer left in the folder, which was not sent.
        private: whether the repository is.
        pull_request: its address, when there is one.
        auto_class: that loads the model.
        plain: whether it is of its original architecture, so that no code of the repository is run.
    """

    repo_id: str
    revision: str
    commit: str
    url: str
    files: dict[str, int]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    training: tuple[str, ...]
    private: bool
    pull_request: str | None
    auto_class: str
    plain: bool = False

    @property
    def made_commit(self) -> bool:
        """Whether there was anything to commit."""
        return bool(self.changed or self.removed)


def verify_for(request: PushRequest, steps: Steps = silent) -> Verified:
    """What a push would send and what is wrong with it; asks nobody outside."""
    from huggingface_hub import get_token

    return verify_folder(request.folder, get_token(), steps)


def push(request: PushRequest, steps: Steps = silent) -> Pushed:
    """Verifies a folder and sends it as one commit; a folder that the Hub has already makes none.

    Raises:
        CheckpointError: the folder holds no compressed checkpoint.
        PushError: there is no token, the folder is not fit, or the Hub or the way to it refused; nothing was committed
            unless the message says that this is not known.
    """
    from huggingface_hub import HfApi, get_token

    token = get_token()
    if token is None:
        raise PushError("there is no token to push with; log in with hf auth login, or set HF_TOKEN")
    verified = verify_for(request, steps)
    if verified.findings or verified.auto_class is None:
        listed = "\n".join(f"  {finding}" for finding in verified.findings)
        raise PushError(f"{request.folder} is not fit for the Hub, and nothing was sent:\n{listed}")
    api = HfApi(token=token, library_name="fwsvd-export", library_version=__version__)
    with in_one_sentence(request.repo_id):
        private = _make_repository(api, request)
        head = _make_branch(api, request)
        remote = _remote_files(api, request.repo_id, head)
    _check_place(request, remote)
    return _commit(api, request, verified, verified.auto_class, _Place(private, head, remote))


@dataclass(frozen=True)
class _Place:
    """What the repository was found to be: the branch's commit and its files, path -> the Hub's entry."""

    private: bool
    head: str
    files: Mapping[str, RepoFile]


def _make_repository(api: HfApi, request: PushRequest) -> bool:
    """Makes the repository when there is none; whether it is private."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = api.model_info(request.repo_id)
    except RepositoryNotFoundError as error:
        if status_of(error) != 404 or request.create_pr:  # no access; or nothing that a change could be proposed to
            raise
        api.create_repo(request.repo_id, repo_type="model", private=request.private or None)
        info = api.model_info(request.repo_id)
    if request.private and not info.private:
        raise PushError(
            f"{request.repo_id} exists and is public, and --private does not change that; make it private in its "
            "settings first, or give another REPO_ID"
        )
    return bool(info.private)


def _make_branch(api: HfApi, request: PushRequest) -> str:
    """The commit at the end of the branch, which is made when there is none."""
    from huggingface_hub.errors import RevisionNotFoundError

    revision = request.revision or DEFAULT_REVISION
    try:
        info = api.model_info(request.repo_id, revision=revision)
    except RevisionNotFoundError:
        if request.create_pr or revision.startswith("refs/"):
            raise
        api.create_branch(request.repo_id, branch=revision, exist_ok=True)
        info = api.model_info(request.repo_id, revision=revision)
    return str(info.sha)


def _remote_files(api: HfApi, repo_id: str, commit: str) -> dict[str, RepoFile]:
    from huggingface_hub.hf_api import RepoFile

    tree = api.list_repo_tree(repo_id, recursive=True, revision=commit)
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def _check_place(request: PushRequest, remote: Mapping[str, Any]) -> None:
    """Refuses to write over a model that is not one of ours, unless the place was chosen for it."""
    if request.create_pr or request.revision is not None:
        return
    if "config.json" in remote and "compression.json" not in remote:
        raise PushError(
            f"{request.repo_id} holds another model, which a push would replace; give another REPO_ID, or a branch "
            "of its own with --revision, or propose the change with --create-pr"
        )


def _commit(api: HfApi, request: PushRequest, verified: Verified, auto_class: str, place: _Place) -> Pushed:
    """Uploads what differs and commits it, together with the removal of what an earlier push left."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    folder, files = request.folder, verified.files
    changed = tuple(path for path in files if not _is_same(folder / path, place.files.get(path)))
    others = sorted(set(place.files) - set(files))
    removed = tuple(path for path in others if _is_left_over(path, verified.family))
    commit, url, pull_request = place.head, f"{api.endpoint}/{request.repo_id}/commit/{place.head}", None
    if changed or removed:
        additions = [CommitOperationAdd(path, str(folder / path)) for path in changed]
        deletions = [CommitOperationDelete(path) for path in removed]
        revision, create_pr = request.revision or DEFAULT_REVISION, request.create_pr
        with in_one_sentence(request.repo_id):
            api.preupload_lfs_files(
                request.repo_id, additions, revision=revision, create_pr=create_pr, free_memory=False
            )
        with in_one_sentence(request.repo_id, MAYBE_PROPOSED if request.create_pr else MAYBE_DONE):
            made = api.create_commit(
                request.repo_id,
                [*additions, *deletions],
                commit_message=request.message,
                parent_commit=place.head,  # somebody else's push in between is noticed
                revision=revision,
                create_pr=create_pr,
            )
        commit, url, pull_request = made.oid, made.commit_url, made.pr_url
    return Pushed(
        repo_id=request.repo_id,
        revision=request.revision or DEFAULT_REVISION,
        commit=commit,
        url=url,
        files=files,
        changed=changed,
        removed=removed,
        kept=tuple(path for path in others if path not in removed and path != _ATTRIBUTES),
        training=verified.training,
        private=place.private,
        pull_request=pull_request,
        auto_class=auto_class,
        plain=not verified.code_files,
    )


def _is_left_over(path: str, family: Family) -> bool:
    """Whether a file that the folder no longer has came from a checkpoint; licences and .gitattributes stay."""
    return belongs(path, family.code_files) and not is_legal(path) and path != _ATTRIBUTES


def _is_same(file: Path, remote: RepoFile | None) -> bool:
    """Whether the Hub has these very bytes: by SHA-256 for large files, by git's own digest for others."""
    if remote is None or remote.size != file.stat().st_size:
        return False
    if remote.lfs is not None:
        return bool(remote.lfs.sha256 == file_sha256(file))
    content = file.read_bytes()
    return bool(remote.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())
