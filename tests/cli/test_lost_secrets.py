"""Lost secrets, swapped sinks and sinks that keep failing, end to end, in both generations of the API."""

from __future__ import annotations

import shutil

import pytest
from cli.conftest import Keyform
from cli.faults import always, on, refusal
from cli.stage import HEAD, World

from reconciler.sinks.local_file import LocalFile

PROGRAM = 'type: command, write: [sh, -c, "umask 077; cat > given-$KEYFORM_KEY"]'
NOTHING_TO_DO = "No changes. The live API matches the file."


@pytest.fixture(params=["v3", "v2"])
def head(request: pytest.FixtureRequest) -> str:
    """The top of a file, but for its sinks."""
    return f"version: 1\napi: {request.param}\nstack: shop\nproject: 1234\n"


def stack(head: str, *, sinks: str, keys: int = 1, sink: str = "local", safety: str = "") -> str:
    """A file with so many keys."""
    declared = "".join(f"  key-{number}: {{deployments: [llama3]}}\n" for number in range(keys))
    return f"{head}sinks:\n{sinks}defaults: {{sink: {sink}}}\nkeys:\n{declared}{safety}"


FILE = "  local: {type: dotenv, path: secrets.env}\n"


def apply(world: World, keyform: Keyform, text: str) -> str:
    """Apply a file, see that nothing is left to do, and give what was shown."""
    world.write(text)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0, ran.out + ran.err
    again = keyform("plan", "--detailed-exitcode")
    assert (again.code, again.out.splitlines()[-1]) == (0, NOTHING_TO_DO)
    return " ".join(ran.out.split())


def keep(world: World, *keys: str) -> None:
    """Leave only these keys in the file: a record is in the line above its variable."""
    path = world.folder / "secrets.env"
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = zip(lines[::2], lines[1::2], strict=True)
    left = [line for pair in pairs if any(f"/{key} " in pair[0] for key in keys) for line in pair]
    path.write_text("".join(f"{line}\n" for line in left), encoding="utf-8")


def given(world: World, key: str = "key-0") -> str:
    """What the program was given for a key."""
    path = world.folder / f"given-{key}"
    return path.read_text(encoding="utf-8") if path.exists() else ""


# --- Lost -------------------------------------------------------------------------------------------------------------


def test_the_same_file_in_an_empty_folder_rotates_nothing(world: World, keyform: Keyform, head: str) -> None:
    text = stack(head, sinks=FILE, keys=3)
    apply(world, keyform, text)
    before, secrets = world.writes, [world.secret_of(f"key-{number}") for number in range(3)]
    other = world.folder / "elsewhere"
    other.mkdir()
    shutil.copy(world.folder / "keyform.yaml", other)
    for argv in (["plan"], ["apply", "--auto-approve"], ["apply", "--auto-approve", "--json"]):
        ran = keyform(*argv, "-f", "elsewhere/keyform.yaml")
        assert ran.code == 1
        assert "secrets.env does not exist, although 3 keys were published to it (key-0, key-1, key-2)" in ran.err
        assert "run apply on the machine and in the folder where it is, or restore it" in ran.err
        assert "`keyform rotate key-0 key-1 key-2` creates new secrets" in ran.err
    assert world.writes == before
    assert sorted(path.name for path in other.iterdir()) == ["keyform.yaml"]
    assert [world.secret_of(f"key-{number}") for number in range(3)] == secrets
    shown = keyform("status", "-f", "elsewhere/keyform.yaml")
    assert (shown.code, shown.out.count("local absent")) == (0, 3)
    for allowed in (0, 99):
        (other / "keyform.yaml").write_text(text + f"safety: {{max_replacements: {allowed}}}\n", encoding="utf-8")
        assert keyform("apply", "--auto-approve", "-f", "elsewhere/keyform.yaml").code == 1
    ran = keyform("rotate", "key-1", "--auto-approve", "-f", "elsewhere/keyform.yaml")
    assert ran.code == 0, ran.err
    assert world.owned() == ["key-0", "key-1", "key-1-g2", "key-2"]
    ran = keyform("apply", "--auto-approve", "-f", "elsewhere/keyform.yaml")
    assert ran.code == 0, ran.out + ran.err
    assert world.held("elsewhere/secrets.env").keys() == {"KEY_0", "KEY_1", "KEY_2"}


