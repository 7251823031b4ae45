"""What the file can say, end to end over HTTP: what is asked of the API, in which order, and what comes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.in_process import InProcess
from cli.stage import HEAD, ONE_KEY, PROJECT, TWO_KEYS, World

from reconciler.emulator import Answer, Request

CUT = HEAD.replace("{sink: local}", "{sink: local, rotation: {overlap: 0s}}")


def apply(world: World, keyform: Keyform, text: str) -> list[str]:
    """Apply a file, see that it is in order, and give the requests that changed something."""
    world.write(text)
    before = len(world.writes)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0, ran.out + ran.err
    done = world.writes[before:]
    world.in_order(keyform)
    assert "portal-made" in world.live_names()
    return done


def test_a_new_key_is_made_bound_and_published(world: World, keyform: Keyform) -> None:
    assert apply(world, keyform, ONE_KEY) == ["POST api_keys", "PATCH llama3", "PATCH payments"]
    assert world.bound("llama3") == ["payments", "portal-made"]
    assert world.held() == {"PAYMENTS": world.secret_of("payments")}
    assert world.opens("llama3", world.secret_of("portal-made")), "a foreign key stays bound"
    assert not world.opens("whisper", world.secret_of("payments"))


@pytest.mark.parametrize("removes", [True, False], ids=["with remove", "without remove"])
def test_a_record_that_a_command_cannot_remove_is_told_and_is_no_step(
    world: World, keyform: Keyform, removes: bool
) -> None:
    remove = ', remove: [sh, -c, "echo gone >> removed"]' if removes else ""
    sink = f'  pager: {{type: command, write: [sh, -c, "cat > /dev/null"]{remove}}}\n'
    head = HEAD.replace("defaults: {sink: local}", f"{sink}defaults: {{sink: pager}}")
    world.write(head + "keys:\n  payments: {deployments: [llama3]}\n  search: {}\n")
    assert keyform("apply", "--auto-approve").code == 0
    world.write(head + "keys:\n  payments: {deployments: [llama3]}\n")
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0, ran.err
    said = " ".join(ran.out.split())
    assert ("records pager" in said) is removes
    assert "removing the record" not in ran.err or removes
    by_hand = "the record of search stays in sink pager, which cannot remove secrets: remove it by hand"
    assert (by_hand in said) is not removes
    assert (world.folder / "removed").exists() is removes
    assert world.owned() == ["payments"]
    again = keyform("plan", "--detailed-exitcode")
    assert (again.code, again.out.splitlines()[-1]) == (0, "No changes. The live API matches the file.")
    assert "  pager  command sh -c 'cat > /dev/null'" in again.out, "what nobody can look into is shown each time"


def test_a_second_apply_changes_nothing_and_writes_no_sink(world: World, keyform: Keyform) -> None:
    apply(world, keyform, TWO_KEYS)
    before, files = len(world.writes), world.files()
    ran = keyform("apply", "--auto-approve")
    assert (ran.code, ran.out) == (0, "No changes. The live API matches the file.\n")
    assert len(world.writes) == before
    assert world.files() == files


def test_a_key_moves_between_deployments_and_applications(world: World, keyform: Keyform) -> None:
    apply(world, keyform, ONE_KEY)
    secret = world.secret_of("payments")
    done = apply(world, keyform, ONE_KEY.replace("deployments: [llama3]", "applications: [webui]"))
    assert done == ["PATCH webui", "PATCH llama3"], "bound before it is unbound"
    assert world.opens("webui", secret, "application")
    assert not world.opens("llama3", secret)
    assert world.secret_of("payments") == secret


def test_a_new_description_is_one_patch(world: World, keyform: Keyform) -> None:
    apply(world, keyform, TWO_KEYS)
    files = world.files()
    done = apply(world, keyform, TWO_KEYS.replace("description: Checkout", "description: Checkout, by team payments"))
    assert done == ["PATCH payments"]
    assert (world.emulator.live_keys(PROJECT)["payments"].description or "").startswith("Checkout, by team payments [")
    assert world.files()["secrets.env"] == files["secrets.env"]


def test_a_key_is_unbound_then_forgotten_by_its_sinks_then_deleted(world: World, keyform: Keyform) -> None:
    apply(world, keyform, TWO_KEYS)
    seen: dict[str, object] = {}

    def listen(request: Request, answer: Answer) -> None:
        if request.method == "DELETE" and request.path.endswith("/search"):
            seen.update(
                bound=world.bound("llama3") + world.bound("webui", "application"),
                local=world.held(),
                jobs=world.held("jobs.json"),
            )
        del answer

    world.emulator.listeners.append(listen)
    done = apply(world, keyform, TWO_KEYS.split("  search:")[0])
    assert sorted(done[:2]) == ["PATCH llama3", "PATCH webui"]
    assert done[2:] == ["DELETE search"]
    assert "search" not in str(seen["bound"])
    assert seen["jobs"] == {}
    assert list(seen["local"]) == ["PAYMENTS"]  # type: ignore[call-overload]


def test_a_new_expiry_makes_a_new_generation_and_keeps_the_old_one_for_the_overlap(
    world: World, keyform: Keyform
) -> None:
    apply(world, keyform, ONE_KEY)
    old = world.secret_of("payments")
    world.write(ONE_KEY + "    expires_at: 2099-01-01\n")
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0
    assert "Plan: 0 to add, 0 to change, 1 to rotate, 0 to destroy." in ran.out
    assert world.owned() == ["payments", "payments-g2"]
    new = world.secret_of("payments-g2")
    assert world.held() == {"PAYMENTS": new}
    assert world.opens("llama3", old)
    assert world.opens("llama3", new)
    ran = keyform("plan")
    assert ran.code == 0
    assert "No changes." in ran.out
    assert "a later apply retires it" in " ".join(ran.out.split())
    # With a shorter overlap, it has ended.
    world.write(CUT + ONE_KEY[len(HEAD) :] + "    expires_at: 2099-01-01\n")
    assert keyform("apply", "--auto-approve").code == 0
    assert world.owned() == ["payments-g2"]
    assert not world.opens("llama3", old)
    world.in_order(keyform)


def test_without_an_overlap_the_old_secret_is_refused_at_once(world: World, keyform: Keyform) -> None:
    apply(world, keyform, CUT + ONE_KEY[len(HEAD) :])
    old = world.secret_of("payments")
    soon = (datetime.now(UTC) + timedelta(days=40)).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = apply(world, keyform, CUT + ONE_KEY[len(HEAD) :] + f"    expires_at: {soon}\n")
    assert done == ["POST api_keys", "PATCH llama3", "PATCH payments-g2", "PATCH llama3", "DELETE payments"]
    assert not world.opens("llama3", old)
    assert world.live_names() == ["portal-made", "payments-g2"]


def test_a_lost_sink_is_filled_from_another_one(world: World, keyform: Keyform) -> None:
    apply(world, keyform, CUT + TWO_KEYS[len(HEAD) :])
    (world.folder / "jobs.json").unlink()
    apply(world, keyform, CUT + TWO_KEYS[len(HEAD) :])
    assert world.owned() == ["payments", "search"]
    assert world.held("jobs.json") == {"search": world.secret_of("search")}
    assert world.held()["SEARCH"] == world.secret_of("search")


def test_exclusive_unbinds_foreign_keys_and_leaves_them_alive(world: World, keyform: Keyform) -> None:
    apply(world, keyform, ONE_KEY + "deployments:\n  llama3: {exclusive: true}\n")
    assert world.bound("llama3") == ["payments"]
    assert world.bound("whisper") == ["portal-made"]
    assert "portal-made" in world.live_names()


def test_auth_open_is_said_at_the_top_and_makes_the_endpoint_public(world: World, keyform: Keyform) -> None:
    text = ONE_KEY + "deployments:\n  whisper: {auth: open, exclusive: true}\n"
    world.write(text)
    ran = keyform("plan")
    assert ran.out.startswith("Exposures\n  ! deployment.whisper  becomes PUBLIC: anyone who knows its address can")
    apply(world, keyform, text)
    assert world.opens("whisper", None)
    assert keyform("status").out.startswith("1 endpoint is public, as declared")
    # And back.
    world.write(ONE_KEY + "deployments:\n  whisper: {auth: required}\n")
    ran = keyform("plan")
    assert ran.code == 1
    assert "is declared `auth: required`, but it is public, and no key is bound to it" in ran.err
    both = ONE_KEY.replace("[llama3]", "[llama3, whisper]")
    apply(world, keyform, both + "deployments:\n  whisper: {auth: required}\n")
    assert not world.opens("whisper", None)


def test_adopt_takes_a_key_over_without_a_word_to_its_users(world: World, keyform: Keyform) -> None:
    secret = world.secret_of("portal-made")
    text = HEAD + (
        "keys:\n  legacy:\n    adopt: portal-made\n    description: Was made by hand\n"
        "    deployments: [llama3, whisper]\n    applications: [webui]\n"
    )
    world.write(text)
    ran = keyform("plan")
    assert ("keyform does not know its secret, and writes it to no sink before the next rotation") in " ".join(
        ran.out.split()
    )
    assert keyform("apply", "--auto-approve").code == 0
    assert world.writes == ["PATCH portal-made"]
    assert world.opens("llama3", secret)
    assert world.held() == {}
    assert keyform("plan", "--detailed-exitcode").code == 0
    # Its next generation has the key's name, and reaches the sink.
    world.write(text + "    expires_at: 2099-01-01\n    rotation: {overlap: 0s}\n")
    assert keyform("apply", "--auto-approve").code == 0
    assert world.owned() == ["legacy-g2"]
    assert world.held() == {"LEGACY": world.secret_of("legacy-g2")}
    assert not world.opens("llama3", secret)


def test_however_many_keys_move_each_endpoint_is_written_once_per_step(world: World, keyform: Keyform) -> None:
    def declare(first: int, last: int) -> str:
        keys = "".join(
            f"  key-{number:02}:\n    deployments: [llama3, whisper]\n    applications: [webui]\n"
            for number in range(first, last)
        )
        return f"{CUT}keys:\n{keys}safety: {{max_deletes: 20}}\n"

    done = apply(world, keyform, declare(0, 20))
    assert sorted(call for call in done if call in {"PATCH llama3", "PATCH whisper", "PATCH webui"}) == [
        "PATCH llama3",
        "PATCH webui",
        "PATCH whisper",
    ]
    done = apply(world, keyform, declare(10, 30))
    for endpoint in ("llama3", "whisper", "webui"):
        assert done.count(f"PATCH {endpoint}") == 2, "what it gains, and then what it loses"
    assert done.count("POST api_keys") == 10
    assert sum(call.startswith("DELETE") for call in done) == 10


@pytest.mark.parametrize("count", [1000, 2500])
def test_a_plan_reads_pages_and_no_key_by_itself(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    live = {
        "api_keys": [{"name": f"foreign-{number:04}"} for number in range(count)],
        "deployments": [{"name": f"model-{number}", "api_keys": ["foreign-0000"]} for number in range(20)],
    }
    world = make_world(live)
    world.write(ONE_KEY.replace("llama3", "model-7"))
    ran = InProcess(world, monkeypatch, capsys)("plan", "--json")
    assert ran.code == 0
    assert [call.method for call in world.calls] == ["GET"] * len(world.calls)
    pages = -(-count // 1000)
    assert sorted(call.name for call in world.calls) == ["api_keys"] * pages + ["deployments"] * 2
    assert sum("/applications/" in call.path for call in world.calls) == 1


def test_a_large_stack_is_planned_in_one_page_each(world: World, keyform: Keyform) -> None:
    keys = "".join(f"  key-{number:03}:\n    deployments: [llama3]\n" for number in range(120))
    world.write(f"{HEAD}keys:\n{keys}")
    assert keyform("apply", "--auto-approve").code == 0
    before = len(world.calls)
    assert keyform("plan", "--detailed-exitcode").code == 0
    assert len(world.calls) - before == 3


def test_two_stacks_share_a_project_and_a_file_of_secrets(world: World, keyform: Keyform) -> None:
    apply(world, keyform, ONE_KEY)
    world.write(ONE_KEY.replace("stack: shop", "stack: office").replace("payments", "mail"), "office.yaml")
    assert keyform("apply", "--auto-approve", "-f", "office.yaml").code == 0
    assert sorted(world.held()) == ["MAIL", "PAYMENTS"]
    assert world.bound("llama3") == ["mail", "payments", "portal-made"]
    world.in_order(keyform)
    assert keyform("destroy", "--auto-approve", "-f", "office.yaml").code == 0
    assert sorted(world.held()) == ["PAYMENTS"]
    world.in_order(keyform)


def test_secrets_that_shells_would_bend_reach_a_json_sink_as_they_are(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from reconciler.emulator import Modes

    world = make_world(modes=Modes(secret_shape="symbols"))
    keyform = InProcess(world, monkeypatch, capsys)
    text = TWO_KEYS.replace("[local, jobs]", "jobs").replace("defaults: {sink: local}", "defaults: {sink: jobs}")
    apply(world, keyform, text)
    held = json.loads((world.folder / "jobs.json").read_text())
    assert {name: entry["secret"] for name, entry in held.items()} == {
        name: world.secret_of(name) for name in ("payments", "search")
    }


def test_one_worker_does_the_same_as_many(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = []
    for workers in ("1", "10", "64"):
        world = make_world()
        keyform = InProcess(world, monkeypatch, capsys)
        world.write(TWO_KEYS)
        assert keyform("apply", "--auto-approve", "--parallelism", workers).code == 0
        world.in_order(keyform)
        outcomes.append((sorted(world.writes), world.bound("llama3"), world.owned()))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize("kind", ["dotenv", "json"])
def test_files_of_one_name_in_two_folders_are_two_sinks(kind: str, world: World, keyform: Keyform) -> None:
    for name in ("batch", "web"):
        (world.folder / name).mkdir()
        world.write(f"sinks:\n  {name}: {{type: {kind}, path: secrets}}\n", f"{name}/keyform.yaml")
    world.write(f"{HEAD}keys:\n  payments: {{deployments: [llama3], sink: [batch, web]}}\n")
    files = ["-f", "keyform.yaml", "-f", "batch", "-f", "web"]
    assert keyform("apply", "--auto-approve", *files).code == 0
    assert keyform("plan", "--detailed-exitcode", *files).code == 0
