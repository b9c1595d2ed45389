//! What a command line for a server's shell needs there, as far as its first words say.
//!
//! Only words without anything that a shell would change are understood; where the line becomes more than
//! that, only what came before it is looked at. Better too little than something that is not meant.

use super::Can;
use super::script::{Answers, Ask, Script};

/// One thing that a command line needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Needs {
    /// The program is there and may be run.
    Program(String, usize),
    /// `sudo` allows it.
    Sudo(String, usize),
    /// systemd knows the unit; and it may be started, if that is what is wanted of it.
    Unit { unit: String, ask: usize, starts: bool },
    /// Its first word is none that can be asked for.
    Opaque,
}

/// What the line needs, asked for in `script`.
pub(super) fn asks(line: &str, script: &mut Script) -> Vec<Needs> {
    let (words, whole) = plain(line);
    let words: Vec<&str> = words.into_iter().skip_while(|word| is_assignment(word)).collect();
    let Some((program, rest)) = words.split_first() else { return vec![Needs::Opaque] };
    let mut needs = Vec::new();
    let ask_program = |program: &str, script: &mut Script| {
        Needs::Program(program.to_owned(), script.ask(Ask::Program(program.to_owned())))
    };
    let command = if base(program) == "sudo" {
        let (options, command) = after_sudo(rest);
        needs.push(ask_program(program, script));
        if whole && !command.is_empty() {
            let asked = [options.as_slice(), command].concat().join(" ");
            let ask = script.ask(Ask::Sudo(asked));
            needs.push(Needs::Sudo(command.join(" "), ask));
        }
        command
    } else {
        needs.push(ask_program(program, script));
        words.as_slice()
    };
    let (starts, units) = units(command);
    needs.extend(units.into_iter().map(|unit| {
        let ask = script.ask(Ask::Unit(unit.to_owned()));
        Needs::Unit { unit: unit.to_owned(), ask, starts }
    }));
    needs
}

/// The leading words that mean themselves, and whether that is the whole line.
fn plain(line: &str) -> (Vec<&str>, bool) {
    let is_plain =
        |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c));
    let all: Vec<&str> = line.split_whitespace().collect();
    let words: Vec<&str> = all.iter().copied().take_while(is_plain).collect();
    let whole = words.len() == all.len() && !line.contains('\n');
    (words, whole)
}

fn is_assignment(word: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    word.split_once('=').is_some_and(|(before, _)| !before.is_empty() && before.chars().all(name))
}

fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// The options that say as whom, and the command. Of another option it is not known how many words it
/// takes: there is no command then.
fn after_sudo<'a, 'b>(words: &'b [&'a str]) -> (Vec<&'a str>, &'b [&'a str]) {
    let mut options = Vec::new();
    let mut rest = words;
    while let [first, after @ ..] = rest {
        match (*first, after) {
            ("-n" | "--non-interactive", _) => rest = after,
            ("--", _) => return (options, after),
            ("-u" | "-g", [who, after @ ..]) => {
                options.extend([*first, *who]);
                rest = after;
            }
            (option, _) if option.starts_with("--user=") || option.starts_with("--group=") => {
                options.push(option);
                rest = after;
            }
            (option, _) if option.starts_with('-') => return (options, &[]),
            _ => break,
        }
    }
    (options, rest)
}

/// The units that a `systemctl` is about, and whether it starts them. A user's own units are another
/// systemd's.
fn units<'a>(command: &[&'a str]) -> (bool, Vec<&'a str>) {
    let none = (false, Vec::new());
    let Some((program, rest)) = command.split_first() else { return none };
    if base(program) != "systemctl" || rest.contains(&"--user") {
        return none;
    }
    let mut words = rest.iter().copied().filter(|word| !word.starts_with('-'));
    match words.next() {
        Some("start" | "restart") => (true, words.collect()),
        Some("stop" | "is-active" | "status") => (false, words.collect()),
        _ => none,
    }
}

impl Needs {
    pub(super) fn judge(&self, answers: &Answers<'_>) -> Can {
        match self {
            Self::Program(program, ask) => match answers.yes(*ask) {
                Ok(Ok(())) => Can::Yes,
                Ok(Err(_)) => Can::No(format!("{program} is not there, or may not be run")),
                Err(why) => Can::Unknown(why),
            },
            Self::Sudo(command, ask) => match answers.yes(*ask) {
                Ok(Ok(())) => Can::Yes,
                Ok(Err(said)) if said.is_empty() => {
                    Can::No(format!("sudo does not allow `{command}`"))
                }
                Ok(Err(said)) => Can::No(format!("sudo does not allow `{command}`: {said}")),
                Err(why) => Can::Unknown(why),
            },
            Self::Unit { unit, ask, starts } => match answers.load_state(*ask) {
                Ok("loaded") => Can::Yes,
                // What is masked can be stopped, and asked for.
                Ok("masked") if !starts => Can::Yes,
                Ok("masked") => Can::No(format!("the unit {unit} is masked")),
                Ok("not-found") => Can::No(format!("there is no unit {unit}")),
                Ok(state) => Can::No(format!("the unit {unit} cannot be used: {state}")),
                Err(why) => {
                    Can::Unknown(format!("systemd does not say whether {unit} is there: {why}"))
                }
            },
            Self::Opaque => Can::Unknown(
                "its command line begins with nothing that can be looked up".to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Vec<String> {
        let mut script = Script::default();
        asks(line, &mut script)
            .into_iter()
            .map(|needs| match needs {
                Needs::Program(program, _) => format!("program {program}"),
                Needs::Sudo(_, ask) => format!("{:?}", script.asked(ask)),
                Needs::Unit { unit, starts: true, .. } => format!("unit {unit}"),
                Needs::Unit { unit, .. } => format!("unit {unit}, not to be started"),
                Needs::Opaque => "opaque".to_owned(),
            })
            .collect()
    }

    #[test]
    fn what_a_command_line_needs_is_what_its_first_words_say() {
        for (line, expected) in [
            ("systemctl start dm-daemon", &["program systemctl", "unit dm-daemon"][..]),
            (
                "/usr/bin/systemctl --no-block stop a b",
                &[
                    "program /usr/bin/systemctl",
                    "unit a, not to be started",
                    "unit b, not to be started",
                ],
            ),
            ("systemctl --user start dm", &["program systemctl"]),
            ("systemctl daemon-reload", &["program systemctl"]),
            (
                "sudo -n systemctl start dm-rest",
                &["program sudo", "Sudo(\"systemctl start dm-rest\")", "unit dm-rest"],
            ),
            (
                "sudo -n -u dmuser /etc/init.d/dm start",
                &["program sudo", "Sudo(\"-u dmuser /etc/init.d/dm start\")"],
            ),
            ("sudo --user=dm -- /opt/x", &["program sudo", "Sudo(\"--user=dm /opt/x\")"]),
            // What it would allow cannot be asked: what is run is not what stands there.
            ("sudo -n /opt/x \"$HOME\"", &["program sudo"]),
            ("sudo -C 3 /opt/x", &["program sudo"]),
            ("sudo", &["program sudo"]),
            ("LANG=C /opt/dm/start now", &["program /opt/dm/start"]),
            ("cd /opt/dm && ./start", &["program cd"]),
            ("'/opt/my dir/x' start", &["opaque"]),
            ("$HOME/x start", &["opaque"]),
            ("  ", &["opaque"]),
        ] {
            assert_eq!(asked(line), expected, "{line}");
        }
    }
}
