"""What nobody outside knows about the API, as settings: one field for every unknown."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from itertools import combinations
from typing import Any, Literal, get_args, get_type_hints

Choice = str | int


def _liberty(default: Choice) -> Any:
    return field(default=default, metadata={"is_liberty": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """How the emulator behaves wherever the API's documents are silent.

    Every field is a `Literal`, so that the possible worlds can be listed (`Modes.choices()`), and every field's
    default is the behaviour that the documents make likeliest. A value outside its `Literal` is a ValueError.
    """

    # Writing `api_keys`.
    unknown_key: Literal["reject", "task_error"] = "reject"
    """A name in `api_keys` that no key has: a 400 at once, or a task that ends in ERROR."""
    null_api_keys: Literal["clears", "refused", "ignored"] = "clears"
    """PATCH `api_keys: null` on a deployment: opens it like `[]`, is a ValidationError, or changes nothing."""
    attach_expired: Literal["accepted", "rejected"] = "accepted"
    """A key past its `expires_at` in `api_keys`: taken like any other, or a 400."""
    auth_disabled: Literal["keeps_keys", "clears_keys"] = "clears_keys"
    """PATCH `auth_enabled: false` alone: whether the keys stay listed on the deployment that is now public."""
    owned_deployment_patch: Literal["refused", "accepted", "ignored"] = "refused"
    """PATCH `api_keys` on an application's child: a 409, done until the application is next written, or a task
    that finishes and changes nothing."""

    # Tasks.
    write_while_busy: Literal["accept", "refuse", "queue"] = "accept"
    """A write while a task runs on the same object: a second task beside it, a 409, or a task that waits its turn."""
    effect: Literal["at_finish", "at_start"] = "at_finish"
    """When a PATCH is seen by GET and by the data plane: as its task finishes, or as it starts."""

    # What the server does by itself.
    expired_key: Literal["stays", "detached"] = "stays"
    """A key past its `expires_at`: still listed where it was attached, or taken off by the server."""
    last_key_detached: Literal["auth_stays_on", "auth_turns_off"] = "auth_stays_on"
    """When the server itself takes the last key off: nobody gets in any more, or everybody does."""
    application_key_delete: Literal["refused", "allowed_and_detached"] = "refused"
    """DELETE of a key that only applications use: a 409, or a 204 that also takes it off them."""

    # Applications.
    application_name: Literal["label", "free"] = "label"
    """The name of an application: small letters, digits and inner hyphens, at most 15; or any printable text without a
    slash, at most 200 characters."""

    # Keys.
    past_expiry: Literal["rejected", "accepted"] = "rejected"
    """POST of a key whose `expires_at` has passed already: a 400, or a key that never works."""
    deployment_names: Literal["with_children", "own_only"] = "with_children"
    """Whether a key's `deployment_names` include the deployments that it opens through an application."""
    deleted_name: Literal["free", "reserved_for_an_hour", "reserved"] = "free"
    """The name of a deleted key: free at once, or refused (409) for an hour, or forever, although no key has it."""
    secret_shape: Literal["alphanumeric", "symbols"] = "alphanumeric"  # noqa: S105 - the shape of one
    """Letters and digits, or also characters that shells, URLs and dotenv files treat specially."""

    # How things are shown.
    no_keys_shown_as: Literal["empty_list", "null"] = "empty_list"
    """A deployment's `api_keys` when there are none."""
    api_keys_order: Literal["as_sent", "sorted"] = "as_sent"
    """The order of `api_keys` in an answer."""
    list_order: Literal["oldest_first", "newest_first", "by_name"] = "oldest_first"
    """The order of lists; with `newest_first` a key made between two pages pushes one into both."""
    timestamps: Literal["zulu", "naive", "offset", "offset_colon", "mixed", "per_call"] = "zulu"
    """`…00Z` in whole seconds, `…00.717473` without a zone, `…00+0000`, `…00+00:00`, each field its own, or every field
    another form and precision in each call."""
    lists_lag: Literal[0, 3] = 0
    """Seconds until a list shows a change; one object by itself shows it at once, and so does the data plane."""

    # Access.
    auth_scheme: Literal["any_case", "as_the_sdk"] = "any_case"
    """The word before a management token: in any case, or exactly `APIKey`, as the official SDK sends it."""
    foreign_project: Literal["forbidden", "not_found"] = "forbidden"
    """A project that the token has no part in: 403 or 404."""
    unauthorized: Literal["documented", "code_and_message", "echoes_token"] = "documented"
    """The body of a 401: the documented error, which repeats a part of the token; `{code, message}`; or an error that
    repeats all of it."""
    dual_credentials: Literal["either", "x_api_key_decides"] = "either"
    """On the data plane, a junk `X-API-Key` beside a good Bearer: accepted, or refused."""
    scaled_to_zero: Literal["held", "unavailable", "gate_sleeps_too"] = "held"
    """What a request gets from a deployment at zero, which it wakes: its answer, late (here at once); a 503 until the
    deployment is awake; or the same, whatever key it holds, since keys are looked at only where something runs."""
    data_plane_lag: Literal[0, 5, 60] = 0
    """Seconds until the data plane follows a change of keys: of a list, and of a key that was deleted. The API shows
    the change before."""

    # The older generation, v2.
    patch_null: Literal["clears", "unchanged"] = "clears"
    """A null in a PATCH of a key: empties the field (no description, no expiry, no deployments, the default project),
    or changes nothing."""
    patch_missing: Literal["unchanged", "resets"] = "unchanged"
    """A field that a PATCH of a key leaves out: stays as it is, or is emptied."""
    key_name_patch: Literal["refused", "renames"] = "refused"
    """`name` in a PATCH of a key: a 400, for the documents have no such field, or another name for the key."""
    attached_key_delete: Literal["allowed", "refused"] = "allowed"
    """DELETE of a key that opens something: a 204 that also takes it off, or a 409."""
    last_key_unlinked: Literal["auth_turns_off", "auth_stays_on"] = "auth_turns_off"
    """When a PATCH or DELETE of a key takes the last one off a deployment: everybody gets in, or nobody."""
    first_key_linked: Literal["auth_turns_on", "auth_unchanged"] = "auth_turns_on"
    """When a key is linked to a deployment that had none: authentication is on from then, or is as it was."""
    key_project: Literal["number", "null"] = "number"
    """What a key shows as its `project_id`."""
    unknown_instance: Literal["reject", "ignored"] = "reject"
    """An id in `inference_instance_ids` that no deployment has: a 400, or left out."""
    deleted_instance: Literal["unlinked", "still_listed"] = "unlinked"
    """Whether a key's `inference_instance_ids` still name a deployment that was deleted."""
    deleted_deployment: Literal["gone", "listed"] = "gone"
    """A deployment that v2 deleted: is not found any more, or is shown as DELETED, without keys."""
    twin_deployments: Literal["refused", "allowed"] = "refused"
    """POST of a deployment whose name is taken: a 409, or a second one, which v3 finds when the first is gone."""
    key_status: Literal["always_active", "tells_expiry"] = "always_active"
    """The `status` of a key that has expired: ACTIVE like any other, or EXPIRED."""

    # What a server may do instead of what it is asked: nothing in the documents allows it, except for a quota.
    expiry_kept: Literal["exact", "end_of_day", "midnight", "date", "to_the_minute", "an_hour_later", "dropped"] = (
        _liberty("exact")
    )
    """A key's `expires_at`: to the second; the end of its day, or its beginning, shown as an instant or as a date
    alone; the next full minute; an hour later, as a zone is mistaken; or not at all."""
    description_kept: Literal[
        "as_sent", "trimmed", "composed", "decomposed", "compatible", "ascii", "escaped", "folded", "cut", "dropped"
    ] = _liberty("as_sent")
    """A key's description: as it was sent; without blanks around it; in Unicode's composed form, its decomposed one, or
    the one that puts plain letters for their variants; with `?` for what is not ASCII; with entities for what HTML
    reads as markup; with one blank for several; its first 120 characters; or not at all."""
    key_quota: Literal["none", 3, 5, 10, 100] = _liberty("none")
    """How many keys a project may have: one more is refused with `QuotaLimitExceed`, as the documents name it."""
    quota_status: Literal[403, 409, 429, 400] = _liberty(403)
    """The status of that refusal."""
    quota_info: Literal["counts", "nested", "text", "missing"] = _liberty("counts")
    """Its `info`: quota, limit and usage side by side; those of the quota under its name; a sentence; or none."""
    created_at_told: Literal["alike", "finer_at_first", "otherwise_alone"] = _liberty("alike")
    """A key's `created_at`: alike in every answer; with microseconds in that to the create, and then rounded up; or an
    hour off in the answer about one key."""
    key_answers: Literal["what_is_kept", "what_was_sent", "nothing", "as_it_was"] = _liberty("what_is_kept")
    """What a write of a key is answered with; a create always shows the key and its secret, and a PATCH may be answered
    by a 204, or by the key as it was before."""
    key_patch: Literal["done", "ignored"] = _liberty("done")
    """PATCH of a key: done, or taken and forgotten."""
    key_delete: Literal["done", "ignored"] = _liberty("done")
    """DELETE of a key: done, or answered by 204 and forgotten."""
    api_keys_kept: Literal["as_sent", "doubled", "ignored"] = _liberty("as_sent")
    """A list of keys, or in v2 of what a key opens: as it was sent; of keys, shown with each twice; or taken, with a
    task that finishes, and forgotten."""
    task_end: Literal["finished", "never", "cancelled", "empty", "null"] = _liberty("finished")
    """The state of a task that has had its effect: FINISHED; RUNNING forever; CANCELLED; an empty word; or null."""

    def __post_init__(self) -> None:
        for name, allowed in (Modes.choices() | Modes.liberties()).items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"Modes.{name} is one of {', '.join(map(repr, allowed))}")

    @staticmethod
    def choices() -> dict[str, tuple[Choice, ...]]:
        """Every unknown's possible values, its default first."""
        return dict(_choices(liberties=False))

    @staticmethod
    def liberties() -> dict[str, tuple[Choice, ...]]:
        """The same for what a server may do instead of what it is asked: in no world that `pairwise` gives.

        In those, keyform does everything that it is asked; in these, it has to report what it could not do.
        """
        return dict(_choices(liberties=True))

    @staticmethod
    def pairwise() -> tuple[Modes, ...]:
        """A small set of worlds in which every two values of every two fields meet; the defaults come first.

        The order and the content are the same on every call and every machine.
        """
        return _pairwise()


