# Each description names the team that owns the key: `Checkout summaries, owned by team payments`.
package main

import rego.v1

deny contains message if {
	some resource in input.resource_changes
	resource.type == "keyform_key"
	resource.change.after != null
	not has_owner(resource.change.after)
	message := sprintf("%s has no owner: end its description with `owned by team NAME`", [resource.address])
}

has_owner(key) if regex.match(`owned by team [a-z][a-z0-9-]*`, key.description)
