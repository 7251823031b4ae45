"""What a write of a deployment's list of keys does; most of it is about the tasks of v3."""

from __future__ import annotations

from reconciler.livetest.bench import FINISHED, RUNNING, Bench, CannotAsk, task_ids
from reconciler.livetest.forms import V3, Endpoint, Made
from reconciler.livetest.question import V3_ONLY, Question, Sight, Sights, fact, left_open
from reconciler.livetest.raw import Said


def ask_list(bench: Bench) -> Sights:
    """Attach two keys in an order that is not the alphabet's, and read the list."""
    keys = sorted((bench.make(label) for label in ("z", "a")), key=lambda made: made.link, reverse=True)
    for said in bench.write(*keys):
        if not said.is_ok:
            raise CannotAsk(f"the list was answered by {said}")
        bench.settle(said, lambda endpoint: keys[1].link in endpoint.listed)
    endpoint = bench.check_others()
    sent = [made.link for made in keys]
    shown = [link for link in endpoint.listed if link in sent]
    once = [*dict.fromkeys(shown)]
    if not shown:
        yield Sight("api_keys_kept", "ignored", "the write is taken, and the list is as it was before")
        yield left_open("api_keys_order", "the API keeps no list")
        return
    if sorted(once) != sorted(sent):
        yield Sight("api_keys_kept", None, f"of two keys that were sent, {len(once)} are listed")
        yield left_open("api_keys_order", "the API keeps another list than was sent")
        return
    is_doubled = len(shown) == 2 * len(sent)
    kept = "doubled" if is_doubled else "as_sent" if shown == once else None
    yield Sight("api_keys_kept", kept, f"two keys were sent, {len(shown)} entries are listed")
    order = "as_sent" if once == sent else "sorted"
    yield Sight(
        "api_keys_order", order, f"keys b and a, set in this order, are listed as {'ba' if once == sent else 'ab'}"
    )


def ask_no_keys(bench: Bench) -> Sights:
    """Read a deployment without keys."""
    endpoint = bench.read()
    match endpoint.keys_shown:
        case None:
            yield Sight("no_keys_shown_as", "null", "api_keys is null")
        case []:
            yield Sight("no_keys_shown_as", "empty_list", "api_keys is []")
        case _:
            raise CannotAsk("the deployment lists keys")


def ask_unknown_key(bench: Bench) -> Sights:
    """Set a list with one name that no key has."""
    made = bench.make()
    name = bench.new_name("none")
    unknown = Made(name, name, {}, Said(0))
    (said,) = bench.write(made, unknown)
    if said.is_objection:
        yield Sight("unknown_key", "reject", f"PATCH {said}")
        return
    if not said.is_ok:
        raise CannotAsk(f"PATCH was answered by {said}")
    state = bench.settle(said, lambda endpoint: made.link in endpoint.listed)
    listed = made.link in bench.check_others().listed
    seen = f"PATCH {said}, its task ends in {state or 'nothing'}, and the list is {'set' if listed else 'as before'}"
    yield Sight("unknown_key", "task_error" if state == "ERROR" and not listed else None, seen)


def ask_null(bench: Bench) -> Sights:
    """Set the list to null, where nobody else's keys are."""
    made = bench.make()
    bench.attach(made)
    said = _patch(bench, api_keys=None)
    if said.is_objection:
        yield Sight("null_api_keys", "refused", f"PATCH {said}")
        return
    if not said.is_ok:
        raise CannotAsk(f"PATCH was answered by {said}")
    bench.settle(said, lambda endpoint: not endpoint.listed)
    endpoint = bench.read()
    if made.link in endpoint.listed:
        yield Sight("null_api_keys", "ignored", f"PATCH {said}, and the key is still listed")
    else:
        is_open = endpoint.auth is not True
        yield Sight("null_api_keys", "clears" if is_open else None, f"PATCH {said}, {_described(endpoint)}")


def ask_auth_disabled(bench: Bench) -> Sights:
    """Turn authentication off and leave the list alone, where nobody else's keys are."""
    made = bench.make()
    bench.attach(made)
    said = _patch(bench, auth_enabled=False)
    if not said.is_ok:
        raise CannotAsk(f"PATCH of auth_enabled alone was answered by {said}")
    bench.settle(said, lambda endpoint: endpoint.auth is False)
    endpoint = bench.read()
    value = None
    if endpoint.auth is False:
        value = "keeps_keys" if made.link in endpoint.listed else "clears_keys"
    yield Sight("auth_disabled", value, f"PATCH {said}, {_described(endpoint)}")


def _described(endpoint: Endpoint) -> str:
    auth = {True: "on", False: "off", None: "not shown"}[endpoint.auth]
    return f"then {len(set(endpoint.listed))} keys are listed, and authentication is {auth}"


def _patch(bench: Bench, **fields: object) -> Said:
    if not isinstance(bench.form, V3):
        raise CannotAsk("v2 has no such write")
    bench.require_alone()
    return bench.form.patch_deployment(bench.raw, bench.deployment.name, **fields)


