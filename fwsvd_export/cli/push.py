"""``push``: a checkpoint to the Hub, verified, in one commit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import PATH, json_option
from fwsvd_export.wording import counted

if TYPE_CHECKING:
    from fwsvd_export.hub.push import Pushed, PushRequest


@click.command(cls=Command)
@click.argument("model", type=PATH)
@click.argument("repo_id")
@option(Group.REPOSITORY, "--private", is_flag=True, help="Make a private repository; one that exists must be private.")
@option(
    Group.REPOSITORY,
    "--revision",
    metavar="BRANCH",
    show_default="main",
    help="Branch that gets the commit, made when missing.",
)
@option(Group.REPOSITORY, "--create-pr", is_flag=True, help="Propose the commit as a pull request.")
@option(
    Group.REPOSITORY,
    "--commit-message",
    "message",
    metavar="TEXT",
    show_default="Compressed with fwsvd-export",
    help="First line of the commit's message.",
)
@option(Group.REPOSITORY, "--dry-run", is_flag=True, help="List files, sizes and what is wrong; send nothing.")
@json_option
def command(model: Path, repo_id: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Push the compressed checkpoint in the folder MODEL to REPO_ID on the Hub, in one commit.

    First the folder is verified: digests of code, weights and ONNX files, no stray files, no pickles, no tokens, a
    valid card, and that it loads in a clean environment without this package. A folder with findings is refused; with
    --dry-run they are listed, and the exit code is 1. What the Trainer left there, such as training_args.bin and
    checkpoint-500/, is not sent.

    REPO_ID is made when it does not exist. The commit makes the repository equal to the folder: files of an earlier
    push that the folder no longer has are removed; licences, .gitattributes and files that are no part of a
    checkpoint stay. When nothing has changed there is no commit. The token is the one that hf auth login stored, or
    HF_TOKEN.

    \b
    Example:
      fwsvd-export push my-model-small somebody/my-model-small --private --dry-run
    """
    from fwsvd_export.hub.push import PushRequest

    _quieten_client()
    request = PushRequest(model, repo_id, **{name: value for name, value in options.items() if value is not None})
    if dry_run:
        _show_what_would_be_sent(request, as_json)
        return
    from fwsvd_export.cli.console import print_json, steps
    from fwsvd_export.hub.push import push

    pushed = push(request, steps())
    if as_json:
        print_json(
            {
                "repo_id": pushed.repo_id,
                "revision": pushed.revision,
                "commit": pushed.commit,
                "url": pushed.url,
                "new_commit": pushed.made_commit,
                "files": _rows(pushed.files),
                "changed": pushed.changed,
                "removed": pushed.removed,
                "kept": pushed.kept,
                "not_sent": pushed.training,
                "private": pushed.private,
                "pull_request": pushed.pull_request,
            }
        )
    else:
        _tell(pushed)


def _show_what_would_be_sent(request: PushRequest, as_json: bool) -> None:
    from dataclasses import asdict

    from fwsvd_export.cli.console import hint, print_json, print_table, steps
    from fwsvd_export.hub.push import verify_for

    verified = verify_for(request, steps())
    if as_json:
        findings = [asdict(finding) for finding in verified.findings]
        found = {"files": _rows(verified.files), "not_sent": verified.training, "findings": findings}
        print_json({"repo_id": request.repo_id, **found})
    else:
        rows = [[path, f"{size:,}"] for path, size in verified.files.items()]
        rows.append([counted(len(rows), "file"), f"{sum(verified.files.values()):,}"])
        print_table(f"{request.folder} to {request.repo_id}", ["file", "bytes"], rows)
        if verified.findings:
            click.echo("\n".join(["Wrong:", *(f"  {finding}" for finding in verified.findings)]))
        _tell_left_out(verified.training)
    if verified.findings:
        click.get_current_context().exit(1)
    hint("Nothing is wrong; nothing was sent.")


def _tell(pushed: Pushed) -> None:
    from fwsvd_export.cli.console import hint
    from fwsvd_export.hub.loading import loading_snippet

    if not pushed.made_commit:
        hint(f"Nothing has changed since {pushed.commit}: no new commit.")
    elif pushed.pull_request is not None:
        hint(f"Proposed: {pushed.pull_request}")
    else:
        hint(f"Committed: {pushed.url}")
    if pushed.removed:
        hint(f"Removed, as the folder no longer has them: {', '.join(pushed.removed)}")
    if pushed.kept:
        hint(f"Left in the repository, as they are no part of a checkpoint: {', '.join(pushed.kept)}")
    _tell_left_out(pushed.training)
    click.echo(loading_snippet(pushed.repo_id, pushed.commit, pushed.auto_class, pushed.files, plain=pushed.plain))


def _tell_left_out(training: Sequence[str]) -> None:
    from fwsvd_export.cli.console import hint

    if training:
        hint(f"Not sent, as only a training that goes on needs them: {', '.join(training)}")


def _rows(files: dict[str, int]) -> list[dict[str, str | int]]:
    return [{"path": path, "bytes": size} for path, size in files.items()]


def _quieten_client() -> None:
    """Errors are one sentence: the client's own warnings about repeated requests show with -v only."""
    if not click.get_current_context().obj["verbose"]:
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
