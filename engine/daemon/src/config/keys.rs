//! Every key that the configuration knows. Defaults, bounds, suggestions and the tables of the
//! documentation all come from here, so they cannot disagree.
//!
//! In a section's path `*` stands for a name and `[]` for each table of a list.

/// What a key's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A text that may hold what nobody should see, such as a command line.
    Hidden,
    /// The name of something else, or a text that is checked as a name.
    Name,
    /// The name of a secret.
    Secret,
    /// A file or folder, relative to the file it stands in.
    Path,
    /// true or false.
    Flag,
    /// A whole number within bounds.
    Integer(u64, u64),
    /// A duration; bounds in milliseconds.
    Duration(u64, u64),
    /// A size; bounds in bytes.
    Size(u64, u64),
    /// One of several words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list of whole numbers within bounds.
    Integers(u64, u64),
    /// A program and its arguments.
    Argv,
    /// A table with a section of its own.
    Table,
    /// A list of tables with a section of its own.
    Tables,
    /// A guest's settings.
    Settings,
}

/// What happens without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It has to be there.
    Required,
    /// This value, written as in the file without quotes.
    Default(&'static str),
    /// What the words say.
    Optional(&'static str),
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What happens without it.
    pub presence: Presence,
    /// What it does.
    pub doc: &'static str,
}

/// A table of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its path; empty for the file itself.
    pub path: &'static str,
    /// Its keys. Empty: the keys are names.
    pub keys: &'static [Key],
}

impl Section {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The section of that path.
pub fn section(path: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.path == path)
}

const fn req(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, presence: Presence::Required, doc }
}
const fn def(name: &'static str, kind: Kind, value: &'static str, doc: &'static str) -> Key {
    Key { name, kind, presence: Presence::Default(value), doc }
}
const fn opt(name: &'static str, kind: Kind, without: &'static str, doc: &'static str) -> Key {
    Key { name, kind, presence: Presence::Optional(without), doc }
}

const DAY: u64 = 86_400_000;
const MIB: u64 = 1 << 20;
const PORT: Kind = Kind::Integer(1, 65_535);
const TIMEOUT: Kind = Kind::Duration(10, DAY);
const PAUSE: Kind = Kind::Duration(20, DAY);
const TLS: Kind = Kind::Choice(&["off", "require"]);
const OUTER: &str = "as in the section around it";

/// The kinds of probe.
pub const PROBE_KINDS: &[&str] =
    &["ssh", "tcp", "http", "rest", "postgres", "replication", "openwire", "jolokia", "command"];

const SSH_INNER: &[Key] = &[
    opt("user", Kind::Text, OUTER, "The user that logs in."),
    opt("key", Kind::Path, OUTER, "The private key's file."),
    opt("known-hosts", Kind::Path, OUTER, "The known host keys, in OpenSSH's format."),
    opt("port", PORT, OUTER, "The port."),
    opt("connect-timeout", TIMEOUT, OUTER, "For connecting and logging in together."),
    opt("sudo", Kind::Flag, OUTER, "Whether `unit` and `init-script` start and stop by `sudo -n`."),
];

const COMMANDS: &[Key] = &[
    opt("start", Kind::Hidden, "by `unit`", "The command line that starts it."),
    opt("stop", Kind::Hidden, "by `unit`", "The command line that stops it."),
    opt("status", Kind::Hidden, "by `unit`", "Exit code 0: it runs; any other: it does not."),
    opt("unit", Kind::Text, "`dm-SERVICE`", "The systemd unit: shorthand for all three."),
    opt("init-script", Kind::Text, "the unit", "The init script: shorthand for all three."),
];

const PROBE: &[Key] = &[
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

/// Which kinds of probe have a key of their own; none: all of them.
pub fn kinds_of(key: &str) -> Option<&'static [&'static str]> {
    Some(match key {
        "port" => &["tcp", "http", "rest", "postgres", "replication", "openwire", "jolokia"],
        "path" => &["http", "rest", "jolokia"],
        "tls" | "ca" | "user" | "password" => {
            &["http", "rest", "postgres", "replication", "jolokia"]
        }
        "expect-status" | "expect-text" => &["http"],
        "database" => &["postgres", "replication"],
        "query" | "writable" => &["postgres"],
        "command" => &["ssh", "command"],
        "argv" | "on" => &["command"],
        _ => return None,
    })
}