def ask_tasks(bench: Bench) -> Sights:
    """Attach a key, and look at the deployment while the task runs, and at what the task ends in."""
    made = bench.make()
    (said,) = bench.write(made)
    if not said.is_ok:
        raise CannotAsk(f"PATCH was answered by {said}")
    tasks = task_ids(said)
    if not tasks:
        raise CannotAsk("a write of the list has no task")
    looks: list[bool] = []
    begun = bench.raw.monotonic()
    while True:
        shows = made.link in bench.read().listed
        state = bench.look_at_task(tasks[-1])
        if state not in RUNNING:
            break
        looks.append(shows)  # the task ran after the deployment was read
        if shows or bench.raw.monotonic() - begun > bench.patience:
            break
        bench.raw.wait(0.3)
    state = bench.settle(said, lambda endpoint: made.link in endpoint.listed)
    has_effect = made.link in bench.check_others().listed
    if not has_effect:
        yield left_open("effect", f"the write has no effect, and its task is {_word(state)}")
    elif not looks:
        yield left_open("effect", "the task had ended before it could be looked at")
    elif looks[0]:
        yield Sight("effect", "at_start", "the list shows the key while the task runs, at the first look")
    elif not looks[-1]:
        yield Sight("effect", "at_finish", f"the list does not show the key in {len(looks)} looks while the task runs")
    elif state in RUNNING:
        yield left_open("effect", "the task has no end", "the list shows the key some time after the write")
    else:
        yield Sight("effect", None, "the list shows the key some time before the task ends")
    ends = {FINISHED: "finished", "CANCELLED": "cancelled", "": "empty", "null": "null"}
    if not has_effect:
        yield left_open("task_end", f"the task is {_word(state)}, and has no effect")
    elif state in RUNNING:
        seen = f"the task is {state} after {bench.patience:.0f} seconds, and the list shows the key"
        yield Sight("task_end", "never", seen)
    else:
        yield Sight("task_end", ends.get(state), f"the task ends in {_word(state)}, and the list shows the key")


def _word(state: str) -> str:
    return {"": "an empty word", "null": "null"}.get(state, state if state.isalpha() and len(state) < 40 else "another")


def ask_busy(bench: Bench) -> Sights:
    """Set the list twice, the second time while the first task runs."""
    first, second = bench.make(), bench.make()
    (said,) = bench.write(first)
    if not said.is_ok:
        raise CannotAsk(f"PATCH was answered by {said}")
    endpoint = bench.read()
    links = bench.links_for(endpoint, first, second)
    (again,) = bench.write_links(endpoint, links)
    tasks, later = task_ids(said), task_ids(again)
    state = bench.look_at_task(tasks[-1]) if tasks else ""
    if state not in RUNNING:
        yield left_open("write_while_busy", "the first task had ended before the second write was answered")
        return
    if again.status == 409:
        yield Sight("write_while_busy", "refuse", f"the second PATCH: {again}")
        bench.settle(said, lambda seen: first.link in seen.listed)
        return
    if not again.is_ok or not later:
        raise CannotAsk(f"the second PATCH was answered by {again}")
    begun, value, seen = bench.raw.monotonic(), None, ""
    while value is None:
        ahead, behind = bench.look_at_task(tasks[-1]), bench.look_at_task(later[-1])
        if ahead in RUNNING and behind != "NEW":
            value, seen = "accept", f"the second task is {_word(behind)} while the first is {ahead}"
        elif ahead not in RUNNING and behind in RUNNING:
            value, seen = "queue", f"the second task is {behind} once the first has ended, and was NEW before"
        elif ahead not in RUNNING:
            break
        elif bench.raw.monotonic() - begun > bench.patience:
            raise CannotAsk("neither task came to an end")
        else:
            bench.raw.wait(0.2)
    bench.settle(again, lambda found: second.link in found.listed)
    if value is None:
        yield left_open("write_while_busy", "both tasks had ended between two looks")
    else:
        yield Sight("write_while_busy", value, seen)


def ask_attached_delete(bench: Bench) -> Sights:
    """Delete a key that is attached, beside another one that stays."""
    made, other = bench.make(), bench.make()
    bench.attach(made, other)
    said = bench.delete(made)
    yield fact(f"DELETE of a key that is attached to a deployment: {said}")


QUESTIONS = (
    Question(
        name="no keys",
        asks="GET a deployment without keys",
        modes={"no_keys_shown_as": ("empty_list", "null")},
        ask=ask_no_keys,
        apis=V3_ONLY,
        deployment=True,
        alone=True,
    ),
    Question(
        name="list",
        asks="Attach two keys, and GET the deployment",
        modes={"api_keys_kept": ("as_sent", "doubled", "ignored"), "api_keys_order": ("as_sent", "sorted")},
        ask=ask_list,
        deployment=True,
    ),
    Question(
        name="tasks",
        asks="Attach a key, and GET the deployment and the task until it ends",
        modes={
            "effect": ("at_finish", "at_start"),
            "task_end": ("finished", "never", "cancelled", "empty", "null"),
        },
        ask=ask_tasks,
        apis=V3_ONLY,
        deployment=True,
    ),
    Question(
        name="busy",
        asks="PATCH the list twice, the second time while the first task runs",
        modes={"write_while_busy": ("accept", "refuse", "queue")},
        ask=ask_busy,
        apis=V3_ONLY,
        deployment=True,
    ),
    Question(
        name="unknown key",
        asks="PATCH the list with a name that no key has beside one that a key has",
        modes={"unknown_key": ("reject", "task_error")},
        ask=ask_unknown_key,
        apis=V3_ONLY,
        deployment=True,
    ),
    Question(
        name="attached key",
        asks="DELETE a key that is attached",
        modes={},
        ask=ask_attached_delete,
        apis=V3_ONLY,
        deployment=True,
    ),
    Question(
        name="null",
        asks="PATCH api_keys: null, with a throw-away key attached",
        modes={"null_api_keys": ("clears", "refused", "ignored")},
        ask=ask_null,
        apis=V3_ONLY,
        deployment=True,
        alone=True,
    ),
    Question(
        name="authentication off",
        asks="PATCH auth_enabled: false alone, with a throw-away key attached",
        modes={"auth_disabled": ("keeps_keys", "clears_keys")},
        ask=ask_auth_disabled,
        apis=V3_ONLY,
        deployment=True,
        alone=True,
    ),
)
