//! The keys of the monitor, guests, secrets, commands, receivers, and of what all clusters share.

use super::{DAY, Key, Kind, MIB, OUTER, PAUSE, PORT, TIMEOUT, def, opt, req};

/// The file itself.
pub(super) const ROOT: &[Key] = &[
    opt(
        "include",
        Kind::Path,
        "none",
        "A folder whose `*.toml` files are read too, in the order of their names, and merged into this one.",
    ),
    req("monitor", Kind::Table, "This monitor."),
    opt("duty", Kind::Table, "this monitor is the only one", "How monitors share the duty to act."),
    opt("guests", Kind::Table, "all defaults", "Policies and plugins."),
    opt("secrets", Kind::Table, "none", "Passwords, tokens and the like, by name."),
    opt("commands", Kind::Table, "none", "Programs that notifiers may have run, by name."),
    opt("fences", Kind::Table, "none", "What switches servers off, by name."),
    opt("mail", Kind::Table, "no e-mail", "Mail servers, by name."),
    opt("receivers", Kind::Table, "alerts go nowhere", "Where notifications go, by name."),
    opt(
        "route",
        Kind::Table,
        "each receiver is told of every alert that it wants, each by itself, at once",
        "Who is told of which alerts, and in which groups.",
    ),
    opt("inhibitions", Kind::Tables, "none", "What is not told while something else fires."),
    opt(
        "heartbeat",
        Kind::Table,
        "none",
        "A receiver that is told again and again that this monitor lives.",
    ),
    opt("ssh", Kind::Table, "all defaults", "How to log in to servers."),
    opt("probes", Kind::Table, "all defaults", "How often probes look."),
    req("clusters", Kind::Table, "The clusters, by name."),
];

/// This monitor.
pub(super) const MONITOR: &[Key] = &[
    req("name", Kind::Name, "Its name, such as `vp1`."),
    def(
        "state-dir",
        Kind::Path,
        "/var/lib/watchkeeper",
        "The folder for the journal and the cache.",
    ),
    opt(
        "socket",
        Kind::Path,
        "`watchkeeper.sock` in `state-dir`",
        "The socket that the commands use.",
    ),
    opt("socket-group", Kind::Text, "only the daemon's user", "The group that may use the socket."),
];

/// How monitors share the duty.
pub(super) const DUTY: &[Key] = &[
    opt(
        "mode",
        Kind::Choice(&["alone", "peer", "etcd"]),
        "by the table that is there; else `alone`",
        "How: one monitor only, two that hand it to each other, or leases in etcd.",
    ),
    def(
        "observe",
        Kind::Duration(0, 3_600_000),
        "5s",
        "How long a monitor that has just received it looks before it judges.",
    ),
    opt("peer", Kind::Table, "not used", "The other monitor of two."),
    opt("etcd", Kind::Table, "not used", "An etcd cluster."),
];

/// The other monitor of two.
pub(super) const PEER: &[Key] = &[
    req("name", Kind::Name, "Its name, as its own `[monitor]` has it."),
    req("address", Kind::Text, "Where it listens: `host:port`."),
    def("listen", Kind::Text, "0.0.0.0:7077", "Where this monitor listens for it: `address:port`."),
    req(
        "first",
        Kind::Name,
        "The monitor that has the duty while the primary is active: this one's name or the other's.",
    ),
    req(
        "certificate",
        Kind::Path,
        "This monitor's certificate (`watchkeeper duty keys` makes one).",
    ),
    req("key", Kind::Path, "The certificate's private key."),
    req(
        "peer-certificate",
        Kind::Path,
        "The other monitor's certificate: exactly this one is accepted.",
    ),
    def("beat", Kind::Duration(50, 60_000), "1s", "How often they talk at the least."),
    def(
        "give-on-stop",
        Kind::Flag,
        "true",
        "Whether the duty is handed over when the daemon is stopped.",
    ),
];

