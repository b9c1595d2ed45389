//! Raises TVI alerts: passes each alert with its code to server management, through a command that the
//! configuration grants.
//!
//! Teradata's server management picks events up by their TVI code. What takes them differs with the
//! system (a script of the site's own, or the system's log, which server management reads), and its
//! interface is not public: so this plugin calls a command of the site, and each alert is a line whose
//! form is a setting. The codes that the vendor documents for Data Mover's replication are 4604001
//! (synchronisation is broken), 4604002 (the standby lags) and 4604003 (the standby's replication is
//! not active); the policies that ship use them. Those of failovers are not public: set the codes that
//! server management knows in the policies' settings.
//!
//! With `logger` as the command, each line of its standard input becomes one record of the system's log,
//! which by RFC 3164 has at most 1,024 bytes; no line is longer than that.
//!
//! ```toml
//! [commands.tvi]
//! argv = ["/usr/bin/logger", "-t", "watchkeeper", "-p", "daemon.err"]
//!
//! [receivers.server-management]
//! plugin = "tvi"
//! commands = ["tvi"]
//! ```
//!
//! One notification is one call, so an attempt that is repeated after a failure passes the same lines
//! again. Only news are passed, and what still fires when it is told again.

use watchkeeper_sdk::notifier::{
    Alert, AlertStatus, Cause, CommandRequest, Next, Notification, Notifier, Request, Send, flat,
};
use watchkeeper_sdk::time::rfc3339;

watchkeeper_sdk::choice! {
    /// How the command gets the lines.
    pub enum Way {
        /// One after the other on its standard input.
        Input = "input",
        /// Each as an argument.
        Arguments = "arguments",
    }
}

watchkeeper_sdk::settings! {
    /// The settings of tvi.
    pub struct Settings {
        /// The command's name in the configuration. It has to be granted.
        command: String = "tvi";
        /// Whether the command gets the lines on its standard input, or each as an argument.
        way: Way = Way::Input;
        /// The form of a line; {code}, {status}, {severity}, {name}, {cluster}, {server}, {service}, {place}, {summary}, {since} and {monitor} are filled in.
        line: String = "TVI {code} {status} {severity} {place}: {summary}";
        /// The code of alerts that have none; if it is empty, they are left out.
        default_code: String = "";
        /// Whether it is passed, too, that an alert is over.
        resolved: bool = true;
    }
}

/// Most bytes of a line.
const LINE: usize = 1_024;

/// The notifier.
#[derive(Debug)]
pub struct Tvi;

impl Notifier for Tvi {
    type Settings = Settings;

    const NAME: &'static str = "tvi";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "Passes alerts with their codes to server management by a command.";

    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        let again = matches!(notification.cause, Cause::Repeat | Cause::Escalated);
        let lines: Vec<String> = notification
            .alerts
            .iter()
            .filter(|alert| alert.news || again && alert.status == AlertStatus::Firing)
            .filter(|alert| settings.resolved || alert.status == AlertStatus::Firing)
            .filter(|alert| !(alert.code.is_empty() && settings.default_code.is_empty()))
            .map(|alert| line(alert, &notification.monitor, settings))
            .collect();
        if lines.is_empty() {
            return Ok(Next::delivered());
        }
        let (arguments, input) = match settings.way {
            Way::Input => (Vec::new(), lines.join("\n") + "\n"),
            Way::Arguments => (lines, String::new()),
        };
        let name = settings.command.clone();
        let request = CommandRequest { name, arguments, input: input.into_bytes() };
        Ok(Next::Send(Send { request: Request::Command(request), state: Vec::new() }))
    }
}

fn line(alert: &Alert, monitor: &str, settings: &Settings) -> String {
    let filled = fill(&settings.line, |word| {
        Some(match word {
            "code" if alert.code.is_empty() => settings.default_code.clone(),
            "code" => alert.code.clone(),
            "status" => alert.status.name().to_owned(),
            "severity" => alert.severity.name().to_owned(),
            "name" => alert.name.clone(),
            "cluster" => alert.cluster.clone(),
            "server" => alert.server.clone(),
            "service" => alert.service.clone(),
            "place" => alert.place(),
            "summary" => alert.summary.clone(),
            "since" => rfc3339(alert.starts_at),
            "monitor" => monitor.to_owned(),
            _ => return None,
        })
    });
    // A line is no option of the command, whatever an alert says.
    let filled = flat(&filled);
    let filled = filled.trim_start_matches(|c: char| c == '-' || c.is_whitespace());
    let mut end = filled.len().min(LINE);
    while !filled.is_char_boundary(end) {
        end -= 1;
    }
    filled.get(..end).unwrap_or_default().to_owned()
}

/// Fills in what stands in braces, once: what is filled in is not looked at again. Unknown words stay.
fn fill(form: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = form;
    while let Some((before, from)) = rest.split_once('{') {
        out.push_str(before);
        match from.split_once('}').and_then(|(word, after)| Some((value(word)?, after))) {
            Some((value, after)) => {
                out.push_str(&value);
                rest = after;
            }
            None => {
                out.push('{');
                rest = from;
            }
        }
    }
    out.push_str(rest);
    out
}

watchkeeper_sdk::export_notifier!(Tvi);
