//! The keys of a cluster: servers, services, probes, policies, guards, plan, repository.

use super::{DAY, Key, Kind, OUTER, PAUSE, PORT, PROBE_KINDS, TIMEOUT, TLS, def, opt, req};

/// How to log in, where it differs.
pub(super) const SSH_INNER: &[Key] = &[
    opt("user", Kind::Text, OUTER, "The user that logs in."),
    opt("key", Kind::Path, OUTER, "The private key's file."),
    opt("known-hosts", Kind::Path, OUTER, "The known host keys, in OpenSSH's format."),
    opt("port", PORT, OUTER, "The port."),
    opt("connect-timeout", TIMEOUT, OUTER, "For connecting and logging in together."),
    opt("sudo", Kind::Flag, OUTER, "Whether `unit` and `init-script` start and stop by `sudo -n`."),
];

/// How a service is controlled, where it differs on a server.
pub(super) const COMMANDS: &[Key] = &[
    opt("start", Kind::Hidden, "by `unit`", "The command line that starts it."),
    opt("stop", Kind::Hidden, "by `unit`", "The command line that stops it."),
    opt("status", Kind::Hidden, "by `unit`", "Exit code 0: it runs; any other: it does not."),
    opt(
        "version",
        Kind::Hidden,
        "not compared",
        "A command line that prints its version, which is compared between both sides.",
    ),
    opt("unit", Kind::Text, "`dm-SERVICE`", "The systemd unit: shorthand for all three."),
    opt("init-script", Kind::Text, "the unit", "The init script: shorthand for all three."),
];

/// A probe.
pub(super) const PROBE: &[Key] = &[
    req(
        "name",
        Kind::Name,
        "Its name among the probes of the service; `status` and `ssh` are taken.",
    ),
    req("kind", Kind::Choice(PROBE_KINDS), "How it looks."),
    opt("servers", Kind::Texts, "all that have the service", "The servers to look at."),
    opt("interval", PAUSE, "as in `probes`", "From one run to the next while all is well."),
    opt("confirm-interval", PAUSE, "as in `probes`", "The same after a first failure."),
    opt("timeout", TIMEOUT, "as in `probes`", "After how long one run is given up."),
    opt("port", PORT, "the protocol's usual port", "The port (not ssh, command)."),
    opt("path", Kind::Text, "the kind's usual path", "Path and query (http, rest, jolokia)."),
    opt(
        "tls",
        TLS,
        "`require` for rest, else `off`",
        "Encryption (http, rest, postgres, replication, jolokia).",
    ),
    opt(
        "ca",
        Kind::Path,
        "the operating system's",
        "The certificate authorities' PEM file (as `tls`).",
    ),
    opt("user", Kind::Text, "no login; the repository's", "The user (as `tls`)."),
    opt(
        "password",
        Kind::Secret,
        "no login; the repository's",
        "The secret with the password (as `tls`).",
    ),
    opt("expect-status", Kind::Integers(100, 599), "200 to 299", "Accepted status codes (http)."),
    opt("expect-text", Kind::Text, "any body", "A text that the body has to hold (http)."),
    opt("database", Kind::Text, "the repository's", "The database (postgres, replication)."),
    opt(
        "query",
        Kind::Hidden,
        "`select 1`",
        "Its first column has to be true or not empty (postgres).",
    ),
    opt("writable", Kind::Flag, "false", "Whether the database has to accept writes (postgres)."),
    opt(
        "command",
        Kind::Hidden,
        "none",
        "A command line for the server's shell (ssh, command with `on = \"server\"`).",
    ),
    opt("argv", Kind::Argv, "none", "A program on the monitor (command)."),
    opt("on", Kind::Choice(&["monitor", "server"]), "`monitor`", "Where it runs (command)."),
];

/// A cluster.
pub(super) const CLUSTER: &[Key] = &[
    req("primary", Kind::Name, "The server that is designated active."),
    req("secondary", Kind::Name, "The server that is designated standby."),
    opt("ssh", Kind::Table, OUTER, "How to log in to this cluster's servers."),
    opt(
        "policies",
        Kind::Tables,
        "nothing is decided",
        "The policies, the first to be heard first.",
    ),
    def(
        "policies-together",
        Kind::Flag,
        "false",
        "Whether new revisions of its policies come into force all or none.",
    ),
    opt("guards", Kind::Table, "all defaults", "The guards' limits."),
    opt("plan", Kind::Table, "all defaults", "How plans are carried out."),
    opt("repository", Kind::Table, "all defaults", "How the repository is reached."),
    opt(
        "resources",
        Kind::Table,
        "not looked at",
        "The servers' file systems and memory, for policies to judge.",
    ),
    opt(
        "readiness",
        Kind::Table,
        "all defaults",
        "What is looked at to know whether the standby could take over now.",
    ),
    opt(
        "site-steps",
        Kind::Tables,
        "none",
        "Steps of the site's own in a change of side, in order.",
    ),
    opt(
        "services",
        Kind::Table,
        "all defaults",
        "Commands and probes of each service, by its name.",
    ),
    req("servers", Kind::Table, "The servers, by name."),
];

