# No key opens many endpoints: one that leaks is replaced sooner if few consumers depend on it.
package main

import rego.v1

max_endpoints := 3

deny contains message if {
	some resource in input.resource_changes
	resource.type == "keyform_key"
	key := resource.change.after
	reach := count(key.deployments) + count(key.applications)
	reach > max_endpoints
	message := sprintf("%s opens %d endpoints, and at most %d are allowed: use one key for each consumer", [
		resource.address,
		reach,
		max_endpoints,
	])
}
