"""Who may call: management tokens, the projects that each one opens, and whether it may change anything there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from reconciler.emulator.wire import ApiError, RawError, Request, forbidden, json_answer, not_found
from reconciler.emulator.world import World

SCHEME = "APIKey"
"""[C] The word that the official SDK sends; the published document has it in lower case."""


MANAGE, READ = "manage", "read"
"""The roles of a token: one that may do everything, and one to which every write is forbidden [I]."""
Grant = Collection[int] | Mapping[str, Any]
"""What a token opens: its projects, with every right, or `{"projects": [...], "role": "read"}`."""


def grant(world: World, tokens: Mapping[str, Grant]) -> None:
    """Let each token into its projects, which exist from now on; earlier grants stay."""
    for token, given in tokens.items():
        said = given if isinstance(given, Mapping) else {"projects": given}
        role = said.get("role", MANAGE)
        if role not in (MANAGE, READ):
            raise ValueError(f"a token's role is {MANAGE!r} or {READ!r}")
        for project_id in said["projects"]:
            world.run("INSERT OR IGNORE INTO projects VALUES (?)", project_id)
            world.run("INSERT OR IGNORE INTO tokens VALUES (?, ?, ?)", token, project_id, role)


def admit(world: World, request: Request) -> dict[int, str]:
    """The projects of the request's token, with its role in each; 401 without a valid one [D]."""
    scheme, _, token = (request.header("authorization") or "").partition(" ")
    known = scheme == SCHEME if world.modes.auth_scheme == "as_the_sdk" else scheme.lower() == SCHEME.lower()
    rows = world.rows("SELECT project_id, role FROM tokens WHERE token = ?", token.strip()) if known else []
    if not rows:
        raise _unauthorized(world, token)
    return {row["project_id"]: row["role"] for row in rows}


def check_project(world: World, project_id: int, projects: Collection[int]) -> None:
    """Refuse a project that the token does not open: 403 or 404, which is a mode [U]; a missing one is a 404."""
    if project_id in projects:
        return
    exists = world.row("SELECT 1 FROM projects WHERE id = ?", project_id) is not None
    if exists and world.modes.foreign_project == "forbidden":
        raise forbidden(f"Access to project {project_id} is denied")
    raise not_found("Project", project_id)


def best_role(roles: Mapping[int, str]) -> str:
    """The token's most powerful role."""
    return MANAGE if MANAGE in roles.values() else READ


def check_role(request: Request, role: str) -> None:
    """Refuse a write to a token that may only read: 403 ([D] for a lack of permission), whatever the request says."""
    if request.method != "GET" and role != MANAGE:
        raise forbidden("You don't have permission to perform this action")


def _unauthorized(world: World, token: str) -> ApiError | RawError:
    match world.modes.unauthorized:
        case "code_and_message":
            return RawError(json_answer(401, {"code": 401, "message": "Unauthorized"}))
        case "echoes_token":
            return ApiError(401, "token_not_valid", f"Bad permanent token: {token}")
        case "documented" if not token:
            return ApiError(401, "not_authenticated", "Authentication credentials were not provided.")
        case "documented":
            return ApiError(401, "token_not_valid", f"Bad permanent token: {token[: len(token) // 2]}...")
