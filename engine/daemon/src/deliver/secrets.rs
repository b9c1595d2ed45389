//! Secrets go in on the way out and are taken out on the way back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::secret::Secret;

/// The secrets granted to a receiver, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(pub BTreeMap<String, Secret>);

/// A placeholder that names no granted secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret {0:?} does not exist or is not granted to this receiver")]
pub struct NotGranted(pub String);

const OPEN: &[u8] = b"{{secret \"";
const CLOSE: &[u8] = b"\"}}";
const SHOWN: &[u8] = b"<secret>";

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

impl Secrets {
    /// Replaces each `{{secret "NAME"}}`. What a secret holds is not looked at again.
    pub fn expand(&self, template: &[u8]) -> Result<Vec<u8>, NotGranted> {
        let mut expanded = Vec::with_capacity(template.len());
        let mut rest = template;
        while let Some(at) = find(rest, OPEN) {
            let (before, from) = rest.split_at(at);
            let from = from.get(OPEN.len()..).unwrap_or_default();
            let Some(end) = find(from, CLOSE) else { break };
            let (name, after) = from.split_at(end);
            let name = String::from_utf8_lossy(name);
            let secret = self.0.get(name.as_ref()).ok_or_else(|| NotGranted(name.to_string()))?;
            expanded.extend_from_slice(before);
            expanded.extend_from_slice(secret.expose().as_bytes());
            rest = after.get(CLOSE.len()..).unwrap_or_default();
        }
        expanded.extend_from_slice(rest);
        Ok(expanded)
    }

    /// As [`Secrets::expand`], for a text.
    pub fn expand_text(&self, template: &str) -> Result<String, NotGranted> {
        let expanded = self.expand(template.as_bytes())?;
        Ok(String::from_utf8(expanded).unwrap_or_default())
    }

    /// Replaces each of the secrets, as it is, as JSON writes it and as a URL writes it.
    pub fn scrub(&self, text: &[u8]) -> Vec<u8> {
        let mut forms: Vec<Vec<u8>> = Vec::new();
        for secret in self.0.values().filter(|secret| !secret.expose().is_empty()) {
            let text = secret.expose();
            let json = serde_json::Value::from(text).to_string();
            forms.push(text.as_bytes().to_vec());
            forms.push(json.trim_matches('"').as_bytes().to_vec());
            forms.push(percent(text, char::is_ascii_uppercase).into_bytes());
            forms.push(percent(text, char::is_ascii_lowercase).into_bytes());
            forms.extend(as_url_parts(text).into_iter().flatten());
        }
        // The longest first: one secret may be part of another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        forms.iter().fold(text.to_vec(), |text, form| replace(&text, form))
    }

    /// As [`Secrets::scrub`], for a text.
    pub fn scrub_text(&self, text: &str) -> String {
        match String::from_utf8_lossy(&self.scrub(text.as_bytes())) {
            Cow::Borrowed(text) => text.to_owned(),
            Cow::Owned(text) => text,
        }
    }

    /// The length in bytes of the longest form that [`Secrets::scrub`] looks for.
    pub fn longest(&self) -> usize {
        self.0.values().map(|secret| secret.expose().len() * 6).max().unwrap_or(0)
    }
}

/// As it stands in a URL that it was put into as it is: as the path, and as the query.
fn as_url_parts(text: &str) -> Option<[Vec<u8>; 2]> {
    let mut url = reqwest::Url::parse("http://host/").ok()?;
    url.set_path(text);
    url.set_query(Some(text));
    let path = url.path().trim_start_matches('/').as_bytes().to_vec();
    Some([path, url.query().unwrap_or_default().as_bytes().to_vec()])
}

fn percent(text: &str, keep_case: fn(&char) -> bool) -> String {
    let upper = keep_case(&'A');
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ if upper => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        })
        .collect()
}

fn replace(text: &[u8], wanted: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = (!wanted.is_empty()).then(|| find(rest, wanted)).flatten() {
        let (before, from) = rest.split_at(at);
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(SHOWN);
        rest = from.get(wanted.len()..).unwrap_or_default();
    }
    replaced.extend_from_slice(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let pair = |name: &str, text: &str| (name.to_owned(), Secret::new(text));
        Secrets([pair("a", "s3/c\"ret"), pair("b", "{{secret \"a\"}}")].into())
    }

    #[test]
    fn placeholders_are_replaced_once_and_only_if_granted() {
        let expand = |text: &str| secrets().expand_text(text);
        assert_eq!(expand("x {{secret \"a\"}}y").unwrap(), "x s3/c\"rety");
        assert_eq!(expand("{{secret \"b\"}}").unwrap(), "{{secret \"a\"}}");
        assert_eq!(expand("{{secret \"c\"}}"), Err(NotGranted("c".to_owned())));
        assert_eq!(expand("{{secret \"a").unwrap(), "{{secret \"a");
    }

    #[test]
    fn no_form_of_a_secret_comes_back() {
        let text =
            r#"raw s3/c"ret, json s3/c\"ret, url s3%2Fc%22ret and s3%2fc%22ret, path s3/c%22ret."#;
        let expected = "raw <secret>, json <secret>, url <secret> and <secret>, path <secret>.";
        assert_eq!(secrets().scrub_text(text), expected);
    }
}
