# No endpoint becomes public, not even if the file says so.
package main

import rego.v1

deny contains message if {
	some resource in input.resource_changes
	resource.type == "keyform_endpoint"
	resource.change.before.auth != "open"
	resource.change.after.auth == "open"
	message := sprintf("%s becomes public: anyone could call it without a key", [resource.address])
}
