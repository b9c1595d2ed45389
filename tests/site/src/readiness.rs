//! What a server answers to the engine's look at what a change of side would need there
//! (`collect/readiness/script.rs`): each question in its turn, from the site's state.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use watchkeeper_core::model::Service;

use crate::shell::{self, Output};
use crate::world::{Flaw, Unit, World};

/// An hour, which a clock that is behind is behind.
const BEHIND: u64 = 3_600;

/// Answers the questions, which come in pairs: what is asked, and about what.
pub(crate) async fn look(world: &Arc<World>, server: usize, asks: &[&str], by: &str) -> Output {
    let mut stdout = String::new();
    for (number, pair) in asks.chunks(2).enumerate() {
        let [what, about] = pair else { continue };
        let _ = writeln!(stdout, "== {number}");
        stdout.push_str(&answer(world, server, what, about, by).await);
    }
    stdout.push_str("== end\n");
    Output { exit: 0, stdout, stderr: String::new() }
}

async fn answer(world: &Arc<World>, server: usize, what: &str, about: &str, by: &str) -> String {
    let has = |flaw| world.has(server, flaw);
    match what {
        "clock" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let now = if has(Flaw::ClockBehind) { now.saturating_sub(BEHIND) } else { now };
            format!("{now}\n")
        }
        "ports" => {
            let listens = |service: &Service| {
                has(Flaw::PortTaken(*service)) || world.unit(server, *service) == Some(Unit::Active)
            };
            let ports = Service::ALL.into_iter().filter(listens).filter_map(|it| world.port(it));
            let ports = ports.map(|port| format!("00000000:{port:04X}\n"));
            let mut lines = ports.fold(String::new(), |lines, line| lines + &line);
            lines.push_str("at 127.0.0.1 1 127.0.0.1 22\ndone\n");
            lines
        }
        "memory" => "MemTotal: 8000000 kB\nMemAvailable: 2000000 kB\n".to_owned(),
        "disk" => {
            let left = if has(Flaw::DiskFull) { 1_000 } else { 50_000_000 };
            format!("/dev/vda 100000000 50000000 {left} 50% {about}\n")
        }
        "certificate" => format!("sed: {about}: No such file or directory\n"),
        "program" => match about.rsplit('/').next() {
            Some("systemctl" | "sudo" | "hostname" | "echo" | "true" | "false") => "yes\n",
            _ => "no\n",
        }
        .to_owned(),
        "sudo" => "yes\n".to_owned(),
        "unit" => {
            let service = shell::service(about).filter(|it| world.unit(server, *it).is_some());
            let state = match service {
                Some(service) if has(Flaw::Masked(service)) => "masked",
                Some(service) if !has(Flaw::NoUnit(service)) => "loaded",
                _ => "not-found",
            };
            format!("LoadState={state}\n")
        }
        "run" => {
            let output = Box::pin(shell::run(world, server, about, by)).await;
            let said = output.stdout.lines().chain(output.stderr.lines()).next();
            format!("exit {}\nsaid {}\n", output.exit, said.unwrap_or_default())
        }
        _ => "unknown\n".to_owned(),
    }
}
