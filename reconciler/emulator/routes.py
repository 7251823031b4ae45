"""Every path that the emulator answers, in one table: method, path, handler, and how the caller is admitted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Literal

from reconciler.emulator import applications, dataplane, deployments, keys, tasks, v2_deployments, v2_keys
from reconciler.emulator.wire import Answer, ApiError
from reconciler.emulator.world import Call

Handler = Callable[[Call], Answer]
Access = Literal["project", "token", "secret"]
"""A token that opens the path's project; any valid token; or the endpoint's own keys, which the handler checks."""
Route = tuple[str, str, Handler, Access]

ANY = "*"
INFERENCE = "/cloud/v3/inference/{project_id}"
INFERENCE_V2 = "/cloud/v2/inference"
APPLICATIONS = "/cloud/v3/inference/applications/{project_id}/deployments"

ROUTES: tuple[Route, ...] = (
    ("POST", f"{INFERENCE}/api_keys", keys.create_key, "project"),
    ("GET", f"{INFERENCE}/api_keys", keys.list_keys, "project"),
    ("GET", INFERENCE + "/api_keys/{api_key_name}", keys.get_key, "project"),
    ("PATCH", INFERENCE + "/api_keys/{api_key_name}", keys.update_key, "project"),
    ("DELETE", INFERENCE + "/api_keys/{api_key_name}", keys.delete_key, "project"),
    ("POST", f"{INFERENCE}/deployments", deployments.create_deployment, "project"),
    ("GET", f"{INFERENCE}/deployments", deployments.list_deployments, "project"),
    ("GET", INFERENCE + "/deployments/{deployment_name}", deployments.get_deployment, "project"),
    ("PATCH", INFERENCE + "/deployments/{deployment_name}", deployments.update_deployment, "project"),
    ("DELETE", INFERENCE + "/deployments/{deployment_name}", deployments.delete_deployment, "project"),
    ("POST", APPLICATIONS, applications.create_application, "project"),
    ("GET", APPLICATIONS, applications.list_applications, "project"),
    ("GET", APPLICATIONS + "/{deployment_name}", applications.get_application, "project"),
    ("PATCH", APPLICATIONS + "/{deployment_name}", applications.update_application, "project"),
    ("DELETE", APPLICATIONS + "/{deployment_name}", applications.delete_application, "project"),
    ("POST", f"{INFERENCE_V2}/api_keys", v2_keys.create_key, "token"),
    ("GET", f"{INFERENCE_V2}/api_keys", v2_keys.list_keys, "token"),
    ("GET", INFERENCE_V2 + "/api_keys/{key_id}", v2_keys.get_key, "token"),
    ("PATCH", INFERENCE_V2 + "/api_keys/{key_id}", v2_keys.update_key, "token"),
    ("DELETE", INFERENCE_V2 + "/api_keys/{key_id}", v2_keys.delete_key, "token"),
    ("POST", f"{INFERENCE_V2}/deployments", v2_deployments.create_deployment, "token"),
    ("GET", f"{INFERENCE_V2}/deployments", v2_deployments.list_deployments, "token"),
    ("GET", INFERENCE_V2 + "/deployments/{instance_id}", v2_deployments.get_deployment, "token"),
    ("PUT", INFERENCE_V2 + "/deployments/{instance_id}", v2_deployments.replace_deployment, "token"),
    ("DELETE", INFERENCE_V2 + "/deployments/{instance_id}", v2_deployments.delete_deployment, "token"),
    ("GET", "/cloud/v1/tasks", tasks.list_tasks, "token"),
    ("GET", "/cloud/v1/tasks/{task_id}", tasks.get_task, "token"),
    (ANY, "/dataplane/{project_id}/deployments/{deployment_name}/{rest:path}", dataplane.serve_inference, "secret"),
)

LISTS: frozenset[Handler] = frozenset(
    {
        keys.list_keys,
        deployments.list_deployments,
        applications.list_applications,
        v2_keys.list_keys,
        v2_deployments.list_deployments,
    }
)
"""Whether it may show the state of a moment ago; a list of tasks does not."""

WORKS = deployments.WORKS | applications.WORKS
"""What every type of task does when it takes effect."""


@cache
def _compiled() -> tuple[tuple[re.Pattern[str], dict[str, tuple[Handler, Access]]], ...]:
    from starlette.routing import compile_path  # noqa: PLC0415 - slow to import, and part of an extra

    paths: dict[str, dict[str, tuple[Handler, Access]]] = {}
    for method, path, handler, access in ROUTES:
        paths.setdefault(path, {})[method] = (handler, access)
    return tuple((compile_path(path)[0], methods) for path, methods in paths.items())


@lru_cache(maxsize=1000)
def find_route(method: str, path: str) -> tuple[Handler, Access, Mapping[str, str]]:
    """The handler of a path, how its caller is admitted, and the path's parameters; 404 or 405 if there is none."""
    for pattern, methods in _compiled():
        if match := pattern.fullmatch(path):
            found = methods.get(method) or methods.get(ANY)
            if found is None:
                raise ApiError(405, "HTTPError", "HTTP 405: Method Not Allowed", headers={"Allow": ", ".join(methods)})
            return *found, match.groupdict()
    raise ApiError(404, "NotFoundError", "There is nothing at this path")
