"""The marker at the end of a live key's description: each form is read back as it was written, or as nobody's."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import (
    FORM,
    LAST_GENERATION,
    LONGEST_TEXT,
    Ownership,
    Phase,
    compose_description,
    digest,
    generation_name,
    read_claim,
    read_description,
)
from reconciler.model.ownership import LONGEST_DESCRIPTION

SINCE = datetime(2026, 11, 21, 10, tzinfo=UTC)
OWN = Ownership("prod", "payments", 2, Phase.PUBLISHED, SINCE)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
DIGESTS = st.one_of(st.just(""), st.from_regex(r"[0-9a-f]{8}", fullmatch=True))


@st.composite
def ownerships(draw: st.DrawFn) -> Ownership:
    """Any marker that this version writes."""
    return Ownership(
        draw(NAMES),
        draw(NAMES),
        draw(st.integers(1, LAST_GENERATION)),
        draw(st.sampled_from(list(Phase))),
        draw(st.datetimes(timezones=st.just(UTC))).replace(microsecond=0),
        draw(st.booleans()),
        *(draw(DIGESTS) for _ in range(3)),
    )


@given(ownerships(), st.text(st.characters(codec="ascii", exclude_characters="[\n\r"), max_size=LONGEST_TEXT))
def test_what_is_written_is_read_back(own: Ownership, text: str) -> None:
    text = text.strip()
    assert read_description(compose_description(text, own)) == (text, own)


@st.composite
def later_markers(draw: st.DrawFn) -> str:
    """A marker as a later version may write it: of a higher form, or with words that this one does not know."""
    marker = draw(ownerships()).marker()
    if draw(st.booleans()):
        return marker.replace(f"[keyform {FORM} ", f"[keyform {draw(st.integers(FORM + 1, 999_999))} ")
    spaces = [at for at, character in enumerate(marker) if character == " "][2:]
    at = draw(st.sampled_from([*spaces, len(marker) - 1]))
    return f"{marker[:at]} {draw(st.sampled_from(['shared', 'to=zzzzzzzz', 'x=00000000', 'g7']))}{marker[at:]}"


@given(later_markers())
def test_what_a_later_version_writes_is_a_claim_and_never_foreign(marker: str) -> None:
    """Whatever it adds, wherever: it is not read, and says whose it is, so that the key is held up."""
    assert read_description(f"text {marker}")[1] is None
    assert read_claim(f"text {marker}")


@pytest.mark.parametrize(
    ("description", "stack"),
    [
        ("[keyform 3 prod/payments g2 published 2026-11-21T10:00:00Z]", "prod"),
        ("text [keyform 2 prod/payments g2 shared 2026-11-21T10:00:00Z]", "prod"),
        ("[keyform 2 prod/payments g2 published 2026-11-21T10:00:00Z as=00000000 to=00000000]", "prod"),
        ("[keyform prod/payments g2 published 2026-11-21T10:00:00Z to=00000000]", "prod"),
        ("[keyform {}]", ""),
        ("made with keyform 2", None),
        ("held by ci since 2026-11-21T10:00:00Z [keyform-lock 8f3a]", None),
        ("", None),
    ],
    ids=["later", "phase", "order", "old-with-more", "nothing-readable", "no-marker", "lock", "empty"],
)
def test_whose_a_broken_marker_seems_to_be(description: str, stack: str | None) -> None:
    assert read_description(description)[1] is None
    assert read_claim(description) == stack


def test_the_first_form_is_read_and_written_in_todays() -> None:
    text, old = read_description("Checkout [keyform prod/payments g2 published 2026-11-21T10:00:00Z protected]")
    assert (text, old) == ("Checkout", replace(OWN, protected=True, form=1))
    assert old is not None
    written = compose_description(text, old.on("payments-g2"))
    assert written == f"Checkout [keyform {FORM} prod/payments g2 published 2026-11-21T10:00:00Z protected]"


def test_the_longest_marker_leaves_room_for_the_longest_text() -> None:
    own = Ownership("s" * 40, "k" * 56, LAST_GENERATION, Phase.PUBLISHED, SINCE, True, "a" * 8, "b" * 8, "c" * 8)
    assert len(compose_description("x" * LONGEST_TEXT, own)) <= LONGEST_DESCRIPTION
    assert len(generation_name("k" * 56, LAST_GENERATION)) == 63


def test_a_live_name_that_does_not_follow_is_told_by_its_digest() -> None:
    assert OWN.on("payments-g2").named == ""
    assert OWN.on("portal-made").named == digest(["portal-made"])
    assert replace(OWN, named="12345678").on("payments-g2").named == ""


def test_a_digest_is_of_a_set() -> None:
    assert digest(["a", "b"]) == digest(["b", "a", "a"])
    assert digest(["a", "b"]) != digest(["ab"])
    assert digest(["a"]) != digest(["b"])
