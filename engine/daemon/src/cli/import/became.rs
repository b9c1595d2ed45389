//! What came of a claim, in a few words for people.

use std::fmt::Write as _;

use watchkeeper_core::model::Side;

use super::reading::Claim;
use super::site::Site;
use super::values::{Host, Spot};
use super::words::Part;

impl Site {
    /// The name of the server at `host`; none: there is none.
    fn name_of(&self, host: &Host) -> Option<String> {
        let is = |it: &Host| it == host || it.short_for(host);
        let sides = [("dm1", &self.primary), ("dm2", &self.secondary)];
        let side = sides.into_iter().find_map(|(name, server)| {
            server.as_ref().filter(|server| is(&server.host.value)).map(|_| name.to_owned())
        });
        side.or_else(|| {
            let at = self.additional.iter().position(|known| is(&known.value))?;
            Some(format!("dm{}", at + 3))
        })
    }

    /// What came of a claim, for people.
    pub(super) fn became(&self, claim: &Claim) -> String {
        match claim {
            Claim::Host { side, part, spot } => self.became_host(*side, *part, spot),
            Claim::Agents(hosts) => {
                let names: Vec<String> = hosts
                    .iter()
                    .map(|host| match self.name_of(host) {
                        Some(name) if name != host.as_str() => format!("{name} ({host})"),
                        _ => host.to_string(),
                    })
                    .collect();
                format!("agent on {}", names.join(", "))
            }
            Claim::Monitor(side, host) => {
                let name = match side {
                    Side::Primary => "VP1",
                    Side::Secondary => "VP2",
                };
                format!("monitor {name}: {host}")
            }
            Claim::Port(of, port) => format!("port of {}: {port}", of.as_str()),
            Claim::Login(name) => format!("user in [ssh]: {name}"),
            Claim::Database(name) => format!("database of the repository: {name}"),
            Claim::RepositoryUser(name) => format!("user of the repository: {name}"),
            Claim::Lag(bytes) => format!("lag-threshold-bytes of the policy: {bytes}"),
        }
    }

    fn became_host(&self, side: Side, part: Option<Part>, spot: &Spot) -> String {
        let (name, host) = (side_name(side), &spot.host);
        let mut text = match part {
            None | Some(Part::Daemon) => return format!("address of {name}: {host}"),
            Some(Part::Repository) if self.has_own_repository(side, host) => {
                format!("repository-address of {name}: {host}")
            }
            Some(part) => format!("{} on {name}: {host}", part.as_str()),
        };
        if let (Some(Part::Repository | Part::Activemq | Part::Rest), Some(port)) =
            (part, spot.port)
        {
            let _ = write!(text, ", port {port}");
        }
        if let (Some(Part::Rest), Some(scheme)) = (part, spot.scheme) {
            let _ = write!(text, ", {scheme}");
        }
        text
    }

    fn has_own_repository(&self, side: Side, host: &Host) -> bool {
        let server = match side {
            Side::Primary => &self.primary,
            Side::Secondary => &self.secondary,
        };
        let own = server.as_ref().and_then(|server| server.repository.as_ref());
        own.is_some_and(|own| own.value == *host)
    }
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Primary => "dm1",
        Side::Secondary => "dm2",
    }
}
