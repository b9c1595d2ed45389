//! The commands that a server knows. There is no shell: words are split at blanks, quotes are
//! removed, and nothing is expanded.

use std::sync::Arc;
use std::time::Duration;

use watchkeeper_core::model::Service;

use crate::readiness;
use crate::world::{Mark, Unit, World};

/// The longest `sleep`.
const MAX_SLEEP: Duration = Duration::from_mins(1);

/// What a command leaves behind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) exit: u32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    fn failed(exit: u32, stderr: String) -> Self {
        Self { exit, stdout: String::new(), stderr }
    }
}

/// Runs a command on a server; `by` says for whom, in the log.
pub(crate) async fn run(world: &Arc<World>, server: usize, command: &str, by: &str) -> Output {
    let words = words(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["true"] => Output::default(),
        ["false"] => Output { exit: 1, ..Output::default() },
        ["hostname"] => Output { stdout: format!("{}\n", world.name(server)), ..Output::default() },
        ["echo", text @ ..] => {
            world.note(format!("{} ran {command:?} for {by}", world.name(server)));
            Output { stdout: format!("{}\n", text.join(" ")), ..Output::default() }
        }
        ["/bin/sh", "-c", _, "watchkeeper-term", arguments @ ..] => {
            marked(world, server, arguments, by).await
        }
        ["/bin/sh", "-c", _, "watchkeeper-resources", paths @ ..] => resources(paths),
        ["/bin/sh", "-c", _, "watchkeeper-readiness", asks @ ..] => {
            readiness::look(world, server, asks, by).await
        }
        ["sleep", seconds] => match seconds.parse().map(Duration::try_from_secs_f64) {
            Ok(Ok(time)) => {
                tokio::time::sleep(time.min(MAX_SLEEP)).await;
                Output::default()
            }
            _ => Output::failed(1, format!("sleep: invalid time interval '{seconds}'\n")),
        },
        ["systemctl", "is-active", units @ ..] if !units.is_empty() => {
            is_active(world, server, units)
        }
        ["systemctl", "start", units @ ..] if !units.is_empty() => {
            start(world, server, units, by).await
        }
        ["systemctl", "stop", units @ ..] if !units.is_empty() => {
            stop(world, server, units, by).await
        }
        [first, ..] => Output::failed(127, format!("sh: 1: {first}: not found\n")),
    }
}

/// What a server's shell makes of a command that carries its term, as the engine's `act/mark.rs`
/// has it: refused if a later term is in force, else run.
async fn marked(world: &Arc<World>, server: usize, arguments: &[&str], by: &str) -> Output {
    let [cluster, term, way, owner, ordered, _, command] = arguments else {
        return Output::failed(2, "sh: 1: arguments are missing\n".to_owned());
    };
    let (Ok(term), Ok(way)) = (term.parse(), way.parse()) else {
        return Output::failed(2, "sh: 1: no number\n".to_owned());
    };
    let mark = Mark { term, way, owner: (*owner).to_owned() };
    match world.mark(server, cluster, mark, *ordered == "1") {
        Ok(()) => {
            let output = Box::pin(run(world, server, command, by)).await;
            Output { stderr: format!("watchkeeper: runs\n{}", output.stderr), ..output }
        }
        Err(Mark { term, owner, .. }) => {
            Output::failed(97, format!("watchkeeper: term {term} of {owner} is in force\n"))
        }
    }
}

/// What a server says of its file systems and memory, as the engine's `collect/resources.rs` asks: each
/// is half full.
fn resources(paths: &[&str]) -> Output {
    use std::fmt::Write as _;
    let mut stdout = String::new();
    for path in paths {
        let _ = writeln!(
            stdout,
            "path\nFilesystem 1024-blocks Used Available Capacity Mounted on\n\
             /dev/vda 1000000 500000 500000 50% {path}"
        );
    }
    stdout.push_str("memory\nMemTotal: 8000000 kB\nMemAvailable: 2000000 kB\n");
    Output { exit: 0, stdout, stderr: String::new() }
}

fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None;
    let mut quote = None;
    for c in command.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_with(String::new);
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    words
}

/// The service of a unit.
pub(crate) fn service(unit: &str) -> Option<Service> {
    Service::from_name(unit.strip_suffix(".service").unwrap_or(unit).strip_prefix("dm-")?)
}

fn not_found(verb: &str, unit: &str) -> Output {
    let unit = unit.strip_suffix(".service").unwrap_or(unit);
    Output::failed(5, format!("Failed to {verb} {unit}.service: Unit {unit}.service not found.\n"))
}

/// One line a unit; success if at least one is active, as with systemd.
fn is_active(world: &World, server: usize, units: &[&str]) -> Output {
    let found = units.iter().map(|unit| service(unit).and_then(|it| world.unit(server, it)));
    let found: Vec<_> = found.collect();
    let exit = if found.contains(&Some(Unit::Active)) {
        0
    } else if found.iter().any(Option::is_some) {
        3
    } else {
        4
    };
    let lines = found.iter().map(|unit| format!("{}\n", unit.unwrap_or_default().as_str()));
    Output { exit, stdout: lines.collect(), stderr: String::new() }
}

async fn start(world: &Arc<World>, server: usize, units: &[&str], by: &str) -> Output {
    let mut output = Output::default();
    for unit in units {
        let failed = match service(unit) {
            None => not_found("start", unit),
            Some(service) => match world.start(server, service, by).await {
                Ok(()) => continue,
                Err(failure) => Output::failed(failure.exit, failure.stderr),
            },
        };
        output.exit = failed.exit;
        output.stderr.push_str(&failed.stderr);
    }
    output
}

async fn stop(world: &Arc<World>, server: usize, units: &[&str], by: &str) -> Output {
    let mut output = Output::default();
    for unit in units {
        match service(unit).filter(|it| world.unit(server, *it).is_some()) {
            None => {
                let failed = not_found("stop", unit);
                output.exit = failed.exit;
                output.stderr.push_str(&failed.stderr);
            }
            Some(service) => {
                world.end(server, service, Unit::Inactive, &format!("stopped by {by}")).await;
            }
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_unquoted() {
        assert_eq!(words("systemctl  start 'dm-daemon'"), ["systemctl", "start", "dm-daemon"]);
        assert_eq!(words("echo \"a  b\" ''"), ["echo", "a  b", ""]);
        assert_eq!(words("  "), Vec::<String>::new());
    }

    #[test]
    fn units_are_services() {
        assert_eq!(service("dm-rest.service"), Some(Service::Rest));
        assert_eq!(service("dm-nosuch"), None);
        assert_eq!(service("rest"), None);
    }
}
