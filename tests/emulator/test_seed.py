"""A starting state from a file, and the errors of a wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.emulator import Emulator, SeedError, VirtualClock, check_seed, load_seed, seed

ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
YAML = """
tokens: {dev-token: [1234], other: [5678]}
projects:
  1234:
    api_keys:
      - name: payments
        description: Checkout
        expires_at: 2027-06-30
        secret: s3cret
        created_at: 2025-12-01T00:00:00Z
      - {name: team.dotted}
      - {name: long-gone, expires_at: 2020-01-01}
    deployments:
      - {name: llama3, image: "vllm/vllm-openai:v1", api_keys: [payments], status: PENDING}
      - {name: whisper}
      - {name: locked, auth_enabled: true}
    applications:
      - name: webui
        application_name: open-webui
        api_keys: [payments]
        components: {web: {exposed: true}, db: {exposed: false}}
      - {name: chat}
  5678:
"""


def _dumped(emulator: Emulator) -> dict[str, object]:
    return {
        "keys": emulator.live_keys(1234),
        "deployments": [
            (name, emulator.api_keys_of(1234, "deployment", name)) for name in emulator.names(1234, "deployment")
        ],
        "applications": emulator.names(1234, "application"),
    }


def test_a_seed_file_makes_tokens_projects_keys_deployments_and_applications(tmp_path: Path, make_api) -> None:
    file = tmp_path / "seed.yaml"
    file.write_text(YAML)
    api = make_api()
    api.emulator = Emulator(clock=VirtualClock())
    api.token = "dev-token"
    seed(api.emulator, load_seed(file))
    assert api.ok("GET", "api_keys")["results"] == [
        {
            "name": "payments",
            "description": "Checkout",
            "created_at": "2025-12-01T00:00:00Z",
            "expires_at": "2027-06-30T00:00:00Z",
            "deployment_names": ["llama3", "webui-db", "webui-web"],
        },
        {
            "name": "team.dotted",
            "description": None,
            "created_at": "2026-01-01T00:00:00Z",
            "expires_at": None,
            "deployment_names": [],
        },
        {
            "name": "long-gone",
            "description": None,
            "created_at": "2026-01-01T00:00:00Z",
            "expires_at": "2020-01-01T00:00:00Z",
            "deployment_names": [],
        },
    ]
    llama = api.deployment("llama3")
    assert (llama["status"], llama["image"], llama["api_keys"]) == ("PENDING", "vllm/vllm-openai:v1", ["payments"])
    assert (api.opens("llama3", "s3cret"), api.opens("llama3", None)) == (True, False)
    assert (api.opens("locked", None), api.deployment("locked")["auth_enabled"]) == (False, True)
    assert (api.opens("whisper", None), api.opens("webui-web", None)) == (True, False)
    assert api.deployment("webui-db")["address"] is None
    assert [item["name"] for item in api.app("GET").json()["results"]] == ["webui", "chat"]
    api.token, api.project = "other", 5678
    assert api.ok("GET", "deployments")["count"] == 0


def test_the_same_seed_as_json_is_the_same_state(tmp_path: Path) -> None:
    (tmp_path / "seed.yaml").write_text(YAML)
    data = load_seed(tmp_path / "seed.yaml")
    (tmp_path / "seed.json").write_text(json.dumps(data))
    assert load_seed(tmp_path / "seed.json") == data
    with Emulator(clock=VirtualClock(), seed=1) as one, Emulator(clock=VirtualClock(), seed=1) as other:
        seed(one, data)
        seed(other, json.loads((tmp_path / "seed.json").read_text()))
        assert _dumped(one) == _dumped(other)


def test_a_seeded_token_may_be_one_that_only_reads(tmp_path: Path, make_api) -> None:
    file = tmp_path / "seed.yaml"
    file.write_text(
        "tokens: {reader: {projects: [1234], role: read}, writer: {projects: [1234]}}\nprojects: {1234: {}}"
    )
    api = make_api()
    api.emulator = Emulator(clock=VirtualClock())
    seed(api.emulator, load_seed(file))
    api.token = "reader"
    assert api.ok("GET", "api_keys")["count"] == 0
    assert api.refused(403, "POST", "api_keys", {"name": "payments"})["exception_class"] == "ForbiddenError"
    api.token = "writer"
    api.key("payments")


def test_a_second_seeding_changes_nothing_that_is_there(api) -> None:
    data = {"projects": {1234: {"api_keys": [{"name": "payments"}], "deployments": [{"name": "mistral"}]}}}
    seed(api.emulator, data)
    api.attach("mistral", "payments")
    before = _dumped(api.emulator)
    seed(api.emulator, data)
    assert _dumped(api.emulator) == before


def test_seeded_keys_and_deployments_may_have_ids_of_the_older_generation(api) -> None:
    other = ID.replace("3", "4")
    content = {
        "api_keys": [{"name": "payments", "key_id": ID}],
        "deployments": [{"name": "mistral", "id": other, "api_keys": ["payments"]}],
    }
    for _ in range(2):
        seed(api.emulator, {"projects": {1234: content}})
    assert api.v2("GET", f"api_keys/{ID}")["inference_instance_ids"] == [other]
    assert api.v2("GET", f"deployments/{other}")["api_key_ids"] == [ID]
    assert api.emulator.live_keys(1234)["payments"].key_id == ID


def test_an_id_that_something_else_has_already_is_refused(api) -> None:
    content = {"api_keys": [{"name": "payments", "key_id": ID}], "deployments": [{"name": "mistral", "id": ID}]}
    seed(api.emulator, {"projects": {1234: content}})
    for again, problem in (
        ({"api_keys": [{"name": "other", "key_id": ID}]}, f"projects.1234.api_keys: the id '{ID}' is taken"),
        ({"deployments": [{"name": "other", "id": ID}]}, f"projects.1234.deployments: the id '{ID}' is taken"),
    ):
        with pytest.raises(SeedError) as caught:
            seed(api.emulator, {"projects": {1234: again}})
        assert caught.value.problems == [problem]


def test_two_deployments_of_one_name_are_seeded_once_where_the_mode_allows_them(make_api) -> None:
    data = {"projects": {1234: {"deployments": [{"name": "twin", "image": "a"}, {"name": "twin", "image": "b"}]}}}
    with pytest.raises(SeedError) as caught:
        seed(make_api().emulator, data)
    assert sorted(caught.value.problems) == [
        "projects.1234.deployments[1].name: 'twin' appears here twice",
        "projects.1234.deployments[1]: the deployment name 'twin' is taken",
    ]
    api = make_api(twin_deployments="allowed")
    for _ in range(2):
        seed(api.emulator, data)
    twins = [item for item in api.v2("GET", "deployments")["results"] if item["name"] == "twin"]
    assert [item["image"] for item in twins] == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        ([], ["body: Input should be an object"]),
        ({"project": {}}, ["project: Extra inputs are not permitted"]),
        ({"projects": {"mine": {}}}, ["projects.mine: Extra inputs are not permitted"]),
        ({"tokens": {"dev": 1234}}, ["tokens.dev: Input should be a list"]),
        ({"tokens": {"dev": {"role": "read"}}}, ["tokens.dev.projects: Field required"]),
        (
            {"tokens": {"dev": {"projects": [1234], "role": "look"}}},
            ["tokens.dev.role: Input should be one of ['manage', 'read']"],
        ),
        (
            {"projects": {1234: {"api_keys": [{"name": "good"}, {"name": "ab"}, {}]}}},
            [
                "projects.1234.api_keys[1].name: String should have at least 4 characters",
                "projects.1234.api_keys[2].name: Field required",
            ],
        ),
        (
            {"projects": {1234: {"deployments": [{"name": "llama3", "auth_enabled": False, "api_keys": []}]}}},
            ["projects.1234.deployments[0]: `auth_enabled` and `api_keys` are both specified"],
        ),
        (
            {"projects": {1234: {"deployments": [{"name": "llama3", "status": "UP", "api_key": []}]}}},
            [
                "projects.1234.deployments[0].status: Input should be one of "
                "['ACTIVE', 'DISABLED', 'PENDING', 'DELETED', 'ERROR', 'FAILED', 'NEW']",
                "projects.1234.deployments[0].api_key: Extra inputs are not permitted",
            ],
        ),
        (
            {
                "projects": {
                    1234: {
                        "api_keys": [{"name": "key-a", "key_id": ID}, {"name": "key-b", "key_id": "mine"}],
                        "deployments": [{"name": "llama3", "id": "mine"}],
                    }
                }
            },
            [
                "projects.1234.api_keys[1].key_id: Input should be a valid uuid",
                "projects.1234.deployments[0].id: Input should be a valid uuid",
            ],
        ),
        (
            {
                "projects": {
                    1234: {
                        "api_keys": [{"name": "key-a", "key_id": ID}, {"name": "key-b", "key_id": ID}],
                        "deployments": [{"name": "llama3", "id": ID}],
                    },
                    5678: {"deployments": [{"name": "llama3", "id": ID}]},
                }
            },
            [
                f"projects.1234.api_keys[1].key_id: '{ID}' appears here twice",
                f"projects.5678.deployments[0].id: '{ID}' appears here twice",
            ],
        ),
        (
            {
                "projects": {
                    1234: {
                        "api_keys": [{"name": "twin", "expires_at": "soon"}, {"name": "twin"}],
                        "deployments": [{"name": "llama3", "api_keys": ["nobody"]}, {"name": "webui-web"}],
                        "applications": [{"name": "webui"}, {"name": "Bad"}],
                    }
                }
            },
            [
                "projects.1234.api_keys[1].name: 'twin' appears here twice",
                "projects.1234.api_keys[0].expires_at: not an ISO 8601 date or time",
                "projects.1234.deployments[0].api_keys: there is no key 'nobody' in this project's api_keys",
                "projects.1234.applications[0]: the deployment name 'webui-web' is taken",
                "projects.1234.applications[1].name: small letters, digits and inner hyphens only",
            ],
        ),
    ],
)
def test_a_wrong_seed_is_told_place_by_place(data, problems: list[str]) -> None:
    with pytest.raises(SeedError) as caught:
        check_seed(data)
    assert sorted(caught.value.problems) == sorted(problems)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    broken, binary = tmp_path / "broken.yaml", tmp_path / "binary.yaml"
    broken.write_text("projects:\n  1234: [}\n")
    binary.write_bytes(b"\xff\xfe\x00\x80")
    seen = []
    for file in (tmp_path / "missing.yaml", broken, binary):
        with pytest.raises(SeedError) as caught:
            load_seed(file)
        seen += caught.value.problems
    assert seen[0] == f"{tmp_path}/missing.yaml: No such file or directory"
    assert seen[1].startswith(f"{broken}:2:10: not valid YAML: ")
    assert seen[2] == f"{binary}: not a text file"


def test_a_problem_in_a_file_is_told_with_the_files_name(tmp_path: Path) -> None:
    file = tmp_path / "seed.yaml"
    file.write_text("tokens: [x]\n")
    with pytest.raises(SeedError) as caught:
        load_seed(file)
    assert str(caught.value) == f"{file}: tokens: Input should be an object"


def test_an_empty_file_is_an_empty_seed(tmp_path: Path) -> None:
    file = tmp_path / "seed.yaml"
    file.write_text("")
    assert load_seed(file) == {}


def test_a_seed_that_fails_halfway_leaves_nothing(api) -> None:
    # The database has an application's deployment of this name already, which the seed alone cannot show.
    data = {"projects": {1234: {"api_keys": [{"name": "payments"}], "applications": [{"name": "web"}]}}}
    api.ok("POST", "deployments", {"name": "web-web", "image": "x", "listening_port": 1, "flavor_name": "x",
                                   "containers": [{"region_id": 1, "scale": {"min": 1, "max": 1}}]})  # fmt: skip
    with pytest.raises(SeedError, match=r"^projects\.1234\.applications: the deployment name 'web-web' is taken$"):
        seed(api.emulator, data)
    assert api.emulator.live_keys(1234) == {}
