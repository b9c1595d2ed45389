//! What other servers find of one that does not answer.
//!
//! A witness counts only if nothing at all answers it from there. A refused connection is an
//! answer: the host is alive, and the daemon, which has no port of its own, may be too.

use std::time::Duration;

use tokio::time::Instant;
use watchkeeper_core::model::ServerName;

use super::Equipment;
use crate::errors::chain;
use crate::ssh::Reach;

/// How long a witness waits for an answer. On a local network an answer comes within
/// milliseconds, and after a lost packet within a second.
const WITNESS_PATIENCE: Duration = Duration::from_secs(2);

/// What one server finds of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Testimony {
    /// Nothing answered on any port.
    Gone,
    /// Something answered.
    Alive(String),
    /// It cannot tell.
    Unable(String),
}

/// What `witness` finds of the server `name` now. A look takes 2 s if nothing answers; one that is
/// under way already is waited for, at most until `deadline`.
pub async fn testify(
    equipment: &Equipment,
    witness: &ServerName,
    name: &ServerName,
    deadline: Instant,
) -> Testimony {
    let (Ok(by), Ok(about)) = (equipment.server(witness), equipment.server(name)) else {
        return Testimony::Unable("it is no longer configured".to_owned());
    };
    match by.ssh.reach_all(&about.address, &about.ports, WITNESS_PATIENCE, deadline).await {
        Ok(looks) => weigh(&about.ports, looks),
        Err(error) => Testimony::Unable(chain(&error)),
    }
}

/// One answer is enough to be alive; to be gone takes silence on every port.
fn weigh(ports: &[u16], looks: Vec<Reach>) -> Testimony {
    let mut unable = looks.is_empty().then(|| "there is no port to look at".to_owned());
    for (port, look) in ports.iter().zip(looks) {
        match look {
            Reach::Connected => {
                return Testimony::Alive(format!("port {port} accepts connections"));
            }
            Reach::Refused => return Testimony::Alive("it refuses connections".to_owned()),
            Reach::TimedOut | Reach::Unreachable(_) => {}
            Reach::Prohibited => unable = Some("its SSH forwards no connections".to_owned()),
            Reach::Failed(words) => unable = Some(words),
        }
    }
    unable.map_or(Testimony::Gone, Testimony::Unable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_answer_is_life_and_only_silence_everywhere_is_death() {
        let lost = || Reach::Unreachable("No route to host".to_owned());
        let unable = |words: &str| Testimony::Unable(words.to_owned());
        for (looks, expected) in [
            (vec![Reach::TimedOut, lost()], Testimony::Gone),
            (vec![lost(), Reach::Refused], Testimony::Alive("it refuses connections".to_owned())),
            (
                vec![Reach::Failed("odd".to_owned()), Reach::Connected],
                Testimony::Alive("port 2 accepts connections".to_owned()),
            ),
            (vec![Reach::TimedOut, Reach::Failed("odd".to_owned())], unable("odd")),
            (vec![Reach::Prohibited, lost()], unable("its SSH forwards no connections")),
            (vec![], unable("there is no port to look at")),
        ] {
            assert_eq!(weigh(&[1, 2], looks.clone()), expected, "{looks:?}");
        }
    }
}