/// An etcd cluster.
pub(super) const ETCD: &[Key] = &[
    req("endpoints", Kind::Texts, "Its members: `http://host:port` or `https://host:port`."),
    def(
        "prefix",
        Kind::Text,
        "/watchkeeper",
        "What all keys begin with; the same for all monitors.",
    ),
    def(
        "lease",
        Kind::Duration(2_000, 3_600_000),
        "5s",
        "After how long the duty of a silent monitor is free: whole seconds.",
    ),
    opt("ca", Kind::Path, "the operating system's", "The certificate authorities' PEM file."),
    opt("certificate", Kind::Path, "none is shown", "This monitor's certificate."),
    opt("key", Kind::Path, "none is shown", "The certificate's private key."),
    opt("user", Kind::Text, "no login", "The user."),
    opt("password", Kind::Secret, "no login", "The secret with the user's password."),
];

/// Policies and plugins.
pub(super) const GUESTS: &[Key] = &[
    def("policies", Kind::Path, "policies", "The folder of the policies' `.wasm` files."),
    def("plugins", Kind::Path, "plugins", "The folder of the plugins' `.wasm` files."),
    opt("cache", Kind::Path, "`cache` in `state-dir`", "The folder of compiled code."),
    def(
        "rollback-after",
        Kind::Integer(0, 10_000),
        "5",
        "After how many failures in a row a policy's new revision is taken back for the one before; 0: never.",
    ),
    opt(
        "keys",
        Kind::Texts,
        "none",
        "Public keys of minisign whose signatures are accepted: 56 characters each, beginning with `RW`.",
    ),
    def(
        "require-signature",
        Kind::Flag,
        "false",
        "Whether every policy and plugin has to be signed: `NAME.wasm.minisig` beside `NAME.wasm`.",
    ),
    opt("limits", Kind::Table, "all defaults", "What one call may use."),
];

/// What one call of a guest may use.
pub(super) const LIMITS: &[Key] = &[
    def("time", Kind::Duration(2, 60_000), "100ms", "How long a call may take."),
    def(
        "describe-time",
        Kind::Duration(2, 60_000),
        "1s",
        "How long describing itself may take, once, when loaded.",
    ),
    def("component", Kind::Size(1 << 10, 1 << 30), "64MiB", "The size of a `.wasm` file."),
    def("memory", Kind::Size(64 << 10, 4 << 30), "64MiB", "Linear memory."),
    def("table-elements", Kind::Integer(1, 10_000_000), "20000", "Table elements."),
    def("stack", Kind::Size(64 << 10, MIB), "512KiB", "The stack of a call."),
    def("result", Kind::Size(1 << 10, 64 * MIB), "1MiB", "What a guest may hand over at once."),
    def("state", Kind::Size(0, 16 * MIB), "256KiB", "What a guest may remember."),
    def(
        "host-calls",
        Kind::Integer(1, 10_000_000),
        "20000",
        "How many times a call may ask the host.",
    ),
    def("log-lines", Kind::Integer(0, 100_000), "100", "How many log lines of a call are kept."),
];

/// Where a secret is.
pub(super) const SECRET: &[Key] = &[
    opt(
        "file",
        Kind::Path,
        "`env` or `credential`",
        "A file that holds it; a line's end at its end is left out.",
    ),
    opt("env", Kind::Text, "`file` or `credential`", "An environment variable of the daemon."),
    opt("credential", Kind::Name, "`file` or `env`", "A credential that systemd hands over."),
];

/// A fence agent.
pub(super) const FENCE: &[Key] = &[
    req(
        "agent",
        Kind::Text,
        "The program: a name such as `fence_ipmilan` in /usr/sbin, or a path.",
    ),
    opt("options", Kind::Map, "none", "Its options, each a text, without the leading `--`."),
    opt("secrets", Kind::Map, "none", "Options that are secret, each the name of a secret."),
    def("timeout", TIMEOUT, "1m", "How long one call may take."),
    def("check-interval", PAUSE, "5m", "How often it is asked whether it answers."),
];

