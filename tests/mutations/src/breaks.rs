//! The breaks: what they are, and how they are put into the code.

use std::path::{Path, PathBuf};

/// A break.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Break {
    /// What is broken, for people.
    pub(crate) name: String,
    /// The file it is in.
    pub(crate) file: PathBuf,
    /// Whether the model runs this code.
    pub(crate) model: bool,
    /// Whether it is what the simulation has a second time.
    pub(crate) twin: bool,
    /// What has to notice it elsewhere.
    pub(crate) by: Option<String>,
    /// Lines that are taken out, and those that are put in for them, without indentation.
    pub(crate) chunks: Vec<(Vec<String>, Vec<String>)>,
}

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All that there are.
pub(crate) fn all() -> Result<Vec<Break>, String> {
    parse(include_str!("../breaks.txt"))
}

fn parse(text: &str) -> Result<Vec<Break>, String> {
    let mut all: Vec<Break> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("## ") {
            all.push(Break { name: name.to_owned(), ..Break::default() });
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let Some(one) = all.last_mut() else {
            return Err(format!("breaks.txt, line {}: no `## name` before it", number + 1));
        };
        let rest = rest.trim().to_owned();
        match word {
            "in" => one.file = PathBuf::from(rest),
            "by" => one.by = Some(rest),
            "model" => one.model = true,
            "twin" => one.twin = true,
            "-" => match one.chunks.last_mut() {
                Some((before, after)) if after.is_empty() => before.push(rest),
                _ => one.chunks.push((vec![rest], Vec::new())),
            },
            "+" => match one.chunks.last_mut() {
                Some((_, after)) => after.push(rest),
                None => return Err(format!("breaks.txt, line {}: `+` before `-`", number + 1)),
            },
            _ => return Err(format!("breaks.txt, line {}: {line:?} is not known", number + 1)),
        }
    }
    Ok(all)
}

impl Break {
    /// The file with the break in it. The error says what no longer fits.
    pub(crate) fn apply(&self, source: &str) -> Result<String, String> {
        let mut lines: Vec<String> = source.lines().map(str::to_owned).collect();
        for (before, after) in &self.chunks {
            let fits: Vec<usize> = lines
                .windows(before.len())
                .enumerate()
                .filter(|(_, window)| window.iter().zip(before).all(|(line, it)| line.trim() == it))
                .map(|(at, _)| at)
                .collect();
            let [at] = fits.as_slice() else {
                let (file, times, text) = (self.file.display(), fits.len(), before.join("\n"));
                return Err(format!("{}: {file} has {times} times:\n{text}", self.name));
            };
            let first = lines.get(*at).cloned().unwrap_or_default();
            let indent = &first[..first.len() - first.trim_start().len()];
            let after: Vec<String> = after.iter().map(|line| format!("{indent}{line}")).collect();
            lines.splice(*at..*at + before.len(), after);
        }
        Ok(lines.join("\n") + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_break_fits_the_code_that_there_is() {
        let all = all().unwrap();
        assert!(all.len() > 40, "{}", all.len());
        let problems: Vec<String> = all
            .iter()
            .filter_map(|one| {
                let source = std::fs::read_to_string(repository().join(&one.file)).unwrap();
                match one.apply(&source) {
                    Ok(broken) if broken == source => Some(format!("{} changes nothing", one.name)),
                    Ok(_) => None,
                    Err(problem) => Some(problem),
                }
            })
            .collect();
        assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    }

    #[test]
    fn the_tests_that_are_named_are_there() {
        for Break { name, by, twin, .. } in all().unwrap() {
            assert!(by.is_some() || !twin, "{name}: nothing tries the daemon's own");
            let Some(by) = by else { continue };
            let (file, test) = by.split_once(": ").unwrap_or_else(|| panic!("{name}: {by}"));
            let source = std::fs::read_to_string(repository().join(file)).unwrap();
            assert!(source.contains(&format!("fn {test}(")), "{name}: {by}");
        }
    }

    #[test]
    fn every_guard_is_broken_at_least_once() {
        let all = all().unwrap();
        for file in std::fs::read_dir(repository().join("engine/core/src/guards")).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let guard = name.trim_end_matches(".rs");
            let broken = all.iter().any(|one| one.name.starts_with(&format!("guard {guard}:")));
            assert!(broken || guard == "mod", "{guard}");
        }
    }

    #[test]
    fn lines_that_are_missing_or_doubled_are_told() {
        let one = parse("## a break\nin x.rs\n- a\n- b\n+ c").unwrap().remove(0);
        assert_eq!(one.apply("x\n  a\n  b\n").unwrap(), "x\n  c\n");
        assert!(one.apply("a\nb\na\nb").unwrap_err().contains("2 times"));
        assert!(one.apply("a\n").unwrap_err().contains("0 times"));
        assert!(parse("- a").is_err() && parse("## a\nof x").is_err());
    }
}
