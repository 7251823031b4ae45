"""What only the older generation of the API, v2, leaves open."""

from __future__ import annotations

from reconciler.livetest.bench import Bench, CannotAsk
from reconciler.livetest.forms import instant_of
from reconciler.livetest.question import V2_ONLY, Question, Sight, Sights, left_open


def ask_null(bench: Bench) -> Sights:
    """PATCH a key with a null for its description, and its other fields as they are."""
    bench.require_patches()
    made = bench.make()
    if not bench.show(made).get("description"):
        raise CannotAsk("the API keeps no description")
    said = bench.patch(made, description=None)
    if not said.is_ok:
        raise CannotAsk(f"PATCH with a null was answered by {said}")
    is_cleared = not bench.show(made).get("description")
    seen = f"PATCH description: null {said}, and the description is {'gone' if is_cleared else 'as it was'}"
    yield Sight("patch_null", "clears" if is_cleared else "unchanged", seen)


def ask_missing(bench: Bench) -> Sights:
    """PATCH a key without its description, and its other fields as they are."""
    bench.require_patches()
    made = bench.make()
    if not bench.show(made).get("description"):
        raise CannotAsk("the API keeps no description")
    body = bench.form.patch_body(made)
    del body["description"]
    said = bench.raw.ask("PATCH", bench.form.key_path(made.link), body)
    if not said.is_ok:
        raise CannotAsk(f"PATCH without a description was answered by {said}")
    is_kept = bool(bench.show(made).get("description"))
    seen = f"PATCH without description {said}, and the description is {'as it was' if is_kept else 'gone'}"
    yield Sight("patch_missing", "unchanged" if is_kept else "resets", seen)


def ask_rename(bench: Bench) -> Sights:
    """PATCH a key with another name."""
    bench.require_patches()
    made = bench.make()
    name = bench.new_name("renamed")
    said = bench.patch(made, name=name)
    is_renamed = bench.show(made).get("name") == name
    if is_renamed:
        made.name = name
        yield Sight("key_name_patch", "renames", f"PATCH {said}, and the key has the other name")
    elif said.is_objection:
        yield Sight("key_name_patch", "refused", f"PATCH {said}")
    elif not said.is_ok:
        raise CannotAsk(f"PATCH of the name was answered by {said}")
    else:
        yield Sight("key_name_patch", None, f"PATCH {said}, and the key has the name that it had")


def ask_project(bench: Bench) -> Sights:
    """Look at the project that a key shows."""
    shown = bench.show(bench.make())
    match shown.get("project_id"):
        case bool():
            yield Sight("key_project", None, "project_id is a boolean")
        case int():
            yield Sight("key_project", "number", "project_id is a number")
        case None:
            yield Sight("key_project", "null", "project_id is null, or not there")
        case _:
            yield Sight("key_project", None, "project_id is neither a number nor null")


def ask_unknown_instance(bench: Bench) -> Sights:
    """POST a key for an id that no deployment has."""
    unknown = f"{bench.run}-0000-4000-8000-0000{bench.run}"  # a uuid that nothing has
    made = bench.try_to_make(inference_instance_ids=[unknown])
    if made.answer.is_objection:
        yield Sight("unknown_instance", "reject", f"POST {made.answer}")
    elif made.answer.is_ok:
        shown = bench.show(made).get("inference_instance_ids")
        value = "ignored" if shown == [] else None
        yield Sight("unknown_instance", value, f"POST {made.answer}, and the key lists {_count(shown)} deployments")
    else:
        raise CannotAsk(f"POST was answered by {made.answer}")


def _count(shown: object) -> str:
    return str(len(shown)) if isinstance(shown, list) else "no"