@cache
def _choices(*, liberties: bool) -> dict[str, tuple[Choice, ...]]:
    hints = get_type_hints(Modes)
    found: dict[str, tuple[Choice, ...]] = {}
    for one in fields(Modes):
        if one.metadata.get("is_liberty", False) is liberties:
            values = get_args(hints[one.name])
            found[one.name] = tuple(sorted(values, key=lambda value: value != one.default))
    return found


@cache
def _pairwise() -> tuple[Modes, ...]:
    """Greedy: each world takes, field by field, the value that meets most pairs not met before."""
    choices = _choices(liberties=False)
    names = list(choices)
    open_pairs = {
        ((first, a), (second, b))
        for first, second in combinations(names, 2)
        for a in choices[first]
        for b in choices[second]
    }
    worlds: list[Modes] = []
    row: dict[str, Any] = {name: values[0] for name, values in choices.items()}
    while True:
        worlds.append(Modes(**row))
        open_pairs -= set(combinations(row.items(), 2))
        if not open_pairs:
            return tuple(worlds)
        wanted = min(open_pairs, key=lambda pair: [(names.index(name), choices[name].index(v)) for name, v in pair])
        fixed = dict(wanted)
        row = {}
        for name in names:
            options = (fixed[name],) if name in fixed else choices[name]
            others = {**fixed, **row}
            row[name] = max(
                options,
                key=lambda value, name=name, others=others: (  # type: ignore[misc]
                    sum(_pair(names, (name, value), item) in open_pairs for item in others.items()),
                    -choices[name].index(value),
                ),
            )


def _pair(names: list[str], one: tuple[str, Choice], other: tuple[str, Choice]) -> tuple[Any, Any]:
    return (one, other) if names.index(one[0]) < names.index(other[0]) else (other, one)