def test_one_lost_secret_is_replaced_and_two_are_refused(world: World, keyform: Keyform, head: str) -> None:
    text = stack(head, sinks=FILE, keys=3)
    apply(world, keyform, text)
    whole = (world.folder / "secrets.env").read_text(encoding="utf-8")
    keep(world, "key-0")
    before = world.writes
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "2 secrets that were published are no longer in sink local, but at most 1 may be replaced: key-1, key-2" in (
        ran.err
    )
    assert "`safety: {max_replacements: 2}` to replace all of them" in ran.err
    assert world.writes == before
    assert keyform("status").out.count("local lost") == 2
    (world.folder / "secrets.env").write_text(whole, encoding="utf-8")
    keep(world, "key-0", "key-1")
    apply(world, keyform, text)
    assert world.owned() == ["key-0", "key-1", "key-2", "key-2-g2"]
    keep(world, "key-0")
    apply(world, keyform, text + "safety: {max_replacements: 2}\n")
    assert world.owned() == ["key-0", "key-1", "key-1-g2", "key-2", "key-2-g2", "key-2-g3"]


def test_verify_says_that_a_file_is_not_there(world: World, keyform: Keyform) -> None:
    apply(world, keyform, stack("version: 1\nstack: shop\nproject: 1234\n", sinks=FILE))
    (world.folder / "secrets.env").unlink()
    ran = keyform("verify")
    assert ran.code == 1
    assert "local does not exist: run this on the machine and in the folder where it is" in " ".join(ran.out.split())


# --- Swapped ----------------------------------------------------------------------------------------------------------


def test_a_file_that_becomes_a_program_gets_a_new_secret(world: World, keyform: Keyform, head: str) -> None:
    apply(world, keyform, stack(head, sinks=FILE))
    world.write(stack(head, sinks=f"  local: {{{PROGRAM}}}\n"))
    checked = keyform("verify", "--timeout", "5s")
    assert "local was somewhere else when key-0 was published: run apply" in " ".join(checked.out.split())
    told = apply(world, keyform, stack(head, sinks=f"  local: {{{PROGRAM}}}\n"))
    assert "sink local was somewhere else when key-0 was published: the record there stays" in told
    assert world.owned() == ["key-0", "key-0-g2"]
    assert given(world) == world.secret_of("key-0-g2")
    assert world.held() == {"KEY_0": world.secret_of("key-0")}


