//! Policies and plugins.

use std::error::Error;
use std::sync::OnceLock;

use watchkeeper_wasm::{Host, HostConfig};

/// What is said of a file that cannot be loaded. A list of what a component has may be long.
const MOST_SAID: usize = 64 * 1024;

/// A component: it is loaded and describes itself, or is refused with a reason.
pub fn wasm(data: &[u8]) {
    static HOST: OnceLock<Host> = OnceLock::new();
    let host = HOST.get_or_init(|| {
        Host::new(HostConfig { calls_at_once: 1, ..HostConfig::default() }).unwrap()
    });
    let policy = host.load_policy(data).map(|policy| {
        let description = policy.description();
        vec![description.name.clone(), description.version.clone(), description.summary.clone()]
    });
    let notifier = host.load_notifier(data).map(|notifier| {
        let description = notifier.description();
        vec![description.name.clone(), description.version.clone(), description.summary.clone()]
    });
    assert!(policy.is_err() || notifier.is_err(), "a component of both worlds");
    for loaded in [policy, notifier] {
        match loaded {
            Ok(texts) => texts.iter().for_each(|text| crate::assert_plain(text, 64 * 1024)),
            Err(error) => {
                let text = error.to_string();
                assert!(!text.is_empty() && text.len() <= MOST_SAID, "{} bytes", text.len());
                assert!(!text.contains('\u{1b}'), "{text:?}");
                let mut next = error.source();
                while let Some(cause) = next {
                    assert!(!cause.to_string().contains('\u{1b}'), "{cause:?}");
                    next = cause.source();
                }
            }
        }
    }
}
