"""What a question works with: throw-away keys, the deployment that the user named, and waits that have an end.

Everything is noted before its request is sent, so that the cleaning knows what there may be, whatever the request met.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from reconciler.livetest.forms import Endpoint, Form, Made, as_sent, instant_of, list_keys
from reconciler.livetest.others import Others
from reconciler.livetest.raw import RawApi, Said, shape_of
from reconciler.model import Secret

PREFIX = "keyform-doctor-"
"""How the name of every throw-away key begins."""
LIFETIME = timedelta(minutes=30)
"""How long a throw-away key is valid at least, unless a question is about that: it outlasts its question."""
SHOWS_UP = 20.0
"""Seconds after which a list shows what was made before, at the latest."""
RUNNING = frozenset({"NEW", "RUNNING"})
FINISHED = "FINISHED"
AFTER_A_STUCK_TASK = 5.0
"""Seconds that a write is waited for once a task was seen to have no end although its effect showed."""
LONGEST_CALL = 60.0
"""Seconds for one request to an endpoint, which may have to wake up."""

_OWN_NAME = re.compile(r"keyform-doctor-(?P<run>[0-9a-f]{8})-[a-z]+[0-9]*")
_MARKER = re.compile(
    r"\[keyform-doctor (?P<run>[0-9a-f]{8})(?: (?P<state>public|keyed) (?P<deployment>[-a-z0-9]{1,63}))?\]"
)


class CannotAsk(Exception):
    """Why a question cannot be asked, or its answer leaves it open; fit to be published."""


class ListDisturbed(CannotAsk):
    """Keys of others came or went: nothing more is asked of the deployment."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The deployment as it was found. `foreign` are the links of the keys of others; `alone` when there are none."""

    name: str
    foreign: tuple[str, ...]
    was_asleep: bool

    @property
    def alone(self) -> bool:
        """Whether nobody's keys are on it: it was public, and may be opened and closed."""
        return not self.foreign


@dataclass(frozen=True, slots=True)
class Marker:
    """What a throw-away key says in its description: its run, and how the deployment was, if there is one."""

    run: str
    was_public: bool = False
    deployment: str = ""


def read_own(shown: Mapping[str, Any]) -> Marker | None:
    """The marker of a key that a live test made; None unless name and description both say so."""
    name, description = shown.get("name"), shown.get("description")
    if not isinstance(name, str) or not isinstance(description, str):
        return None
    named, marked = _OWN_NAME.fullmatch(name), _MARKER.search(description)
    if named is None or marked is None or named["run"] != marked["run"]:
        return None
    return Marker(named["run"], marked["state"] == "public", marked["deployment"] or "")


def may_be_own(shown: Mapping[str, Any]) -> bool:
    """Whether a key is called like a throw-away key, and has no description: a live test may have been killed when it
    had emptied that."""
    name = shown.get("name")
    return isinstance(name, str) and _OWN_NAME.fullmatch(name) is not None and not shown.get("description")


