# The rules of the policy data-mover-ha in Rego, for comparison: rescue, failover, agents, strays and
# a lost server. Left out, to Rego's advantage: replication, the standby's state, swapped sides,
# notes, and when to look again.
#
# `input` is a snapshot as the journal keeps it, `data.settings` are the policy's settings.
package watchkeeper

import rego.v1

settings := data.settings

words := {"up": "up", "down": "down", "unknown": "in an unknown state"}

depends := {
	"repository": [],
	"activemq": [],
	"dsa": [],
	"daemon": ["activemq", "repository"],
	"agent": ["activemq"],
	"rest": ["daemon"],
	"sync": ["repository"],
}

exclusive := {"activemq", "daemon", "rest"}

stopping_order := ["sync", "rest", "agent", "daemon", "dsa", "activemq", "repository"]

on_secondary if input.cluster.side == "secondary"

old_agent_is_stray if {
	on_secondary
	settings["stop-old-agent"]
}

counts(thing) if {
	thing.confirmations > 0
	thing.seen > input.cluster.active_since
}

# What the rules look at.

broken := [service |
	some service in input.services
	service.place == "active"
	service.status != "up"
	service.expected
	counts(service)
]

broken_of[service.service] := service if some service in broken

agents := [service |
	some service in input.services
	service.service == "agent"
	service.status != "up"
	counts(service)
	not is_old_agent(service)
]

is_old_agent(service) if {
	old_agent_is_stray
	service.place == "standby"
}

strays := [service |
	some service in input.services
	service.place == "standby"
	service.status == "up"
	not_meant(service)
	counts(service)
]

not_meant(service) if not service.expected

not_meant(service) if {
	service.service == "agent"
	old_agent_is_stray
}

decisive(kind) if kind in settings["failover-services"]

cared_for(kind) if decisive(kind)

cared_for(kind) if kind in settings["rescue-services"]

confirmed_down(service) if {
	service.status == "down"
	service.confirmations >= settings["down-confirmations"]
}

waits_for(kind) := [needed |
	some needed in depends[kind]
	cared_for(needed)
	holds_up(needed)
]

holds_up(needed) if broken_of[needed].status == "down"

holds_up(needed) if {
	not broken_of[needed]
	some service in input.services
	service.place == "active"
	service.service == needed
	service.status == "up"
	service.confirmations < settings["down-confirmations"]
}

named(service) := sprintf("%s on %s", [service.service, service.server])

finding(thing) := sprintf("%s: %s", [words[thing.status], thing.reason.detail])

told(service) := sprintf("%s is %s", [named(service), finding(service)])

# Rescue.

attempts(service) := [rescue |
	some rescue in input.rescues
	rescue.service == service.service
	rescue.server == service.server
	rescue.begun >= input.cluster.active_since
]

pending(tried, _) if tried[count(tried) - 1].ending == "under-way"

pending(tried, service) if service.seen <= tried[count(tried) - 1].begun

counted(tried) := count([1 |
	some rescue in tried
	input.at - rescue.begun < settings["rescue-window"]
])

spent(service) if {
	tried := attempts(service)
	not pending(tried, service)
	counted(tried) >= settings["rescue-attempts"]
}

attempt(service) := counted(tried) + 1 if {
	tried := attempts(service)
	not pending(tried, service)
	counted(tried) < settings["rescue-attempts"]
}

candidates := [service |
	some service in broken
	service.service != "agent"
	confirmed_down(service)
	cared_for(service.service)
	count(waits_for(service.service)) == 0
]

spent_candidates := [service |
	some service in candidates
	spent(service)
]

spent_reason(service) := sprintf(
	"%s, and %d attempts to start it again did not help",
	[told(service), settings["rescue-attempts"]],
)

to_rescue(service) := {
	"action": "rescue",
	"server": service.server,
	"service": service.service,
	"reason": sprintf("%s; attempt %d of %d", [told(service), attempt(service), settings["rescue-attempts"]]),
}

# What runs across from here and may run on one side only is stopped first.
repair(service) := to_rescue(service) if not held_by_stray(service)

repair(service) := stop(stray) if {
	attempt(service)
	service.service in exclusive
	some stray in unwanted
	stray.service == service.service
	confirmed_up(stray)
}

held_by_stray(service) if {
	service.service in exclusive
	some stray in unwanted
	stray.service == service.service
}

repairs := [proposal |
	some service in candidates
	proposal := repair(service)
]

# Strays.

unwanted := [stray |
	some stray in strays
	may_not_stay(stray)
]

may_not_stay(stray) if stray.service in exclusive

may_not_stay(stray) if stray.service == "agent"

confirmed_up(stray) if stray.confirmations >= settings["stray-confirmations"]

stray_reason(stray) := sprintf("%s runs, and its side is not the active one", [named(stray)])

stop(stray) := {
	"action": "stop-service",
	"server": stray.server,
	"service": stray.service,
	"reason": stray_reason(stray),
}