/// Every section.
pub const SECTIONS: &[Section] = &[
    Section {
        path: "",
        keys: &[
            opt(
                "include",
                Kind::Path,
                "none",
                "A folder whose `*.toml` files are read too, in the order of their names, and merged into this one.",
            ),
            req("monitor", Kind::Table, "This monitor."),
            opt("guests", Kind::Table, "all defaults", "Policies and plugins."),
            opt("secrets", Kind::Table, "none", "Passwords, tokens and the like, by name."),
            opt("commands", Kind::Table, "none", "Programs that notifiers may have run, by name."),
            opt("receivers", Kind::Table, "alerts go nowhere", "Where notifications go, by name."),
            opt("ssh", Kind::Table, "all defaults", "How to log in to servers."),
            opt("probes", Kind::Table, "all defaults", "How often probes look."),
            req("clusters", Kind::Table, "The clusters, by name."),
        ],
    },
    Section {
        path: "monitor",
        keys: &[
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
            opt(
                "socket-group",
                Kind::Text,
                "only the daemon's user",
                "The group that may use the socket.",
            ),
        ],
    },
    Section {
        path: "guests",
        keys: &[
            def("policies", Kind::Path, "policies", "The folder of the policies' `.wasm` files."),
            def("plugins", Kind::Path, "plugins", "The folder of the plugins' `.wasm` files."),
            opt("cache", Kind::Path, "`cache` in `state-dir`", "The folder of compiled code."),
            opt("limits", Kind::Table, "all defaults", "What one call may use."),
        ],
    },
    Section {
        path: "guests.limits",
        keys: &[
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
            def(
                "result",
                Kind::Size(1 << 10, 64 * MIB),
                "1MiB",
                "What a guest may hand over at once.",
            ),
            def("state", Kind::Size(0, 16 * MIB), "256KiB", "What a guest may remember."),
            def(
                "host-calls",
                Kind::Integer(1, 10_000_000),
                "20000",
                "How many times a call may ask the host.",
            ),
            def(
                "log-lines",
                Kind::Integer(0, 100_000),
                "100",
                "How many log lines of a call are kept.",
            ),
        ],
    },
    Section {
        path: "secrets.*",
        keys: &[
            opt(
                "file",
                Kind::Path,
                "-",
                "A file that holds it; a line's end at its end is left out.",
            ),
            opt("env", Kind::Text, "-", "An environment variable of the daemon."),
            opt("credential", Kind::Name, "-", "A credential that systemd hands over."),
        ],
    },
    Section {
        path: "commands.*",
        keys: &[
            req("argv", Kind::Argv, "The program and its first arguments. No shell."),
            def("timeout", TIMEOUT, "10s", "After how long it is ended."),
        ],
    },
    Section {
        path: "receivers.*",
        keys: &[
            req("plugin", Kind::Name, "The plugin: the stem of its file's name."),
            opt("settings", Kind::Settings, "the plugin's defaults", "The plugin's settings."),
            opt(
                "hosts",
                Kind::Texts,
                "none",
                "Hosts that it may send requests to: `host` or `host:port`.",
            ),
            opt("secrets", Kind::Texts, "none", "Secrets that may stand in what it sends."),
            opt("commands", Kind::Texts, "none", "Commands that it may have run."),
            opt(
                "ca",
                Kind::Path,
                "the operating system's",
                "The certificate authorities' PEM file.",
            ),
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
            def(
                "retry-first",
                PAUSE,
                "1s",
                "The wait after the first failure; it doubles with each.",
            ),
            def("retry-max", PAUSE, "5m", "The longest wait."),
            def(
                "give-up-after",
                Kind::Duration(1_000, 365 * DAY),
                "1d",
                "After how long a notification goes to the dead-letter list.",
            ),
        ],
    },
    Section {
        path: "ssh",
        keys: &[
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
        ],
    },
    Section {
        path: "probes",
        keys: &[
            def("interval", PAUSE, "1s", "From one run to the next while all is well."),
            def("confirm-interval", PAUSE, "200ms", "The same after a first failure."),
            def("timeout", TIMEOUT, "3s", "After how long one run is given up."),
        ],
    },
    Section {
        path: "clusters.*",
        keys: &[
            req("primary", Kind::Name, "The server that is designated active."),
            req("secondary", Kind::Name, "The server that is designated standby."),
            opt("ssh", Kind::Table, OUTER, "How to log in to this cluster's servers."),
            opt(
                "policies",
                Kind::Tables,
                "nothing is decided",
                "The policies, the first to be heard first.",
            ),
            opt("guards", Kind::Table, "all defaults", "The guards' limits."),
            opt("plan", Kind::Table, "all defaults", "How plans are carried out."),
            opt("repository", Kind::Table, "all defaults", "How the repository is reached."),
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
        ],
    },
    Section { path: "clusters.*.ssh", keys: SSH_INNER },
    Section {
        path: "clusters.*.policies[]",
        keys: &[
            req(
                "name",
                Kind::Name,
                "Its name: the stem of its file's name in the folder of policies.",
            ),
            opt("file", Kind::Path, "by the name", "Its file, if it is elsewhere."),
            req(
                "grants",
                Kind::Texts,
                "What it may propose: `rescue`, `stop-service`, `failover`, `hold`, `alert`.",
            ),
            def(
                "on-failure",
                Kind::Choice(&["hold", "abstain"]),
                "hold",
                "What its failure means for the others.",
            ),
            opt("settings", Kind::Settings, "the policy's defaults", "Its settings."),
        ],
    },
    Section {
        path: "clusters.*.guards",
        keys: &[
            def(
                "fresh",
                Kind::Duration(100, DAY),
                "15s",
                "Facts older than this are not acted on.",
            ),
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
        ],
    },
    Section {
        path: "clusters.*.plan",
        keys: &[
            def(
                "start-timeout",
                TIMEOUT,
                "2m",
                "How long a service may take to start until it serves.",
            ),
            def("stop-timeout", TIMEOUT, "1m", "How long a service may take to stop."),
            def(
                "repository-timeout",
                TIMEOUT,
                "10m",
                "How long a step on the repository may take.",
            ),
            def("attempts", Kind::Integer(1, 100), "2", "How often a step is tried."),
            def("retry-delay", Kind::Duration(0, DAY), "2s", "The wait between two attempts."),
            def(
                "proof",
                Kind::Choice(&["witnesses", "operator", "nothing"]),
                "witnesses",
                "What is enough if the old side cannot be asked whether it has stopped.",
            ),
            def(
                "witnesses",
                Kind::Integer(1, 100),
                "1",
                "How many other servers have to find it gone.",
            ),
            def(
                "replicated-repository",
                Kind::Flag,
                "true",
                "Whether plans detach and copy the repository and carry its sequences over.",
            ),
        ],
    },
    Section {
        path: "clusters.*.repository",
        keys: &[
            def("port", PORT, "5432", "The port."),
            def("database", Kind::Text, "datamover", "The database."),
            def("user", Kind::Text, "watchkeeper", "The user."),
            opt("password", Kind::Secret, "none is sent", "The secret with the password."),
            def("tls", TLS, "off", "Encryption."),
            opt(
                "ca",
                Kind::Path,
                "the operating system's",
                "The certificate authorities' PEM file.",
            ),
            def(
                "subscription",
                Kind::Text,
                "dm_subscription",
                "The subscription, on whichever side receives.",
            ),
            def(
                "publication",
                Kind::Text,
                "dm_publication",
                "The publication, on whichever side sends.",
            ),
            opt(
                "replication-user",
                Kind::Text,
                "`user`",
                "The user that a subscription logs in as.",
            ),
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
        ],
    },
    Section {
        path: "clusters.*.site-steps[]",
        keys: &[
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
            def(
                "repeatable",
                Kind::Flag,
                "false",
                "Whether it may run again when it is not known if it ran.",
            ),
            def("timeout", TIMEOUT, "1m", "After how long it is ended."),
            def("attempts", Kind::Integer(1, 100), "1", "How often it is tried."),
            def("optional", Kind::Flag, "false", "Whether the plan goes on without it."),
        ],
    },
    Section {
        path: "clusters.*.services.*",
        keys: &[
            opt("start", Kind::Hidden, "by `unit`", "The command line that starts it."),
            opt("stop", Kind::Hidden, "by `unit`", "The command line that stops it."),
            opt(
                "status",
                Kind::Hidden,
                "by `unit`",
                "Exit code 0: it runs; any other: it does not.",
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
        ],
    },
    Section { path: "clusters.*.services.*.probes[]", keys: PROBE },
    Section {
        path: "clusters.*.servers.*",
        keys: &[
            req("address", Kind::Text, "Host name or address."),
            req("services", Kind::Texts, "What is installed on it."),
            opt(
                "repository-address",
                Kind::Text,
                "`address`",
                "Where the other side's repository reaches this one.",
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
        ],
    },
    Section { path: "clusters.*.servers.*.ssh", keys: SSH_INNER },
    Section { path: "clusters.*.servers.*.service-commands.*", keys: COMMANDS },
];
