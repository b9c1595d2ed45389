//! What servers say, over SSH, HTTP, PostgreSQL, OpenWire and TLS.

use watchkeeper::fuzzing::{self, MAX_DETAIL};
use watchkeeper::ssh::{Captured, ExecOutput};
use watchkeeper_core::facts::Value;

/// What [`MAX_DETAIL`] does not count: a last character, and the sign that something was cut off.
const CUT: usize = 8;

/// A probe has fixed values, those of two disks, or those that a plugin measured, of which 32 are kept.
const MOST_VALUES: usize = 40;

/// A file of known hosts: a key that does not stand in it is never accepted.
pub fn known_hosts(data: &[u8]) {
    const KEYS: [&str; 2] = [
        "AAAAC3NzaC1lZDI1NTE5AAAAIGRzB1nBCxMXgoLUsVZWKbZSW3JkvRMBNNTDmaRJqRAR",
        "AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF",
    ];
    let file = String::from_utf8_lossy(data);
    for key in KEYS {
        for (host, port) in [("dm1", 22), ("10.0.0.1", 2222), ("fd00::1", 22)] {
            let shown = format!("ssh-ed25519 {key}");
            let known = fuzzing::is_known(&file, host, port, &shown).expect("a key");
            assert!(!known || file.contains(key), "a key is known that is not in the file");
        }
    }
    // A key that a host shows may be anything too.
    let _ = fuzzing::is_known("", "dm1", 22, &file);
}

/// An answer to a probe; the first two bytes are the exit status or the status of HTTP.
pub fn answers(data: &[u8]) {
    let Some((status, body)) = data.split_first_chunk::<2>() else { return };
    for finding in fuzzing::findings(u16::from_be_bytes(*status) % 1_000, body) {
        crate::assert_plain(&finding.reason.detail, MAX_DETAIL + CUT);
        assert!(finding.values.len() <= MOST_VALUES, "{} values", finding.values.len());
        for (name, value) in &finding.values {
            crate::assert_plain(name, 160);
            match value {
                Value::Number(number) => assert!(number.is_finite(), "{name} is {number}"),
                Value::Text(text) => crate::assert_plain(text, MAX_DETAIL + CUT),
                Value::Integer(_) | Value::Flag(_) => {}
            }
        }
        // The journal keeps it.
        let written = serde_json::to_string(&finding.values).unwrap();
        let again = serde_json::from_str(&written).unwrap();
        assert_eq!(finding.values, again, "it reads back as another one");
    }
    let words = String::from_utf8_lossy(body);
    crate::assert_plain(&format!("{:?}", fuzzing::seen_from(&words)), 4 * MAX_DETAIL);
}

/// What a server says to a command with a term. The first byte is the exit status.
pub fn mark(data: &[u8]) {
    let Some((exit, said)) = data.split_first() else { return };
    let mut stderr = Captured::default();
    stderr.bytes.extend_from_slice(said);
    let exit = (*exit < 200).then(|| u32::from(*exit));
    let output = ExecOutput { exit, signal: None, stdout: Captured::default(), stderr };
    let (refused, ran) = fuzzing::marked(output);
    if let Some(why) = refused {
        assert_eq!(exit, Some(97), "a command that was run counts as refused");
        crate::assert_plain(&why, MAX_DETAIL + CUT);
    }
    let runs = "watchkeeper: runs\n";
    let text = String::from_utf8_lossy(said);
    assert_eq!(ran.is_some(), text.contains(runs), "{text:?}");
}

/// A broker's greeting.
pub fn openwire(data: &[u8]) {
    let (version, read) = fuzzing::greeting(data);
    assert!(read <= 4 + 64 * 1024, "{read} bytes are read for a greeting");
    if version.is_some() {
        assert_eq!(data.get(5..13), Some(b"ActiveMQ".as_slice()), "this is no broker");
    }
}

/// A certificate in DER.
pub fn certificate(data: &[u8]) {
    if let Some(ends) = fuzzing::certificate_ends(data) {
        // From the year 0 to 9999.
        assert!((-62_170_000_000..254_000_000_000).contains(&ends), "{ends}");
    }
}
