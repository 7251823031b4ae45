# Every key expires, or is rotated after some time. One that the file no longer declares has no rotation: after a rename,
# the former key goes once the overlap is over.
package main

import rego.v1

deny contains message if {
	some resource in input.resource_changes
	resource.type == "keyform_key"
	key := resource.change.after
	key.rotation != null
	key.expires_at == null
	not is_rotated(key)
	message := sprintf("%s never expires and is never rotated: set expires_at, or rotation.every", [resource.address])
}

is_rotated(key) if key.rotation.every_seconds != null
