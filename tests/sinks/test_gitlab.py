"""Variables of GitLab: settings, hidden ones, scopes, groups, what versions of it ignore, and what refusals say."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sinks import gitlab_server as server
from sinks.gitlab_server import Gitlab, Held
from sinks.places import KEY, GitlabPlace
from sinks.stage import CANARY, STACK, record
from support.fuzzing import fuzz
from support.http_fakes import ScriptedEffects

from reconciler.errors import SinkError
from reconciler.model import ForeignRecord, Repair, Secret, SinkSettings
from reconciler.sinks.gitlab_ci import SINK
from reconciler.sinks.protocol import HeldSecret
from reconciler.sinks.store import ATTEMPTS

NAME = GitlabPlace.name
DOLLARS = "a$HOME-b${PATH}c$$d%e"
Act = Callable[[], object]


@pytest.fixture
def place(gitlab: Gitlab) -> GitlabPlace:
    return GitlabPlace(gitlab)


def held(gitlab: Gitlab, scope: str = "*", where: str = "projects") -> Held:
    found = gitlab.find(NAME, scope, where)
    assert found is not None
    return found


def refused(act: Act, *, is_known: bool = True) -> SinkError:
    """The error; neither a secret nor a token is in any trace of it."""
    with pytest.raises(SinkError) as caught:
        act()
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.diagnostics()
    assert CANARY not in shown
    assert server.TOKEN not in shown
    assert caught.value.way_out
    assert caught.value.effect_is_unknown is not is_known
    return caught.value


# --- How GitLab keeps it ----------------------------------------------------------------------------------------------


def test_a_variable_is_protected_masked_and_raw_unless_the_file_says_otherwise(place: GitlabPlace) -> None:
    place.open(masked=True).write(record(KEY), Secret(CANARY))
    found = held(place.gitlab)
    assert (found.protected, found.masked, found.raw, found.hidden, found.environment_scope) == (
        *(True, True, True, False),
        "*",
    )
    assert place.gitlab.job(is_protected=False) == {}
    place.gitlab.reset()
    place.open(protected=False, masked=False).write(record(KEY), Secret(CANARY))
    assert (held(place.gitlab).protected, held(place.gitlab).masked) == (False, False)
    assert place.gitlab.job(is_protected=False) == {NAME: CANARY}


@pytest.mark.parametrize("masked", [True, False])
def test_dollars_in_a_secret_reach_jobs_unchanged(*, place: GitlabPlace, masked: bool) -> None:
    for generation in (1, 2):
        place.open(masked=masked).write(record(KEY, generation), Secret(f"{DOLLARS}{generation}"))
        assert place.secret() == f"{DOLLARS}{generation}"


def test_the_description_is_the_record_and_names_the_generation_without_the_secret(place: GitlabPlace) -> None:
    place.open().write(record(KEY, 2), Secret(CANARY))
    words, _, check = place.record().rpartition(" check=")
    assert words == f"keyform 2 {STACK}/{KEY} g2 {KEY}-g2 2026-11-21T10:00:00Z api.gcore.com/1234"
    assert len(check) == 8
    assert check not in CANARY


@pytest.mark.parametrize("secret", ["short", "with a space", "no\tbreak", "seven77"])
def test_what_gitlab_cannot_mask_is_refused_before_it_is_sent(place: GitlabPlace, secret: str) -> None:
    error = refused(lambda: place.open(masked=True).write(record(KEY), Secret(secret)))
    assert "GitLab cannot mask the secret of payments-api" in error.message
    assert place.gitlab.log == ["GET"]


def test_a_value_edited_by_hand_is_not_held_although_its_description_stays(place: GitlabPlace) -> None:
    place.open().write(record(KEY), Secret(CANARY))
    place.gitlab.edit(NAME, value="edited-by-hand")
    sink = place.open()
    assert (sink.read([KEY]), sink.read_one(KEY), sink.read_secrets([KEY])) == ({}, None, {})
    sink.write(record(KEY, 2), Secret("the-next-one"))
    assert place.secret() == "the-next-one"


def test_settings_changed_by_hand_are_a_repair_that_sends_no_value(place: GitlabPlace) -> None:
    place.open(masked=True).write(record(KEY), Secret(DOLLARS))
    place.gitlab.edit(NAME, protected=False, masked=False, raw=False, variable_type="file")
    sink = place.open(masked=True)
    assert sink.read([KEY]) == {KEY: record(KEY)}
    (repair,) = sink.repairs
    assert isinstance(repair, Repair)
    assert repair.sentence == (
        f"the variable {NAME} differs: it is protected in the file and is masked in the file and is raw in the file "
        "and is of the type `env_var` in the file; an apply corrects it"
    )
    assert sink.exposure == ""
    place.gitlab.bodies.clear()
    sink.tidy()
    assert place.gitlab.bodies == [
        None,
        {"protected": True, "masked": True, "raw": True, "variable_type": "env_var"},
    ]
    assert place.secret() == DOLLARS
    sink = place.open(masked=True)
    sink.read([KEY])
    assert sink.repairs == ()


def test_a_variable_that_an_apply_opens_to_more_people_is_an_exposure(place: GitlabPlace) -> None:
    place.open(masked=True).write(record(KEY), Secret(CANARY))
    sink = place.open(protected=False, masked=False)
    sink.read([KEY])
    assert sink.exposure == f"sink lab: the variable {NAME} will no longer be protected and masked"
    sink.tidy()
    sink.read([KEY])
    assert (sink.exposure, sink.repairs) == ("", ())


# --- Hidden -----------------------------------------------------------------------------------------------------------


def test_a_hidden_variable_is_written_again_and_never_read(place: GitlabPlace) -> None:
    opened = place.open(hidden=True)
    for generation in (1, 1, 2):
        opened.write(record(KEY, generation), Secret(CANARY))
        assert opened.read_one(KEY) == record(KEY, generation)
        assert place.secret() == CANARY
    assert (held(place.gitlab).hidden, held(place.gitlab).masked) == (True, True)
    assert "check=" not in place.record()
    assert not opened.traits.reads_secrets
    assert opened.read_secrets([KEY]) == {}
    opened.release(KEY)
    assert place.secret() == CANARY
    assert "released.inference-prod/" in place.record()


def test_a_hidden_variable_stays_so_where_the_file_no_longer_says_it(place: GitlabPlace) -> None:
    place.open(hidden=True).write(record(KEY), Secret(CANARY))
    sink = place.open(masked=False)
    assert (sink.read([KEY]), sink.repairs, sink.exposure) == ({KEY: record(KEY)}, (), "")
    sink.write(record(KEY, 2), Secret("the-next-one"))
    assert (place.secret(), held(place.gitlab).hidden) == ("the-next-one", True)
    assert sink.read_secrets([KEY]) == {}


def test_a_variable_that_is_not_hidden_cannot_become_it_and_is_refused_before_a_key_is_made(place: GitlabPlace) -> None:
    place.open().write(record(KEY), Secret(CANARY))
    sink = place.open(hidden=True)
    sink.read([KEY])
    assert sink.exposure == (
        f"sink lab: the variable {NAME} is not hidden, and GitLab hides only new ones: remove it by hand"
    )
    for act in (lambda: sink.probe([KEY]), lambda: sink.write(record(KEY, 2), Secret("the-next-one"))):
        assert "is not hidden, and GitLab hides only new ones" in refused(act).message
    assert place.secret() == CANARY
    sink.remove(KEY)
    sink.write(record(KEY, 2), Secret("the-next-one"))
    assert held(place.gitlab).hidden


def test_an_answer_that_is_lost_after_a_hidden_write_is_made_up_for(place: GitlabPlace) -> None:
    place.gitlab.troubles = ["", "lost"]
    place.open(hidden=True).write(record(KEY), Secret(CANARY))
    assert place.secret() == CANARY
    assert place.gitlab.log == ["GET", "POST lost", "GET", "PUT"]


# --- Scopes and groups ------------------------------------------------------------------------------------------------


def test_each_environment_has_its_own_variable(place: GitlabPlace) -> None:
    for scope in ("*", "prod", "review/*"):
        place.open(environment_scope=scope).write(record(KEY), Secret(f"secret-for-{scope}"))
    assert place.gitlab.job("prod")[NAME] == "secret-for-prod"
    assert place.gitlab.job("review/7")[NAME] == "secret-for-review/*"
    assert place.gitlab.job("test")[NAME] == "secret-for-*"
    place.open(environment_scope="prod").remove(KEY)
    assert place.gitlab.job("prod")[NAME] == "secret-for-*"
    assert place.open(environment_scope="prod").read([KEY]) == {}
    assert place.open().read([KEY]) == {KEY: record(KEY)}


def test_anothers_variable_of_another_environment_is_left_alone(place: GitlabPlace) -> None:
    place.plant_foreign("theirs")
    place.open(environment_scope="prod").write(record(KEY), Secret(CANARY))
    assert (place.gitlab.job("prod")[NAME], place.gitlab.job("test")[NAME]) == (CANARY, "theirs")
    place.open(environment_scope="prod").remove(KEY)
    assert place.gitlab.job("prod")[NAME] == "theirs"


def test_a_group_gives_its_variable_to_its_projects(place: GitlabPlace) -> None:
    sink = place.open(group="group", environment_scope="prod")
    sink.rehearse([KEY])
    sink.write(record(KEY), Secret(CANARY))
    assert sink.read([KEY]) == {KEY: record(KEY)}
    assert sink.read_secrets([KEY]) == {KEY: HeldSecret(record(KEY), Secret(CANARY))}
    assert place.gitlab.job("prod") == {NAME: CANARY}
    sink.remove(KEY)
    assert place.gitlab.variables["groups"] == []


def test_a_group_without_premium_ignores_environments_which_is_found_before_a_key_is_made(place: GitlabPlace) -> None:
    place.gitlab.has_premium = False
    sink = place.open(group="group", environment_scope="prod")
    error = refused(lambda: sink.rehearse([KEY]))
    assert error.message == "sink lab: GitLab ignores environments in the group group"
    assert place.gitlab.variables["groups"] == []
    refused(lambda: sink.write(record(KEY), Secret(CANARY)))
    assert place.gitlab.variables["groups"] == [], "what would reach all environments is removed again"
    place.gitlab.variables["groups"] = [Held(NAME, "theirs")]
    refused(lambda: sink.read([KEY]))
    everywhere = place.open(group="group")
    everywhere.rehearse(["other"])
    assert everywhere.read(["other"]) == {}


# --- Whose ------------------------------------------------------------------------------------------------------------


def test_the_keys_that_the_file_no_longer_names_are_found_on_all_pages(place: GitlabPlace) -> None:
    place.gitlab.page = 2
    for number in range(5):
        place.gitlab.variables["projects"].append(Held(f"OTHER_{number}", "theirs"))
        place.open().write(record(f"key-{number}"), Secret(CANARY))
    place.open(stack="other").write(record("theirs", stack="other"), Secret(CANARY))
    place.open(environment_scope="prod").write(record("elsewhere"), Secret(CANARY))
    assert place.open().read([]) == {f"key-{number}": record(f"key-{number}") for number in range(5)}


def test_a_hundred_variables_take_one_request_to_read(place: GitlabPlace) -> None:
    keys = [f"key-{number}" for number in range(100)]
    for key in keys:
        place.open().write(record(key), Secret(CANARY))
    place.gitlab.log.clear()
    assert place.open().read(keys).keys() == {*keys}
    assert place.gitlab.log == ["GET"]


def test_a_variable_that_pages_of_a_list_miss_is_asked_for_by_itself(place: GitlabPlace) -> None:
    place.open().write(record(KEY), Secret(CANARY))
    place.gitlab.page = 0
    assert place.open().read([KEY]) == {KEY: record(KEY)}


def test_a_description_that_somebody_copied_to_another_variable_is_not_a_record(place: GitlabPlace) -> None:
    place.open().write(record(KEY), Secret(CANARY))
    place.gitlab.variables["projects"].append(Held("OTHER_KEY", "theirs", place.record()))
    sink = place.open()
    assert sink.read(["other"]).keys() == {KEY, "other"}
    assert isinstance(sink.read(["other"])["other"], ForeignRecord)
    refused(lambda: sink.write(record("other"), Secret("ours-and-new")))


@pytest.mark.parametrize(
    "description", [None, "", "by hand", "keyform", "keyform 2 x", "keyform x/y", "\nkeyform 2", "keyform " * 30]
)
def test_a_description_without_a_record_is_somebody_elses(place: GitlabPlace, description: str | None) -> None:
    place.gitlab.variables["projects"].append(Held(NAME, "theirs", description))
    refused(lambda: place.open().write(record(KEY), Secret(CANARY)))
    place.open().remove(KEY)
    assert place.secret() == "theirs"


def test_a_damaged_record_of_ours_is_not_held_and_is_written_again(place: GitlabPlace) -> None:
    place.open().write(record(KEY), Secret("abc"))
    for damaged in (place.record().replace(" g1 ", " g0 "), f"keyform 2 {STACK}/{KEY}", f"{place.record()} and more"):
        place.gitlab.edit(NAME, description=damaged)
        assert place.open().read([KEY]) == {}
        place.open().write(record(KEY), Secret("abc"))
        assert place.open().read([KEY]) == {KEY: record(KEY)}


def test_a_record_that_is_too_long_for_a_description_is_refused_before_a_key_is_made(place: GitlabPlace) -> None:
    sink = place.open()
    sink._owner = replace(sink._owner, api="a" * 200)
    for act in (
        lambda: sink.probe([KEY]),
        lambda: sink.write(replace(record(KEY), api="a" * 200), Secret(CANARY)),
    ):
        assert "does not fit into a description" in refused(act).message
    assert place.gitlab.variables["projects"] == []


def test_the_longest_names_fit(place: GitlabPlace) -> None:
    key, stack = "k" * 56, "s" * 40
    project = 10**18 - 1
    for api in ("api.gcore.com", "api.gcore-of-a-name.example.org"):
        place.gitlab.reset()
        made = replace(record(key, 999, stack=stack, project=project), api=api)
        sink = place.open(stack=stack, project=project)
        sink._owner = replace(sink._owner, api=api)
        sink.probe([key])
        sink.write(made, Secret(CANARY))
        assert sink.read_one(key) == made
        (found,) = place.gitlab.variables["projects"]
        assert found.description is not None
        assert ("check=" in found.description) == (api == "api.gcore.com"), "it gives way to the record"
        sink.release(key)
        assert sink.read_one(key) is None


# --- Somebody else, at the same time ----------------------------------------------------------------------------------


def test_a_variable_that_appears_meanwhile_is_not_overwritten(place: GitlabPlace) -> None:
    place.gitlab.troubles = ["", "raced: theirs"]
    error = refused(lambda: place.open().write(record(KEY), Secret(CANARY)))
    assert error.message == f"sink lab: the variable {NAME} has no keyform record"
    assert place.secret() == "theirs"


def test_a_variable_that_disappears_meanwhile_is_made_again(place: GitlabPlace) -> None:
    place.open().write(record(KEY), Secret("old"))
    place.gitlab.troubles, place.gitlab.log = ["", "raced: removed"], []
    place.open().write(record(KEY, 2), Secret(CANARY))
    assert place.gitlab.log == ["GET", "PUT raced: removed", "GET", "POST"]
    assert place.secret() == CANARY


def test_a_removal_whose_answer_is_lost_is_done(place: GitlabPlace) -> None:
    place.open().write(record(KEY), Secret("old"))
    place.gitlab.troubles, place.gitlab.log = ["", "lost"], []
    place.open().remove(KEY)
    assert (place.secret(), place.gitlab.log) == (None, ["GET", "DELETE lost", "GET"])


def test_a_gitlab_that_asks_for_fewer_requests_is_waited_for(place: GitlabPlace) -> None:
    place.gitlab.troubles, place.gitlab.retry_after = ["429", "", "429"], "9"
    place.open().write(record(KEY), Secret(CANARY))
    assert place.gitlab.log == ["GET 429", "GET", "POST 429", "GET", "POST"]


def test_a_gitlab_that_never_answers_a_write_leaves_its_effect_unknown(place: GitlabPlace) -> None:
    place.gitlab.troubles = ["", "unheard"] * ATTEMPTS
    error = refused(lambda: place.open().write(record(KEY), Secret(CANARY)), is_known=False)
    assert f"GitLab could not be reached to create the variable {NAME}" in error.message


# --- The rehearsal ----------------------------------------------------------------------------------------------------


def test_a_rehearsal_leaves_nothing_and_needs_no_secret(place: GitlabPlace) -> None:
    for options in ({}, {"hidden": True}, {"masked": True}, {"environment_scope": "prod"}):
        place.gitlab.log.clear()
        place.gitlab.bodies.clear()
        place.open(**options).rehearse([KEY])
        assert place.gitlab.log == ["GET", "POST", "DELETE"]
        assert place.gitlab.bodies[1]["key"] == "KEYFORM_REHEARSAL_INFERENCE_PROD"
        assert place.gitlab.variables["projects"] == []


def test_a_rehearsal_clears_away_what_a_run_left_that_died_in_one(place: GitlabPlace) -> None:
    place.gitlab.variables["projects"].append(Held("KEYFORM_REHEARSAL_INFERENCE_PROD", "anything"))
    place.open().rehearse([KEY])
    assert place.gitlab.variables["projects"] == []


def test_where_no_variable_is_new_one_is_described_as_it_is(place: GitlabPlace) -> None:
    place.open().write(record(KEY), Secret(CANARY))
    before = held(place.gitlab)
    place.gitlab.log.clear()
    place.gitlab.limits["projects"] = 1
    place.open().rehearse([KEY])
    assert place.gitlab.log == ["GET", "PUT"]
    assert place.gitlab.bodies[-1] == {"description": before.description}
    assert held(place.gitlab) == before
    assert "the scope `api`" in refused(lambda: place.open(token=server.READER).rehearse([KEY])).way_out


def test_nothing_is_rehearsed_where_records_are_only_removed(place: GitlabPlace) -> None:
    place.open().rehearse([])
    assert place.gitlab.log == []


@pytest.mark.parametrize("ignored", ["raw", "description", "masked_and_hidden"])
def test_a_version_that_ignores_a_setting_is_found_before_a_key_is_made(place: GitlabPlace, ignored: str) -> None:
    place.gitlab.ignored = {ignored}
    hides = ignored == "masked_and_hidden"
    error = refused(lambda: place.open(hidden=hides).rehearse([KEY]))
    assert "saved the variable KEYFORM_REHEARSAL_INFERENCE_PROD with other settings" in error.message
    assert "GitLab is 16.2 or later" in error.way_out
    refused(lambda: place.open(hidden=hides).write(record(KEY), Secret(CANARY)))
    assert place.gitlab.variables["projects"] == []


def test_a_version_that_masks_no_dollars_is_found_before_a_key_is_made(place: GitlabPlace) -> None:
    place.gitlab.ignored = {"raw"}
    assert "answered with status 400" in refused(lambda: place.open(masked=True).rehearse([KEY])).message
    assert place.gitlab.variables["projects"] == []


def test_a_project_that_is_full_is_found_before_a_key_is_made(place: GitlabPlace) -> None:
    place.gitlab.variables["projects"] = [Held(f"VARIABLE_{number}", "theirs") for number in range(8000)]
    error = refused(lambda: place.open().rehearse([KEY]))
    assert "Maximum number of project ci variables (8000) exceeded" in error.message
    assert error.way_out.startswith("Remove variables that nothing uses")


# --- Tokens and places ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "message", "way_out"),
    [
        (server.EXPIRED, "answered with status 401", "Set GITLAB_TOKEN to one that has not expired"),
        (server.JOB, "answered with status 401", "Set GITLAB_TOKEN to one that has not expired"),
        (server.DEVELOPER, "answered with status 403", "the role Maintainer in the project group/app"),
        (server.STRANGER, "GitLab has no project group/app, or does not show it", "Check `project`"),
        ("", "GITLAB_TOKEN is not set", "Set it where keyform runs"),
    ],
)
def test_a_token_that_will_not_do_is_told_when_it_reads(
    place: GitlabPlace, token: str, message: str, way_out: str
) -> None:
    for act in (
        lambda: place.open(token=token).read([KEY]),
        lambda: place.open(token=token).probe([KEY]),
        lambda: place.open(token=token).probe([]),
        lambda: place.open(token=token).rehearse([KEY]),
        lambda: place.open(token=token).write(record(KEY), Secret(CANARY)),
        lambda: place.open(token=token).remove(KEY),
    ):
        error = refused(act)
        assert message in error.message
        assert way_out in error.way_out
    assert place.gitlab.variables["projects"] == []


def test_a_token_that_may_only_read_plans_and_does_not_rehearse(place: GitlabPlace) -> None:
    place.open().write(record(KEY), Secret(CANARY))
    reader = place.open(token=server.READER)
    assert reader.read([KEY]) == {KEY: record(KEY)}
    reader.probe([KEY, "another"])
    assert reader.read_secrets([KEY])[KEY].secret == Secret(CANARY)
    for act in (
        lambda: reader.rehearse(["another"]),
        lambda: reader.write(record(KEY, 2), Secret("the-next-one")),
        lambda: reader.remove(KEY),
        lambda: reader.release(KEY),
    ):
        error = refused(act)
        assert "answered with status 403" in error.message
        assert error.way_out == "Give GITLAB_TOKEN the scope `api`: with `read_api`, it may only plan."
    assert place.secret() == CANARY


def test_a_group_asks_for_the_role_of_an_owner(place: GitlabPlace) -> None:
    error = refused(lambda: place.open(group="group", token=server.DEVELOPER).read([KEY]))
    assert error.way_out == "Give the owner of GITLAB_TOKEN the role Owner in the group group."


@pytest.mark.parametrize("project", ["group/other", "GROUP/APP", "42", "43"])
def test_a_project_is_found_by_path_in_any_case_or_by_id(place: GitlabPlace, project: str) -> None:
    sink = place.open(at=project)
    if project in ("GROUP/APP", "42"):
        sink.write(record(KEY), Secret(CANARY))
        assert place.secret() == CANARY
    else:
        assert f"GitLab has no project {project}" in refused(lambda: sink.write(record(KEY), Secret(CANARY))).message


def test_a_renamed_project_is_told_and_nothing_is_sent_elsewhere(place: GitlabPlace) -> None:
    place.gitlab.renamed = True
    assert "whether the project was renamed" in refused(lambda: place.open().read([KEY])).way_out
    assert place.gitlab.log == ["GET"]


def test_an_address_that_is_not_gitlabs_api_is_not_an_empty_project(place: GitlabPlace) -> None:
    place.gitlab.url = place.gitlab.url.removesuffix("/api/v4")
    try:
        for act in (lambda: place.open().read([KEY]), lambda: place.open().write(record(KEY), Secret(CANARY))):
            assert "GitLab has no project group/app" in refused(act).message
    finally:
        place.gitlab.url += "/api/v4"


def test_a_token_goes_over_plain_http_to_this_machine_only(place: GitlabPlace) -> None:
    before, place.gitlab.url = place.gitlab.url, "http://gitlab.example.org/api/v4"
    try:
        error = refused(lambda: place.open().read([KEY]))
    finally:
        place.gitlab.url = before
    assert "CI_API_V4_URL would send the token unencrypted to gitlab.example.org" in error.message


def test_gitlabs_words_are_shown_without_the_secret(place: GitlabPlace) -> None:
    place.gitlab.troubles = ["", "400"]
    error = refused(lambda: place.open().write(record(KEY), Secret(CANARY)))
    assert f"answered with status 400 when asked to create the variable {NAME}" in error.message
    assert "(sensitive value)" in error.message


def test_unreadable_answers_are_errors(place: GitlabPlace) -> None:
    place.gitlab.troubles = ["nonsense"]
    assert "returned an unreadable answer" in refused(lambda: place.open().read_one(KEY)).message
    place.gitlab.troubles = ["", "nonsense"]
    refused(lambda: place.open().write(record(KEY), Secret(CANARY)), is_known=False)


# --- The file ---------------------------------------------------------------------------------------------------------


def test_a_destination_says_who_gets_the_variables(place: GitlabPlace) -> None:
    told = {
        "GitLab project group/app: variable {KEY}_KEY, all environments, protected": {},
        "GitLab project group/app: variable {KEY}_KEY, environments prod, protected, masked, hidden": {
            "environment_scope": "prod",
            "hidden": True,
        },
        "GitLab group company/team: variable INFERENCE_PROD_{KEY}, all environments": {
            "group": "company/team",
            "variable": "{STACK}_{KEY}",
            "protected": False,
        },
    }
    for destination, options in told.items():
        assert place.open(**options).destination == destination  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"at": ""},
        {"at": "app"},
        {"at": "../../admin/ci"},
        {"at": "group/app?x=1"},
        {"at": "group//app"},
        {"group": "a b"},
        {"group": "group", "at": "group/app"},
        {"environment_scope": "a\nb"},
        {"variable": "NAME"},
        {"variable": "CI_{KEY}"},
    ],
)
def test_options_that_make_no_sense_are_refused_by_the_sink_too(place: GitlabPlace, options: dict[str, str]) -> None:
    refused(lambda: place.open(**options))  # type: ignore[arg-type]
    assert place.gitlab.log == []


def test_paths_in_gitlab_ignore_case_so_two_sinks_of_one_variable_are_found() -> None:
    one, other = (SinkSettings("s", "gitlab-ci", {"project": project}) for project in ("Group/App", "group/app"))
    assert SINK.slot_of(one, STACK, KEY) == SINK.slot_of(other, STACK, KEY) == ("project", "group/app", "*", NAME)


def test_a_hundred_secrets_take_two_requests_each(place: GitlabPlace) -> None:
    sink = place.open(masked=True)
    for number in range(100):
        sink.write(record(f"key-{number}"), Secret(CANARY))
    assert len(place.gitlab.log) == 200


# --- Whatever an answer holds -----------------------------------------------------------------------------------------

WORDS = st.one_of(
    st.sampled_from(
        [NAME, "*", "\ud800", "x" * 5000, "keyform 2 inference-prod/payments-api g1 p 2026-11-21T10:00:00Z"]
    ),
    st.builds(
        "keyform {}{}/{} g{} {} {}{}".format,
        st.sampled_from(["", "2 ", "3 ", "999999999 ", "9" * 400]),
        st.sampled_from([STACK, "other", "released.inference-prod", "\u202e"]),
        st.sampled_from([KEY, "other", "", "a/b"]),
        st.sampled_from([1, 0, 10**9, 10**400]),
        st.sampled_from([KEY, "", "a b"]),
        st.sampled_from(["2026-11-21T10:00:00Z", "2026-11-21", "9" * 40]),
        st.sampled_from(["", " api.gcore.com/1234", " /", " check=00000000", " api.gcore.com/1234 check=0"]),
    ),
    st.text(max_size=20),
)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS)
VARIABLES = st.fixed_dictionaries(
    {},
    optional={
        "key": st.one_of(st.just(NAME), VALUES),
        "value": st.one_of(st.just(CANARY), VALUES),
        "description": VALUES,
        "environment_scope": st.one_of(st.just("*"), VALUES),
        **dict.fromkeys(("protected", "masked", "raw", "hidden", "variable_type"), VALUES),
    },
)
ANSWERS = st.one_of(VALUES, VARIABLES, st.lists(st.one_of(VALUES, VARIABLES), max_size=3))


@fuzz(200)
@given(lists=ANSWERS, one=ANSWERS, other=ANSWERS)
def test_whatever_an_answer_holds_it_is_read_or_an_error_that_shows_none_of_it(
    lists: object, one: object, other: object
) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        held = lists if request.url.path.endswith("/variables") else one if request.method == "GET" else other
        return httpx.Response(204 if request.method == "DELETE" else 200, content=json.dumps(held).encode())

    sink = GitlabPlace(Gitlab("https://gitlab.example.org/api/v4")).open(effects=ScriptedEffects(respond=respond))
    for act in (
        lambda: sink.read([KEY]),
        lambda: sink.read_secrets([KEY]),
        lambda: sink.probe([KEY]),
        lambda: sink.rehearse([KEY]),
        sink.tidy,
        lambda: sink.write(record(KEY), Secret("the-new-one")),
        lambda: sink.release(KEY),
        lambda: sink.remove(KEY),
    ):
        try:
            found = repr(act()) + sink.exposure + repr(sink.repairs)
        except SinkError as error:
            found = error.diagnostics()
        assert CANARY not in found
        assert "the-new-one" not in found
        assert found.isprintable() or "\n" in found
