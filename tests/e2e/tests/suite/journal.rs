//! The journal that is damaged, taken or full.

use std::fs;
use std::path::Path;
use std::process::Command;

use tokio::net::UnixStream;
use watchkeeper_core::event::Event;
use watchkeeper_core::model::Service;

use crate::harness::{Manager, World, http};

/// A world with something in its journal, stopped in good order.
async fn stopped() -> World {
    let mut world = World::start().await;
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    world.let_pass(3).await;
    world.stop().await;
    world
}

fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name.starts_with("journal.db"))
        .collect();
    files.sort();
    files
}

/// A damaged journal is never taken for an empty one: no start, a clear error, nothing overwritten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_is_an_error_and_stays_as_it_is() {
    let mut world = stopped().await;
    let path = world.journal_path();
    let good = fs::read(&path).unwrap();
    let half = good.len() / 2;
    let mut altered = good.clone();
    // In the middle of the file there are records, and a text of theirs becomes another.
    let at = altered.windows(9).rposition(|bytes| bytes == b"evaluated").unwrap();
    altered[at + 20] ^= 1;
    let cases = [
        ("cut in the middle", good[..half].to_vec()),
        ("altered", altered),
        ("empty", Vec::new()),
        ("something else", b"not a database at all, but a text of some length".to_vec()),
    ];
    for (what, bytes) in cases {
        fs::write(&path, &bytes).unwrap();
        let before = content(&world.path("state"));
        fs::write(world.path("daemon.log"), "").unwrap();
        world.launch();
        assert_eq!(world.end().await, Some(1), "{what}: {}", world.log());
        assert!(world.log().contains("journal"), "{what}: {}", world.log());
        let words = if what == "something else" { "not a journal" } else { "damaged" };
        assert!(world.log().contains(words), "{what}: {}", world.log());
        let after = content(&world.path("state"));
        let journal = |files: &[(String, Vec<u8>)]| {
            files.iter().find(|(name, _)| name == "journal.db").map(|(_, bytes)| bytes.clone())
        };
        assert_eq!(journal(&after), journal(&before), "{what}");
    }
    fs::remove_file(&path).unwrap();
    world.launch();
    assert_eq!(world.end().await, Some(1), "lost: {}", world.log());
    assert!(!path.exists(), "no new one is begun in its place");

    fs::write(&path, &good).unwrap();
    world.run().await;
}

/// A word that is none finds nothing, which must not look as if nothing had happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_in_the_journal_is_not_looked_for() {
    let world = World::start().await;
    let path = world.journal_path();
    let file = ["--file", path.to_str().unwrap()];
    for from in [&[][..], &file] {
        let show = |more: &[&'static str]| [&["journal", "show"], from, more].concat();
        let found = world.ok(&show(&["--kind", "monitor-started", "--cluster", "prod"])).await;
        assert_eq!(found.out, "no record fits\n", "it is about no cluster");
        let found = world.ok(&show(&["--kind", "monitor-started"])).await.out;
        assert_eq!(found.lines().count(), 1, "{found}");
        let misspelt = world.cli(&show(&["--kind", "evaluted"])).await;
        assert_eq!(misspelt.code, Some(2), "{misspelt:?}");
        assert!(misspelt.err.contains("a similar value exists: 'evaluated'"), "{misspelt:?}");
        let misnamed = world.cli(&show(&["--cluster", "prod&kind=duty"])).await;
        assert_eq!(misnamed.code, Some(2), "{misnamed:?}");
    }
    let mut socket = UnixStream::connect(world.path("wk.sock")).await.unwrap();
    let refused = http(&mut socket, "/v1/journal?kind=evaluted", "application/json").await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(refused.contains("the kinds are monitor-started, "), "{refused}");
}

/// Two daemons on one journal would both act.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_the_same_journal_is_refused() {
    let mut world = World::start().await;
    let before = world.status().await;
    let mut second = world.another();
    let begun = tokio::time::Instant::now();
    let status = loop {
        if let Some(status) = second.ended() {
            break status;
        }
        assert!(begun.elapsed() < crate::harness::LONG, "the second one goes on");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(status.code(), Some(1));
    assert!(world.log().contains("another daemon uses the journal"), "{}", world.log());
    let after = world.let_pass(2).await;
    assert_eq!(after.started, before.started);
    let started = |event: &Event| matches!(event, Event::MonitorStarted { .. });
    assert_eq!(world.journal().iter().filter(|it| started(&it.event)).count(), 1);
}

/// How a program is given a mount of its own, if this user may.
fn own_mounts() -> Option<Vec<String>> {
    [vec!["unshare", "--mount"], vec!["unshare", "--map-root-user", "--mount"]]
        .into_iter()
        .find(|words| {
            let mount = ["sh", "-c", "mount -t tmpfs -o size=1m tmpfs /tmp"];
            let tried = Command::new(words[0]).args(&words[1..]).args(mount).output();
            tried.is_ok_and(|output| output.status.success())
        })
        .map(|words| words.into_iter().map(str::to_owned).collect())
}

/// What cannot be recorded is not done; when there is room again, it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_acting_visibly_and_room_lets_it_go_on() {
    let Some(mut shell) = own_mounts() else {
        eprintln!("skipped: this user may not mount a small disk");
        return;
    };
    let mut world = World::prepare().await;
    let state = world.path("state");
    fs::create_dir_all(&state).unwrap();
    let mount = format!("mount -t tmpfs -o size=6m tmpfs {} && exec \"$@\"", state.display());
    shell.extend(["sh", "-c", &mount, "sh"].map(str::to_owned));
    let mut manager = Manager::of(&world);
    shell.extend(manager.environment(Some(2_000)));
    world.shell = shell;
    world.run().await;

    // The disk as the daemon sees it.
    let seen = format!("/proc/{}/root{}", world.daemon().id(), state.display());
    let filler = Path::new(&seen).join("filler");
    // Down to the last byte: it is written until nothing more goes in.
    let mut file = fs::File::create(&filler).unwrap();
    for size in [1 << 16, 1 << 12, 1 << 8, 1] {
        while std::io::Write::write_all(&mut file, &vec![0; size]).is_ok() {}
    }
    let before = world.site.starts("dm1", Service::Daemon);
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    let status = world.wait_for("the trouble", |status| status.clusters[0].trouble.is_some()).await;
    let trouble = status.clusters[0].trouble.clone().unwrap();
    assert!(trouble.contains("journal"), "{trouble}");
    let said = world.cli(&["status"]).await;
    assert!(said.out.contains("journal"), "{said:?}");
    // Whoever starts daemons again would not help: it is told, and no reason to be killed.
    manager.wait_status("NOTHING IS DONE").await;
    manager.wait_pings(3).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(world.site.start_requests("dm1", Service::Daemon), before, "nothing is done");

    drop(file);
    fs::remove_file(&filler).unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    world.wait_for("no trouble", |status| status.clusters[0].trouble.is_none()).await;
    assert_eq!(world.site.starts("dm1", Service::Daemon), before + 1);
    world.wait_taken("service-down", "firing").await;
    world.wait_taken("service-down", "resolved").await;
    world.assert_taken_once();
}
