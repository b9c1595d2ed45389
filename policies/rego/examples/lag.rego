# While the standby is too far behind, no failover: it would lose what was not replicated yet.
package watchkeeper

import rego.v1

behind := max([measure.value |
	some measure in input.measures
	measure.name == "replay-lag-bytes"
])

too_far if behind > data.settings.most

holds := [sprintf("the standby is more than %d bytes behind", [data.settings.most])] if {
	too_far
} else := []

alerts := [{
	"name": "standby-behind",
	"severity": "warning",
	"summary": sprintf("the standby is %d bytes behind", [behind]),
}] if {
	too_far
} else := []

decision := {"holds": holds, "alerts": alerts}
