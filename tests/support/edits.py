"""What people, and tools that they use, make of a description with a marker in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from reconciler.model import Identity, LiveKey, is_written_behind, read_description, read_identity

Edit = Callable[[str], str]


def _marker(text: str) -> str:
    return text[text.index("[keyform") :]


def _within(change: Edit) -> Edit:
    """A change of the marker alone."""
    return lambda text: text.replace(_marker(text), change(_marker(text)))


HARMLESS: dict[str, Edit] = {
    "a note behind": lambda text: f"{text} ask Bob",
    "a note right behind": lambda text: f"{text}ask Bob",
    "a note in front": lambda text: f"ask Bob {text}",
    "a note around": lambda text: f"ask {text} Bob",
    "a note on a line of its own": lambda text: f"{text}\n\nask Bob\n",
    "the marker first": lambda text: f"{_marker(text)} {text.replace(_marker(text), '')}",
    "spaces around": lambda text: f"  {text}  ",
    "two spaces": _within(lambda marker: marker.replace(" ", "  ")),
    "a line break": _within(lambda marker: marker.replace(" g", "\ng")),
    "a space that does not break": _within(lambda marker: marker.replace(" published", "\u00a0published")),
    "a tab": _within(lambda marker: marker.replace(" ", "\t")),
}
"""The marker is still read."""
BREAKING: dict[str, Edit] = {
    "round brackets": _within(lambda marker: marker.replace("[", "(").replace("]", ")")),
    "no brackets": _within(lambda marker: marker.strip("[]")),
    "brackets escaped": _within(lambda marker: marker.replace("[", "&#91;").replace("]", "&#93;")),
    "brackets by name": _within(lambda marker: marker.replace("[", "&lbrack;").replace("]", "&rbrack;")),
    "wide brackets": _within(lambda marker: marker.replace("[", "\uff3b").replace("]", "\uff3d")),
    "capitals": _within(str.upper),
    "the first letter": _within(lambda marker: marker.replace("keyform", "Keyform")),
    "in quotes": _within(lambda marker: marker.replace("[", '["').replace("]", '"]')),
    "cut off in the middle": lambda text: text[: text.index(" published") + 6],
    "cut off at the stack": lambda text: text[: text.index("[keyform") + 12],
    "cut off at the head": lambda text: text[: text.index("[keyform") + 5],
    "without its end": lambda text: text.removesuffix("]"),
    "without its end, and a note": lambda text: text.removesuffix("]") + " ask Bob",
    "without its beginning": lambda text: text[text.index(" g") :],
    "a note within": _within(lambda marker: marker.replace(" published", " ask Bob published")),
    "twice": lambda text: f"{text} {_marker(text)}",
    "twice, once broken": lambda text: f"{text} {_marker(text).removesuffix(']')}",
    "another form": _within(lambda marker: marker.replace("keyform 2", "keyform 3")),
    "a phase of a later version": _within(lambda marker: marker.replace("published", "archived")),
    "a word of a later version": _within(lambda marker: marker.replace("]", " shared]")),
    "no date": _within(lambda marker: marker.replace("Z", "")),
}
"""Something is left that looks like a marker, and it cannot be read."""
WIPING: dict[str, Edit] = {
    "replaced": lambda _: "ask Bob",
    "emptied": lambda _: "",
    "spaces": lambda _: "  ",
    "a line": lambda _: "ask Bob\nbefore you touch it",
}
"""Nothing is left of it."""
EDITS = {**HARMLESS, **BREAKING, **WIPING}


def described(live: LiveKey, description: str) -> LiveKey:
    """A live key with another description, as the client reads it."""
    text, ownership = read_description(description)
    claim = read_identity(description) if ownership is None else None
    claimed_by, identity = (claim.stack, claim) if claim else (None, Identity())
    has_addition = is_written_behind(description)
    return replace(
        live, text=text, ownership=ownership, claimed_by=claimed_by, identity=identity, has_addition=has_addition
    )


@st.composite
def edits(draw: st.DrawFn, text: str) -> str:
    """A description that somebody may make of this one: by one of the edits, or by overwriting any part of it."""
    if draw(st.booleans()):
        return draw(st.sampled_from(sorted(EDITS.items())))[1](text)
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, len(text)))
    typed = draw(
        st.one_of(st.just(""), st.text(max_size=12), st.sampled_from(["ask Bob", "[", "]", " ", "\n", "prod"]))
    )
    return text[:start] + typed + text[end:]
