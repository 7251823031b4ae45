"""What a live test finds before it begins: what it may touch, and what an earlier one left behind. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.effects import Effects
from reconciler.errors import KeyformError
from reconciler.livetest.bench import Baseline, Bench, may_be_own, read_own
from reconciler.livetest.catalogue import questions_for
from reconciler.livetest.forms import PAGE, V2, Endpoint, Made, form_of, list_keys
from reconciler.livetest.question import Question
from reconciler.livetest.raw import RawApi, Said
from reconciler.model import Secret, read_description, read_identity

Shown = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a live test will do: what a person is shown before it begins.

    `leftovers` are keys of an earlier live test, which go; `bound` are those that stay, as they may open something
    else, and `doubtful` the names of keys that are called so and have no description, which stay, too.
    `reopens`: an earlier one closed the deployment, which was public, and was cut short.
    """

    bench: Bench
    questions: tuple[Question, ...]
    leftovers: tuple[Made, ...] = ()
    bound: tuple[Made, ...] = ()
    doubtful: tuple[str, ...] = ()
    reopens: bool = False


def prepare(
    raw: RawApi,
    effects: Effects,
    *,
    project: int,
    api: str,
    deployment: str,
    managed: Container[str],
    keeps_others: bool,
    patience: float,
    foreign_project: int | None,
    learn: Callable[[Secret], None],
) -> Plan:
    """See what there is. KeyformError where the deployment must not be touched, or something cannot be read.

    `deployment` is empty without one, `managed` are those of the file. `keeps_others`: the deployment may have keys of
    others, which stay attached throughout. `patience` is in seconds. `learn` is given every secret that the API shows.
    """
    bench = Bench(
        raw=raw,
        form=form_of(api, project),
        run=f"{int(effects.random() * 16**8):08x}",
        patience=patience,
        learn=learn,
        foreign_project=foreign_project,
    )
    keys = list_keys(raw, bench.form)
    if isinstance(keys, Said):
        way_out = "Run `keyform doctor` to see what is wrong with the token, the project or the API."
        raise KeyformError(f"The keys of the project cannot be listed: {keys}.", way_out=way_out)
    own = own_keys(bench, keys)
    reopens = False
    if deployment:
        endpoint = bench.form.read_endpoint(raw, deployment)
        if isinstance(endpoint, Said):
            raise _refusal(f"deployment.{deployment} cannot be read: {endpoint}", "name one that the project has")
        if endpoint.name in managed or endpoint.id in managed:
            raise _refusal(
                f"deployment.{deployment} is in the file: keyform manages it", "name one that nothing depends on"
            )
        keys = [*keys, *_unlisted(bench, endpoint, keys)]
        own = own_keys(bench, keys)
        reopens = _was_left_closed(endpoint, own)
        stacks = _stacks(bench, keys)
        bench.baseline = _baseline(endpoint, own, stacks, keeps_others=keeps_others, reopens=reopens)
        bench.others.known = frozenset(bench.baseline.foreign)
        bench.others.names = {bench.form.link_of(shown): str(shown.get("name")) for shown in keys}
    bench.others.own |= {made.link for made in own}
    bound = _bound_elsewhere(bench, own) if own else []
    leftovers = tuple(made for made in own if made not in bound)
    return Plan(
        bench=bench,
        questions=questions_for(api),
        leftovers=leftovers,
        bound=tuple(bound),
        doubtful=tuple(str(shown["name"]) for shown in keys if may_be_own(shown)),
        reopens=reopens,
    )


def own_keys(bench: Bench, keys: Iterable[Shown] | Said, *, run: str = "") -> list[Made]:
    """The keys in a list that a live test made, by name and description; those of one run alone, if it is given."""
    if isinstance(keys, Said):
        return []
    found = []
    for shown in keys:
        marker = read_own(shown)
        if marker is not None and (not run or marker.run == run):
            sent = {name: shown.get(name) for name in ("name", "description", "expires_at")}
            found.append(Made(str(shown["name"]), bench.form.link_of(shown), sent, Said(200, dict(shown))))
    return found


