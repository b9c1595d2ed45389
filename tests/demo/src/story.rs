//! The story, scene by scene.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use watchkeeper_core::event::{Event, GuestKind, Record};
use watchkeeper_core::execution::{Outcome, PlanEnding};
use watchkeeper_core::model::{Service, Status};
use watchkeeper_core::plan::PlanKind;
use watchkeeper_core::proposal::Revision;
use watchkeeper_site::Site;
use watchkeeper_site::sink::alerts_in;

use crate::episode::{Episode, delivered, ended};
use crate::error::DemoError;
use crate::stage::{POLICY, Stage, wait};
use crate::teller::Teller;

/// How long the daemon may take to know how everything is, on a machine that does much else.
const CALM: Duration = Duration::from_secs(45);

/// What `status --json` says, as far as the story needs it.
#[derive(Deserialize)]
struct Report {
    alerts: Vec<Value>,
    clusters: Vec<Cluster>,
}

#[derive(Deserialize)]
struct Cluster {
    services: Vec<ServiceStatus>,
    alerts: Vec<Value>,
}

#[derive(Deserialize)]
struct ServiceStatus {
    expected: bool,
    status: Status,
}

impl Report {
    /// Everything runs that is meant to, nothing else does, and nothing is wrong.
    fn calm(&self) -> bool {
        self.alerts.is_empty()
            && !self.clusters.is_empty()
            && self.clusters.iter().all(|cluster| {
                let as_meant = |it: &ServiceStatus| match it.status {
                    Status::Up => it.expected,
                    Status::Down => !it.expected,
                    Status::Unknown => false,
                };
                // There are none before the first look at the site.
                !cluster.services.is_empty()
                    && cluster.services.iter().all(as_meant)
                    && cluster.alerts.is_empty()
            })
    }
}

