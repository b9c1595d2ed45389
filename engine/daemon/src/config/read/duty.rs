//! How the duty to act is shared with other monitors.

use std::time::Duration;

use watchkeeper_core::model::MonitorName;

use super::super::checked::Monitor;
use super::super::duty::{DutyConfig, EtcdConfig, Mode, PeerConfig};
use super::super::reader::{Reader, Secrets};
use super::super::source::Note;
use super::Common;
use super::general::warn_if_open;
use crate::config::reader::At;

pub(in crate::config) fn duty(
    reader: &Reader<'_>,
    monitor: Option<&Monitor>,
    secrets: &Secrets,
) -> Option<DutyConfig> {
    let given = reader.choice("mode").map(|at| at.value);
    let observe = reader.duration("observe").unwrap_or_default();
    let (peer, etcd) = (reader.has("peer"), reader.has("etcd"));
    let word = match given.as_deref() {
        Some(word) => word,
        None if reader.has("mode") => return finish(reader),
        None if peer && etcd => {
            let note =
                Note::error("[duty] has both `peer` and `etcd`, and does not say which counts")
                    .help("`mode = \"peer\"` or `mode = \"etcd\"`");
            reader.sources.note(reader.place, note);
            return finish(reader);
        }
        None if peer => "peer",
        None if etcd => "etcd",
        None => "alone",
    };
    let mode = match word {
        "peer" => self::peer(&reader.table("peer"), monitor).map(Mode::Peer),
        "etcd" => self::etcd(&reader.table("etcd"), secrets).map(Mode::Etcd),
        _ => {
            if peer || etcd {
                // Somebody arranged a second monitor and switched the arrangement off: both would act.
                let note =
                    Note::error("with `mode = \"alone\"`, [duty] must not name other monitors")
                        .help("two monitors that know nothing of each other would both act");
                reader.sources.note(reader.place_of("mode"), note);
            }
            Some(Mode::Alone)
        }
    };
    finish(reader);
    Some(DutyConfig { mode: mode?, observe })
}

/// Takes what is not looked at in this mode: it may be there for another.
fn finish(reader: &Reader<'_>) -> Option<DutyConfig> {
    reader.ignore_known();
    reader.finish();
    None
}

fn peer(reader: &Reader<'_>, monitor: Option<&Monitor>) -> Option<PeerConfig> {
    let name = reader.name("name", MonitorName::new);
    let address = endpoint(reader, "address");
    let listen = endpoint(reader, "listen");
    let first = reader.name("first", MonitorName::new);
    let certificate = reader.file("certificate");
    let key = reader.file("key");
    if let Some(key) = &key {
        let at = At { value: key.clone(), place: reader.place_of("key") };
        warn_if_open(reader, &at, 0o077);
    }
    let peer_certificate = reader.file("peer-certificate");
    let beat = reader.duration("beat").unwrap_or(Duration::from_secs(1));
    let give_on_stop = reader.flag("give-on-stop").unwrap_or(true);
    reader.finish();
    let (name, first) = (name?, first?);
    let own = &monitor?.name;
    if name.value == *own {
        let note = Note::error(format!("the other monitor cannot be named {own} as well"))
            .help("each monitor has a name of its own in [monitor]");
        reader.sources.note(name.place, note);
    }
    if first.value != name.value && first.value != *own {
        let message = format!("`first` is neither {own} nor {}", name.value);
        let known = [own.as_str(), name.value.as_str()];
        reader.unknown(first.place, message, first.value.as_str(), known.into_iter(), None);
    }
    Some(PeerConfig {
        first: first.value == *own,
        name: name.value,
        address: address?,
        listen: listen?,
        certificate: certificate?,
        key: key?,
        peer_certificate: peer_certificate?,
        beat,
        give_on_stop,
    })
}

/// `host:port`.
fn endpoint(reader: &Reader<'_>, key: &str) -> Option<String> {
    let text = reader.text(key)?;
    let parts = text.value.rsplit_once(':');
    let good = parts.is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if good {
        return Some(text.value);
    }
    let message = format!("`{}.{key}` has to be `host:port`; {:?} is not", reader.path, text.value);
    reader.sources.error(text.place, message);
    None
}

fn etcd(reader: &Reader<'_>, secrets: &Secrets) -> Option<EtcdConfig> {
    let endpoints = endpoints(reader);
    let prefix = reader.text("prefix");
    if let Some(prefix) = &prefix
        && (!prefix.value.starts_with('/') || prefix.value.ends_with('/'))
    {
        let message = "`duty.etcd.prefix` begins with `/` and does not end with one";
        reader.sources.error(prefix.place, message);
    }
    let lease = reader.duration("lease").unwrap_or_default();
    if lease.subsec_nanos() != 0 {
        let message = "`duty.etcd.lease` has to be whole seconds: etcd counts no fractions";
        reader.sources.error(reader.place_of("lease"), message);
    }
    let ca = reader.file("ca");
    let (certificate, key) = (reader.file("certificate"), reader.file("key"));
    if reader.has("certificate") != reader.has("key") {
        let message = "`certificate` and `key` of [duty.etcd] belong together";
        reader.sources.error(reader.place, message);
    }
    let user = reader.text("user").map(|at| at.value);
    let common = Common::of(secrets);
    let password = common.secret(reader, "password");
    if reader.has("user") != reader.has("password") {
        let message = "`user` and `password` of [duty.etcd] belong together";
        reader.sources.error(reader.place, message);
    }
    reader.finish();
    Some(EtcdConfig {
        endpoints: endpoints?,
        prefix: prefix?.value,
        lease,
        ca,
        identity: certificate.zip(key),
        login: user.zip(password),
    })
}

fn endpoints(reader: &Reader<'_>) -> Option<Vec<String>> {
    let list = reader.texts("endpoints")?;
    if list.is_empty() {
        let message = "`duty.etcd.endpoints` names no member";
        reader.sources.error(reader.place_of("endpoints"), message);
        return None;
    }
    let mut good = Vec::new();
    for at in list {
        let url = reqwest::Url::parse(&at.value).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host_str().is_some()
                && url.path() == "/"
                && url.query().is_none()
                && url.username().is_empty()
        });
        if let Some(url) = url {
            if url.scheme() == "http" && !is_loopback(&url) {
                let help = "use `https://`; on the network, whoever can pass for etcd can take the duty away or give it to two";
                reader.sources.warning(at.place, "etcd is asked without TLS", help);
            }
            good.push(at.value.trim_end_matches('/').to_owned());
        } else {
            // Not the text itself: it may hold a login.
            let message = "a member of etcd is `http://host:port` or `https://host:port`, without a login and a path";
            let note = Note { hide_from: Some(at.place.start), ..Note::error(message) };
            reader.sources.note(at.place, note);
        }
    }
    Some(good)
}

/// Whether an address is this machine's own, so that nobody is in between.
fn is_loopback(url: &reqwest::Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    })
}
