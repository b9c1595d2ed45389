//! How the story is told: plain lines, coloured only on a terminal.

use std::io::{IsTerminal as _, Stdout, Write as _, stdout};

/// Prints the story.
pub(crate) struct Teller {
    out: Stdout,
    colour: bool,
    scenes: u32,
}

impl Teller {
    /// Colours are for terminals, and for those who have not asked for none (`NO_COLOR`).
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let out = stdout();
        let colour = wanted && out.is_terminal();
        Self { out, colour, scenes: 0 }
    }

    /// A new scene begins.
    pub(crate) fn scene(&mut self, title: &str) {
        self.scenes += 1;
        let title = format!("{}. {title}", self.scenes);
        self.print(&format!("\n{}\n", self.dressed("1;36", &title)));
    }

    /// A sentence or two of narration.
    pub(crate) fn say(&self, text: &str) {
        self.print(&format!("   {text}\n"));
    }

    /// A command that anybody could type.
    pub(crate) fn command(&self, text: &str) {
        self.print(&format!("   {}\n", self.dressed("1", &format!("$ {text}"))));
    }

    /// What a program printed, as it is.
    pub(crate) fn quote(&self, text: &str) {
        for line in text.lines() {
            self.print(&format!("   {} {line}\n", self.dressed("2", "|")));
        }
    }

    /// Something that happened `after` milliseconds from the scene's beginning.
    pub(crate) fn event(&self, after: u64, word: &str, text: &str) {
        let time = self.dressed("33", &format!("{:>6} ms", format!("+{after}")));
        self.print(&format!("   {time}  {word:<8} {text}\n"));
    }

    /// What was to be shown has been shown.
    pub(crate) fn good(&self, text: &str) {
        self.print(&format!("   {} {text}\n", self.dressed("1;32", "=>")));
    }

    fn dressed(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Whoever has closed standard output does not want to read on.
    fn print(&self, text: &str) {
        let mut out = self.out.lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
