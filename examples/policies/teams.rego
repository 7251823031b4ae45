# A team's key opens no endpoint of another team. Keys and endpoints begin with the team's name; what begins with no
# team's name is for all.
package main

import rego.v1

teams := {"payments", "platform", "search"}

deny contains message if {
	some resource in input.resource_changes
	resource.type == "keyform_key"
	some endpoint in array.concat(resource.change.after.deployments, resource.change.after.applications)
	owner := split(endpoint, "-")[0]
	owner in teams
	owner != split(resource.name, "-")[0]
	message := sprintf("%s opens %s, which belongs to team %s", [resource.address, endpoint, owner])
}
