"""The store: one SQLite database, in memory or in a file. Instants are whole microseconds since 1970."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from functools import cache
from pathlib import Path

VERSION = 4

RANDOM_UUID = f"lower(printf('%s-%s-%s-%s-%s', {', '.join(f'hex(randomblob({n}))' for n in (4, 2, 2, 2, 6))}))"

TABLES = f"""
CREATE TABLE projects (id INTEGER PRIMARY KEY);
CREATE TABLE tokens (
    token TEXT NOT NULL,
    project_id INTEGER NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (token, project_id)
) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- Each key and deployment has a uuid, which is its id in v2; the default is for tests that write past the API.
CREATE TABLE keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    secret TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    uuid TEXT NOT NULL UNIQUE DEFAULT ({RANDOM_UUID}),
    UNIQUE (project_id, name)
);

CREATE INDEX expiring ON keys (expires_at) WHERE expires_at IS NOT NULL;

-- Keys that were deleted, in the modes that still know of them: by their old ids, for a data plane that lags, and by
-- their names, for an API that gives no name twice.
CREATE TABLE deleted_keys (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    secret TEXT NOT NULL,
    expires_at INTEGER,
    deleted_at INTEGER NOT NULL
);
CREATE INDEX deleted_names ON deleted_keys (project_id, name);

-- An application and its children share the life of one row here and one row in deployments for each component.
CREATE TABLE applications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    spec TEXT NOT NULL,
    UNIQUE (project_id, name)
);

-- In v2 two deployments may have one name.
CREATE TABLE deployments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    spec TEXT NOT NULL,
    auth_enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    application_id INTEGER REFERENCES applications (id),
    component TEXT,
    exposed INTEGER NOT NULL DEFAULT 1,
    uuid TEXT NOT NULL UNIQUE DEFAULT ({RANDOM_UUID})
);
CREATE INDEX deployments_by_name ON deployments (project_id, name);
CREATE INDEX children ON deployments (application_id);

-- What v2 still shows of deployments that are gone: rows as they were, and the keys that still name them.
CREATE TABLE deleted_deployments AS SELECT * FROM deployments;
CREATE TABLE stale_links (
    key_id INTEGER NOT NULL,
    deployment_id INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    PRIMARY KEY (key_id, deployment_id)
) WITHOUT ROWID;

-- kind is 'deployment' or 'application'; target_id is the row there.
CREATE TABLE bindings (
    kind TEXT NOT NULL,
    target_id INTEGER NOT NULL,
    key_id INTEGER NOT NULL REFERENCES keys (id),
    position INTEGER NOT NULL,
    PRIMARY KEY (kind, target_id, key_id)
) WITHOUT ROWID;
CREATE INDEX bindings_of_key ON bindings (key_id);

-- What the data plane of a deployment goes by, from an instant on: keys are ids, so that a key that was deleted and
-- made again under its old name opens nothing.
CREATE TABLE gates (
    id INTEGER PRIMARY KEY,
    deployment_id INTEGER NOT NULL,
    since INTEGER NOT NULL,
    auth_enabled INTEGER NOT NULL,
    key_ids TEXT NOT NULL
);
CREATE INDEX gates_of_deployment ON gates (deployment_id, since);

-- next_at is when this task changes next, null once it has ended.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    project_id INTEGER NOT NULL,
    task_type TEXT NOT NULL,
    kind TEXT NOT NULL,
    target_id INTEGER NOT NULL,
    work TEXT NOT NULL,
    data TEXT NOT NULL,
    created_resources TEXT,
    created_at INTEGER NOT NULL,
    starts_at INTEGER NOT NULL,
    effect_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    next_at INTEGER,
    done INTEGER NOT NULL DEFAULT 0,
    finished_at INTEGER,
    error TEXT
);
CREATE INDEX open_tasks ON tasks (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX tasks_of_target ON tasks (kind, target_id);
"""  # noqa: S608 - of constants


class StoreError(ValueError):
    """The database is not one that this emulator can use."""


def open_store(path: str | Path | None) -> sqlite3.Connection:
    """A connection to the database at `path`, created if it is missing; None keeps everything in memory."""
    if path is None:
        return restore(_blank())
    if str(path) != ":memory:":
        with contextlib.suppress(OSError):  # SQLite says what is wrong with it
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # it holds secrets: SQLite would let all read them
    try:
        db = _connect(str(path))
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path} cannot be opened: {error}") from None
    try:
        # A crash of this process loses nothing; a crash of the machine may, which is fine for a test double.
        db.execute("PRAGMA synchronous = OFF")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            _create(db)
            version = VERSION
    except sqlite3.DatabaseError as error:
        db.close()
        raise StoreError(f"{path} is not a database of the emulator: {error}") from None
    if version != VERSION:
        db.close()
        raise StoreError(f"{path} was not made by this version of the emulator")
    return db


def restore(image: bytes) -> sqlite3.Connection:
    """An in-memory database from what `sqlite3.Connection.serialize` gave."""
    db = _connect(":memory:")
    db.deserialize(image)
    return db


@cache
def _blank() -> bytes:
    """An empty database; reading a prepared image is ten times faster than creating the tables."""
    db = _connect(":memory:")
    _create(db)
    return db.serialize()


def _connect(name: str) -> sqlite3.Connection:
    db = sqlite3.connect(name, check_same_thread=False)
    db.row_factory = sqlite3.Row
    return db


def _create(db: sqlite3.Connection) -> None:
    db.executescript(f"PRAGMA page_size = 1024; BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
