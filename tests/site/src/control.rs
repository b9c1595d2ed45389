//! The demo's control socket: one line asks, the answer is lines of text of which the last is `ok` or
//! `error: ...`. Plain text, so that a person with `nc -U` can use it as well.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use watchkeeper_core::model::{Service, Timestamp};

use crate::{Power, Site, SiteError, Unit};

/// The socket's name in the site's folder.
pub const SOCKET: &str = "control.sock";

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 4096;

/// What can be asked, a line each.
pub const HELP: &str = "\
kill|start|stop SERVER SERVICE    end a service's process; start or stop it as systemctl would
forbid|hang|allow SERVER SERVICE  let its starts fail; let them hang; take both back
crash|boot SERVER                 cut a server's power; boot it
boot SERVER SERVICE...            boot it and start these services there
freeze|thaw SERVER                let a server hang; let it go on
reset SERVER                      reset its connections
cut|heal SERVER [SERVER]          cut servers apart; one alone is cut from the outside
hostkey SERVER                    give it a new SSH host key
lag BYTES                         set how far the standby is behind
replication break|repair          let applying on the standby fail; let it work
sink fail N [STATUS]              answer the next N alerts with STATUS (500)
sink down|up                      refuse alerts; take them again
status, log, alerts, quit         what runs; what happened; what the sink received; end the site
";

/// Listens on the socket in `folder`. An old socket there is replaced.
pub fn listen(folder: &Path) -> Result<UnixListener, SiteError> {
    let path = folder.join(SOCKET);
    let failed = |error| SiteError::File(path.clone(), error);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    UnixListener::bind(&path).map_err(failed)
}

/// Answers on the socket that [`listen`] made in `folder`, until somebody says `quit`.
pub async fn serve(
    site: Arc<Site>,
    folder: &Path,
    listener: UnixListener,
) -> Result<(), SiteError> {
    let path = folder.join(SOCKET);
    let failed = |error| SiteError::File(path.clone(), error);
    let quit = Arc::new(Notify::new());
    loop {
        let stream = tokio::select! {
            () = quit.notified() => break,
            accepted = listener.accept() => accepted.map_err(failed)?.0,
        };
        let (site, quit, folder) = (Arc::clone(&site), Arc::clone(&quit), folder.to_owned());
        tokio::spawn(async move {
            let (reader, mut writer) = stream.into_split();
            let mut reader = BufReader::new(reader);
            loop {
                let mut line = String::new();
                match (&mut reader).take(MAX_LINE).read_line(&mut line).await {
                    Ok(read) if read > 0 => {}
                    _ => return,
                }
                if line.trim() == "quit" {
                    let _ = writer.write_all(b"ok\n").await;
                    return quit.notify_one();
                }
                if reply(&site, &folder, &line, &mut writer).await.is_err() {
                    return;
                }
            }
        });
    }
    // Only tidiness: a socket left behind is replaced the next time.
    let _ = std::fs::remove_file(&path);
    Ok(())
}

async fn reply(
    site: &Site,
    folder: &Path,
    line: &str,
    writer: &mut OwnedWriteHalf,
) -> std::io::Result<()> {
    let answer = match command(site, folder, line).await {
        Ok(text) => format!("{text}ok\n"),
        Err(error) => format!("error: {error}\n"),
    };
    writer.write_all(answer.as_bytes()).await
}

