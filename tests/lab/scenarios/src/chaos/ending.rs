//! What an operator does who looks now and then, and whether everything is well in the end.

use std::time::Duration;

use serde_json::Value;

use super::fault::{Fault, Host};
use super::hurt::Hurt;
use super::rows::Client;
use super::sight::Sight;
use super::site::{Site, within};
use crate::Monitor;

/// How long it may take until all is well again: many times what it takes on a machine that has the time.
const RECOVERY: Duration = Duration::from_mins(3);

/// From one look of the operator's to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// Every so many looks, the operator does something.
const PATIENCE: usize = 6;

/// Waits until one side serves, the other does not, and a monitor with the duty knows it, twice in a row; with the
/// operator's help where the engine asks for it. Gives the host that serves. `tell` hears what the operator does.
pub(super) fn recover(
    site: &mut Site<'_>,
    hurt: &mut Hurt,
    sight: &Sight,
    mut tell: impl FnMut(String),
) -> Result<Host, String> {
    let client = Client::of(site.lab);
    let (mut looks, mut before) = (0, None);
    within(RECOVERY, PAUSE, || {
        looks += 1;
        let well = is_well(site, &client, sight);
        match well {
            Ok(host) if before == Some(host) => return Ok(host),
            Ok(host) => {
                before = Some(host);
                return Err(format!("{host} serves, and was not seen to do so for long"));
            }
            Err(_) => before = None,
        }
        if looks % PATIENCE == 0 {
            operate(site, hurt, sight, &mut tell);
        }
        well
    })
    .map_err(|instead| {
        format!(
            "it is not well {} s after the last fault: {instead}\n{}",
            RECOVERY.as_secs(),
            site.story()
        )
    })
}

fn is_well(site: &Site<'_>, client: &Client, sight: &Sight) -> Result<Host, String> {
    let (monitor, cluster) = site.holder().ok_or("no monitor has the duty")?;
    if cluster.pointer("/plan") != Some(&Value::Null) {
        return Err("a plan is in flight".to_owned());
    }
    let active = cluster.pointer("/active").and_then(Value::as_str).unwrap_or("");
    let phase = cluster.pointer("/phase").and_then(Value::as_str).unwrap_or("");
    if phase != format!("active on {active}") {
        return Err(format!("{} says {phase:?}", monitor.host()));
    }
    let (on, [here, across]) = match (active, sight.so_far().alive) {
        ("primary", [one, other]) => ("dm1", [one, other]),
        (_, [one, other]) => ("dm2", [other, one]),
    };
    let missing: Vec<_> =
        ["activemq", "daemon", "rest"].into_iter().filter(|it| !here.contains(it)).collect();
    if !missing.is_empty() {
        return Err(format!("{on} is active and does not run {missing:?}"));
    }
    // REST serves nobody without the others, and so it is no stray.
    if across.iter().any(|service| *service != "rest") {
        return Err(format!("{on} is active and across run {across:?}"));
    }
    if client.agents(on)? == 0 {
        return Err(format!("REST on {on} lists no agent"));
    }
    for monitor in &site.monitors {
        let status = monitor.ask(&["status"])?;
        let outbox = status.pointer("/outbox").cloned().unwrap_or_default();
        if outbox != serde_json::json!([0, 0]) {
            return Err(format!("the outbox of {} has {outbox}", monitor.host()));
        }
    }
    Ok(on)
}

/// Switches on what was fenced, and judges where a change of side was left.
fn operate(site: &mut Site<'_>, hurt: &mut Hurt, sight: &Sight, tell: &mut impl FnMut(String)) {
    for host in hurt.power_up(site) {
        tell(format!("an operator switches {host} on"));
    }
    let Some((monitor, cluster)) = site.holder() else { return };
    let [primary, secondary] = sight.so_far().alive;
    if !asks_for_an_operator(&cluster) {
        let across = if is_primary(&cluster) { secondary } else { primary };
        if fires(&cluster, "rescue-exhausted") && across.is_empty() {
            let host = if is_primary(&cluster) { "dm1" } else { "dm2" };
            tell(format!("an operator starts by hand what {host} does not run"));
            start_by_hand(site, hurt, host);
        }
        return;
    }
    let has_daemon = |side: &[&str]| side.contains(&"daemon");
    let (active, across) = if has_daemon(&secondary) && !has_daemon(&primary) {
        ("secondary", "dm1")
    } else {
        ("primary", "dm2")
    };
    for service in ["rest", "daemon", "activemq"] {
        let _ = site.lab.try_exec(across, &["/etc/init.d/dm", service, "stop"]);
    }
    let said = monitor.say(&["declare", active, "--reason", "looked"]);
    tell(match said {
        Ok(_) => format!("an operator declares the {active}"),
        Err(why) => format!("an operator cannot declare the {active}: {why}"),
    });
}

fn asks_for_an_operator(cluster: &Value) -> bool {
    let phase = cluster.pointer("/phase").and_then(Value::as_str).unwrap_or("");
    cluster.pointer("/plan") == Some(&Value::Null)
        && (fires(cluster, "sides-swapped") || phase.starts_with("in need of an operator"))
}

fn fires(cluster: &Value, alert: &str) -> bool {
    let alerts = cluster.pointer("/alerts").and_then(Value::as_array);
    alerts.is_some_and(|alerts| alerts.iter().any(|it| it.pointer("/name") == Some(&alert.into())))
}

fn is_primary(cluster: &Value) -> bool {
    cluster.pointer("/active") == Some(&"primary".into())
}

/// In their order, and each once the ones before it serve.
fn start_by_hand(site: &mut Site<'_>, hurt: &mut Hurt, host: Host) {
    for service in ["repository", "activemq", "daemon", "agent", "rest"] {
        let _ = hurt.befall(site, Fault::ByHand(host, service));
        let _ = site.lab.try_exec(host, &["/etc/init.d/dm", service, "await"]);
    }
}

/// Orders the planned change that fits, once more for a while if a guard holds it. The error is what held it.
pub(super) fn change_sides(monitor: &Monitor<'_>, active: Host) -> Result<(), String> {
    let order = if active == "dm1" { "switchover" } else { "switchback" };
    within(Duration::from_secs(20), Duration::from_secs(2), || {
        monitor.say(&[order, "--reason", "chaos is over"]).map(drop)
    })
}
