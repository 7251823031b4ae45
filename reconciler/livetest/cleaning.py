"""Putting everything back: the deployment as it was found, and every throw-away key gone.

It looks at what there is, not at what was meant to be done, so that it can run at any moment, as often as is wanted.
"""

from __future__ import annotations

from reconciler.livetest.bench import RUNNING, Bench, CannotAsk
from reconciler.livetest.forms import V2, Endpoint, Made, list_keys
from reconciler.livetest.prepare import own_keys
from reconciler.livetest.raw import Said
from reconciler.model.findings import Remains

ATTEMPTS = 8
"""How often a write is tried that the API refuses for now, such as while another task runs."""
PAUSE = 3.0
"""Seconds between two of those."""
LATE = 5.0
"""Seconds after which a list shows a key whose create had no answer, if there is one."""
LOOK = "See the deployment in the Gcore portal, and run `keyform doctor --live-test --deployment NAME` again."


def put_back(bench: Bench) -> list[Remains]:
    """Restore the deployment and delete this run's keys: what could not be done, and the way out.

    Nothing is raised for what the API answers.
    """
    before, bench.raw.is_cleaning = bench.raw.is_cleaning, True
    try:
        remains = _restore(bench) if bench.baseline else []
        # One that was not deleted is tried again in the end, and not after each question.
        tried = [made for made in bench.made if not made.is_stubborn or bench.is_ending]
        remains += [each for made in tried if (each := _delete(bench, made))]
        return remains
    finally:
        bench.raw.is_cleaning = before


def sweep(bench: Bench) -> list[Remains]:
    """The same at the end: what no answer showed is looked for in the list, too."""
    bench.raw.is_cleaning = bench.is_ending = True
    if bench.in_doubt or bench.unsettled:
        bench.raw.wait(LATE)
    running = [task_id for task_id in bench.unsettled if bench.look_at_task(task_id) in RUNNING]
    keys = list_keys(bench.raw, bench.form)
    known = {made.link for made in bench.made}
    bench.made += [each for each in own_keys(bench, keys, run=bench.run) if each.link not in known]
    remains = put_back(bench)
    if isinstance(keys, Said) and bench.numbers:
        name = f"keyform-doctor-{bench.run}-"
        what = f"keys whose names begin with {name} may be left: the keys cannot be listed ({keys})"
        remains.append(Remains(what, "Run this again, or delete them in the portal."))
    if running and bench.baseline:
        what = f"a task on deployment {bench.baseline.name} has not ended, and may still change its keys"
        remains.append(Remains(what, f"Wait until it has. {LOOK}", is_deployment=True))
    return remains


# --- The deployment ---------------------------------------------------------------------------------------------------


def _restore(bench: Bench) -> list[Remains]:
    """Take the throw-away keys off the deployment, and see that its authentication is as it was."""
    trouble = ""
    for _ in range(ATTEMPTS):
        try:
            endpoint = bench.read()
            bench.others.judge(endpoint.listed)
            if _would_open(bench, endpoint):
                trouble = "others removed their keys from it, and without the throw-away key it would be public"
                break  # an empty list would make it public, which nobody asked for
            if _is_restored(bench, endpoint):
                return []
            trouble = _restore_once(bench, endpoint)
        except CannotAsk as error:
            trouble = str(error)
        else:
            if not trouble and _reads_restored(bench):
                return []
        bench.raw.wait(PAUSE)
    name = bench.deployment.name
    was = "public, without keys" if bench.deployment.alone else f"closed, with {len(bench.deployment.foreign)} keys"
    what = f"deployment {name} may not be as it was ({was}): {trouble or 'it is not shown as it was'}"
    return [Remains(what, LOOK, is_deployment=True)]


def _reads_restored(bench: Bench) -> bool:
    try:
        return _is_restored(bench, bench.read())
    except CannotAsk:
        return False


def _target(bench: Bench, endpoint: Endpoint) -> list[str]:
    """The list as it is to be: what others have there by now, and what a write of ours took off."""
    others = bench.links_for(endpoint)
    return [*others, *sorted(bench.others.lost - {*others})]


def _would_open(bench: Bench, endpoint: Endpoint) -> bool:
    """Whether only throw-away keys close it by now, which had keys of others."""
    return bool(endpoint.listed) and not _target(bench, endpoint) and not bench.deployment.alone


def changes_of_others(bench: Bench) -> list[Remains]:
    """What others did to the deployment's keys during the test, each with what became of it."""
    if bench.baseline is None:
        return []
    others = bench.others
    place, again = f"deployment {bench.baseline.name}", "Run this again when nobody changes the deployment."
    kinds = (
        (others.went, f"was taken off {place} by somebody else, and stays off", again),
        (others.came, f"was attached to {place} by somebody else, and stays", again),
        (
            others.restored,
            f"was gone from {place} after a write of the test, and is attached again",
            "If somebody took it off, take it off again.",
        ),
    )
    return [
        Remains(f"key {others.names.get(link, link)} {what}", way_out)
        for links, what, way_out in kinds
        for link in sorted(links)
    ]


def _is_restored(bench: Bench, endpoint: Endpoint) -> bool:
    target = _target(bench, endpoint)
    if [*dict.fromkeys(endpoint.listed)] != target:
        return False
    if target:
        return endpoint.auth is not False
    return endpoint.auth is not True or not bench.deployment.alone


def _restore_once(bench: Bench, endpoint: Endpoint) -> str:
    """One attempt: why it failed, or nothing."""
    target = _target(bench, endpoint)
    answers = bench.write_links(endpoint, target)
    for said in answers:
        if not said.is_ok:
            return f"the API answered {said}"
        bench.settle(said, lambda seen: _is_restored(bench, seen))
    if isinstance(bench.form, V2) and not target:
        endpoint = bench.read()
        if endpoint.auth is True and not bench.links_for(endpoint):
            said = bench.form.replace_deployment(bench.raw, endpoint, auth=False)
            return "" if said.is_ok else f"the API answered {said}"
    return ""


# --- Keys -------------------------------------------------------------------------------------------------------------


def _delete(bench: Bench, made: Made) -> Remains | None:
    """Delete a key and see that it is gone; one whose id is unknown is looked for by its name."""
    if not made.link:
        keys = list_keys(bench.raw, bench.form)
        found = [] if isinstance(keys, Said) else [key for key in keys if key.get("name") == made.name]
        if isinstance(keys, Said):
            return _remains(made, f"the keys cannot be listed ({keys})")
        if not found:
            bench.made.remove(made)
            return None
        made.link = bench.form.link_of(found[0])
    said, seen = Said(0), Said(0)
    tries = 1 if made.is_stubborn else 3
    for number in range(tries):
        said = bench.raw.ask("DELETE", bench.form.key_path(made.link), attempts=3)
        seen = bench.raw.get(bench.form.key_path(made.link))
        if seen.status == 404 and (seen.fields or said.status == 204):
            bench.made.remove(made)
            return None
        if number < tries - 1:
            bench.raw.wait(PAUSE)
    made.is_stubborn = True
    return _remains(made, f"to DELETE the API answered {said}, and a reading then {seen}")


def _remains(made: Made, why: str) -> Remains:
    expires_at = made.sent.get("expires_at")
    until = f" It was to expire at {expires_at}." if isinstance(expires_at, str) else ""
    what = f"key {made.name} may be left: {why}.{until}"
    return Remains(what, "Run this again, or delete it in the Gcore portal.")