/// A policy in its place in the order.
pub(super) const POLICY: &[Key] = &[
    req("name", Kind::Name, "Its name: the stem of its file's name in the folder of policies."),
    opt("file", Kind::Path, "by the name", "Its file, if it is elsewhere."),
    req(
        "grants",
        Kind::Texts,
        "What it may propose: `rescue`, `stop-service`, `failover`, `hold`, `alert`.",
    ),
    opt(
        "servers",
        Kind::Texts,
        "all",
        "The servers that it may propose something for. A failover is about both sides.",
    ),
    def(
        "on-failure",
        Kind::Choice(&["hold", "abstain"]),
        "hold",
        "What its failure means for the others.",
    ),
    def(
        "mode",
        Kind::Choice(&["enforce", "shadow"]),
        "enforce",
        "Whether it is obeyed, or only asked and recorded. `watchkeeper policy promote` changes it too.",
    ),
    opt("require-signature", Kind::Flag, "as in [guests]", "Whether it has to be signed."),
    opt("sha256", Kind::Text, "any", "The only SHA-256 that its file may have."),
    opt("settings", Kind::Settings, "the policy's defaults", "Its settings."),
];

/// The guards' limits.
pub(super) const GUARDS: &[Key] = &[
    def("fresh", Kind::Duration(100, DAY), "15s", "Facts older than this are not acted on."),
    def(
        "cooldown",
        Kind::Duration(0, 30 * DAY),
        "10m",
        "No change of side by itself for this long after the last.",
    ),
    def(
        "max-lag",
        Kind::Size(0, 1 << 50),
        "64MiB",
        "Replication lag up to which the standby may take over.",
    ),
    def(
        "storm-limit",
        Kind::Integer(0, 10_000),
        "3",
        "How many clusters may change sides within the window; 0: any.",
    ),
    def("storm-window", Kind::Duration(0, 30 * DAY), "10m", "That window."),
];

/// How plans are carried out.
pub(super) const PLAN: &[Key] = &[
    def("start-timeout", TIMEOUT, "2m", "How long a service may take to start until it serves."),
    def("stop-timeout", TIMEOUT, "1m", "How long a service may take to stop."),
    def("repository-timeout", TIMEOUT, "10m", "How long a step on the repository may take."),
    def("attempts", Kind::Integer(1, 100), "2", "How often a step is tried."),
    def("retry-delay", Kind::Duration(0, DAY), "2s", "The wait between two attempts."),
    opt(
        "proof",
        Kind::Choice(&["fence", "witnesses", "operator", "nothing"]),
        "`fence` where both sides have one, else `witnesses`",
        "What is enough if the old side cannot be asked whether it has stopped.",
    ),
    def("witnesses", Kind::Integer(1, 100), "1", "How many other servers have to find it gone."),
    def(
        "replicated-repository",
        Kind::Flag,
        "true",
        "Whether plans detach and copy the repository and carry its sequences over.",
    ),
    def(
        "term-mark",
        Kind::Flag,
        "true",
        "Whether commands carry their term to the servers, which refuse an older monitor's; needs a POSIX shell there.",
    ),
];

/// How the repository is reached.
pub(super) const REPOSITORY: &[Key] = &[
    def("port", PORT, "5432", "The port."),
    def("database", Kind::Text, "datamover", "The database."),
    def("user", Kind::Text, "watchkeeper", "The user."),
    opt("password", Kind::Secret, "none is sent", "The secret with the password."),
    def("tls", TLS, "off", "Encryption."),
    opt("ca", Kind::Path, "the operating system's", "The certificate authorities' PEM file."),
    def(
        "subscription",
        Kind::Text,
        "dm_subscription",
        "The subscription, on whichever side receives.",
    ),
    def("publication", Kind::Text, "dm_publication", "The publication, on whichever side sends."),
    opt("replication-user", Kind::Text, "`user`", "The user that a subscription logs in as."),
    opt(
        "replication-password",
        Kind::Secret,
        "`password`",
        "The secret with that user's password.",
    ),
    opt(
        "replication-options",
        Kind::Hidden,
        "none",
        "Further parameters of a subscription's connection.",
    ),
];

