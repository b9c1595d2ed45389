//! Settings that a command line gives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use watchkeeper_core::settings::{self, Given, MAX_TEXT_FILE};

use super::PolicyError;

/// A policy's settings, as the options give them.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Set {
    /// A setting of the policy, as name=value
    #[arg(long = "set", value_name = "NAME=VALUE")]
    values: Vec<String>,
    /// A setting of the policy whose value is the text of a file, as name=file
    #[arg(long = "set-file", value_name = "NAME=FILE")]
    files: Vec<String>,
}

/// What was given, and which of it is from files.
#[derive(Debug, Default)]
pub(in crate::cli) struct Read {
    pub(in crate::cli) values: BTreeMap<String, Given>,
    pub(in crate::cli) files: BTreeMap<String, PathBuf>,
}

impl Read {
    /// What a policy said of its settings, with the names of the files.
    pub(in crate::cli) fn name_files(&self, said: &str) -> String {
        let files = self.files.iter().map(|(setting, path)| (setting.as_str(), path.display()));
        settings::name_files(said, files)
    }
}

impl Set {
    /// True, false and whole numbers are taken as such, all else as text.
    pub(in crate::cli) fn read(&self) -> Result<Read, PolicyError> {
        let mut read = Read::default();
        for one in &self.values {
            let (name, value) = split(one, "value")?;
            let value = match (value.parse::<bool>(), value.parse::<i64>()) {
                (Ok(flag), _) => Given::Flag(flag),
                (_, Ok(number)) => Given::Integer(number),
                _ => Given::Text(value.to_owned()),
            };
            read.values.insert(name.to_owned(), value);
        }
        for one in &self.files {
            let (name, path) = split(one, "file")?;
            let path = PathBuf::from(path);
            let text = super::read(&path)?;
            if text.len() as u64 > MAX_TEXT_FILE {
                let path = path.display();
                let problem = format!("{path} is larger than {MAX_TEXT_FILE} bytes");
                return Err(PolicyError::Settings(problem));
            }
            read.values.insert(name.to_owned(), Given::Text(text));
            read.files.insert(name.to_owned(), path);
        }
        Ok(read)
    }
}

fn split<'a>(given: &'a str, what: &str) -> Result<(&'a str, &'a str), PolicyError> {
    given
        .split_once('=')
        .ok_or_else(|| PolicyError::Settings(format!("{given:?} is not of the form name={what}")))
}
