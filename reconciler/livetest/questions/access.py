"""Who is let in to the API, and what those hear who are not. Reads only."""

from __future__ import annotations

from reconciler.livetest.bench import Bench, CannotAsk
from reconciler.livetest.question import Question, Sight, Sights, left_open


def ask_scheme(bench: Bench) -> Sights:
    """Write the word before the token as the published document does."""
    said = bench.raw.get_as_lower_case(bench.form.keys_path, **bench.form.query(), limit=1)
    if said.is_ok:
        yield Sight("auth_scheme", "any_case", f"`apikey` is answered by {said}")
    elif said.status == 401:
        yield Sight("auth_scheme", "as_the_sdk", f"`apikey` is answered by {said}, `APIKey` is taken")
    else:
        raise CannotAsk(f"a GET with `apikey` before the token was answered by {said}")


def ask_unauthorized(bench: Bench) -> Sights:
    """Show a token that is made up."""
    token = f"not-a-token-{bench.run}"
    said = bench.raw.get_with(f"APIKey {token}", bench.form.keys_path, **bench.form.query(), limit=1)
    if said.status != 401:
        raise CannotAsk(f"a made-up token was answered by {said}")
    bench.note("an error", said.fields)
    text = repr(said.payload)
    if token in text:
        yield Sight("unauthorized", "echoes_token", f"{said}: it repeats the whole token")
    elif "exception_class" in said.fields:
        part = "a part" if token[: len(token) // 3] in text else "nothing"
        yield Sight("unauthorized", "documented", f"{said}: it repeats {part} of the token")
    elif {"code", "message"} <= said.fields.keys():
        yield Sight("unauthorized", "code_and_message", str(said))
    else:
        yield Sight("unauthorized", None, str(said))


def ask_foreign_project(bench: Bench) -> Sights:
    """List the keys of a project that the token has no part in."""
    if bench.foreign_project is None:
        reason = "it needs a project that exists and that the token has no part in: give --foreign-project ID"
        yield left_open("foreign_project", reason)
        return
    path, query = bench.form.of_project(bench.foreign_project)
    said = bench.raw.get(path, **query, limit=1)
    if said.status == 403:
        yield Sight("foreign_project", "forbidden", f"GET {said}")
    elif said.status == 404:
        yield Sight("foreign_project", "not_found", f"GET {said}")
    else:
        raise CannotAsk(f"a GET in the other project was answered by {said}")


QUESTIONS = (
    Question(
        name="scheme",
        asks="GET a list with `apikey` before the token",
        modes={"auth_scheme": ("any_case", "as_the_sdk")},
        ask=ask_scheme,
        makes_keys=False,
    ),
    Question(
        name="made-up token",
        asks="GET a list with a made-up token",
        modes={"unauthorized": ("documented", "code_and_message", "echoes_token")},
        ask=ask_unauthorized,
        makes_keys=False,
    ),
    Question(
        name="other project",
        asks="GET the keys of a project that the token has no part in",
        modes={"foreign_project": ("forbidden", "not_found")},
        ask=ask_foreign_project,
        makes_keys=False,
    ),
)