def ask_attached_delete(bench: Bench) -> Sights:
    """Delete a key that is linked, beside another one that stays."""
    made, other = bench.make(), bench.make()
    bench.attach(made, other)
    said = bench.delete(made)
    is_gone = bench.get(made).status == 404
    listed = made.link in bench.check_others().listed
    if said.is_ok and is_gone:
        seen = f"DELETE {said}, and the deployment {'still lists' if listed else 'does not list'} it"
        yield Sight("attached_key_delete", "allowed" if not listed else None, seen)
    elif said.is_objection:
        yield Sight("attached_key_delete", "refused", f"DELETE {said}")
    else:
        raise CannotAsk(f"DELETE was answered by {said}")


def ask_first_and_last(bench: Bench) -> Sights:
    """Link a key to a deployment that has none and is public, and unlink it again."""
    made = bench.make()
    before = bench.read()
    if before.auth is not False or before.listed:
        raise CannotAsk("the deployment is not public and without keys")
    closed = bench.attach(made)
    state = {True: "on", False: "off", None: "not shown"}[closed.auth]
    if closed.auth is None:
        reason = "the API does not show whether authentication is on"
        yield left_open("first_key_linked", reason)
        yield left_open("last_key_unlinked", reason)
        return
    value = "auth_turns_on" if closed.auth else "auth_unchanged"
    yield Sight("first_key_linked", value, f"with its first key, authentication is {state}")
    if not closed.auth:
        yield left_open("last_key_unlinked", "authentication was off before the last key was unlinked")
        return
    bench.require_alone()
    opened = bench.attach()
    if opened.listed:
        raise CannotAsk("the key could not be unlinked")
    state = "on" if opened.auth else "off"
    value = "auth_stays_on" if opened.auth else "auth_turns_off"
    yield Sight("last_key_unlinked", value, f"without its last key, authentication is {state}")


def ask_keeps_expiry(bench: Bench) -> Sights:
    """PATCH a key with a later expiry, which v2 documents and v3 does not have."""
    made = bench.make()
    before = instant_of(bench.show(made), "expires_at")
    said = bench.patch(made, expires_at=bench.instant_in(3 * 3600))
    after = instant_of(bench.show(made), "expires_at")
    moved = "another" if after != before else "the same"
    yield Sight("", None, f"PATCH of expires_at: {said}, and a reading shows {moved} instant")


QUESTIONS = (
    Question(
        name="null in a PATCH",
        asks="PATCH a key with description: null",
        modes={"patch_null": ("clears", "unchanged")},
        ask=ask_null,
        apis=V2_ONLY,
    ),
    Question(
        name="missing in a PATCH",
        asks="PATCH a key without its description",
        modes={"patch_missing": ("unchanged", "resets")},
        ask=ask_missing,
        apis=V2_ONLY,
    ),
    Question(
        name="rename",
        asks="PATCH a key with another name",
        modes={"key_name_patch": ("refused", "renames")},
        ask=ask_rename,
        apis=V2_ONLY,
    ),
    Question(
        name="project",
        asks="GET a key",
        modes={"key_project": ("number", "null")},
        ask=ask_project,
        apis=V2_ONLY,
    ),
    Question(
        name="expiry in a PATCH",
        asks="PATCH a key with a later expires_at",
        modes={},
        ask=ask_keeps_expiry,
        apis=V2_ONLY,
    ),
    Question(
        name="unknown deployment",
        asks="POST a key for a deployment that does not exist",
        modes={"unknown_instance": ("reject", "ignored")},
        ask=ask_unknown_instance,
        apis=V2_ONLY,
    ),
    Question(
        name="linked key",
        asks="DELETE a key that is linked to the deployment",
        modes={"attached_key_delete": ("allowed", "refused")},
        ask=ask_attached_delete,
        apis=V2_ONLY,
        deployment=True,
    ),
    Question(
        name="first and last key",
        asks="Link a key to a public deployment, and unlink it",
        modes={
            "first_key_linked": ("auth_turns_on", "auth_unchanged"),
            "last_key_unlinked": ("auth_turns_off", "auth_stays_on"),
        },
        ask=ask_first_and_last,
        apis=V2_ONLY,
        deployment=True,
        alone=True,
    ),
)
