# What is down on the active side is started again; where that was tried often enough, the other side
# takes over. Agents are only told of.
package watchkeeper

import rego.v1

down := [service |
	some service in input.services
	service.place == "active"
	service.expected
	not service.maintenance
	service.status == "down"
	service.confirmations >= data.settings.confirmations
]

vital := [service | some service in down; service.service != "agent"]

attempts(service) := count([rescue |
	some rescue in input.rescues
	rescue.server == service.server
	rescue.service == service.service
	input.at - rescue.begun < data.settings.window
])

spent(service) if attempts(service) >= data.settings.attempts

proposals := [] if {
	input.cluster.phase != "active"
} else := [{"action": "failover", "reason": reason}] if {
	lost := [service | some service in vital; spent(service)]
	count(lost) > 0
	reason := sprintf("%s could not be started again", [lost[0].service])
} else := [{
	"action": "rescue",
	"server": service.server,
	"service": service.service,
	"reason": sprintf("%s is down: %s", [service.service, service.reason.detail]),
} |
	some service in vital
]

alerts := [{
	"name": "service-down",
	"severity": "warning",
	"server": service.server,
	"service": service.service,
	"summary": sprintf("%s on %s is down", [service.service, service.server]),
} |
	some service in down
]

decision := {"proposals": proposals, "alerts": alerts}
