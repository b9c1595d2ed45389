//! The file beside the journal that says how far it goes.
//!
//! SQLite keeps the newest records in a second file, and it takes a missing one for nothing to
//! recover. So the last record's number and link are kept in a third, `JOURNAL.head`: its being
//! there also tells a lost journal from a first start.
//!
//! It is written after each commit and not synchronised: after a power cut it may lag behind the
//! journal, which is harmless, and it can never be ahead. It is overwritten in place, in two lines
//! that take turns, so it needs no room on a full disk and one torn line is not missed.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::chain::{self, Link};

/// Decimal digits of the number, the link, 16 digits of checksum, two blanks and a line feed.
const LINE: usize = 20 + 1 + 64 + 1 + 16 + 1;

/// How far the journal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: u64,
    /// In lower-case hexadecimal.
    pub(super) link: String,
}

/// What was found beside a journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Damaged,
    Head(Head),
}

/// The name of the file beside `journal`.
pub(super) fn path_of(journal: &Path) -> PathBuf {
    super::beside(journal, ".head")
}

/// Reads what stands beside `journal`.
pub(super) fn find(journal: &Path) -> std::io::Result<Found> {
    let file = match File::open(path_of(journal)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(2 * LINE as u64 + 1).read_to_end(&mut text)?;
    let newest = text.chunks(LINE).filter_map(parse).max_by_key(|head| head.seq);
    Ok(newest.map_or(Found::Damaged, Found::Head))
}

fn parse(bytes: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (content, checked) = text.rsplit_once(' ')?;
    if checked != checksum(content) {
        return None;
    }
    let (number, link) = content.split_once(' ')?;
    Some(Head { seq: number.parse().ok()?, link: link.to_owned() })
}

fn checksum(content: &str) -> String {
    let digest: Link = Sha256::digest(content.as_bytes()).into();
    chain::hex(&digest).chars().take(16).collect()
}

fn line(seq: u64, link: &Link) -> String {
    let content = format!("{seq:020} {}", chain::hex(link));
    let sum = checksum(&content);
    format!("{content} {sum}\n")
}

/// Keeps the file up to date.
pub(super) struct Writer {
    file: File,
    second: bool,
}

impl Writer {
    /// Opens the file beside `journal`, or makes it, and writes where the journal stands.
    pub(super) fn new(journal: &Path, seq: u64, link: &Link) -> std::io::Result<Self> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).open(path_of(journal))?;
        let mut writer = Self { file, second: false };
        writer.write(seq, link)?;
        writer.write(seq, link)?;
        writer.file.set_len(2 * LINE as u64)?;
        writer.file.sync_all()?;
        Ok(writer)
    }

    /// Writes where the journal stands now.
    pub(super) fn write(&mut self, seq: u64, link: &Link) -> std::io::Result<()> {
        let offset = if self.second { LINE as u64 } else { 0 };
        self.file.write_all_at(line(seq, link).as_bytes(), offset)?;
        self.second = !self.second;
        Ok(())
    }
}
