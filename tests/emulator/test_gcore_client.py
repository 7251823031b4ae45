"""The official `gcore` client, sync and async, works against the emulator unchanged, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from support.lazy import Lazy

from reconciler.emulator import EmulatorServer

gcore = Lazy("gcore")
TOKEN = "1234$management"
CONTAINERS = [{"region_id": 1, "scale": {"min": 1, "max": 1}}]
COMPONENT = {"flavor": "small", "exposed": True, "scale": {"min": 1, "max": 1}}


@pytest.fixture
def client(server: EmulatorServer) -> Iterator[gcore.Gcore]:
    with gcore.Gcore(api_key=TOKEN, cloud_project_id=1234, base_url=server.base_url, max_retries=0) as client:
        yield client


def test_a_key_is_created_read_updated_and_deleted(client: gcore.Gcore) -> None:
    keys = client.cloud.inference.api_keys
    made = keys.create(name="payments", description="Checkout", expires_at="2099-01-01")
    assert len(made.secret) == 32
    read = keys.get("payments")
    assert (read.name, read.description, read.expires_at) == ("payments", "Checkout", "2099-01-01T00:00:00Z")
    assert read.deployment_names == []
    assert keys.update("payments", description="new").description == "new"
    assert keys.update("payments", description=None).description is None
    keys.delete("payments")
    with pytest.raises(gcore.NotFoundError):
        keys.get("payments")


def test_the_clients_own_errors_are_raised(client: gcore.Gcore) -> None:
    keys = client.cloud.inference.api_keys
    keys.create(name="payments")
    with pytest.raises(gcore.ConflictError) as conflict:
        keys.create(name="payments")
    assert conflict.value.body["exception_class"] == "ConflictError"
    with pytest.raises(gcore.BadRequestError) as bad:
        keys.create(name="No")
    assert "name" in bad.value.body["invalid_fields"]
    with pytest.raises(gcore.NotFoundError):
        keys.list(project_id=99)
    with pytest.raises(gcore.AuthenticationError):
        client.with_options(api_key="wrong").cloud.inference.api_keys.list()


def test_a_client_that_retries_a_create_whose_answer_was_lost_meets_a_conflict(server, client: gcore.Gcore) -> None:
    from reconciler.emulator import ConnectionLost

    def lose(request, proceed):
        server.emulator.interceptor = None
        proceed(request)
        raise ConnectionLost

    server.emulator.interceptor = lose
    with pytest.raises(gcore.ConflictError):
        client.with_options(max_retries=1).cloud.inference.api_keys.create(name="payments")


def test_paging_finds_every_one_of_more_than_a_thousand_keys(server: EmulatorServer, client: gcore.Gcore) -> None:
    from reconciler.emulator import seed

    names = [f"key-{number}" for number in range(1050)]
    seed(server.emulator, {"projects": {1234: {"api_keys": [{"name": name} for name in names]}}})
    assert [key.name for key in client.cloud.inference.api_keys.list()] == names
    assert [key.name for key in client.cloud.inference.api_keys.list(limit=1000)] == names


def test_a_deployment_is_created_updated_and_deleted_with_polling(client: gcore.Gcore) -> None:
    client.cloud.inference.api_keys.create(name="payments")
    deployments = client.cloud.inference.deployments
    made = deployments.create_and_poll(
        name="mistral", image="vllm:latest", listening_port=80, flavor_name="small", containers=CONTAINERS
    )
    assert (made.status, made.auth_enabled, made.api_keys) == ("ACTIVE", False, [])
    bound = deployments.update_and_poll("mistral", api_keys=["payments"])
    assert (bound.auth_enabled, bound.api_keys) == (True, ["payments"])
    assert client.cloud.inference.api_keys.get("payments").deployment_names == ["mistral"]
    with pytest.raises(gcore.ConflictError):
        client.cloud.inference.api_keys.delete("payments")
    assert {item.name for item in deployments.list()} == {"llama3", "mistral", "webui-web"}
    deployments.delete_and_poll("mistral")
    with pytest.raises(gcore.NotFoundError):
        deployments.get("mistral")


def test_the_client_waits_for_a_task_that_takes_its_time(server: EmulatorServer, client: gcore.Gcore) -> None:
    from reconciler.emulator import Emulator, seed

    with Emulator(tokens={TOKEN: [1234]}, task_seconds=0.5) as slow, EmulatorServer(slow) as slower:
        seed(slow, {"projects": {1234: {"api_keys": [{"name": "payments"}], "deployments": [{"name": "llama3"}]}}})
        there = client.with_options(base_url=slower.base_url).cloud.inference.deployments
        assert there.update_and_poll("llama3", api_keys=["payments"], polling_interval_seconds=1).api_keys == [
            "payments"
        ]


def test_a_failed_task_is_raised_with_its_error(client: gcore.Gcore, server: EmulatorServer) -> None:
    task = client.cloud.inference.deployments.update("llama3", api_keys=[]).tasks[0]
    server.emulator.fail_task(task, "No capacity")
    with pytest.raises(ValueError, match="No capacity"):
        client.cloud.tasks.poll(task)


def test_tasks_are_read_and_listed(client: gcore.Gcore) -> None:
    task = client.cloud.inference.deployments.update("llama3", description="x").tasks[0]
    read = client.cloud.tasks.get(task)
    assert (read.state, read.task_type, read.project_id) == ("FINISHED", "update_inference_instance", 1234)
    made = [client.cloud.inference.deployments.update("llama3", description="y").tasks[0] for _ in range(12)]
    listed = [item.id for item in client.cloud.tasks.list(project_id=[1234], state=["FINISHED"], order_by="desc")]
    assert listed == [*reversed(made), task]


def test_an_application_is_created_updated_and_deleted(client: gcore.Gcore) -> None:
    client.cloud.inference.api_keys.create(name="payments")
    applications = client.cloud.inference.applications.deployments
    task = applications.create(
        application_name="demo", name="shop", regions=[1], components_configuration={"model": COMPONENT}
    ).tasks[0]
    assert client.cloud.tasks.poll(task).created_resources.inference_instances == ["shop-model"]
    client.cloud.tasks.poll(applications.update("shop", api_keys=["payments"]).tasks[0])
    shown = applications.get("shop")
    assert (shown.api_keys, shown.status.consolidated_status) == (["payments"], "Active")
    child = client.cloud.inference.deployments.get("shop-model")
    assert [(owner.kind, owner.name) for owner in child.object_references] == [("AppDeployment", "shop")]
    assert applications.list().count == 2
    client.cloud.tasks.poll(applications.delete("shop").tasks[0])
    with pytest.raises(gcore.NotFoundError):
        applications.get("shop")


def test_the_async_client_does_the_same(server: EmulatorServer) -> None:
    async def story() -> list[str]:
        async with gcore.AsyncGcore(api_key=TOKEN, cloud_project_id=1234, base_url=server.base_url) as client:
            inference = client.cloud.inference
            names = [f"key-{number}" for number in range(120)]
            await asyncio.gather(*(inference.api_keys.create(name=name) for name in names))
            assert sorted([key.name async for key in inference.api_keys.list()]) == sorted(names)
            bound = await inference.deployments.update_and_poll("llama3", api_keys=["key-0"])
            assert bound.auth_enabled
            await inference.api_keys.update("key-1", description="x")
            await inference.api_keys.delete("key-2")
            application = (await inference.applications.deployments.list()).results[0].name
            tasks = [task.task_type async for task in client.cloud.tasks.list()]
            return [application, *tasks]

    assert asyncio.run(story()) == ["webui", "update_inference_instance"]
