//! How a service is controlled: commands, or shorthand for them.

use watchkeeper_core::model::Service;

use super::super::cluster::ServiceCommands;
use super::super::reader::{At, Reader};
use super::super::source::Note;

/// The commands of a service: what the server says before what all servers have, and a command
/// of its own before a shorthand.
pub(super) fn service_commands(
    service: Service,
    general: Option<&Reader<'_>>,
    special: Option<&Reader<'_>>,
    sudo: bool,
) -> ServiceCommands {
    let mut verbs: Option<[String; 3]> = None;
    let mut own: [Option<String>; 3] = [None, None, None];
    let by = if sudo { "sudo -n " } else { "" };
    let unit_verbs = |unit: &str| {
        [
            format!("{by}systemctl start {unit}"),
            format!("{by}systemctl stop {unit}"),
            format!("systemctl is-active {unit}"),
        ]
    };
    for reader in [general, special].into_iter().flatten() {
        let unit = plain(reader, "unit");
        let script = plain(reader, "init-script");
        if let (Some(_), Some(script)) = (&unit, &script) {
            let message = "`unit` and `init-script` exclude each other";
            reader.sources.error(script.place, message);
        }
        let shorthand = match (unit, script) {
            (_, Some(script)) => {
                let script = script.value;
                Some([
                    format!("{by}{script} start"),
                    format!("{by}{script} stop"),
                    format!("{script} status"),
                ])
            }
            (Some(unit), None) => Some(unit_verbs(&unit.value)),
            (None, None) => None,
        };
        if shorthand.is_some() {
            verbs = shorthand;
            own = [None, None, None];
        }
        for (slot, key) in own.iter_mut().zip(["start", "stop", "status"]) {
            if let Some(text) = reader.text(key) {
                *slot = Some(text.value);
            }
        }
    }
    let version = |reader: &Reader<'_>| reader.text("version").map(|at| at.value);
    // Of both, so that neither is complained about as unknown.
    let (all, own_version) = (general.and_then(version), special.and_then(version));
    let [start, stop, status] = verbs.unwrap_or_else(|| unit_verbs(&format!("dm-{service}")));
    let [own_start, own_stop, own_status] = own;
    ServiceCommands {
        start: own_start.unwrap_or(start),
        stop: own_stop.unwrap_or(stop),
        status: own_status.unwrap_or(status),
        version: own_version.or(all),
    }
}

/// A text that stands in a command line as it is.
fn plain(reader: &Reader<'_>, key: &str) -> Option<At<String>> {
    let text = reader.text(key)?;
    let bad = |c: char| !(c.is_ascii_alphanumeric() || "/._-@:\\".contains(c));
    if text.value.contains(bad) || text.value.starts_with('-') {
        let note = Note::error(format!("`{key}` may have letters, digits and /._-@ only"))
            .help("use `start`, `stop` and `status` for anything else");
        reader.sources.note(text.place, note);
    }
    Some(text)
}