@dataclass(slots=True, kw_only=True)
class Bench:
    """One live test at work. `patience` is in seconds, for a task or a key's expiry; `learn` is given every secret."""

    raw: RawApi
    form: Form
    run: str
    patience: float
    learn: Callable[[Secret], None]
    baseline: Baseline | None = None
    foreign_project: int | None = None
    made: list[Made] = field(default_factory=list)
    """The throw-away keys that there are, or may be."""
    others: Others = field(default_factory=Others)
    """The keys of others on the deployment."""
    unsettled: list[str] = field(default_factory=list)
    """Tasks that had no end in time, and whose effect has not shown."""
    in_doubt: bool = False
    """Whether a create had no answer that tells what it did: a key may come to be later."""
    was_stuck: bool = False
    """Whether a task was seen to have no end although its effect showed."""
    is_ending: bool = False
    """Whether the last cleaning has begun."""
    ignores_patches: bool = False
    """Whether a PATCH of a key was seen to be taken and forgotten."""
    spoilt: str = ""
    """Why nothing more is asked of the deployment; empty while it can be."""
    quota: Said | None = None
    """The answer to a create that a quota refused."""
    secrets: list[str] = field(default_factory=list, repr=False)
    shapes: dict[str, dict[str, str]] = field(default_factory=dict)
    numbers: int = 0

    # --- Keys ---------------------------------------------------------------------------------------------------------

    def marker(self) -> str:
        """What a throw-away key's description begins with, so that it is recognised, whatever is cut off."""
        if self.baseline is None:
            return f"[keyform-doctor {self.run}]"
        return f"[keyform-doctor {self.run} {'public' if self.baseline.alone else 'keyed'} {self.baseline.name}]"

    def description(self) -> str:
        """A throw-away key's description, for people."""
        return f"{self.marker()} A throw-away key of a live test. Delete it at any time."

    def instant_in(self, seconds: float) -> str:
        """An expiry so many seconds ahead, in whole seconds."""
        return as_sent(self.raw.now() + timedelta(seconds=seconds))

    def new_name(self, label: str = "key") -> str:
        """A name that no key has had."""
        self.numbers += 1
        name = f"{PREFIX}{self.run}-{label}{self.numbers}"
        self.others.own.add(name)
        return name

    def try_to_make(
        self, label: str = "key", *, name: str = "", description: str = "", expires_at: str = "", **more: Any
    ) -> Made:
        """Ask for a throw-away key; what came of it is in its `answer`.

        `label` is a part of its name; without `expires_at` it outlasts its question. `more` are fields of the body.
        """
        lasts = max(LIFETIME.total_seconds(), 3 * self.patience)
        name = name or self.new_name(label)
        expires_at = expires_at or self.instant_in(lasts)
        body = self.form.create_body(name, description or self.description(), expires_at) | more
        made = Made(name, name if self.form.api == "v3" else "", body, Said(0))
        self.made.append(made)
        for _ in range(4):
            made.answer = self.raw.ask("POST", self.form.keys_path, body)
            if made.answer.error_class == "QuotaLimitExceed":
                self.quota = made.answer
            elif made.answer.status == 429:
                self.raw.wait(min(made.answer.retry_after or 1.0, 60.0))
                continue
            break
        if made.answer.is_refusal or made.answer.status == 429:
            self.made.remove(made)
        elif not made.answer.is_ok:
            self.in_doubt = True
        else:
            made.link = self.form.link_of(made.shown) or made.link
            self.others.own.add(made.link)
            secret = made.shown.get("secret")
            if isinstance(secret, str) and secret:
                made.secret = Secret(secret)
                self.learn(made.secret)
                self.secrets.append(secret)
            self.note("a key, where it is made", made.shown)
        return made

    def make(self, label: str = "key", **options: Any) -> Made:
        """A throw-away key. Raises CannotAsk when there is none."""
        made = self.try_to_make(label, **options)
        if not made.answer.is_ok or not made.link:
            raise CannotAsk(f"a key could not be made: {made.answer}")
        return made

    def make_lasting(self, label: str = "key") -> Made:
        """A throw-away key that is valid now. Raises CannotAsk where the API keeps an expiry that has passed."""
        made = self.make(label)
        expires_at = instant_of(self.show(made), "expires_at")
        if expires_at is not None and expires_at <= self.raw.now():
            raise CannotAsk("the API keeps an expiry that has passed, so that no key works")
        return made

    def get(self, made: Made) -> Said:
        """A key as it is now."""
        said = self.raw.get(self.form.key_path(made.link))
        if said.is_ok:
            self.note("a key, asked for alone", said.fields)
        elif said.error_class:
            self.note("an error", said.fields)
        return said

    def show(self, made: Made) -> Mapping[str, Any]:
        """A key as it is now. Raises CannotAsk when it cannot be seen."""
        said = self.get(made)
        if not said.is_ok:
            raise CannotAsk(f"a key that was made cannot be read: {said}")
        return said.fields

    def patch(self, made: Made, **changes: Any) -> Said:
        """Change a key, and keep its other fields."""
        return self.raw.ask("PATCH", self.form.key_path(made.link), self.form.patch_body(made, **changes))

    def delete(self, made: Made) -> Said:
        """Ask once to delete a key."""
        return self.raw.ask("DELETE", self.form.key_path(made.link))

    def listed(self, *wanted: Made) -> list[Mapping[str, Any]]:
        """These keys in the order of the list, once it shows all of them. Raises CannotAsk when it does not."""
        names = {made.name for made in wanted}
        begun = self.raw.monotonic()
        while True:
            keys = list_keys(self.raw, self.form)
            if isinstance(keys, Said):
                raise CannotAsk(f"the keys cannot be listed: {keys}")
            found = [key for key in keys if key.get("name") in names]
            if len(found) == len(names):
                self.note("a key, in a list", found[0])
                return found
            if self.raw.monotonic() - begun > SHOWS_UP:
                raise CannotAsk("a list does not show the keys that were made")
            self.raw.wait(0.5)

    def note(self, what: str, payload: Mapping[str, Any]) -> None:
        """Remember which fields an answer has, with their types."""
        self.shapes[what] = self.shapes.get(what, {}) | shape_of(payload)

    # --- The deployment -----------------------------------------------------------------------------------------------

    @property
    def deployment(self) -> Baseline:
        """The deployment as it was found. Raises CannotAsk without one."""
        if self.baseline is None:
            raise CannotAsk("it needs a deployment: give --deployment NAME")
        return self.baseline

    def read(self) -> Endpoint:
        """The deployment as it is now. Raises CannotAsk when it cannot be read."""
        found = self.form.read_endpoint(self.raw, self.deployment.name)
        if isinstance(found, Said):
            raise CannotAsk(f"the deployment cannot be read: {found}")
        self.note("a deployment", found.payload)
        self.others.notice(found.listed)
        return found

    def links_for(self, endpoint: Endpoint, *keys: Made) -> list[str]:
        """The list in which these are the only throw-away keys, and all others stay as they are."""
        own = {made.link for made in self.made}
        others = [link for link in dict.fromkeys(endpoint.listed) if link not in own]
        return [*others, *(made.link for made in keys)]

    def require_patches(self) -> None:
        """Raise CannotAsk where a PATCH of a key is taken and forgotten: nothing that it is to show would be true."""
        if self.ignores_patches:
            raise CannotAsk("the API takes a PATCH of a key, and keeps the key as it was")

    def write_links(self, endpoint: Endpoint, links: Sequence[str]) -> Sequence[Said]:
        """Ask once for these links on the deployment as it was just read."""
        self.others.judge(endpoint.listed)
        answers = self.form.write_links(self.raw, endpoint, links, self.made)
        # In v2 a write is that of a throw-away key, and holds no key of others.
        if self.form.api == "v3" and not all(said.is_refusal or said.status == 429 for said in answers):
            self.others.sent = frozenset(links)
        return answers

    def write(self, *keys: Made) -> Sequence[Said]:
        """Ask for these throw-away keys on the deployment, beside those of others; again only after a 429."""
        if self.form.api == "v2":
            self.require_patches()
        answers: Sequence[Said] = ()
        for _ in range(4):
            endpoint = self.check_others()
            answers = self.write_links(endpoint, self.links_for(endpoint, *keys))
            if not (pauses := [said.retry_after or 1.0 for said in answers if said.status == 429]):
                break
            self.raw.wait(min(max(pauses), 60.0))
        return answers

    def attach(self, *keys: Made) -> Endpoint:
        """The same, once it is done: the deployment as it is read then. Raises CannotAsk when it was not."""
        answers = self.write(*keys)
        for said in answers:
            if not said.is_ok:
                raise CannotAsk(f"the keys of the deployment could not be set: {said}")
            self.settle(said, lambda endpoint: _has(endpoint, keys))
        endpoint = self.check_others()
        if not _has(endpoint, keys):
            raise CannotAsk("the deployment does not list the keys that were set")
        return endpoint

    def check_others(self) -> Endpoint:
        """The deployment as it is now. Raises ListDisturbed when keys of somebody else came to it, or are gone."""
        endpoint = self.read()
        self.others.judge(endpoint.listed)
        if trouble := self.others.disturbance():
            raise ListDisturbed(trouble)
        return endpoint

    def require_alone(self) -> None:
        """Raise CannotAsk where others have keys on the deployment by now: for right before a write that opens it."""
        if self.links_for(self.read()):
            raise CannotAsk("keys of others have come to the deployment: the question would cut them off")

    def settle(self, said: Said, shows: Callable[[Endpoint], bool] = lambda _: True) -> str:
        """Wait until the tasks of a write have ended: their last state, or `""` where there is no task.

        It ends with `RUNNING` when patience does. `shows` says whether the deployment shows the effect.
        """
        state = ""
        if self.others.sent is not None:
            self.read()  # the effect may show before the task ends, and others may change the list from then on
        for task_id in task_ids(said):
            state = self._await_task(task_id, shows)
        return state

    def _await_task(self, task_id: str, shows: Callable[[Endpoint], bool]) -> str:
        begun, pause, seen = self.raw.monotonic(), 0.2, 0.0
        while True:
            state = self.look_at_task(task_id)
            passed = self.raw.monotonic() - begun
            if state not in RUNNING:
                return state
            if self.was_stuck and shows(self.read()):
                seen = seen or passed
                if passed - seen >= AFTER_A_STUCK_TASK:
                    return state
            if passed >= self.patience or self.raw.is_hurried:
                effect_shows = shows(self.read())
                self.was_stuck |= effect_shows
                self.unsettled += [] if effect_shows else [task_id]
                return state
            self.raw.wait(pause)
            pause = min(pause * 1.5, 1.0)

    def look_at_task(self, task_id: str) -> str:
        """A task's state as it is now: `null` for none at all, `unreadable` where it cannot be seen."""
        said = self.raw.get(f"/cloud/v1/tasks/{task_id}")
        if not said.is_ok:
            return "unreadable"
        self.note("a task", said.fields)
        state = said.fields.get("state", "unreadable")
        return "null" if state is None else state if isinstance(state, str) else "unreadable"

    # --- The data plane -----------------------------------------------------------------------------------------------

    def call(self, *, key: str | None = None, bearer: str | None = None) -> int:
        """The status that the deployment itself answers with. Raises CannotAsk where it has no address."""
        address = self.read().address
        if not address:
            raise CannotAsk("the deployment has no address")
        return self.raw.call_endpoint(address, key=key, bearer=bearer, timeout=LONGEST_CALL)

    def until_admitted(self, made: Made, *, longest: float) -> float | None:
        """Seconds until the deployment admits this key, from now; None when it does not within the longest time."""
        begun = self.raw.monotonic()
        while True:
            status = self.call(key=secret_of(made))
            passed = self.raw.monotonic() - begun
            if is_admitted(status):
                return passed
            if passed >= longest:
                return None
            self.raw.wait(0.5)

    def attach_and_reach(self) -> Made:
        """A key that the deployment admits, while it refuses one that is made up. Raises CannotAsk without that."""
        made = self.make_lasting()
        self.attach(made)
        self.reach(made)
        return made

    def reach(self, made: Made) -> None:
        """Wait until the deployment admits a key and refuses one that is made up. Raises CannotAsk if it does not."""
        begun = self.raw.monotonic()
        while (refused := self.call(key=self.made_up())) != 401 or not is_admitted(self.call(key=secret_of(made))):
            if self.raw.monotonic() - begun > max(90.0, min(self.patience, 300.0)):
                raise CannotAsk(f"the deployment does not tell a key from a made-up one: a made-up one gets {refused}")
            self.raw.wait(1.0)

    def made_up(self) -> str:
        """What looks like a key and is none."""
        return f"not-a-key-{self.run}"


def is_admitted(status: int) -> bool:
    """Whether an endpoint's status means that the key was taken: the request went beyond it."""
    return 200 <= status < 300 or status in (400, 404, 405, 422)


def secret_of(made: Made) -> str:
    """A key's secret, for a request's header. Raises CannotAsk where no header can hold it."""
    value = made.secret.reveal() if made.secret else ""
    if not (value and value.isascii() and value.isprintable() and value == value.strip()):
        raise CannotAsk("no request can hold the secret")
    return value


def task_ids(said: Said) -> list[str]:
    """The tasks of a write."""
    tasks = said.fields.get("tasks")
    found = tasks if isinstance(tasks, list) else []
    return [each for each in found if isinstance(each, str) and re.fullmatch(r"[A-Za-z0-9-]{1,80}", each)][:10]


def _has(endpoint: Endpoint, keys: Sequence[Made]) -> bool:
    return {made.link for made in keys} <= set(endpoint.listed)
