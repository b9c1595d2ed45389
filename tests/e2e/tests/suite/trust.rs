//! Policies that have to be signed, and digests that are pinned: what is not as it has to be does not
//! come into force, and people learn whose it is.

use minisign::KeyPair;
use watchkeeper_core::event::Event;
use watchkeeper_core::model::Service;

use crate::harness::{POLICY, World, another_policy, cluster, guest};

struct Signer(KeyPair);

impl Signer {
    fn new() -> Self {
        Self(KeyPair::generate_unencrypted_keypair().unwrap())
    }

    fn key(&self) -> String {
        self.0.pk.to_base64()
    }

    /// The key's number as it is printed.
    fn id(&self) -> String {
        let key = watchkeeper::trust::Key::parse(&self.key()).unwrap();
        key.id().to_string()
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let signed = minisign::sign(None, &self.0.sk, std::io::Cursor::new(bytes), None, None);
        signed.unwrap().into_string().into_bytes()
    }
}

async fn digest(world: &mut World) -> String {
    world.cluster().await.policies[0].revision.clone().expect("it is in force").digest
}

async fn wait_another(world: &mut World, than: &str) {
    world
        .wait_for("another revision", |status| {
            let revision = cluster(status).policies[0].revision.as_ref();
            revision.is_some_and(|revision| revision.digest != than)
        })
        .await;
}

/// Waits until a refusal has all of these words.
async fn told(world: &mut World, what: &str, words: &[&str]) {
    world
        .wait_record(what, |record| match &record.event {
            Event::GuestRejected { problem, .. } => {
                words.iter().all(|word| problem.contains(word)).then_some(())
            }
            _ => None,
        })
        .await;
    world.wait_alert("guest-rejected").await;
}

const SIGNATURE: &str = "policies/data-mover-ha.wasm.minisig";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_an_accepted_key_signed_comes_into_force() {
    let mut world = World::prepare().await;
    let (ours, theirs) = (Signer::new(), Signer::new());
    let (first, second) = (guest(POLICY).await, another_policy().await);
    world.config.set("guests.keys", vec![ours.key()]);
    world.config.set("clusters.prod.policies.0.require-signature", true);
    world.put(SIGNATURE, &ours.sign(&first));
    world.run().await;
    let old = digest(&mut world).await;

    // The signature of the one before; then another's; then none; then a text.
    world.put_policy(POLICY, &second);
    told(&mut world, "altered", &["was altered, or is not copied yet", &ours.id()]).await;
    world.put(SIGNATURE, &theirs.sign(&second));
    told(&mut world, "another's", &[&theirs.id(), "accepted is a signature by", &ours.id()]).await;
    std::fs::remove_file(world.path(SIGNATURE)).unwrap();
    told(&mut world, "none", &["it has to be signed", "data-mover-ha.wasm.minisig"]).await;
    world.put(SIGNATURE, b"signed, honestly");
    told(&mut world, "no signature", &["is no signature of minisign"]).await;
    let check = world.cli(&["check"]).await;
    assert!(check.out.contains("is no signature of minisign"), "{check:?}");
    assert_eq!(digest(&mut world).await, old);
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;

    // A signature that comes alone is noticed.
    world.put(SIGNATURE, &ours.sign(&second));
    wait_another(&mut world, &old).await;
    world.wait_no_alert("guest-rejected").await;

    // What is gone back to was signed as well, and has to be by a key that is accepted now.
    let new = digest(&mut world).await;
    world.ok(&["policy", "rollback", POLICY, "--reason", "a test"]).await;
    wait_another(&mut world, &new).await;
    assert_eq!(digest(&mut world).await, old);
    world.config.set("guests.keys", vec![theirs.key()]);
    world.write_config();
    told(&mut world, "no longer accepted", &[&ours.id(), &theirs.id()]).await;
}

/// What `policy inspect` and `policy verify` say of a file, before it is put anywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_of_a_signature_is_shown() {
    let mut world = World::prepare().await;
    let (ours, theirs) = (Signer::new(), Signer::new());
    let first = guest(POLICY).await;
    world.config.set("guests.keys", vec![ours.key()]);
    world.write_config();
    let file = world.path("policies/data-mover-ha.wasm");
    let file = file.to_str().unwrap();

    let unsigned = world.cli(&["policy", "verify", file]).await;
    assert_eq!(unsigned.code, Some(1), "{unsigned:?}");
    assert!(unsigned.out.contains("signature: none: there is no"), "{unsigned:?}");

    world.put(SIGNATURE, &ours.sign(&first));
    let good = world.ok(&["policy", "verify", file]).await.out;
    assert!(good.contains(&format!("signature: good, by the key {}", ours.id())), "{good}");
    assert!(good.contains(&watchkeeper_wasm::digest(&first)), "{good}");
    let shown = world.ok(&["policy", "inspect", file, "--json"]).await.out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["signature"]["state"], "verified", "{shown:#}");
    assert_eq!(shown["signature"]["key"], ours.id());
    assert!(shown["signature"]["trusted-comment"].as_str().is_some_and(|it| !it.is_empty()));

    // Against another key, as text and as the file that minisign writes.
    let other = world.cli(&["policy", "verify", file, "--key", &theirs.key()]).await;
    let words = format!("by the key {}, which is not one of {}", ours.id(), theirs.id());
    assert!(other.code == Some(1) && other.out.contains(&words), "{other:?}");
    let public = format!("untrusted comment: minisign public key\n{}\n", ours.key());
    world.put("rules.pub", public.as_bytes());
    let named = world.path("rules.pub");
    world.ok(&["policy", "verify", file, "--key", named.to_str().unwrap()]).await;
    let none = world.cli(&["policy", "verify", file, "--key", "RWno"]).await;
    assert!(none.code == Some(1) && format!("{none:?}").contains("is no public key"), "{none:?}");

    world.put_policy(POLICY, &another_policy().await);
    let forged = world.cli(&["policy", "verify", file]).await;
    assert!(forged.code == Some(1) && forged.out.contains("signature: BAD: "), "{forged:?}");
    let inspected = world.ok(&["policy", "inspect", file]).await.out;
    assert!(inspected.contains("signature: BAD: "), "{inspected}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_digest_is_the_only_one_that_comes_into_force() {
    let mut world = World::prepare().await;
    let first = guest(POLICY).await;
    let pinned = watchkeeper_wasm::digest(&first);
    world.config.set("clusters.prod.policies.0.sha256", pinned.clone());
    world.run().await;
    let old = digest(&mut world).await;
    assert_eq!(old, pinned);
    world.put_policy(POLICY, &another_policy().await);
    told(&mut world, "the other", &["the configuration pins", &pinned]).await;
    assert_eq!(digest(&mut world).await, old);
    // The configuration lets the new one in.
    let wanted = watchkeeper_wasm::digest(&another_policy().await);
    world.config.set("clusters.prod.policies.0.sha256", wanted.clone());
    world.write_config();
    wait_another(&mut world, &old).await;
    assert_eq!(digest(&mut world).await, wanted);
    world.wait_no_alert("guest-rejected").await;
}
