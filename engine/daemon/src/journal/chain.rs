//! The chain over the records: each carries a SHA-256 over itself and the one before it, so that
//! a record that was altered, removed or put in shows, whatever wrote it.
//!
//! It protects against accidents and careless hands, not against someone who computes it anew.

use sha2::{Digest, Sha256};

/// The link of a record, or of the beginning.
pub(super) type Link = [u8; 32];

/// A record's columns.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) seq: u64,
    pub(super) at: &'a str,
    pub(super) at_ms: u64,
    /// Empty if the record is about the monitor itself: no cluster has an empty name.
    pub(super) cluster: &'a str,
    pub(super) kind: &'a str,
    pub(super) body: &'a str,
}

/// What stands before the first record: it ties the records to the journal they were written to.
pub(super) fn beginning(journal_id: &str) -> Link {
    let mut hash = Sha256::new();
    hash.update(b"watchkeeper journal ");
    hash.update(journal_id.as_bytes());
    hash.finalize().into()
}

/// The link of `row`, which follows the record with the link `previous`.
pub(super) fn link(previous: &Link, row: Row<'_>) -> Link {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(row.seq.to_be_bytes());
    hash.update(row.at_ms.to_be_bytes());
    for text in [row.at, row.cluster, row.kind, row.body] {
        // The length stands before each text, so that nothing can move from one to the next.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().into()
}

/// The link in lower-case hexadecimal.
pub(super) fn hex(link: &Link) -> String {
    use std::fmt::Write as _;
    link.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_counts() {
        let row = Row { seq: 7, at: "a", at_ms: 1, cluster: "c", kind: "k", body: "{}" };
        let previous = beginning("x");
        let others = [
            Row { seq: 8, ..row },
            Row { at: "b", ..row },
            Row { at_ms: 2, ..row },
            Row { cluster: "", ..row },
            Row { kind: "ck", cluster: "", ..row },
            Row { body: "[]", ..row },
        ];
        for other in others {
            assert_ne!(link(&previous, row), link(&previous, other));
        }
        assert_ne!(link(&previous, row), link(&beginning("y"), row));
        assert_eq!(hex(&[0xab; 32]), "ab".repeat(32));
    }
}
