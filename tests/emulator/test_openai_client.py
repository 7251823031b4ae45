"""The official `openai` client works against a deployment's address unchanged, however it passes the key."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from support.lazy import Lazy

from reconciler.emulator import EmulatorServer, seed

openai = Lazy("openai")
MESSAGES: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def base_url(server: EmulatorServer) -> str:
    """The address of llama3, which the secret `good-secret` opens."""
    content = {"api_keys": [{"name": "payments", "secret": "good-secret"}],
               "deployments": [{"name": "closed", "api_keys": ["payments"]}]}  # fmt: skip
    seed(server.emulator, {"projects": {1234: content}})
    headers = {"Authorization": "APIKey 1234$management"}
    shown = httpx.get(f"{server.base_url}/cloud/v3/inference/1234/deployments/closed", headers=headers).json()
    return f"{shown['address']}/v1"


def _clients(base_url: str, secret: str) -> dict[str, Any]:
    class KeyedOpenAI(openai.OpenAI):
        """The client that sends its key in `X-API-Key` instead of a Bearer."""

        @property
        def auth_headers(self) -> dict[str, str]:
            return {"X-API-Key": self.api_key}

    settings: dict[str, Any] = {"base_url": base_url, "max_retries": 0}
    return {
        "default_headers": openai.OpenAI(api_key="unused", default_headers={"X-API-Key": secret}, **settings),
        "subclass": KeyedOpenAI(api_key=secret, **settings),
        "bearer": openai.OpenAI(api_key=secret, **settings),
    }


@pytest.mark.parametrize("way", ["default_headers", "subclass", "bearer"])
def test_every_way_of_passing_the_key_is_accepted_with_the_right_secret_and_401_with_a_wrong_one(
    base_url: str, way: str
) -> None:
    with _clients(base_url, "good-secret")[way] as client:
        answer = client.chat.completions.create(model="closed", messages=MESSAGES)
        assert answer.choices[0].message.content == "You said: hello there"
        assert [model.id for model in client.models.list()] == ["closed"]
    with _clients(base_url, "wrong-secret")[way] as client:
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="closed", messages=MESSAGES)
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_the_key_may_come_with_a_single_request(base_url: str) -> None:
    with openai.OpenAI(api_key="unused", base_url=base_url, max_retries=0) as client:
        headers = {"X-API-Key": "good-secret"}
        answer = client.chat.completions.create(model="closed", messages=MESSAGES, extra_headers=headers)
        assert answer.usage is not None
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="closed", messages=MESSAGES)


def test_a_stream_arrives_piece_by_piece(base_url: str) -> None:
    with openai.OpenAI(api_key="good-secret", base_url=base_url) as client:
        options: Any = {"include_usage": True}
        with client.chat.completions.create(
            model="closed", messages=MESSAGES, stream=True, stream_options=options
        ) as stream:
            chunks = list(stream)
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [piece for piece in pieces if piece] == ["You", " said:", " hello", " there"]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4


def test_the_async_client_does_the_same(base_url: str) -> None:
    async def story() -> list[str]:
        async with openai.AsyncOpenAI(api_key="good-secret", base_url=base_url) as client:
            stream = await client.chat.completions.create(model="closed", messages=MESSAGES, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return [*pieces, *[model.id async for model in client.models.list()]]

    assert asyncio.run(story()) == ["", "You", " said:", " hello", " there", "", "closed"]


def test_a_public_deployment_takes_anybody(server: EmulatorServer) -> None:
    address = f"{server.base_url}/dataplane/1234/deployments/llama3/v1"
    with openai.OpenAI(api_key="anything", base_url=address) as client:
        assert client.chat.completions.create(model="m", messages=MESSAGES).model == "m"
