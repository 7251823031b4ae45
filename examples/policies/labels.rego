# A sink that is new has a label that says whose it is: a tag `team`, where its type has tags, or else the name of a team
# (or `shared`) at the beginning of its name, before a hyphen.
package main

import rego.v1

labels := {"payments", "platform", "search", "shared"}

deny contains message if {
	some resource in input.resource_changes
	resource.type == "keyform_key"
	some destination in resource.change.after.destinations
	not destination.sink in sinks_in_use
	not is_labelled(destination)
	message := sprintf("%s saves its secret in the new sink %s, which has no label: add a tag `team`, or name it TEAM-%s", [
		resource.address,
		destination.sink,
		destination.sink,
	])
}

sinks_in_use contains sink if {
	some resource in input.resource_changes
	some sink in resource.change.before.sinks
}

is_labelled(destination) if destination.tags.team in labels

is_labelled(destination) if split(destination.sink, "-")[0] in labels
