"""Who may call: management tokens, and the projects that each one opens."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from reconciler.emulator.wire import ApiError, RawError, Request, forbidden, json_answer, not_found
from reconciler.emulator.world import World

SCHEME = "APIKey"
"""[C] What the official SDK sends; the published document writes it in lower case."""


def grant(world: World, tokens: Mapping[str, Collection[int]]) -> None:
    """Let each token into its projects, which exist from now on; what was granted before stays."""
    for token, projects in tokens.items():
        for project_id in projects:
            world.run("INSERT OR IGNORE INTO projects VALUES (?)", project_id)
            world.run("INSERT OR IGNORE INTO tokens VALUES (?, ?)", token, project_id)


def admit(world: World, request: Request) -> frozenset[int]:
    """The projects of the request's token; 401 without a valid one [D]."""
    scheme, _, token = (request.header("authorization") or "").partition(" ")
    known = scheme == SCHEME if world.modes.auth_scheme == "as_the_sdk" else scheme.lower() == SCHEME.lower()
    projects = world.rows("SELECT project_id FROM tokens WHERE token = ?", token.strip()) if known else []
    if not projects:
        raise _unauthorized(world, token)
    return frozenset(row["project_id"] for row in projects)


def check_project(world: World, project_id: int, projects: Collection[int]) -> None:
    """Refuse a project that the token does not open: 403 or 404, which is a mode [U]; one that is not is a 404."""
    if project_id in projects:
        return
    exists = world.row("SELECT 1 FROM projects WHERE id = ?", project_id) is not None
    if exists and world.modes.foreign_project == "forbidden":
        raise forbidden(f"Access to project {project_id} is denied")
    raise not_found("Project", project_id)


def _unauthorized(world: World, token: str) -> ApiError | RawError:
    match world.modes.unauthorized:
        case "code_and_message":
            return RawError(json_answer(401, {"code": 401, "message": "Unauthorized"}))
        case "echoes_token":
            # Seen in the wild: what a server says about a token can hold a part of it.
            return ApiError(401, "Unauthorized", f"Invalid token: {token[: len(token) // 2]}...")
        case "documented":
            return ApiError(401, "Unauthorized", "Invalid or missing API token")