/// Carries out one line; what it answers is lines, or nothing.
async fn command(site: &Site, folder: &Path, line: &str) -> Result<String, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let named = |name: &str| Service::from_name(name).ok_or(format!("no service {name:?}"));
    let told = |error: SiteError| error.to_string();
    match words.as_slice() {
        ["status"] => return Ok(status(site)),
        ["log"] => return Ok(log(site)),
        ["alerts"] => return Ok(alerts(site)),
        ["help"] => return Ok(HELP.to_owned()),
        ["kill", server, service] => site.kill(server, named(service)?).await,
        ["start", server, service] => site.start_service(server, named(service)?).await,
        ["stop", server, service] => site.stop_service(server, named(service)?).await,
        ["forbid", server, service] => site.forbid_start(server, named(service)?),
        ["hang", server, service] => site.hang_start(server, named(service)?),
        ["allow", server, service] => site.allow_start(server, named(service)?),
        ["crash", server] => site.crash_server(server).await,
        ["boot", server] => site.boot_server(server).await,
        ["boot", server, services @ ..] => {
            let services: Result<Vec<_>, _> = services.iter().map(|name| named(name)).collect();
            site.boot_server_starting(server, &services?).await
        }
        ["freeze", server] => site.freeze(server),
        ["thaw", server] => site.thaw(server),
        ["reset", server] => site.reset_connections(server),
        ["cut", server, others @ ..] if others.len() < 2 => {
            site.cut(server, others.first().copied())
        }
        ["heal", server, others @ ..] if others.len() < 2 => {
            site.heal(server, others.first().copied())
        }
        // The file known_hosts stays as it is: a changed key is what is to be noticed.
        ["hostkey", server] => site.change_host_key(server),
        ["access"] => site.write_access(folder),
        ["lag", bytes] => {
            site.set_replication_lag(bytes.parse().map_err(|_| format!("{bytes:?} is no size"))?);
            Ok(())
        }
        ["replication", what @ ("break" | "repair")] => {
            site.break_replication(*what == "break");
            Ok(())
        }
        ["sink", "down"] => {
            site.sink().down().await;
            Ok(())
        }
        ["sink", "up"] => site.sink().up().await,
        ["sink", "fail", times, status @ ..] if status.len() < 2 => {
            let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
            let status = status.first().map_or(Ok(500), |text| number(text))?;
            site.sink().fail(usize::from(number(times)?), status);
            Ok(())
        }
        _ => return Err(format!("what is {:?}? try help", line.trim())),
    }
    .map_err(told)?;
    Ok(String::new())
}

/// A line a server: its state as a machine and its services; those that live but do not serve yet
/// are marked.
fn status(site: &Site) -> String {
    let mut text = String::new();
    for server in site.servers() {
        let power = match site.power(&server) {
            Power::On => "on",
            Power::Frozen => "frozen",
            Power::Off => "off",
        };
        let services = Service::ALL.into_iter().filter_map(|service| {
            let unit = site.unit(&server, service)?;
            let late = unit == Unit::Active && !site.is_ready(&server, service);
            Some(format!("{service}={}{}", unit.as_str(), if late { "(starting)" } else { "" }))
        });
        let services: Vec<_> = services.collect();
        let _ = writeln!(text, "{server} {power} {}", services.join(" "));
        let agents = site.agents(&server);
        if !agents.is_empty() {
            let _ = writeln!(text, "{server} agents {}", agents.join(" "));
        }
    }
    let _ = writeln!(text, "both sides active ever: {}", site.both_active_ever());
    text
}

/// The wall clock's time of a moment that has passed.
fn wall(at: Instant) -> Timestamp {
    let then = SystemTime::now().checked_sub(at.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH);
    let since = then.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn log(site: &Site) -> String {
    let lines = site.log().into_iter().map(|(at, what)| format!("{} {what}\n", wall(at)));
    lines.collect()
}

fn alerts(site: &Site) -> String {
    let requests = site.sink().requests();
    let lines = requests.into_iter().map(|it| {
        // On one line, so that no body can look like the answer's end.
        let body = it.body.replace(['\n', '\r'], " ");
        format!("{} {} {} {} {body}\n", wall(it.at), it.method, it.path, it.answered)
    });
    lines.collect()
}

/// Sends one line to the site in `folder`, and returns what it answers: text, or an error's.
pub async fn ask(folder: &Path, line: &str) -> Result<Result<String, String>, SiteError> {
    let path = folder.join(SOCKET);
    let failed = |error| SiteError::File(path.clone(), error);
    let mut stream = UnixStream::connect(&path).await.map_err(failed)?;
    stream.write_all(format!("{line}\n").as_bytes()).await.map_err(failed)?;
    let mut lines = BufReader::new(stream).lines();
    let mut text = String::new();
    while let Some(line) = lines.next_line().await.map_err(failed)? {
        if line == "ok" {
            return Ok(Ok(text));
        }
        if let Some(error) = line.strip_prefix("error: ") {
            return Ok(Err(error.to_owned()));
        }
        text.push_str(&line);
        text.push('\n');
    }
    Ok(Err("the site went away".to_owned()))
}
