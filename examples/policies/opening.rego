# No endpoint becomes public, not even if the file says so.
package main

import rego.v1

deny contains message if {
	some resource in input.resource_changes
	resource.type == "keyform_endpoint"
	resource.change.after.auth == "open"
	not was_open(resource)
	message := sprintf("%s becomes public: anyone could call it without a key", [resource.address])
}

# Also if nothing is known of what it was.
was_open(resource) if resource.change.before.auth == "open"
