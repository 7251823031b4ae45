"""Fixtures of the sinks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sinks import gitlab_server
from sinks.example_store import SINK
from sinks.gitlab_server import Gitlab
from sinks.stage import KINDS, Kind, git
from sinks.store_server import Shop, serving

from reconciler.sinks.declared import registered

if TYPE_CHECKING:
    from sinks.aws_stage import Aws, Ssm
    from sinks.vault_stage import Bao


@pytest.fixture(params=KINDS, ids=lambda kind: kind.type)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each type of local sink in turn."""
    return request.param


@pytest.fixture
def path(tmp_path: Path, kind: Kind) -> Path:
    """Where the sink's file belongs, in a folder that no git knows."""
    return tmp_path / kind.name


@pytest.fixture
def repository(tmp_path: Path, kind: Kind) -> Path:
    """A git repository that ignores exactly the sink's file."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / ".gitignore").write_text(f"/{kind.name}\n")
    git(folder, "add", ".gitignore")
    git(folder, "commit", "--quiet", "--message", "start")
    return folder


@pytest.fixture(scope="session")
def aws_server() -> Iterator[Aws]:
    """An AWS account on moto's server."""
    from moto.server import ThreadedMotoServer
    from sinks.aws_stage import Aws

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it would write a line for every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Aws(f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def aws(aws_server: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The account with nothing in it, and credentials for it in the environment alone."""
    from moto.secretsmanager.models import secretsmanager_backends
    from moto.ssm.models import ssm_backends

    secretsmanager_backends.reset()
    ssm_backends.reset()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws_server.url,
        "AWS_ENDPOINT_URL_SSM": aws_server.url,
    }.items():
        monkeypatch.setenv(name, value)
    return aws_server


@pytest.fixture
def ssm(aws: Aws) -> Ssm:
    """The Parameter Store of the same account."""
    from sinks.aws_stage import Ssm

    return Ssm(aws.url)


@pytest.fixture(scope="session")
def store_server() -> Iterator[Shop]:
    """The store of the example sink."""
    with serving() as store:
        yield store


@pytest.fixture
def shop(store_server: Shop) -> Iterator[Shop]:
    """The same, empty, and its type of sink known."""
    store_server.entries.clear()
    store_server.troubles.clear()
    store_server.log.clear()
    with registered(SINK):
        yield store_server


@pytest.fixture(scope="session")
def gitlab_api() -> Iterator[Gitlab]:
    """GitLab's API for variables."""
    with gitlab_server.serving() as served:
        yield served


@pytest.fixture
def gitlab(gitlab_api: Gitlab) -> Gitlab:
    """The same, empty."""
    gitlab_api.reset()
    return gitlab_api


@pytest.fixture(scope="session")
def bao_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    """An OpenBao server."""
    from sinks.vault_stage import running

    with running(tmp_path_factory.mktemp("bao")) as server:
        yield server


@pytest.fixture
def bao(bao_server: Bao) -> Iterator[Bao]:
    """The same with nothing in it."""
    bao_server.clear()
    yield bao_server
    bao_server.close_connections()