/// A program that notifiers may have run.
pub(super) const COMMAND: &[Key] = &[
    req("argv", Kind::Argv, "The program and its first arguments. No shell."),
    def("timeout", TIMEOUT, "10s", "After how long it is ended."),
];

/// A mail server.
pub(super) const MAIL: &[Key] = &[
    req("host", Kind::Text, "Its name or address; its certificate has to be for this."),
    opt("port", PORT, "587; 465 for \"tls\", 25 for \"none\"", "Its port."),
    def(
        "tls",
        Kind::Choice(&["starttls", "tls", "none"]),
        "starttls",
        "Whether the connection is made secure by STARTTLS, is so from its beginning, or is in the clear.",
    ),
    opt("ca", Kind::Path, "the operating system's", "The certificate authorities' PEM file."),
    opt("user", Kind::Text, "no login", "The user; only with TLS."),
    opt("password", Kind::Secret, "no login", "The secret with the user's password."),
    req("from", Kind::Text, "The sender: `address`, or `Name <address>`."),
    opt("hello", Kind::Text, "the host's own name", "The name that the server is greeted with."),
];

/// Where notifications go.
pub(super) const RECEIVER: &[Key] = &[
    req("plugin", Kind::Name, "The plugin: the stem of its file's name."),
    opt("settings", Kind::Settings, "the plugin's defaults", "The plugin's settings."),
    opt("require-signature", Kind::Flag, "as in [guests]", "Whether the plugin has to be signed."),
    opt("sha256", Kind::Text, "any", "The only SHA-256 that the plugin's file may have."),
    opt("hosts", Kind::Texts, "none", "Hosts that it may send requests to: `host` or `host:port`."),
    opt("methods", Kind::Texts, "all five", "The HTTP methods of its requests, such as `POST`."),
    opt("secrets", Kind::Secrets, "none", "Secrets that may stand in what it sends."),
    opt("commands", Kind::Texts, "none", "Commands that it may have run."),
    opt("mail", Kind::Name, "none", "The mail server that it may send e-mail through."),
    opt(
        "recipients",
        Kind::Texts,
        "nobody",
        "Whom it may write to by `mail`: addresses, or `*@` and a domain.",
    ),
    opt("ca", Kind::Path, "the operating system's", "The certificate authorities' PEM file."),
    def(
        "min-severity",
        Kind::Choice(&["info", "warning", "critical"]),
        "info",
        "Alerts below this are not sent.",
    ),
    opt(
        "clusters",
        Kind::Texts,
        "all, and the monitor itself",
        "Only these clusters' alerts are sent.",
    ),
    def("timeout", TIMEOUT, "10s", "How long one request or command may take."),
    def("retry-first", PAUSE, "1s", "The wait after the first failure; it doubles with each."),
    def("retry-max", PAUSE, "5m", "The longest wait."),
    def(
        "give-up-after",
        Kind::Duration(1_000, 365 * DAY),
        "1d",
        "After how long a notification goes to the dead-letter list.",
    ),
    opt("escalate-to", Kind::Name, "nobody", "The receiver that is told when this one cannot be."),
    def(
        "escalate-after",
        Kind::Duration(0, 30 * DAY),
        "15m",
        "After how long without delivery; what is given up goes there at once.",
    ),
    opt(
        "rate-limit",
        Kind::Integer(1, 100_000),
        "as many as there are",
        "Most attempts a minute; further notifications wait.",
    ),
];