stops := [proposal |
	some kind in stopping_order
	some stray in unwanted
	stray.service == kind
	confirmed_up(stray)
	proposal := stop(stray)
	not proposal in repairs
]

# Agents.

readable if {
	count(agents) > 0
	count(waits_for("agent")) == 0
}

none_is_up if {
	up := count([1 |
		some service in input.services
		service.service == "agent"
		service.status == "up"
	])
	up <= count([1 | some stray in strays; stray.service == "agent"])
}

confirmed_agent(agent) if confirmed_down(agent)

confirmed_agent(agent) if {
	agent.status == "unknown"
	agent.confirmations >= settings["unreachable-confirmations"]
}

all_unavailable if {
	readable
	none_is_up
	every agent in agents { confirmed_agent(agent) }
	some agent in agents
	agent.status == "down"
}

none_helped if {
	decisive("agent")
	all_unavailable
	every agent in agents_down { spent(agent) }
}

agents_down := [agent | some agent in agents; agent.status == "down"]

all_agents := [to_rescue(agent) | all_unavailable; some agent in agents_down]

single_agents := [to_rescue(agent) |
	settings["rescue-agents"]
	readable
	not none_is_up
	some agent in agents_down
	confirmed_down(agent)
]

# A server that does not answer.

silent if {
	some server in input.servers
	server.place == "active"
	server.status != "up"
	not something_is_up
}

something_is_up if {
	some service in input.services
	service.place == "active"
	service.status == "up"
}

lost if {
	silent
	some server in input.servers
	server.place == "active"
	server.confirmations >= settings["unreachable-confirmations"]
	count(broken) > 0
	every service in broken { service.confirmations >= settings["unreachable-confirmations"] }
}

# Failover.

may_leave if not on_secondary

may_leave if settings.failback

why := "its server is lost" if {
	lost
} else := spent_reason([service | some service in spent_candidates; decisive(service.service)][0]) if {
	not silent
} else := sprintf("no agent could be started again (of %d)", [count(agents)]) if {
	not silent
	none_helped
}

fails_over if {
	may_leave
	why
}

proposals := [] if {
	input.cluster.phase != "active"
} else := [{"action": "failover", "reason": sprintf("the %s has failed: %s", [input.cluster.side, why])}] if {
	fails_over
} else := [] if {
	silent
} else := array.concat(array.concat(repairs, all_agents), array.concat(stops, single_agents))

# Alerts.

alerts contains {
	"name": "server-unreachable",
	"severity": "critical",
	"server": server.name,
	"summary": sprintf("the active server %s is lost: nothing on it is up, and it is %s", [server.name, finding(server)]),
} if {
	lost
	some server in input.servers
	server.place == "active"
}

alerts contains {
	"name": "service-down",
	"severity": severity(service, waiting),
	"server": service.server,
	"service": service.service,
	"summary": concat("", [told(service), suffix(waiting)]),
} if {
	not silent
	some service in broken
	service.service != "agent"
	confirmed_down(service)
	waiting := waits_for(service.service)
}

alerts contains {
	"name": "service-unknown",
	"severity": "warning",
	"server": service.server,
	"service": service.service,
	"summary": told(service),
} if {
	not silent
	some service in broken
	service.service != "agent"
	service.status == "unknown"
	service.confirmations >= settings["down-confirmations"]
}

alerts contains {
	"name": "rescue-exhausted",
	"severity": severity(service, []),
	"server": service.server,
	"service": service.service,
	"summary": spent_reason(service),
} if {
	not silent
	some service in spent_candidates
}

alerts contains {
	"name": "agents-unavailable",
	"severity": "critical",
	"summary": sprintf("no agent is available (of %d)", [count(agents)]),
} if {
	not silent
	all_unavailable
}

alerts contains {
	"name": "agent-down",
	"severity": "warning",
	"server": agent.server,
	"service": "agent",
	"summary": concat("", [told(agent), agent_suffix(agent)]),
} if {
	not silent
	readable
	not all_unavailable
	some agent in agents
	confirmed_down(agent)
}

alerts contains {
	"name": "stray-service",
	"severity": stray_severity(stray),
	"server": stray.server,
	"service": stray.service,
	"summary": stray_reason(stray),
} if {
	some stray in unwanted
	confirmed_up(stray)
}

alerts contains {
	"name": "running-on-secondary",
	"severity": "warning",
	"summary": "the cluster runs on the secondary: the repositories are not synchronised, and there is no further failover",
} if {
	on_secondary
	not settings.failback
}

severity(service, waiting) := "critical" if {
	count(waiting) == 0
	decisive(service.service)
} else := "warning"

suffix(waiting) := sprintf("; it waits for %s", [waiting[0]]) if {
	count(waiting) > 0
} else := ""

agent_suffix(agent) := "; it could not be started again" if {
	settings["rescue-agents"]
	spent(agent)
} else := ""

stray_severity(stray) := "critical" if {
	stray.service in exclusive
} else := "warning"

decision := {"proposals": proposals, "alerts": alerts}
