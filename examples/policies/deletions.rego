# One plan deletes few keys. `safety.max_deletes` in the file is a limit that the file's author can raise; this one is not.
package main

import rego.v1

max_deletions := 1

deny contains message if {
	deleted := [resource.name |
		some resource in input.resource_changes
		resource.type == "keyform_key"
		resource.change.actions == ["delete"]
	]
	count(deleted) > max_deletions
	said := sprintf("%d keys are deleted, and at most %d may be: ", [count(deleted), max_deletions])
	message := concat("", [said, concat(", ", deleted)])
}
