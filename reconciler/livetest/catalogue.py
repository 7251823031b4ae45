"""All questions in the order in which they are asked, and the modes that none of them can decide, each with why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from reconciler.livetest.question import Question
from reconciler.livetest.questions import access, dataplane, deployment, expiry, keys, older
from reconciler.model.findings import Choice

QUESTIONS: tuple[Question, ...] = (
    *access.QUESTIONS,
    *keys.QUESTIONS,
    *older.QUESTIONS,
    *dataplane.QUESTIONS,
    *deployment.QUESTIONS,
    *expiry.QUESTIONS,
    *keys.LAST,
)

_APPLICATION = "it needs an application, and a live test makes none"
_DEPLOYMENT = "it needs a deployment to be made or deleted, and a live test does neither"

NOT_ASKED: Mapping[str, tuple[tuple[Choice, ...], str]] = MappingProxyType(
    {
        "owned_deployment_patch": (("refused", "accepted", "ignored"), _APPLICATION),
        "application_key_delete": (("refused", "allowed_and_detached"), _APPLICATION),
        "application_name": (("label", "free"), _APPLICATION),
        "deployment_names": (("with_children", "own_only"), _APPLICATION),
        "deleted_instance": (("unlinked", "still_listed"), _DEPLOYMENT),
        "deleted_deployment": (("gone", "listed"), _DEPLOYMENT),
        "twin_deployments": (("refused", "allowed"), _DEPLOYMENT),
        "key_quota": (("none", 3, 5, 10, 100), "to use a quota up takes the room of others"),
    }
)


def questions_for(api: str) -> tuple[Question, ...]:
    """Those that one generation of the API can be asked."""
    return tuple(question for question in QUESTIONS if api in question.apis)


def other_modes(api: str) -> dict[str, str]:
    """The modes that are not asked of this generation of the API, each with why."""
    asked = {mode for question in questions_for(api) for mode in question.modes}
    elsewhere = {mode for question in QUESTIONS for mode in question.modes} - asked
    other = "v2" if api == "v3" else "v3"
    only_there = dict.fromkeys(elsewhere, f"only {other} of the API leaves it open")
    return {mode: reason for mode, (_, reason) in NOT_ASKED.items()} | dict(sorted(only_there.items()))
