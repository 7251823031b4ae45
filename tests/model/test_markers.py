"""The marker in a live key's description: each form is read back as it was written, or as nobody's."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.edits import BREAKING, HARMLESS, WIPING

from reconciler.model import (
    FORM,
    LAST_GENERATION,
    LONGEST_TEXT,
    Identity,
    Ownership,
    Phase,
    compose_description,
    digest,
    generation_name,
    human_text,
    number_in_name,
    read_claim,
    read_description,
    read_identity,
)
from reconciler.model.ownership import LONGEST_DESCRIPTION

SINCE = datetime(2026, 11, 21, 10, tzinfo=UTC)
OWN = Ownership("prod", "payments", 2, Phase.PUBLISHED, SINCE)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
DIGESTS = st.one_of(st.just(""), st.from_regex(r"[0-9a-f]{8}", fullmatch=True))


@st.composite
def ownerships(draw: st.DrawFn) -> Ownership:
    """Any marker that this version writes: what is pending was neither published nor adopted."""
    own = Ownership(
        draw(NAMES),
        draw(NAMES),
        draw(st.integers(1, LAST_GENERATION)),
        draw(st.sampled_from(list(Phase))),
        draw(st.datetimes(timezones=st.just(UTC))).replace(microsecond=0),
        draw(st.booleans()),
        *(draw(DIGESTS) for _ in range(3)),
        keeps_expiry=draw(st.booleans()),
    )
    return replace(own, published_to="", named="") if own.phase is Phase.PENDING else own


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
    own = replace(own, keeps_expiry=True)
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


MARKED = compose_description("Checkout", OWN)
AROUND = st.text(st.characters(exclude_characters="[({<&%\\\uff3b\u3010\u27e6"), max_size=40)


@given(ownerships(), AROUND, AROUND)
def test_a_marker_is_read_wherever_it_stands(own: Ownership, before: str, after: str) -> None:
    """What is before it and behind it is the human text."""
    text = " ".join(filter(None, (before.strip(), after.strip())))
    assert read_description(f"{before}{own.marker()}{after}") == (text, own)
    assert read_description(f"{before}\n{own.marker().replace(' ', chr(10))}\n{after}") == (text, own)


@pytest.mark.parametrize("edit", HARMLESS)
def test_what_people_add_leaves_a_marker_readable(edit: str) -> None:
    text, own = read_description(HARMLESS[edit](MARKED))
    assert own == OWN
    assert text == ("ask Checkout Bob" if "around" in edit and "note" in edit else text)
    assert compose_description(text, OWN).endswith("]")


@pytest.mark.parametrize("edit", BREAKING)
def test_what_is_left_of_a_marker_is_a_claim(edit: str) -> None:
    description = BREAKING[edit](MARKED)
    assert read_description(description) == (description, None)
    assert read_claim(description) in ("prod", "")
    text = human_text(description)
    assert read_description(compose_description(text, OWN)) == (text, OWN), "it can be adopted"


@pytest.mark.parametrize("edit", WIPING)
def test_where_nothing_is_left_there_is_no_claim(edit: str) -> None:
    assert read_claim(WIPING[edit](MARKED)) is None


@pytest.mark.parametrize(
    ("edit", "identity"),
    [
        ("a phase of a later version", Identity("prod", "payments", 2)),
        ("another form", Identity("prod", "payments", 2)),
        ("capitals", Identity("prod", "payments", 2)),
        ("twice", Identity("prod", "payments", 2)),
        ("cut off in the middle", Identity("prod", "payments", 2)),
        ("cut off at the stack", Identity()),
        ("without its beginning", Identity()),
    ],
)
def test_what_can_be_read_of_a_broken_marker(edit: str, identity: Identity) -> None:
    assert read_identity(BREAKING[edit](MARKED)) == identity


def test_two_markers_that_differ_say_nothing_but_the_stack() -> None:
    assert read_identity(f"{MARKED} {replace(OWN, generation=3).marker()}") == Identity("prod")
    assert read_identity(f"{MARKED} {replace(OWN, stack='other').marker()}") == Identity()


def test_a_text_that_is_nobodys_marker_is_a_text() -> None:
    for text in ("keyform is not used here", "see docs/keyform", "[keyformat] x", "k [k8s]", "team [key users]"):
        assert read_claim(text) is None
        assert read_description(compose_description(text, OWN)) == (text, OWN)


def test_an_expiry_that_is_kept_is_told_in_a_word() -> None:
    kept = replace(OWN, keeps_expiry=True, protected=True)
    assert kept.marker() == "[keyform 2 prod/payments g2 published 2026-11-21T10:00:00Z protected exp]"
    assert read_description(kept.marker()) == ("", kept)


@pytest.mark.parametrize(
    ("live_name", "number"),
    [
        ("payments", 1),
        ("payments-g2", 2),
        ("payments-g99999", 99_999),
        ("payments-g1", None),
        ("payments-g02", None),
        ("payments-g100000", None),
        ("payments-g2-g3", None),
        ("payment", None),
        ("my-payments", None),
    ],
)
def test_the_number_in_a_live_name(live_name: str, number: int | None) -> None:
    assert number_in_name("payments", live_name) == number
