"""The keyform.yaml that `keyform init` writes: small, commented, and ready to apply."""

from __future__ import annotations

from reconciler.model import DEFAULT_API

_TEMPLATE = """\
{schema}# The inference API keys of one stack: what each one opens, and where its secret is saved.
# `keyform plan` shows what would change, `keyform apply` makes it so. This file holds no credentials: they come from
# the environment (GCORE_API_KEY).
version: 1

# The owner that is written on every key. Another stack in the same project needs another name.
stack: {stack}

# The number of the cloud project, or ${{GCORE_CLOUD_PROJECT_ID}} to read it from the environment.
project: {project}
{api}
sinks:
  # A file that only you can read, with a line `{variable}=…` for the key below. Git must ignore it.
  # To let one group read it, too: {{type: dotenv, path: secrets.env, mode: "0640", group: app}}
  local: {{type: dotenv, path: secrets.env}}

defaults:
  sink: local
  # How long an old secret stays valid after a new one is published.
  rotation: {{overlap: 24h}}

# One key for each program that calls your deployments. This one opens nothing yet: name what it is to open.
keys:
  {key}:
    description: Made by keyform init
    deployments: []                 # such as [llama3, whisper]
#   payments-api:
#     description: Checkout summaries, owned by team payments
#     deployments: [llama3]
#     expires_at: 2099-06-30        # 00:00 UTC; without it, the key never expires
#     rotation: {{every: 60d}}        # a new secret every two months
#     prevent_destroy: true         # a plan that would destroy the key is refused
#     prove: true                   # a new secret is tried on the deployments before it is published

# What holds for an endpoint itself:
#
# deployments:
#   llama3: {{auth: required, exclusive: true}}   # keys that this stack does not own are unlinked
#   playground: {{auth: open}}                    # the only way to make an endpoint public

safety:
  # A plan that would destroy more keys is refused.
  max_deletes: 5
  # How many keys a plan may rotate because the sink lost their secrets; more look like another machine.
  max_replacements: 1
"""


_READ_AS_SOMETHING_ELSE = frozenset({"false", "n", "no", "null", "off", "on", "true", "y", "yes"})
"""Names of stacks that begin with a letter."""


def template(stack: str, project: int | None = None, schema: str | None = None, api: str = DEFAULT_API) -> str:
    """A first keyform.yaml for a stack; without a project's number, it is read from `GCORE_CLOUD_PROJECT_ID`.

    `schema` is where an editor finds the schema: a path relative to the file; None leaves it out. The key's name is one
    that no other stack's first file has, and that every sink accepts, whatever the stack's name.
    """
    key = f"my-{stack}-app"
    is_a_word = stack[0].isalpha() and stack not in _READ_AS_SOMETHING_ELSE
    return _TEMPLATE.format(
        schema="" if schema is None else f"# yaml-language-server: $schema={schema}\n#\n",
        stack=stack if is_a_word else f'"{stack}"',
        project="${GCORE_CLOUD_PROJECT_ID}" if project is None else project,
        api="" if api == DEFAULT_API else f"\n# The generation of the API.\napi: {api}\n",
        key=key,
        variable=f"{key.upper().replace('-', '_')}_KEY",
    )
