"""A list that the API does not give: which one it is, and what that means in the light of the others.

All lists of a project answer 404 when there is no such project, or when the address is that of another service. When
only some do, the project is there: this generation of the API, or the product, is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconciler.errors import ApiError, Forbidden, NotAuthenticated, NotFound, UnexpectedAnswer
from reconciler.gcore.answers import ABOUT_ACCESS
from reconciler.gcore.dialects import Collection

CHECK_PROJECT = "Check `project` in the file (or GCORE_CLOUD_PROJECT_ID), and that the token belongs to it."

CHECK_ALL = f"{CHECK_PROJECT} If it does, check `api` in the file and GCORE_BASE_URL."


def is_withheld(error: ApiError) -> bool:
    """Whether an answer says of one list that it is not there, or not for this token: 401, 403 or 404.

    One without the API's JSON is some other server's, and means no less.
    """
    is_absent = isinstance(error, UnexpectedAnswer) and error.status in ABOUT_ACCESS
    return is_absent or isinstance(error, Forbidden | NotAuthenticated | NotFound)


def is_spared(place: Collection[Any], error: ApiError) -> bool:
    """Whether the rest of the project goes without this list: 403 or 404. A 401 is about the token, not the list."""
    return place.spares is not None and is_withheld(error) and error.status != 401


def no_project(project: int) -> str:
    """What a 404 to every list means, as a sentence without its full stop."""
    return f"There is no project {project}, or this token cannot access it"


def no_list(place: Collection[Any], project: int) -> str:
    """What a 404 to a list means, as a sentence without its full stop."""
    return f"The API has no list of {place.noun}s for project {project}"


def way_out_of(place: Collection[Any]) -> str:
    """What to do about a list that is not there."""
    return (
        f"keyform asked for {place.path}: check `api` in the file, `project` (or GCORE_CLOUD_PROJECT_ID), and that"
        " GCORE_BASE_URL has no path; or Everywhere Inference is not enabled for the project."
    )


def explain(
    project: int, failed: Sequence[tuple[Collection[Any], ApiError]], seen: Sequence[Collection[Any]]
) -> ApiError:
    """One error for the lists that were not given, in the light of those that were."""
    place, error = failed[0]
    if not seen:
        if all(isinstance(each, NotFound) for _, each in failed):
            message = no_project(project)
            return _retold(error, error.message.replace(no_list(place, project), message, 1), CHECK_ALL)
        return error
    alike = [each for each, other in failed if type(other) is type(error)]
    lists, others = (" and ".join(f"{each.noun}s" for each in some) for some in (alike, seen))
    match error:
        case NotAuthenticated():
            message = error.message.replace(
                " (status", f" to list {lists}, but accepted it to list {others} (status", 1
            )
            return _retold(error, message, f"Give the token a role that may read {lists} in the project.")
        case Forbidden():
            found = f" {lists}, but can list {others} (status"
            message = error.message.replace(f" {place.noun}s (status", found, 1)
            return _retold(error, message, error.way_out)
        case NotFound():
            message = f"The API has no list of {lists} for project {project}, but lists its {others}"
            return _retold(error, error.message.replace(no_list(place, project), message, 1), way_out_of(place))
        case _:
            return error


def _retold(error: ApiError, message: str, way_out: str) -> ApiError:
    """The same error in other words."""
    return type(error)(message, way_out=way_out, status=error.status, request_id=error.request_id)
