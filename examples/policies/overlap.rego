# In production the old secret stays valid for a while after a rotation. Only a leaked one is cut at once.
package main

import rego.v1

is_production if regex.match(`(^|-)prod(-|$)`, input.keyform.stack)

deny contains message if {
	is_production
	some resource in input.resource_changes
	resource.type == "keyform_key"
	resource.change.after.rotation.overlap_seconds == 0
	not is_revoked(resource)
	message := sprintf("%s has no overlap: a rotation would lock its consumers out", [resource.address])
}

# `keyform rotate --revoke`, and what is left to do after it.
is_revoked(resource) if resource.keyform.reason.is_urgent