/// Who is told of everything that no route inside is for.
pub(super) const ROUTE: &[Key] = &[
    req("receiver", Kind::Name, "Who is told what no route inside is for."),
    opt(
        "group-by",
        Kind::Texts,
        "all alerts of a route are one group",
        "Labels: alerts that have the same values are told together; `[\"...\"]`: each by itself.",
    ),
    def(
        "group-wait",
        Kind::Duration(0, DAY),
        "30s",
        "How long a new group waits for further alerts before it is told.",
    ),
    def(
        "group-interval",
        Kind::Duration(0, 30 * DAY),
        "5m",
        "The least time from one notification of a group to the next.",
    ),
    def(
        "repeat-interval",
        Kind::Duration(0, 365 * DAY),
        "4h",
        "After how long without news a group that fires is told again; \"0s\": never.",
    ),
    ROUTES,
];

const MATCHERS: Key = req(
    "matchers",
    Kind::Texts,
    "Conditions that all have to hold: `NAME=\"VALUE\"`, with `=`, `!=`, `=~` or `!~`.",
);
const ROUTES: Key = opt("routes", Kind::Tables, "none", "Routes for some of its alerts.");
const INNER_RECEIVER: Key = opt("receiver", Kind::Name, OUTER, "Who is told.");
const GROUP_BY: Key = opt("group-by", Kind::Texts, OUTER, "Labels that make a group.");
const WAIT: Key = opt("group-wait", Kind::Duration(0, DAY), OUTER, "How long a new group waits.");
const INTERVAL: Key = opt(
    "group-interval",
    Kind::Duration(0, 30 * DAY),
    OUTER,
    "The least time from one notification of a group to the next.",
);
const REPEAT: Key = opt(
    "repeat-interval",
    Kind::Duration(0, 365 * DAY),
    OUTER,
    "After how long without news a group that fires is told again; \"0s\": never.",
);
const CONTINUE: Key =
    def("continue", Kind::Flag, "false", "Whether the routes after this one are looked at too.");

/// A route for some alerts.
pub(super) const INNER_ROUTE: &[Key] =
    &[MATCHERS, INNER_RECEIVER, GROUP_BY, WAIT, INTERVAL, REPEAT, CONTINUE, ROUTES];

/// The same with none inside.
pub(super) const INNERMOST_ROUTE: &[Key] =
    &[MATCHERS, INNER_RECEIVER, GROUP_BY, WAIT, INTERVAL, REPEAT, CONTINUE];

/// A receiver that is told again and again that this monitor lives.
pub(super) const HEARTBEAT: &[Key] = &[
    req(
        "receiver",
        Kind::Name,
        "Who is told: something that calls people when it is told no more.",
    ),
    def("every", Kind::Duration(5_000, DAY), "1m", "How often."),
];

/// What is not told while something else fires.
pub(super) const INHIBITION: &[Key] = &[
    req("source", Kind::Texts, "Matchers for what has to fire."),
    req("target", Kind::Texts, "Matchers for what is not told then."),
    opt("equal", Kind::Texts, "none", "Labels in which both have to be equal."),
];

/// How to log in.
pub(super) const SSH: &[Key] = &[
    def("user", Kind::Text, "dmuser", "The user that logs in."),
    opt("key", Kind::Path, "each server needs one", "The private key's file."),
    opt(
        "known-hosts",
        Kind::Path,
        "each server needs one",
        "The known host keys, in OpenSSH's format.",
    ),
    def("port", PORT, "22", "The port."),
    def("connect-timeout", TIMEOUT, "5s", "For connecting and logging in together."),
    def(
        "sudo",
        Kind::Flag,
        "false",
        "Whether `unit` and `init-script` start and stop by `sudo -n`.",
    ),
];

/// How often probes look.
pub(super) const PROBES: &[Key] = &[
    def("interval", PAUSE, "1s", "From one run to the next while all is well."),
    def("confirm-interval", PAUSE, "200ms", "The same after a first failure."),
    def("timeout", TIMEOUT, "3s", "After how long one run is given up."),
    def(
        "unknown-after",
        Kind::Duration(0, 30 * DAY),
        "15m",
        "After how long a probe that finds nothing out is an alert; \"0s\": never.",
    ),
];