/// Tells it, from the first status to the last.
pub(crate) async fn tell(stage: &mut Stage, teller: &mut Teller) -> Result<(), DemoError> {
    let begun = Instant::now();
    calm(stage, teller).await?;
    rescue(stage, teller).await?;
    broken_policy(stage, teller).await?;
    new_policy(stage, teller).await?;
    let decision = failover(stage, teller).await?;
    alert(stage, teller)?;
    explanation(stage, teller, decision).await?;
    after(stage, teller).await?;
    teller.say("");
    teller.good(&format!("all of it happened, in {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

async fn calm(stage: &mut Stage, teller: &mut Teller) -> Result<(), DemoError> {
    teller.scene("A calm site");
    let [a, b, c] = stage.site.net();
    teller.say(&format!(
        "Three stand-in Data Mover servers listen on {a}.{b}.{c}.1 to .3; Watchkeeper, as the monitor"
    ));
    teller.say(
        "vp1, watches them over SSH, PostgreSQL, OpenWire and REST, by the policy data-mover-ha.",
    );
    wait("a calm site in the daemon's eyes", CALM, async || {
        stage.alive()?;
        match stage.ask_json::<Report>(&["status"]).await {
            Ok(report) => Ok(report.calm().then_some(())),
            // It does not listen yet.
            Err(DemoError::Command { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    })
    .await?;
    show(stage, teller, &["status"]).await
}

async fn rescue(stage: &mut Stage, teller: &mut Teller) -> Result<(), DemoError> {
    teller.scene("The daemon on DM1 is killed");
    let mut episode = Episode::begin(stage).await?;
    let starts = stage.site.starts("dm1", Service::Daemon);
    episode.restart_clock();
    stage.site.kill("dm1", Service::Daemon).await?;
    let (end, ending) = episode
        .until(stage, "the rescue of the daemon", |it| {
            ended(it, |kind| matches!(kind, PlanKind::Rescue(_)))
        })
        .await?;
    episode
        .until(stage, "the delivery of the alert service-down", |it| delivered(it, "service-down"))
        .await?;
    episode.tell(teller);
    expect(ending == PlanEnding::Completed, "the rescue did not succeed")?;
    // Its unit is active at launch; it is ready a moment later.
    let serves = |site: &Site| site.is_ready("dm1", Service::Daemon);
    stage.site.wait_until("the daemon's readiness on dm1", CALM, serves).await?;
    let again = stage.site.starts("dm1", Service::Daemon) - starts;
    expect(again == 1, &format!("it was started {again} times"))?;
    teller.good(&format!(
        "rescued {} ms after it was killed; the site says: started once",
        episode.after(&end)
    ));
    Ok(())
}

async fn broken_policy(stage: &mut Stage, teller: &mut Teller) -> Result<(), DemoError> {
    teller.scene("A broken policy is put in place of the good one");
    let file = format!("policies/{POLICY}.wasm");
    let whole = stage.read(&file)?;
    let half = whole.get(..whole.len() / 2).unwrap_or_default();
    teller.command(&format!(
        "cp half-copied.wasm {file}    # {} of {} bytes",
        half.len(),
        whole.len()
    ));
    let mut episode = Episode::begin(stage).await?;
    episode.restart_clock();
    stage.put(&file, half)?;
    let problem = episode
        .until(stage, "the refusal of the broken policy", |it| {
            it.iter().find_map(|record| match &record.event {
                Event::GuestRejected { kind: GuestKind::Policy, problem, .. } => {
                    Some((record.clone(), problem.clone()))
                }
                _ => None,
            })
        })
        .await?;
    let told =
        episode.until(stage, "the alert about it", |it| delivered(it, "guest-rejected")).await?;
    teller.event(episode.after(&problem.0), "refused", &problem.1);
    teller.event(episode.after(&told), "told", "the alert guest-rejected is delivered");
    show(stage, teller, &["policy", "list"]).await?;
    teller.good("refused, and the revision before is still in force");
    stage.put(&file, &whole)?;
    episode
        .until(stage, "the end of the alert about it", |it| {
            it.iter().any(|it| matches!(it.event, Event::AlertResolved { .. })).then_some(())
        })
        .await
}

async fn new_policy(stage: &mut Stage, teller: &mut Teller) -> Result<(), DemoError> {
    teller.scene("The policy is replaced while it runs");
    teller.say(
        "Another build of it (its digest differs), and a setting: start a service again twice",
    );
    teller.say(
        "within 15 minutes, not once, before the other side takes over. Once has been used up.",
    );
    let file = format!("policies/{POLICY}.wasm");
    let before = stage.read(&file)?;
    let config = stage.read("watchkeeper.toml")?;
    let config = String::from_utf8_lossy(&config);
    let (old, new) = ("rescue-attempts = 1", "rescue-attempts = 2");
    expect(config.contains(old), "the setting is not in the configuration")?;
    teller.command(&format!("mv new-build.wasm {file}"));
    teller.command(&format!("sed -i 's/{old}/{new}/' watchkeeper.toml"));
    let mut episode = Episode::begin(stage).await?;
    episode.restart_clock();
    stage.put(&file, &marked(&before))?;
    stage.put("watchkeeper.toml", config.replace(old, new).as_bytes())?;
    let (record, revision, replaced) =
        episode.until(stage, "the new build being in force", loaded).await?;
    let applied = episode
        .until(stage, "the changed setting being in force", |it| {
            it.iter().find(|it| matches!(it.event, Event::ConfigurationApplied { .. })).cloned()
        })
        .await?;
    let replaced = replaced.map_or_else(String::new, |it| format!(", instead of {it}"));
    teller.event(
        episode.after(&record),
        "in force",
        &format!("policy {POLICY} {revision}{replaced}"),
    );
    teller.event(episode.after(&applied), "in force", new);
    teller.good("replaced between two evaluations, without a restart");
    Ok(())
}

fn loaded(records: &[Record]) -> Option<(Record, Revision, Option<Revision>)> {
    records.iter().find_map(|record| match &record.event {
        Event::GuestLoaded { kind: GuestKind::Policy, revision, replaced, .. } => {
            Some((record.clone(), revision.clone(), replaced.clone()))
        }
        _ => None,
    })
}

/// The failover; returns the record of its decision.
async fn failover(stage: &mut Stage, teller: &mut Teller) -> Result<u64, DemoError> {
    teller.scene("The daemon is killed again, and cannot be started any more");
    let mut episode = Episode::begin(stage).await?;
    stage.site.forbid_start("dm1", Service::Daemon)?;
    episode.restart_clock();
    stage.site.kill("dm1", Service::Daemon).await?;
    let (end, ending) = episode
        .until(stage, "the failover to DM2", |it| {
            ended(it, |kind| matches!(kind, PlanKind::Failover))
        })
        .await?;
    episode
        .until(stage, "the delivery of the alert failover", |it| delivered(it, "failover"))
        .await?;
    let (decision, rescues) = episode.until(stage, "the decision's record", decision).await?;
    episode.tell(teller);
    expect(ending == PlanEnding::Completed, "the failover did not succeed")?;
    let failed = failed_steps(&end, episode.records());
    expect(failed.is_empty(), &format!("steps of the failover failed: {}", failed.join("; ")))?;
    expect(
        rescues == 1,
        &format!("{rescues} rescues came before it; with the new setting it is 1"),
    )?;
    let serves = [Service::Activemq, Service::Repository, Service::Daemon, Service::Rest];
    let all = |site: &Site| serves.iter().all(|service| site.is_ready("dm2", *service));
    stage.site.wait_until("the readiness of dm2's services", CALM, all).await?;
    stage
        .site
        .wait_until("the agents of dm2 and dm3 at dm2", CALM, |it| it.agents("dm2").len() >= 2)
        .await?;
    expect(!stage.site.both_active_ever(), "both sides were active at once")?;
    teller.good(&format!(
        "DM2 serves {} ms after the kill, {} ms after the decision; the site says: never both sides at once",
        episode.after(&end),
        end.at.since(decision.at)
    ));
    Ok(decision.seq)
}

/// The steps that failed of the plan that `end` ended, in the words of the journal.
fn failed_steps(end: &Record, records: &[Record]) -> Vec<String> {
    let Event::PlanEnded { plan: number, .. } = end.event else { return Vec::new() };
    let failed = records.iter().filter_map(|record| match &record.event {
        Event::StepEnded { plan, outcome, .. } if *plan == number => match outcome {
            Outcome::Done { .. } | Outcome::NotBegun { .. } => None,
            Outcome::Failed { detail } | Outcome::Uncertain { detail } => Some(detail.clone()),
        },
        _ => None,
    });
    failed.collect()
}

/// The evaluation that decided to fail over, and how many rescues were begun before it.
fn decision(records: &[Record]) -> Option<(Record, usize)> {
    let begun = records.iter().position(
        |it| matches!(&it.event, Event::PlanBegun(plan) if plan.kind == PlanKind::Failover),
    )?;
    let before = records.get(..begun)?;
    let rescues = before.iter().filter(|it| matches!(it.event, Event::PlanBegun(_))).count();
    let decided = before.iter().rev().find(|it| matches!(it.event, Event::Evaluated(_)))?;
    Some((decided.clone(), rescues))
}

fn alert(stage: &Stage, teller: &mut Teller) -> Result<(), DemoError> {
    teller.scene("The alert, as the receiver got it");
    let requests = stage.site.sink().requests();
    let fired = |name: &str| {
        let taken = requests.iter().filter(|it| it.answered == 200);
        let alerts = taken.flat_map(|it| alerts_in(&it.body));
        let is = |it: &Value| it.get("name").is_some_and(|it| it == name);
        let firing = |it: &Value| it.get("status").is_some_and(|it| it == "firing");
        alerts.filter(|it| is(it) && firing(it)).collect::<Vec<_>>()
    };
    let told = fired("failover");
    let [body] = told.as_slice() else {
        return Err(DemoError::Unexpected(format!("it got {} alerts failover", told.len())));
    };
    let text = serde_json::to_string_pretty(body).unwrap_or_default();
    teller.quote(&text);
    teller.good("delivered exactly once");
    Ok(())
}

async fn explanation(stage: &Stage, teller: &mut Teller, record: u64) -> Result<(), DemoError> {
    teller.scene("Why?");
    show(stage, teller, &["explain", "--record", &record.to_string()]).await
}

async fn after(stage: &Stage, teller: &mut Teller) -> Result<(), DemoError> {
    teller.scene("How it stands now");
    show(stage, teller, &["status"]).await?;
    show(stage, teller, &["journal", "verify", "--file", "state/journal.db"]).await
}

/// What can be tried while everything is left running.
pub(crate) fn invite(stage: &Stage, teller: &Teller, watchkeeper: &Path) {
    teller.say("");
    teller.say("Everything runs until Ctrl-C. In another terminal:");
    teller.command(&format!("cd {}", stage.folder.display()));
    for line in ["status", "switchback --dry-run --reason try", "journal show"] {
        let program = watchkeeper.display();
        teller.command(&format!("{program} {line} --config watchkeeper.toml"));
    }
    let site = watchkeeper.with_file_name("watchkeeper-site");
    teller.command(&format!("{} ctl --dir site help", site.display()));
}

/// Shows a command and what it prints.
async fn show(stage: &Stage, teller: &Teller, arguments: &[&str]) -> Result<(), DemoError> {
    let text = stage.ask(arguments).await?;
    teller.command(&format!("watchkeeper {}", arguments.join(" ")));
    teller.quote(&text);
    Ok(())
}

/// The same component with a custom section at its end, which nothing reads: as another build of
/// the same source would be, it is the same policy with another digest.
fn marked(component: &[u8]) -> Vec<u8> {
    // Section 0, 14 bytes long: a name of 4 bytes, and 9 of content.
    [component, b"\x00\x0e\x04demonew build"].concat()
}

fn expect(holds: bool, otherwise: &str) -> Result<(), DemoError> {
    if holds { Ok(()) } else { Err(DemoError::Unexpected(otherwise.to_owned())) }
}
