//! What a journal's file holds.

use std::path::Path;
use std::sync::OnceLock;

use watchkeeper::explain;
use watchkeeper::journal::{Journal, Verified, kind, verify};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::facts::{Observation, ProbeId, Reason, ReasonCode};
use watchkeeper_core::model::{ClusterName, MonitorName, ServerName, Status, Timestamp};
use watchkeeper_core::past::Past;
use watchkeeper_core::state::State;

use crate::config::scratch;

/// A journal with its head, as a daemon that ended left them.
struct Whole {
    journal: Vec<u8>,
    head: Vec<u8>,
    verified: Verified,
}

fn whole() -> &'static Whole {
    static WHOLE: OnceLock<Whole> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let path = scratch("whole.db");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(write(&path));
        let read = |suffix: &str| std::fs::read(format!("{}{suffix}", path.display())).unwrap();
        Whole { journal: read(""), head: read(".head"), verified: verify(&path).unwrap() }
    })
}

async fn write(path: &Path) {
    let monitor = MonitorName::new("vp1").unwrap();
    let (journal, _) = Journal::open(path, &monitor, Timestamp(1)).unwrap();
    let server = ServerName::new("dm1").unwrap();
    let observed = |took_ms| {
        Event::Observed(Observation {
            probe: ProbeId { server: server.clone(), service: None, name: "ssh".into() },
            status: Status::Up,
            reason: Reason::new(ReasonCode::Serving, "a command ran"),
            at: Timestamp(5),
            took_ms,
            values: [].into(),
        })
    };
    let started = Event::MonitorStarted { monitor, version: "1".to_owned() };
    journal.append(Timestamp(1), vec![(None, started)]).await.unwrap();
    let prod = Some(ClusterName::new("prod").unwrap());
    for n in 0..20 {
        journal.append(Timestamp(n), vec![(prod.clone(), observed(n))]).await.unwrap();
    }
    journal.close().await;
}

/// A journal that was changed at some places. Each five bytes: where (three), and what to put there (one), and
/// how often (one). It is refused, or reads as it was written (invariant 8).
pub fn journal(data: &[u8]) {
    let whole = whole();
    let mut journal = whole.journal.clone();
    for change in data.chunks_exact(5) {
        let Ok([a, b, c, byte, times]) = <[u8; 5]>::try_from(change) else { continue };
        let at = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let at = at % journal.len();
        for place in journal.iter_mut().skip(at).take(usize::from(times).max(1)) {
            *place = byte;
        }
    }
    // What is left over says how much is cut off at the end.
    if let [cut @ .., _] = data.chunks_exact(5).remainder() {
        let cut: usize = cut.iter().map(|byte| usize::from(*byte) * 97).sum();
        journal.truncate(journal.len().saturating_sub(cut));
    }
    let path = scratch("changed.db");
    std::fs::write(&path, &journal).unwrap();
    std::fs::write(scratch("changed.db.head"), &whole.head).unwrap();
    match verify(&path) {
        Ok(verified) => assert!(verified == whole.verified, "another journal is taken for whole"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Events, one a line, as they stand in a journal: each reads back as itself, and the fold takes it in or
/// refuses it.
pub fn records(data: &[u8]) {
    let prod = ClusterName::new("prod").unwrap();
    let mut state = State::default();
    let mut records = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<Event>(line) else { continue };
        let written = serde_json::to_string(&event).unwrap();
        let again: Event = serde_json::from_str(&written).expect("what is written is read");
        assert_eq!(again, event, "an event reads back as another one");
        assert!(!kind(&event).is_empty());
        let seq = state.seq + 1;
        let cluster = Some(prod.clone());
        let record = Record { seq, at: Timestamp(seq * 1_000), cluster, event };
        let fits = state.apply(&record).is_ok();
        records.push(record);
        if !fits {
            break;
        }
        let past = state.past(&prod);
        let written = serde_json::to_string(&past).unwrap();
        assert_eq!(serde_json::from_str::<Past>(&written).unwrap(), past);
    }
    if let Some(story) = explain::tell(&records) {
        let _ = story.to_string();
    }
}