def _unlisted(bench: Bench, endpoint: Endpoint, keys: Iterable[Shown]) -> Iterator[Shown]:
    """The deployment's keys that the list of keys does not show: it may lag a few seconds [U], and one of them may be
    what a live test left that was just killed."""
    listed = {bench.form.link_of(shown) for shown in keys}
    for link in dict.fromkeys(endpoint.listed):
        if link not in listed:
            said = bench.raw.get(bench.form.key_path(link))
            if said.is_ok and bench.form.link_of(said.fields) == link:
                yield said.fields


def _stacks(bench: Bench, keys: Iterable[Shown]) -> dict[str, str]:
    """The links of keys that a stack owns, or may own, with the stack's name."""
    found = {}
    for shown in keys:
        description = shown.get("description")
        text = description if isinstance(description, str) else None
        claim = read_description(text)[1] or read_identity(text)
        if claim is not None:
            found[bench.form.link_of(shown)] = claim.stack
    return found


def _was_left_closed(endpoint: Endpoint, own: Sequence[Made]) -> bool:
    """Whether only keys of earlier live tests are attached, all of which say that the deployment was public."""
    attached = [made for made in own if made.link in endpoint.listed]
    if not attached or not set(endpoint.listed) <= {made.link for made in attached}:
        return False
    markers = [read_own(made.shown) for made in attached]
    return all(each is not None and each.was_public and each.deployment == endpoint.name for each in markers)


def _baseline(
    endpoint: Endpoint, own: Sequence[Made], stacks: Mapping[str, str], *, keeps_others: bool, reopens: bool
) -> Baseline:
    """The deployment as it has to be put back. Raises KeyformError where a live test must not touch it."""
    name = f"deployment.{endpoint.name}"
    links = {made.link for made in own}
    foreign = tuple(link for link in dict.fromkeys(endpoint.listed) if link not in links)
    owners = sorted({stacks[link] for link in foreign if link in stacks})
    if endpoint.application:
        raise _refusal(f"{name} belongs to an application, which sets its keys", "name one that belongs to none")
    if owners:
        raise _refusal(f"{name} has keys of the stack {owners[0]}", "name a deployment that no stack manages")
    if foreign and endpoint.auth is not True:
        finding = f"{name} has keys, and its authentication is not on: writing its keys would turn it on"
        raise _refusal(finding, "name a deployment on which nothing depends")
    if foreign and not keeps_others:
        count = f"{len(foreign)} key{'' if len(foreign) == 1 else 's'}"
        way_out = "name a deployment without keys, or give --keep-keys: they stay attached, and less is asked"
        raise _refusal(f"{name} has {count} of others", way_out)
    if not foreign and endpoint.auth is not False and not reopens:
        finding = f"{name} asks for a key and lists none of others: a hidden key may open it, and could not be put back"
        raise _refusal(finding, "name a deployment that is public, or one with keys together with --keep-keys")
    return Baseline(endpoint.name, foreign, was_asleep=endpoint.status == "PENDING")


def _bound_elsewhere(bench: Bench, own: Sequence[Made]) -> list[Made]:
    """Those that open something other than the named deployment, or whose bindings cannot be seen."""
    if isinstance(bench.form, V2):
        named = bench.form.ids.get(bench.baseline.name, "") if bench.baseline else ""
        return [made for made in own if {*_links(made.shown, "inference_instance_ids")} - {named}]
    named = bench.baseline.name if bench.baseline else ""
    found = {made.link for made in own if {*_links(made.shown, "deployment_names")} - {named}}
    for place in bench.form.endpoint_lists():
        said = bench.raw.get(place.path, **({"limit": PAGE} if place.has_pages else {}))
        results = said.fields.get("results")
        if not said.is_ok or not isinstance(results, list):
            return [*own]
        for shown in results:
            if isinstance(shown, dict) and not (place.has_pages and shown.get("name") == named):
                found |= {*_links(shown, "api_keys")}
    return [made for made in own if made.link in found]


def _links(shown: Shown, name: str) -> list[str]:
    value = shown.get(name)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _refusal(finding: str, way_out: str) -> KeyformError:
    return KeyformError(f"{finding}. Nothing was changed.", way_out=way_out)
