//! What is made of etcd's answers, apart from how they come in: for [`crate::fuzzing`].

use std::time::Duration;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use watchkeeper_core::duty::lease::board::Board;
use watchkeeper_core::duty::lease::keys::{Keys, Shared};
use watchkeeper_core::past::Past;

use super::client::{complaint, garbage};
use super::wire::{Answer, Granted, Kept, Range, Token, WatchLine};

/// Takes an answer in as each of the questions would. Gives what people would be told of it, and the pasts of
/// clusters in it.
pub(crate) fn answered(status: u16, bytes: &[u8]) -> (Vec<String>, Vec<Past>) {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut said = vec![complaint("http://127.0.0.1:2379", status, bytes).to_string()];
    let mut pasts = Vec::new();
    let mut board = Board::new(Keys::new("/wk"));
    let mut entries = Vec::new();
    let now = Duration::ZERO;
    if let Some(Range(index)) = read(bytes, &mut said) {
        let _ = board.compare(&index, now);
        entries.extend(index.entries);
    }
    if let Some(Answer(transacted)) = read(bytes, &mut said) {
        entries.extend(transacted.found.into_iter().flatten());
    }
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(line) = read::<WatchLine>(line, &mut said) {
            for news in line.result.into_news() {
                board.take_in(news, now);
            }
        }
    }
    pasts.extend(entries.iter().filter_map(|entry| {
        serde_json::from_slice::<Shared>(&entry.value).ok().map(|shared| *shared.past)
    }));
    let _ = (read::<Granted>(bytes, &mut said), read::<Kept>(bytes, &mut said));
    let _ = read::<Token>(bytes, &mut Vec::new());
    (said, pasts)
}

fn read<T: DeserializeOwned>(bytes: &[u8], said: &mut Vec<String>) -> Option<T> {
    let told = |error: serde_json::Error| {
        said.push(garbage("http://127.0.0.1:2379", &error.to_string()).to_string());
    };
    serde_json::from_slice(bytes).map_err(told).ok()
}
