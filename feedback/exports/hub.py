"""Push a snapshot to a hub of datasets that speaks the Hugging Face API.

`huggingface_hub` is not needed for anything else, so it is loaded where it is used; without it, without a token or
without a way there, the refusal says what is missing and who can mend it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from feedback.jobs import JobFailed
from feedback.refusals import Refusal

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


class PushRefused(Refusal):
    """The snapshot cannot be pushed as asked; `field` says which value is wrong."""


def check_push(repository: str) -> str:
    """Return the repository's name as it is used. Raises PushRefused."""
    repository = repository.strip()
    if not REPOSITORY.fullmatch(repository) or ".." in repository or "--" in repository:
        raise PushRefused("repository", "give owner/name, of letters, digits, dots, dashes and underscores")
    if not settings.HUB_TOKEN:
        raise PushRefused(
            "repository", "no token for a hub is set; whoever runs the site sets CONCORD_HUB_TOKEN (see the settings)"
        )
    return repository


def push_directory(directory: Path, *, files: Sequence[str], repository: str, private: bool, message: str) -> str:
    """Make the dataset repository if it is not there, put these files in as one commit, and return its address.

    The same files again make no new commit. Raises JobFailed with what is missing.
    """
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise JobFailed(
            "The package huggingface_hub is not installed where the clerk runs. Install it there "
            "(pip install huggingface_hub), then resume."
        ) from error
    if not settings.HUB_TOKEN:
        raise JobFailed("No token for a hub is set. Set CONCORD_HUB_TOKEN where the clerk runs, then resume.")
    api = HfApi(endpoint=settings.HUB_ENDPOINT or None, token=settings.HUB_TOKEN)
    additions = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=directory / name) for name in files]
    try:
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        api.create_commit(repository, additions, commit_message=message, repo_type="dataset")
    except HfHubHTTPError as error:
        raise JobFailed(refusal_of(error, repository)) from error
    except (OSError, ValueError) as error:
        raise JobFailed(
            f"The hub {api.endpoint} could not be reached, or broke off: {error}. Resume tries again."
        ) from error
    return f"{api.endpoint}/datasets/{repository}"


def refusal_of(error: Exception, repository: str) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    said = {
        401: "it does not know the token; set another CONCORD_HUB_TOKEN",
        403: f"the token may not write to {repository}; give it write access, or choose another owner",
        404: f"there is no owner such as that of {repository}",
        409: f"somebody changed {repository} meanwhile; resume tries again",
        413: "a file is too large for it",
    }.get(status or 0, str(error).splitlines()[0][:200])
    return f"The hub refused ({status or 'no answer'}): {said}."
