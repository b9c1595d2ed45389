//! What is made of answers, apart from how they come in: for [`crate::fuzzing`].

use futures_util::FutureExt as _;
use reqwest::StatusCode;

use super::rest::RestSubject;
use super::{Disk, Finding, command, jolokia, openwire, replication, resources, rest};
use crate::ssh::Captured;

/// What each probe that reads an answer finds in these bytes, beside this exit status or status of HTTP.
pub(crate) fn findings(status: u16, bytes: &[u8]) -> Vec<Finding> {
    let text = String::from_utf8_lossy(bytes);
    let disk = |name: &str, path: &str| Disk { name: name.to_owned(), path: path.to_owned() };
    let disks = [disk("root", "/"), disk("var-lib", "/var/lib")];
    let mut captured = Captured::default();
    captured.push(bytes);
    let none = Captured::default();
    let rows = rows(&text);
    let http = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let exit = Some(i32::from(status % 8));
    vec![
        resources::judge(&disks, &captured.text()),
        command::judge(exit, &captured, &none),
        command::judge(None, &none, &captured),
        replication::judge_active(&rows),
        replication::judge_standby(&rows, Some(i64::from(status)), status.is_multiple_of(2)),
        jolokia::judge("dm1:8161", http, bytes),
        rest::judge(RestSubject::Rest, "dm1:1443", http, bytes),
        rest::judge(RestSubject::Daemon, "dm1:1443", http, bytes),
    ]
}

/// Rows of a query: a line each, columns between tabs, `-` for one without a value.
fn rows(text: &str) -> Vec<Vec<Option<String>>> {
    let column = |text: &str| (text != "-").then(|| text.to_owned());
    text.lines().map(|line| line.split('\t').map(column).collect()).collect()
}

/// The version in a broker's greeting, and how many of the bytes were read for it.
pub(crate) fn greeting(bytes: &[u8]) -> (Option<u32>, usize) {
    let mut left = bytes;
    // Bytes that are there already are never waited for.
    let version = openwire::greeting(&mut left).now_or_never();
    (version.and_then(Result::ok).flatten(), bytes.len() - left.len())
}
