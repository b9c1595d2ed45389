//! The keys of a recorded conversation with a plugin, `conversation.toml`. Not of the configuration: in the sections' paths
//! they stand below a name of their own.

use super::{DAY, Key, Kind, Section, def, opt, req};

/// Every section.
pub const SECTIONS: &[Section] = &[
    Section { path: "conversation", keys: ROOT },
    Section { path: "conversation.notification[]", keys: NOTIFICATION },
    Section { path: "conversation.notification[].alert[]", keys: ALERT },
    Section { path: "conversation.notification[].answer[]", keys: ANSWER },
];

const ROOT: &[Key] = &[
    req("why", Kind::Text, "What the conversation shows: one line."),
    opt("hosts", Kind::Texts, "none", "The hosts that are granted, as in the receiver's table."),
    opt("methods", Kind::Texts, "all five", "The HTTP methods that are granted, such as `POST`."),
    opt("commands", Kind::Texts, "none", "The commands that are granted."),
    opt("recipients", Kind::Texts, "nobody", "Whom it may write e-mail to."),
    opt("secrets", Kind::Map, "none", "The secrets that are granted, and what stands in for each."),
    opt("settings", Kind::Settings, "the plugin's defaults", "The plugin's settings."),
    opt("group-labels", Kind::Map, "the cluster", "The labels that the alerts have in common."),
    opt("notification", Kind::Tables, "none", "What is told, one after the other."),
];

const NOTIFICATION: &[Key] = &[
    def("again", Kind::Flag, "false", "The one before, tried again."),
    def("over", Kind::Flag, "false", "Everything in it is over."),
    opt(
        "alert",
        Kind::Tables,
        "what still fires of the one before",
        "The alerts, what is news first.",
    ),
    opt(
        "cause",
        Kind::Choice(&["first", "news", "repeat", "over", "escalated"]),
        "`first`, `news` or `over`, as it comes",
        "Why it is told.",
    ),
    def("more", Kind::Integer(0, 1_000_000), "0", "Further alerts that fire in the group."),
    opt("memory", Kind::Text, "what was delivered before", "What the plugin remembers."),
    def("after", Kind::Duration(0, 30 * DAY), "1m", "How long after the one before it is queued."),
    opt("answer", Kind::Tables, "none", "The answers, one for each request."),
];

const ALERT: &[Key] = &[
    def("name", Kind::Text, "service-down", "What kind of trouble."),
    def("severity", Kind::Choice(&["info", "warning", "critical"]), "critical", "How bad it is."),
    def("cluster", Kind::Text, "prod", "The cluster; empty: the monitor itself."),
    def("server", Kind::Text, "dm1", "The server; empty: none."),
    def("service", Kind::Text, "rest", "The service; empty: none."),
    opt("summary", Kind::Text, "\"rest on dm1 is down\"", "One line for people."),
    opt("details", Kind::Text, "none", "What is done about it; may have several lines."),
    opt("code", Kind::Text, "none", "The site's code."),
    def("source", Kind::Text, "data-mover-ha", "Who raised it."),
    opt("labels", Kind::Map, "none", "Further labels."),
    def("over", Kind::Flag, "false", "Whether it is over."),
    opt(
        "news",
        Kind::Flag,
        "true, unless it is repeated",
        "Whether the receiver does not know it yet.",
    ),
    opt("acknowledged-by", Kind::Text, "nobody", "Who takes care of it."),
];

const ANSWER: &[Key] = &[
    opt("status", Kind::Integer(100, 599), "none", "Of an HTTP server: its status."),
    opt("headers", Kind::Map, "none", "Its headers."),
    opt("body", Kind::Text, "empty", "Its body."),
    opt("exit", Kind::Integer(0, 255), "none", "Of a command: its exit code."),
    def("signal", Kind::Flag, "false", "It was ended by a signal."),
    opt("output", Kind::Text, "empty", "What it printed."),
    opt("code", Kind::Integer(200, 599), "none", "Of a mail server: its reply's code."),
    opt("text", Kind::Text, "empty", "The reply's text."),
    opt("lost", Kind::Text, "none", "There is no answer, for this reason."),
];
