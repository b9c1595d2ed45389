//! What other servers find of one that does not answer.
//!
//! A witness counts only if nothing at all answers it from there. A refused connection is an
//! answer: the host is alive, and the daemon, which has no port of its own, may be too. A host whose
//! programs stand still is neither gone nor alive: its kernel accepts connections, its SSH does not
//! greet, and it may go on at any moment.

use std::time::Duration;

use tokio::time::Instant;
use watchkeeper_core::model::ServerName;

use super::Equipment;
use crate::errors::chain;
use crate::ssh::{Port, Reach};

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
    /// Its kernel answers, and its SSH says nothing.
    Hung(String),
    /// It cannot tell.
    Unable(String),
}

impl Testimony {
    /// Whether anything came back from the server.
    pub fn is_an_answer(&self) -> bool {
        matches!(self, Self::Alive(_) | Self::Hung(_))
    }
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

/// One answer is enough to be alive; to be gone takes silence on every port. If what should greet does not,
/// what the kernel says on other ports is no sign of life.
fn weigh(ports: &[Port], looks: Vec<Reach>) -> Testimony {
    let mut unable = looks.is_empty().then(|| "there is no port to look at".to_owned());
    let (mut alive, mut hung) = (None, None);
    for (Port { number, greets }, look) in ports.iter().zip(looks) {
        match look {
            Reach::Greeted => return Testimony::Alive(format!("port {number} answers")),
            Reach::Connected if *greets => {
                hung = Some(format!("port {number} accepts connections and says nothing"));
            }
            Reach::Connected => alive = Some(format!("port {number} accepts connections")),
            Reach::Refused => alive = Some("it refuses connections".to_owned()),
            Reach::TimedOut | Reach::Unreachable(_) => {}
            Reach::Prohibited => unable = Some("its SSH forwards no connections".to_owned()),
            Reach::Failed(words) => unable = Some(words),
        }
    }
    match (hung, alive, unable) {
        (Some(how), ..) => Testimony::Hung(how),
        (None, Some(how), _) => Testimony::Alive(how),
        (None, None, Some(why)) => Testimony::Unable(why),
        (None, None, None) => Testimony::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_answer_is_life_and_only_silence_everywhere_is_death() {
        let lost = || Reach::Unreachable("No route to host".to_owned());
        let unable = |words: &str| Testimony::Unable(words.to_owned());
        let hung = || Testimony::Hung("port 1 accepts connections and says nothing".to_owned());
        let ports = [Port { number: 1, greets: true }, Port::mute(2)];
        for (looks, expected) in [
            (vec![Reach::Greeted, lost()], Testimony::Alive("port 1 answers".to_owned())),
            (vec![Reach::Connected, Reach::Connected], hung()),
            (vec![Reach::Connected, Reach::Refused], hung()),
            (vec![Reach::Connected, Reach::Failed("odd".to_owned())], hung()),
            // Its SSH does not run, and what refuses is a host that does.
            (vec![Reach::Refused, lost()], Testimony::Alive("it refuses connections".to_owned())),
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
            assert_eq!(weigh(&ports, looks.clone()), expected, "{looks:?}");
        }
    }
}