def test_a_program_beside_a_file_gets_the_same_secret(world: World, keyform: Keyform, head: str) -> None:
    apply(world, keyform, stack(head, sinks=FILE))
    secret = world.secret_of("key-0")
    world.write(stack(head, sinks=f"{FILE}  ci: {{{PROGRAM}}}\n", sink="[local, ci]"))
    planned = keyform("plan")
    assert planned.out.startswith(
        "Exposures\n"
        "  ! sink.ci  gets the secret of key-0, which was not there before: command sh -c 'umask 077; cat >\n"
        "             given-$KEYFORM_KEY'\n\n"
        "keyform will perform the following actions in stack shop (project 1234):\n\n"
        "    ~ key.key-0   its secret is copied from sink local to sink ci\n"
        "      ~ copies  local -> ci\n"
    )
    assert "Plan: 0 to add, 1 to change, 0 to rotate, 0 to destroy." in planned.out
    found = {each["address"]: each["change"] for each in keyform("plan", "--json").json["resource_changes"]}
    change = found["key.key-0"]
    assert change["actions"] == ["update"]
    assert (change["before"]["sinks"], change["after"]["sinks"]) == (["local"], ["ci", "local"])
    ran = keyform("apply", "--auto-approve")
    assert "key.key-0: copying key-0 from local to ci..." in ran.err
    assert (ran.code, world.owned(), world.secret_of("key-0")) == (0, ["key-0"], secret)
    assert given(world) == secret
    assert world.held() == {"KEY_0": secret}
    assert keyform("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("lost", [0, 1])
def test_a_key_that_names_another_file_keeps_its_secret(world: World, keyform: Keyform, head: str, lost: int) -> None:
    both = f"{FILE}  jobs: {{type: json, path: jobs.json}}\n"
    apply(world, keyform, stack(head, sinks=both, keys=2))
    secrets = [world.secret_of(f"key-{number}") for number in range(2)]
    if lost:  # of the two, this one is replaced: nothing else has it
        keep(world, "key-0")
    apply(world, keyform, stack(head, sinks=both, keys=2, sink="jobs"))
    assert world.owned() == ["key-0", "key-1", *(["key-1-g2"] if lost else [])]
    assert world.held("jobs.json")["key-0"] == secrets[0]
    assert world.held() == {}, "the record goes once another sink has the secret"


def test_a_copy_that_fails_is_made_again_and_takes_nothing_away(world: World, keyform: Keyform, head: str) -> None:
    apply(world, keyform, stack(head, sinks=FILE))
    secret = world.secret_of("key-0")
    broken = stack(head, sinks=f"{FILE}  ci: {{type: command, write: [sh, -c, exit 3]}}\n", sink="ci")
    world.write(broken)
    for _ in range(3):
        ran = keyform("apply", "--auto-approve")
        assert (ran.code, world.owned()) == (1, ["key-0"])
        assert "waits for copy key-0" in " ".join(ran.out.split())
        assert world.held() == {"KEY_0": secret}
    apply(world, keyform, stack(head, sinks=f"{FILE}  ci: {{{PROGRAM}}}\n", sink="ci"))
    assert (world.owned(), given(world), world.held()) == (["key-0"], secret, {})


# --- Failing ----------------------------------------------------------------------------------------------------------


def test_a_program_that_keeps_failing_leaves_three_generations(world: World, keyform: Keyform, head: str) -> None:
    world.write(stack(head, sinks="  ci: {type: command, write: [sh, -c, exit 3]}\n", sink="ci"))
    for run in range(100):
        ran = keyform("apply", "--auto-approve")
        assert ran.code == 1
        assert len(world.owned()) == min(run + 1, 3)
    assert "the last 3 generations (key-0, key-0-g2, key-0-g3) may or may not have reached sink ci" in ran.err
    assert "find out why publishing fails, then run `keyform rotate key-0`" in ran.err
    assert len([name for name in world.writes if name == "POST api_keys"]) == 3
    fixed = stack(head, sinks=f"  ci: {{{PROGRAM}}}\n", sink="ci")
    world.write(fixed)
    assert keyform("rotate", "key-0", "--auto-approve").code == 0
    assert given(world) == world.secret_of("key-0-g4")
    apply(world, keyform, fixed)


def test_a_file_that_keeps_failing_leaves_one_generation_beside_the_one_in_use(
    world: World, keyform: Keyform, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails for certain: what was made is in no sink, and the next run discards it."""
    apply(world, keyform, stack(head, sinks=FILE) + "lock: {type: none}\n")

    def fill_up(file: LocalFile, _: object) -> None:
        raise file.error("cannot be written: the disk is full", "Free some space and run again.")

    (world.folder / "secrets.env").write_text("", encoding="utf-8")
    monkeypatch.setattr(LocalFile, "edit", fill_up)  # after its rehearsal
    for _ in range(20):
        assert keyform("apply", "--auto-approve").code == 1
        assert len(world.owned()) == 2
    # Nor do those pile up that the API does not delete.
    world.fail(on("DELETE", "", always(refusal(500))))
    for _ in range(20):
        ran = keyform("apply", "--auto-approve")
        assert ran.code == 1
    assert len(world.owned()) == 1 + 6
    assert "6 unpublished generations could not be deleted" in ran.err
    world.fail(None)
    monkeypatch.undo()
    assert keyform("rotate", "key-0", "--auto-approve").code == 0
    assert len(world.owned()) == 2


def test_what_the_schema_says_of_max_replacements(world: World, keyform: Keyform) -> None:
    world.write(HEAD + "keys: {}\nsafety: {max_replacements: -1}\n")
    ran = keyform("validate")
    assert ran.code == 1
    assert "safety.max_replacements: must be a whole number of 0 or more, in plain digits" in ran.err
