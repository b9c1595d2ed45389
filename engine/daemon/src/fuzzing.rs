//! For tests: where bytes from outside come in.
//!
//! The functions that read what a server, another monitor, etcd or a file says are within their
//! modules, and nobody else's business. `tests/fuzz` has to reach them all the same, so they are
//! listed here, each with what the part that uses it goes by. What is public anyway (the
//! configuration, the journal, guests, the API, secrets) is not repeated. Nothing of this is part of
//! the daemon.

use watchkeeper_core::duty::peer::{Answer, Ask, Report};
use watchkeeper_core::past::Past;

use crate::collect::Finding;
use crate::ssh::{ExecOutput, Reach};
use crate::{act, certificate, cli, collect, duty, net, ssh};

/// The longest explanation of a finding, in bytes, but for the sign that something was cut off.
pub const MAX_DETAIL: usize = net::MAX_DETAIL;

/// All that `watchkeeper import` says of a properties file, and the configuration that it makes of it.
pub fn import(bytes: &[u8]) -> (String, Option<String>) {
    cli::import::everything(bytes)
}

/// Whether a file of known hosts has the key that a host shows; none: what it shows is no key.
pub fn is_known(file: &str, host: &str, port: u16, shown: &str) -> Option<bool> {
    ssh::is_known(file, host, port, shown)
}

/// What a server's explanation says of another server that it could not reach.
pub fn seen_from(words: &str) -> Reach {
    ssh::explained(net::one_line(words))
}

/// What a server's answer to a command with a term says: why it was refused, and what the command
/// itself said if it was run.
pub fn marked(output: ExecOutput) -> (Option<String>, Option<ExecOutput>) {
    act::answered(output)
}

/// What each probe that reads an answer finds in these bytes, beside this exit status or status of HTTP.
pub fn findings(status: u16, bytes: &[u8]) -> Vec<Finding> {
    collect::findings(status, bytes)
}

/// The version in a broker's greeting, and how many of the bytes were read for it.
pub fn greeting(bytes: &[u8]) -> (Option<u32>, usize) {
    collect::greeting(bytes)
}

/// When a certificate ends, in seconds since 1970.
pub fn certificate_ends(bytes: &[u8]) -> Option<i64> {
    certificate::ends(bytes)
}

/// What the other monitor reports and asks, and the bytes that say it again.
pub fn peer_question(bytes: &[u8]) -> Result<(Vec<Report>, Ask, Vec<u8>), String> {
    duty::peer_question(bytes)
}

/// What the other monitor reports and answers, and the bytes that say it again.
pub fn peer_reply(bytes: &[u8]) -> Result<(Vec<Report>, Answer, Vec<u8>), String> {
    duty::peer_reply(bytes)
}

/// What people are told of an answer of etcd, whatever was asked, and the pasts of clusters in it.
pub fn etcd(status: u16, bytes: &[u8]) -> (Vec<String>, Vec<Past>) {
    duty::etcd_answered(status, bytes)
}
