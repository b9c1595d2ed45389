//! However a new revision comes: what is in force in the end is what lies there in the end, and nothing
//! stands still meanwhile.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use watchkeeper_core::model::Service;

use crate::harness::{POLICY, World, another_policy, cluster, guest, summary};

async fn digest(world: &mut World, policy: &str) -> String {
    let cluster = world.cluster().await;
    let found = cluster.policies.iter().find(|it| it.name == policy).expect("it is listed");
    found.revision.clone().expect("it is in force").digest
}

async fn wait_digest(world: &mut World, policy: &str, what: &str, wanted: impl Fn(&str) -> bool) {
    world
        .wait_for(what, |status| {
            let policies = &cluster(status).policies;
            let found = policies.iter().find(|it| it.name == policy);
            let revision = found.and_then(|it| it.revision.as_ref());
            revision.is_some_and(|revision| wanted(&revision.digest))
        })
        .await;
}

/// A way of saving a file.
type Way<'a> = &'a dyn Fn(&[u8]);

/// Two revisions of the policy, by their digests once they have been in force.
struct Two {
    bytes: [Vec<u8>; 2],
    digests: [String; 2],
}

impl Two {
    async fn of(world: &mut World) -> Self {
        let bytes = [guest(POLICY).await, another_policy().await];
        let first = digest(world, POLICY).await;
        world.put_policy(POLICY, &bytes[1]);
        wait_digest(world, POLICY, "the second", |it| it != first).await;
        let second = digest(world, POLICY).await;
        Self { bytes, digests: [first, second] }
    }
}

/// As editors, copies and deployments do it: in place and in pieces, by a temporary file, a moved
/// backup, a hard link, a folder that goes and another that comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_saving_puts_the_last_word_in_force() {
    let mut world = World::start().await;
    let two = Two::of(&mut world).await;
    let folder = world.path("policies");
    let file = folder.join(format!("{POLICY}.wasm"));
    let in_pieces = |bytes: &[u8]| {
        let mut written = std::fs::File::create(&file).unwrap();
        for piece in bytes.chunks(bytes.len() / 3 + 1) {
            written.write_all(piece).unwrap();
            written.flush().unwrap();
            // Longer than it has to be quiet before it is read.
            std::thread::sleep(Duration::from_millis(130));
        }
    };
    let by_draft = |bytes: &[u8]| {
        let draft = folder.join("4913~");
        std::fs::write(&draft, bytes).unwrap();
        std::fs::rename(&draft, &file).unwrap();
    };
    let by_backup = |bytes: &[u8]| {
        std::fs::rename(&file, folder.join("backup.wasm~")).unwrap();
        std::fs::write(&file, bytes).unwrap();
    };
    let by_link = |bytes: &[u8]| {
        let other = folder.join("elsewhere");
        std::fs::write(&other, bytes).unwrap();
        std::fs::remove_file(&file).unwrap();
        std::fs::hard_link(&other, &file).unwrap();
        std::fs::remove_file(&other).unwrap();
    };
    let by_folder = |bytes: &[u8]| {
        let aside = folder.with_extension("old");
        let _ = std::fs::remove_dir_all(&aside);
        std::fs::rename(&folder, &aside).unwrap();
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(&file, bytes).unwrap();
    };
    let ways: [(&str, Way<'_>); 5] = [
        ("in pieces", &in_pieces),
        ("a draft that is renamed", &by_draft),
        ("a backup that is moved away", &by_backup),
        ("a hard link", &by_link),
        ("another folder", &by_folder),
    ];
    let mut which = 0;
    for (what, way) in ways {
        let before = world.cluster().await.evaluations;
        way(&two.bytes[which]);
        wait_digest(&mut world, POLICY, what, |it| it == two.digests[which]).await;
        world.wait_no_alert("guest-rejected").await;
        assert!(world.let_pass(1).await.clusters[0].evaluations > before, "{what}");
        which = 1 - which;
    }
    // In the new folder, too, a change is noticed.
    world.put_policy(POLICY, &two.bytes[which]);
    wait_digest(&mut world, POLICY, "in the new folder", |it| it == two.digests[which]).await;
}

/// Releases that a symbolic link switches, with all policies at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switched_release_is_in_force_and_so_is_what_changes_in_it() {
    let mut world = World::prepare().await;
    let (first, second) = (guest(POLICY).await, another_policy().await);
    let release = |name: &str, bytes: &[u8]| {
        let folder = world.path(&format!("releases/{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{POLICY}.wasm")), bytes).unwrap();
        folder
    };
    let (one, two) = (release("1", &first), release("2", &second));
    let current = world.path("current");
    let switch = |to: &Path| {
        let draft = current.with_extension("new");
        symlink(to, &draft).unwrap();
        std::fs::rename(&draft, &current).unwrap();
    };
    switch(&one);
    world.config.set("guests.policies", current.to_string_lossy().into_owned());
    world.run().await;
    let old = digest(&mut world, POLICY).await;
    switch(&two);
    wait_digest(&mut world, POLICY, "the second release", |it| it != old).await;
    // What changes in the release that is in force now is noticed as well.
    std::fs::write(two.join(format!("{POLICY}.wasm")), &first).unwrap();
    wait_digest(&mut world, POLICY, "a change in it", |it| it == old).await;
}

