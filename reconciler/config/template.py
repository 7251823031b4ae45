"""The keyform.yaml that `keyform init` writes: small, commented, and valid as it is."""

from __future__ import annotations

_TEMPLATE = """\
{schema}# The inference API keys of one stack: what each one opens, and where its secret is saved.
# `keyform plan` shows what would change, `keyform apply` makes it so. Credentials never stand here: they come from
# the environment (GCORE_API_KEY).
version: 1

# The owner that is written on every key. Another stack in the same project needs another name.
stack: {stack}

# The number of the cloud project, or ${{GCORE_CLOUD_PROJECT_ID}} to read it from the environment.
project: {project}

sinks:
  # A file that only you can read. Git must ignore it.
  local: {{type: dotenv, path: secrets.env, variable: "{{KEY}}_API_KEY"}}

defaults:
  sink: local
  # How long an old secret stays valid after a new one is published.
  rotation: {{overlap: 24h}}

# Declare keys in place of the braces:
#
# keys:
#   payments-api:
#     description: Checkout summaries, owned by team payments
#     deployments: [llama3]         # the deployments that the key opens
#     expires_at: 2027-06-30        # 00:00 UTC; without it, the key never expires
#     prevent_destroy: true         # a plan that would destroy the key is refused
#     prove: true                   # a new secret is tried on the deployments before it is published
keys: {{}}

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


def template(stack: str, project: int | None = None, schema: str | None = None) -> str:
    """A first keyform.yaml for a stack; without a project's number, it is read from `GCORE_CLOUD_PROJECT_ID`.

    `schema` is where an editor finds the schema: a path relative to the file, or an address; None leaves it out.
    """
    return _TEMPLATE.format(
        schema="" if schema is None else f"# yaml-language-server: $schema={schema}\n#\n",
        stack=stack,
        project="${GCORE_CLOUD_PROJECT_ID}" if project is None else project,
    )
