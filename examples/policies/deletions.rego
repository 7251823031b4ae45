# One plan deletes few keys. `safety.max_deletes` in the file is a limit that the file's author can raise; this one is not.
# What a renamed key leaves behind is not counted: another key has taken its place.
package main

import rego.v1

max_deletions := 1

replaced := {"key_was_renamed"}

deny contains message if {
	deleted := [resource.name |
		some resource in input.resource_changes
		resource.type == "keyform_key"
		resource.change.actions == ["delete"]
		not resource.action_reason in replaced
	]
	count(deleted) > max_deletions
	said := sprintf("%d keys are deleted, and at most %d may be: ", [count(deleted), max_deletions])
	message := concat("", [said, concat(", ", deleted)])
}