/// A folder that vanishes leaves everything in force; what lies in it when it is back counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_vanishes_and_comes_back_loses_nothing() {
    let mut world = World::start().await;
    let old = digest(&mut world, POLICY).await;
    let folder = world.path("policies");
    std::fs::rename(&folder, folder.with_extension("away")).unwrap();
    let told = world.wait_alert("guest-rejected").await;
    assert!(told.contains("cannot read"), "{told}");
    assert_eq!(digest(&mut world, POLICY).await, old);
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    std::fs::create_dir(&folder).unwrap();
    world.put_policy(POLICY, &another_policy().await);
    wait_digest(&mut world, POLICY, "what came back", |it| it != old).await;
    world.wait_no_alert("guest-rejected").await;
}

/// A hundred changes a second for some seconds: no evaluation is missed for them, and the last counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_changes_a_second_delay_nothing_and_the_last_counts() {
    let mut world = World::start().await;
    let two = Two::of(&mut world).await;
    let before = world.cluster().await.evaluations;
    let begun = Instant::now();
    let mut changes = 0_usize;
    while changes < 400 {
        world.put_policy(POLICY, &two.bytes[changes % 2]);
        changes += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seconds = begun.elapsed().as_secs();
    let after = world.cluster().await.evaluations;
    // One a second, whatever else goes on; a busy machine may be late with one, and what it misses while it stands
    // still is not made up for.
    assert!(2 * (after + 1 - before) >= seconds, "{} in {seconds} s", after - before);
    world.put_policy(POLICY, &two.bytes[0]);
    wait_digest(&mut world, POLICY, "the last one", |it| it == two.digests[0]).await;
    assert!(summary(&world.status().await, "guest-rejected").is_none());
}

/// Of a set that comes into force together, none does while one of it is no good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_comes_into_force_as_a_whole_or_not_at_all() {
    let mut world = World::prepare().await;
    world.config.set("clusters.prod.policies-together", true);
    let other = guest("guest-hostile").await;
    world.put_policy("hostile", &other);
    world.config.policy("hostile", &["rescue", "alert"]);
    world.run().await;
    let old = digest(&mut world, POLICY).await;
    world.put_policy("hostile", b"no policy");
    world.wait_alert("guest-rejected").await;
    world.put_policy(POLICY, &another_policy().await);
    world
        .wait_for("the reason", |status| {
            status.alerts.iter().any(|alert| {
                alert.name == "guest-rejected" && alert.summary.contains("it waits for hostile")
            })
        })
        .await;
    assert_eq!(digest(&mut world, POLICY).await, old);
    let good =
        watchkeeper_guests::patched(&other, "hostile-evaluate:normal ", "hostile-evaluate:Normal ");
    world.put_policy("hostile", &good);
    wait_digest(&mut world, POLICY, "the whole set", |it| it != old).await;
    world.wait_no_alert("guest-rejected").await;
}

/// How long it takes from the file's last byte to the new revision in force, and how many evaluations
/// there were meanwhile: a measurement, with `--ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; takes minutes"]
async fn how_long_a_swap_takes() {
    let mut world = World::start().await;
    let two = Two::of(&mut world).await;
    let before = world.cluster().await.evaluations;
    let begun = Instant::now();
    let mut times = Vec::new();
    for swap in 0..1_000 {
        let which = swap % 2;
        world.put_policy(POLICY, &two.bytes[which]);
        let put = Instant::now();
        while digest(&mut world, POLICY).await != two.digests[which] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(put.elapsed());
    }
    let evaluations = world.cluster().await.evaluations - before;
    times.sort_unstable();
    println!(
        "1,000 swaps, compiled before: least {:?}, median {:?}, 99th percentile {:?}, most {:?}; {} \
         evaluations in {:?}",
        times[0],
        times[500],
        times[990],
        times[999],
        evaluations,
        begun.elapsed()
    );
    let base = guest(POLICY).await;
    let mut times = Vec::new();
    for number in 0..20 {
        let words = format!("as the v{number:02}dor does");
        let bytes = watchkeeper_guests::patched(&base, "as the vendor does", &words);
        let before = digest(&mut world, POLICY).await;
        world.put_policy(POLICY, &bytes);
        let put = Instant::now();
        while digest(&mut world, POLICY).await == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(put.elapsed());
    }
    times.sort_unstable();
    println!(
        "20 swaps, compiled anew: least {:?}, median {:?}, most {:?}",
        times[0], times[10], times[19]
    );
}
