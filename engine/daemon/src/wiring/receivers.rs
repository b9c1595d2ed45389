//! Receivers, with their plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use watchkeeper_core::alerting::{Filter, Routing};
use watchkeeper_core::event::GuestKind;
use watchkeeper_core::proposal::Revision;
use watchkeeper_core::settings::SettingValue;
use watchkeeper_wasm::Called;
use watchkeeper_wasm::notifier::{Next, Notification, Notifier, Response};

use super::guests::{GuestError, Shelf, settle};
use crate::clock;
use crate::config::Config;
use crate::config::checked::Receiver;
use crate::deliver::{CommandGrant, Notify, ReceiverConfig, Receivers, Secrets};
use crate::errors::chain;

/// Makes all receivers ready. One whose plugin cannot be used stays as it was `before`, if it was
/// there; what is wrong goes to `rejected`. Gives the revisions in force, by plugin.
pub fn receivers(
    shelf: &mut Shelf,
    config: &Config,
    before: &Receivers,
    rejected: &mut BTreeMap<(GuestKind, String), String>,
) -> (Receivers, Vec<(String, Revision)>) {
    let mut ready = Vec::new();
    let mut loaded = BTreeMap::new();
    for receiver in &config.receivers {
        match one(shelf, config, receiver) {
            Ok((made, revision)) => {
                loaded.insert(receiver.plugin.clone(), revision);
                ready.push(made);
            }
            Err(problem) => {
                rejected.insert((GuestKind::Plugin, receiver.plugin.clone()), problem);
                ready.extend(before.iter().find(|known| known.name == receiver.name).cloned());
            }
        }
    }
    let receivers = Receivers::new(ready, Some(config.routing.clone())).unwrap_or_else(|error| {
        rejected.insert((GuestKind::Plugin, "receivers".to_owned()), chain(&error));
        before.clone()
    });
    (receivers, loaded.into_iter().collect())
}

/// Who is told what, by the configuration alone: as if each receiver's plugin could be used.
pub fn routing(config: &Config) -> Routing {
    let filter = |receiver: &Receiver| {
        let clusters = receiver.clusters.iter().flat_map(BTreeSet::iter).cloned().collect();
        (receiver.name.clone(), Filter { min_severity: receiver.min_severity, clusters })
    };
    config.routing.clone().routing(config.receivers.iter().map(filter).collect())
}

fn one(
    shelf: &mut Shelf,
    config: &Config,
    receiver: &Receiver,
) -> Result<(ReceiverConfig, Revision), String> {
    let loaded = shelf.notifier(&receiver.file, &receiver.trust).map_err(|error| chain(&error))?;
    let settings = settle(&receiver.file, &loaded.description().settings, &receiver.settings)
        .map_err(|problems| GuestError::Settings { path: receiver.file.clone(), problems })
        .map_err(|error| chain(&error))?;
    let commands = config
        .commands
        .iter()
        .filter(|(name, _)| receiver.commands.contains(*name))
        .filter_map(|(name, command)| {
            let (program, arguments) = command.argv.split_first()?;
            let grant = CommandGrant { program: program.into(), arguments: arguments.to_vec() };
            Some((name.clone(), grant))
        })
        .collect();
    let secrets = config
        .secrets
        .iter()
        .filter(|(name, _)| receiver.secrets.contains(*name))
        .map(|(name, secret)| (name.clone(), secret.clone()))
        .collect();
    let revision = loaded.revision().clone();
    let made = ReceiverConfig {
        name: receiver.name.clone(),
        notifier: Arc::new(Plugin { notifier: loaded, settings }),
        hosts: receiver.hosts.clone(),
        methods: receiver.methods.clone(),
        commands,
        secrets: Secrets(secrets),
        mail: receiver.mail.clone(),
        ca: receiver.ca.clone(),
        min_severity: receiver.min_severity,
        clusters: receiver.clusters.iter().flat_map(BTreeSet::iter).cloned().collect(),
        timeout: receiver.timeout,
        first_backoff: receiver.retry_first,
        max_backoff: receiver.retry_max,
        give_up_after: receiver.give_up_after,
        rate_limit: receiver.rate_limit,
    };
    Ok((made, revision))
}

/// A notifier with the settings of one receiver.
struct Plugin {
    notifier: Arc<Notifier>,
    settings: Vec<SettingValue>,
}

impl Notify for Plugin {
    fn identity(&self) -> String {
        format!("{} {:?}", self.notifier.revision().digest, self.settings)
    }

    fn start(&self, notification: &Notification) -> Result<Next, String> {
        self.heard(self.notifier.start(notification, &self.settings, clock::now()))
    }

    fn resume(&self, state: &[u8], response: &Response) -> Result<Next, String> {
        self.heard(self.notifier.resume(state, response, &self.settings, clock::now()))
    }
}

impl Plugin {
    fn heard(&self, called: Called<Next>) -> Result<Next, String> {
        let name = &self.notifier.description().name;
        for line in &called.log {
            tracing::debug!(target: "guest", plugin = %name, level = ?line.level, "{}", line.text);
        }
        called.outcome.map_err(|failure| failure.to_string())
    }
}
