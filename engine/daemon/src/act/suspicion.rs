//! What is known already of servers that do not answer, so that nobody waits for it twice.
//!
//! While a failure is being confirmed there is time to ask the other servers; when it has been
//! decided there is none. So who watches puts in here what was found meanwhile, and who acts takes
//! it out if it is still good. Nothing here waits, and nothing here looks.
//!
//! Invariants:
//! - What was found counts only if it was begun after the server was last heard of, by the monitor
//!   or by any witness: an answer makes all silence before it worthless.
//! - It is only good for [`FRESH`], and only to go on: what would stop a plan is looked at anew.
//! - It is empty after a start, and then everything is looked at anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use watchkeeper_core::model::ServerName;

use super::testimony::Testimony;

/// How old a testimony may be, from its beginning. A look takes up to 2 s, and one that has ended
/// has to last until the next one has, on a busy machine too.
const FRESH: Duration = Duration::from_secs(6);

/// What is known of servers that do not answer.
#[derive(Debug, Default)]
pub struct Suspicions(Mutex<BTreeMap<ServerName, Suspicion>>);

#[derive(Debug, Default)]
struct Suspicion {
    /// When it was last heard of, at the latest.
    answered: Option<Instant>,
    silence: Option<Silence>,
    heard: BTreeMap<ServerName, Heard>,
}

/// The latest try to log in got no answer.
#[derive(Debug)]
struct Silence {
    /// When the next try has ended.
    until: Instant,
    detail: Arc<str>,
}

#[derive(Debug)]
struct Heard {
    begun: Instant,
    testimony: Testimony,
}

impl Suspicions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServerName, Suspicion>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something on `server` has answered the monitor, at `now` at the latest.
    pub fn answered(&self, server: &ServerName, now: Instant) {
        let suspicion = Suspicion { answered: Some(now), ..Suspicion::default() };
        self.lock().insert(server.clone(), suspicion);
    }

    /// A try to log in to `server`, which took as long as `took`, got no answer.
    pub fn silent(&self, server: &ServerName, now: Instant, took: Duration, detail: Arc<str>) {
        let silence = Silence { until: now + took + FRESH, detail };
        self.lock().entry(server.clone()).or_default().silence = Some(silence);
    }

    /// What `witness` found of `server` in a look that lasted from `begun` until `now`.
    pub fn heard(
        &self,
        server: &ServerName,
        witness: &ServerName,
        begun: Instant,
        now: Instant,
        testimony: Testimony,
    ) {
        let mut servers = self.lock();
        let suspicion = servers.entry(server.clone()).or_default();
        if testimony.is_an_answer() {
            suspicion.answered = Some(now);
        }
        suspicion.heard.insert(witness.clone(), Heard { begun, testimony });
    }

    /// Forgets everything.
    pub fn forget(&self) {
        self.lock().clear();
    }

    /// Why `server` cannot be asked now; none: it is not known to be silent.
    pub fn silence(&self, server: &ServerName, now: Instant) -> Option<String> {
        let servers = self.lock();
        let silence = servers.get(server)?.silence.as_ref()?;
        (now < silence.until).then(|| format!("{server} does not answer: {}", silence.detail))
    }

    /// What witnesses found of `server` a moment ago, and nothing has contradicted since.
    pub fn testimonies(&self, server: &ServerName, now: Instant) -> Vec<(ServerName, Testimony)> {
        let servers = self.lock();
        let Some(Suspicion { answered, heard, .. }) = servers.get(server) else {
            return Vec::new();
        };
        let good = |heard: &Heard| {
            let answer = heard.testimony.is_an_answer();
            now < heard.begun + FRESH
                && (answer || answered.is_none_or(|answered| heard.begun > answered))
        };
        let good = heard.iter().filter(|(_, heard)| good(heard));
        good.map(|(witness, heard)| (witness.clone(), heard.testimony.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_secs(2);

    fn name(name: &str) -> ServerName {
        ServerName::new(name).unwrap()
    }

    struct Case {
        known: Suspicions,
        start: Instant,
    }

    impl Case {
        fn new() -> Self {
            Self { known: Suspicions::default(), start: Instant::now() }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn look(&self, witness: &str, begun_ms: u64, testimony: Testimony) {
            let begun = self.at(begun_ms);
            self.known.heard(&name("dm1"), &name(witness), begun, begun + LOOK, testimony);
        }

        fn found(&self, ms: u64) -> Vec<(String, Testimony)> {
            let found = self.known.testimonies(&name("dm1"), self.at(ms));
            found.into_iter().map(|(witness, what)| (witness.to_string(), what)).collect()
        }
    }

    fn gone(witness: &str) -> (String, Testimony) {
        (witness.to_owned(), Testimony::Gone)
    }

    #[test]
    fn a_testimony_is_good_for_a_moment() {
        let case = Case::new();
        assert_eq!(case.found(0), []);
        case.look("dm2", 0, Testimony::Gone);
        assert_eq!(case.found(5_999), [gone("dm2")]);
        assert_eq!(case.found(6_000), []);
        case.look("dm2", 2_200, Testimony::Gone);
        assert_eq!(case.found(7_000), [gone("dm2")]);
        assert_eq!(case.known.testimonies(&name("dm3"), case.at(7_000)), []);
    }

    #[test]
    fn an_answer_makes_all_silence_before_it_worthless() {
        let case = Case::new();
        case.known.silent(&name("dm1"), case.at(0), LOOK, "no answer".into());
        case.look("dm2", 0, Testimony::Gone);
        case.known.answered(&name("dm1"), case.at(2_100));
        assert_eq!(case.found(2_200), []);
        assert_eq!(case.known.silence(&name("dm1"), case.at(2_200)), None);
        // A look that was under way at that moment began before it.
        case.look("dm2", 2_000, Testimony::Gone);
        assert_eq!(case.found(4_100), []);
        case.look("dm2", 4_000, Testimony::Gone);
        assert_eq!(case.found(6_100), [gone("dm2")]);
    }

    #[test]
    fn what_one_witness_hears_counts_against_all() {
        let case = Case::new();
        let alive = Testimony::Alive("port 22 accepts connections".to_owned());
        case.look("dm2", 0, Testimony::Gone);
        case.look("dm3", 0, alive.clone());
        assert_eq!(case.found(2_100), [("dm3".to_owned(), alive)]);
        // Both have to have found nothing since.
        case.look("dm2", 2_200, Testimony::Gone);
        case.look("dm3", 2_200, Testimony::Gone);
        assert_eq!(case.found(4_300), [gone("dm2"), gone("dm3")]);
    }

    #[test]
    fn silence_lasts_until_the_next_try_is_due() {
        let case = Case::new();
        case.known.silent(&name("dm1"), case.at(0), LOOK, "no answer in time".into());
        let said = case.known.silence(&name("dm1"), case.at(7_999)).unwrap();
        assert_eq!(said, "dm1 does not answer: no answer in time");
        assert_eq!(case.known.silence(&name("dm1"), case.at(8_000)), None);
        case.known.silent(&name("dm1"), case.at(8_000), LOOK, "no route".into());
        case.known.forget();
        assert_eq!(case.known.silence(&name("dm1"), case.at(8_001)), None);
    }
}