/// File systems and memory.
pub(super) const RESOURCES: &[Key] = &[
    opt(
        "paths",
        Kind::Texts,
        "`/`",
        "Paths on the file systems to look at, the same on each server.",
    ),
    opt("servers", Kind::Texts, "all", "The servers to look at."),
    def("interval", PAUSE, "1m", "From one look to the next."),
    def("timeout", TIMEOUT, "10s", "After how long one look is given up."),
];

/// Whether the standby could take over now.
pub(super) const READINESS: &[Key] = &[
    def("look", Kind::Flag, "true", "Whether both sides' servers are looked at for it, over SSH."),
    def("interval", PAUSE, "1m", "From one look to the next."),
    def("timeout", TIMEOUT, "20s", "After how long one look is given up."),
    opt("paths", Kind::Texts, "`/`", "Paths on the file systems that need room."),
    def(
        "min-disk",
        Kind::Size(0, 1 << 60),
        "1GiB",
        "Less room than this is told; below 64MiB holds.",
    ),
    def("min-memory", Kind::Size(0, 1 << 60), "256MiB", "Less available memory than this is told."),
    def(
        "max-clock-offset",
        Kind::Duration(1_000, DAY),
        "5s",
        "A clock further off the monitor's or the other side's is told.",
    ),
    opt(
        "certificates",
        Kind::Texts,
        "none",
        "Files with certificates (PEM) on both sides' servers.",
    ),
    def(
        "certificate-ends",
        Kind::Duration(0, 366 * DAY),
        "14d",
        "A certificate that ends sooner is told.",
    ),
    def(
        "alert-after",
        Kind::Duration(0, DAY),
        "30s",
        "How long it has to be found so before `standby-not-ready` is told; 0: never.",
    ),
];

/// A step of the site's own.
pub(super) const SITE_STEP: &[Key] = &[
    req("name", Kind::Name, "Its name."),
    req(
        "point",
        Kind::Choice(&["before-stop", "before-start", "after-start"]),
        "Where it stands in a change of side.",
    ),
    opt("server", Kind::Name, "the monitor", "Where it runs."),
    req(
        "command",
        Kind::Hidden,
        "The command line. `{from}`, `{to}`, `{cluster}` and `{plan}` are replaced.",
    ),
    opt("check", Kind::Hidden, "none", "Exit code 0: it is done already."),
    opt(
        "rehearse",
        Kind::Hidden,
        "it is not tried",
        "What `watchkeeper rehearse` runs in its place. It changes nothing; exit code 0: it could be done.",
    ),
    def(
        "repeatable",
        Kind::Flag,
        "false",
        "Whether it may run again when it is not known if it ran.",
    ),
    def("timeout", TIMEOUT, "1m", "After how long it is ended."),
    def("attempts", Kind::Integer(1, 100), "1", "How often it is tried."),
    def("optional", Kind::Flag, "false", "Whether the plan goes on without it."),
];

/// A service on all servers.
pub(super) const SERVICE: &[Key] = &[
    opt("start", Kind::Hidden, "by `unit`", "The command line that starts it."),
    opt("stop", Kind::Hidden, "by `unit`", "The command line that stops it."),
    opt("status", Kind::Hidden, "by `unit`", "Exit code 0: it runs; any other: it does not."),
    opt(
        "version",
        Kind::Hidden,
        "not compared",
        "A command line that prints its version, which is compared between both sides.",
    ),
    opt("unit", Kind::Text, "`dm-SERVICE`", "The systemd unit: shorthand for all three."),
    opt("init-script", Kind::Text, "the unit", "The init script: shorthand for all three."),
    def(
        "status-probe",
        Kind::Flag,
        "true",
        "Whether its status command is a probe, named `status`.",
    ),
    opt("probes", Kind::Tables, "none", "Further probes."),
];

/// A server.
pub(super) const SERVER: &[Key] = &[
    req("address", Kind::Text, "Host name or address."),
    req("services", Kind::Texts, "What is installed on it."),
    opt(
        "repository-address",
        Kind::Text,
        "`address`",
        "Where the other side's repository reaches this one.",
    ),
    opt(
        "fence",
        Kind::Texts,
        "none",
        "What switches it off, by its names in [fences]: the first that manages to. `\"a + b\"` is both together.",
    ),
    opt("ssh", Kind::Table, OUTER, "How to log in to it."),
    def(
        "ssh-probe",
        Kind::Flag,
        "true",
        "Whether logging in is a probe of the server, named `ssh`.",
    ),
    opt(
        "service-commands",
        Kind::Table,
        "as in `services`",
        "Commands that differ on this server, by service.",
    ),
];
