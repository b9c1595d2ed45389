//! The alert sink, and the demo's program with its control socket.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use watchkeeper_site::control::ask;

use crate::client::{SOON, http, site};

#[tokio::test]
async fn the_sink_keeps_what_it_gets_and_fails_as_told() {
    let site = site().await;
    let client = http().tls_certs_only([]).build().unwrap();
    let url = format!("{}/hook?x=1", site.sink().url());
    let post = |body: &'static str| client.post(&url).header("X-Key", "k").body(body).send();
    site.sink().fail(2, 503);
    assert_eq!(post("one").await.unwrap().status(), 503);
    assert_eq!(post("two").await.unwrap().status(), 503);
    assert_eq!(post("three").await.unwrap().status(), 200);
    site.sink().down().await;
    // Refused, or ended on the way: that it did not arrive is checked below.
    assert!(post("four").await.is_err());
    site.sink().up().await.unwrap();
    assert_eq!(post("five").await.unwrap().status(), 200);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 405);
    let kept = site.sink().requests();
    let seen: Vec<_> = kept.iter().map(|it| (it.body.as_str(), it.answered)).collect();
    assert_eq!(seen, [("one", 503), ("two", 503), ("three", 200), ("five", 200)]);
    assert_eq!(kept[0].path, "/hook?x=1");
    assert!(kept[0].headers.contains(&("x-key".to_owned(), "k".to_owned())));
}

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn run(folder: &Path, net: &str) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_watchkeeper-site"))
        .args(["run", "--net", net, "--dir"])
        .arg(folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(timeout(SOON, lines.next_line()).await.unwrap().unwrap().as_deref(), Some("ready"));
    child
}

#[tokio::test]
async fn the_program_runs_a_site_that_does_as_told() {
    let id = std::process::id();
    let folder = Folder(std::env::temp_dir().join(format!("watchkeeper-site-{id}")));
    // Above what `Net::Unique` draws from.
    let net = format!("127.{}.{}", 200 + id % 50, id / 50 % 250);
    let mut child = run(&folder.0, &net).await;
    let tell = async |line: &str| ask(&folder.0, line).await.unwrap();
    assert_eq!(tell("kill dm1 daemon").await, Ok(String::new()));
    assert_eq!(tell("forbid dm1 daemon").await, Ok(String::new()));
    assert!(tell("start dm1 daemon").await.unwrap_err().contains("failed"));
    let status = tell("status").await.unwrap();
    assert!(status.contains("dm1 on ") && status.contains("daemon=failed"), "{status}");
    assert!(status.contains("both sides active ever: false"), "{status}");
    assert!(tell("log").await.unwrap().contains("dm1/daemon killed"));
    assert!(tell("kill dm1 nosuch").await.unwrap_err().contains("nosuch"));
    assert!(tell("kill dm9 rest").await.unwrap_err().contains("dm9"));
    assert!(tell("dance").await.is_err());

    let client = http().tls_certs_only([]).build().unwrap();
    client.post(format!("http://{net}.9:8080/a")).body("fire\nok").send().await.unwrap();
    let alerts = tell("alerts").await.unwrap();
    assert!(alerts.ends_with("POST /a 200 fire ok\n"), "{alerts}");

    let mode = std::fs::metadata(folder.0.join("id_ed25519")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let read = |name| std::fs::read_to_string(folder.0.join(name)).unwrap();
    assert!(read("site.env").contains(&format!("DM2={net}.2\n")));
    let known = read("known_hosts");
    assert_eq!(known.lines().count(), 3);

    // The second program of the pair, and the exit status it reports.
    let ctl = async |line: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchkeeper-site"));
        command.args(["ctl", "--dir"]).arg(&folder.0).args(line);
        let output = timeout(SOON, command.output()).await.unwrap().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(ctl(&["allow", "dm1", "daemon"]).await, (Some(0), "ok\n".to_owned()));
    assert_eq!(ctl(&["allow", "dm1", "nosuch"]).await.0, Some(1));
    assert_eq!(ctl(&["quit"]).await.0, Some(0));
    assert!(timeout(SOON, child.wait()).await.unwrap().unwrap().success());
    assert_eq!(ctl(&["status"]).await.0, Some(1), "nobody is there");

    // Host keys are kept with the folder.
    let again = run(&folder.0, &net).await;
    assert_eq!(read("known_hosts"), known);
    drop(again);
}
