"""AWS's Parameter Store as boto3's client shows it: what the real sink calls, in memory.

tests/faults/test_aws.py makes the same calls here and in moto, and compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Given = Mapping[str, Any]
READS = frozenset({"describe_parameters", "get_parameter", "list_tags_for_resource"})


@dataclass
class Parameter:
    """One parameter: its tags, and each version's value and description."""

    tags: dict[str, str]
    versions: list[tuple[str, str]] = field(default_factory=list)

    @property
    def value(self) -> str:
        """What a consumer gets."""
        return self.versions[-1][0]


class FakeParameters:
    """boto3's client of it, as a part of one for all of AWS."""

    parameters: dict[str, Parameter]

    def _refuse(self, code: str, operation: str) -> Exception:
        raise NotImplementedError

    def _one(self, operation: str, name: str, code: str = "ParameterNotFound") -> Parameter:
        if name not in self.parameters:
            raise self._refuse(code, operation)
        return self.parameters[name]

    def _put_parameter(self, operation: str, given: Given) -> dict[str, Any]:
        name, is_over = given["Name"], given.get("Overwrite", False)
        if is_over and given.get("Tags"):
            raise self._refuse("ValidationException", operation)
        if name in self.parameters and not is_over:
            raise self._refuse("ParameterAlreadyExists", operation)
        there = self.parameters.setdefault(name, Parameter({tag["Key"]: tag["Value"] for tag in given.get("Tags", [])}))
        before = there.versions[-1][1] if there.versions else ""
        there.versions.append((given["Value"], given.get("Description", before)))
        return {"Version": len(there.versions), "Tier": given.get("Tier", "Standard")}

    def _describe_parameters(self, _operation: str, given: Given) -> dict[str, Any]:
        [by] = given["ParameterFilters"]
        found = [
            {
                "Name": name,
                "Type": "SecureString",
                "Tier": "Standard",
                "KeyId": "alias/aws/ssm",
                "Version": len(one.versions),
                "Description": one.versions[-1][1],
            }
            for name, one in sorted(self.parameters.items())
            if (name if by["Key"] == "Name" else one.tags.get(by["Key"].removeprefix("tag:"))) in by["Values"]
        ]
        # A page may be empty although more follow.
        first = int(given.get("NextToken", -1))
        page = found[first : first + 2] if first >= 0 else []
        after = first + 2 if first >= 0 else 0
        return {"Parameters": page, **({"NextToken": str(after)} if after < len(found) else {})}

    def _get_parameter(self, operation: str, given: Given) -> dict[str, Any]:
        name, _, number = given["Name"].partition(":")
        there = self._one(operation, name)
        if int(number or 1) > len(there.versions):
            raise self._refuse("ParameterVersionNotFound", operation)
        version = int(number or len(there.versions))
        return {"Parameter": {"Name": name, "Value": there.versions[version - 1][0], "Version": version}}

    def _list_tags_for_resource(self, operation: str, given: Given) -> dict[str, Any]:
        there = self._one(operation, given["ResourceId"], "InvalidResourceId")
        return {"TagList": [{"Key": key, "Value": value} for key, value in there.tags.items()]}

    def _add_tags_to_resource(self, operation: str, given: Given) -> dict[str, Any]:
        there = self._one(operation, given["ResourceId"], "InvalidResourceId")
        there.tags.update({tag["Key"]: tag["Value"] for tag in given["Tags"]})
        return {}

    def _remove_tags_from_resource(self, operation: str, given: Given) -> dict[str, Any]:
        there = self._one(operation, given["ResourceId"], "InvalidResourceId")
        for key in given["TagKeys"]:
            there.tags.pop(key, None)
        return {}

    def _delete_parameter(self, operation: str, given: Given) -> dict[str, Any]:
        self._one(operation, given["Name"])
        del self.parameters[given["Name"]]
        return {}
