//! Guests by hand: core modules in the text form, made into components of the two worlds. What a
//! language's tools would never build is written here.
//!
//! The memory of a guest: its description lies at 16, the result of its call at [`RESULT`], texts
//! begin at 1024, and the second page belongs to `cabi_realloc`.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where the result of `evaluate`, `migrate`, `start` and `resume` lies.
pub(crate) const RESULT: u32 = 128;

/// A policy or notifier that is as it should be; a kind of hostile guest changes a part of it.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    /// Further fields of the module: functions, tables, data, `start`.
    pub(crate) fields: String,
    /// The memory's pages.
    pub(crate) pages: u32,
    /// The bodies of its functions.
    pub(crate) realloc: String,
    pub(crate) describe: String,
    pub(crate) evaluate: String,
    pub(crate) migrate: String,
    pub(crate) start: String,
    pub(crate) resume: String,
}

/// A never ending loop, as a part of a body.
pub(crate) const LOOP: &str = "(loop $again (br $again))";

impl Default for Core {
    fn default() -> Self {
        let result = format!("(i32.const {RESULT})");
        Self {
            fields: String::new(),
            pages: 2,
            realloc: "(global.set $top (i32.and
                    (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
                    (i32.sub (i32.const 0) (local.get $align))))
                (global.get $top)
                (global.set $top (i32.add (global.get $top) (local.get $size)))"
                .to_owned(),
            describe: "(i32.const 16)".to_owned(),
            evaluate: format!("(call $drop (local.get $snapshot)) {result}"),
            migrate: result.clone(),
            start: format!("(i32.store8 (i32.const 136) (i32.const 1)) {result}"),
            resume: format!("(i32.store8 (i32.const 136) (i32.const 1)) {result}"),
        }
    }
}

impl Core {
    /// With further fields.
    pub(crate) fn fields(fields: impl Into<String>) -> Self {
        Self { fields: fields.into(), ..Self::default() }
    }

    /// Whose `describe` does this first.
    pub(crate) fn describe(body: &str) -> Self {
        let core = Self::default();
        Self { describe: format!("{body} {}", core.describe), ..core }
    }

    /// Whose `evaluate` does this first.
    pub(crate) fn evaluate(body: &str) -> Self {
        let core = Self::default();
        Self { evaluate: format!("{body} {}", core.evaluate), ..core }
    }

    /// Whose `migrate` does this first.
    pub(crate) fn migrate(body: &str) -> Self {
        let core = Self::default();
        Self { migrate: format!("{body} {}", core.migrate), ..core }
    }

    /// Whose `start` does this first.
    pub(crate) fn start(body: &str) -> Self {
        let core = Self::default();
        Self { start: format!("{body} {}", core.start), ..core }
    }

    /// Whose `resume` does this first.
    pub(crate) fn resume(body: &str) -> Self {
        let core = Self::default();
        Self { resume: format!("{body} {}", core.resume), ..core }
    }

    /// The same with further fields.
    pub(crate) fn and(self, fields: &str) -> Self {
        Self { fields: format!("{} {fields}", self.fields), ..self }
    }

    /// The component of a policy.
    pub(crate) fn policy(&self) -> Vec<u8> {
        let words = [1024, 3, 1032, 5, 1040, 11, 0, 0, 0];
        let text = format!(
            r#"(module
              (import "watchkeeper:policy/facts@0.1.0" "[resource-drop]snapshot" (func $drop (param i32)))
              (import "watchkeeper:policy/facts@0.1.0" "[method]snapshot.number" (func $number (param i32) (result i64)))
              (import "watchkeeper:policy/facts@0.1.0" "[method]snapshot.servers" (func $servers (param i32 i32)))
              (import "watchkeeper:policy/facts@0.1.0" "[method]snapshot.server" (func $server (param i32 i32 i32 i32)))
              (import "watchkeeper:policy/log@0.1.0" "write" (func $log (param i32 i32 i32)))
              {common}
              (func (export "evaluate") (param $snapshot i32) (param i32 i32 i32 i32) (result i32)
                (local $i i32) {evaluate})
              (func (export "migrate") (param i32 i32 i32 i32) (result i32) (local $i i32) {migrate}))"#,
            common = self.common(&words),
            evaluate = self.evaluate,
            migrate = self.migrate,
        );
        component(&text, "policy")
    }

    /// The component of a notifier.
    pub(crate) fn notifier(&self) -> Vec<u8> {
        let words = [1024, 3, 1032, 5, 1040, 11, 0, 0];
        let text = format!(
            r#"(module
              (import "watchkeeper:notifier/log@0.2.0" "write" (func $log (param i32 i32 i32)))
              {common}
              (func (export "start") (param i32) (result i32) (local $i i32) {start})
              (func (export "resume") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
                (local $i i32) {resume}))"#,
            common = self.common(&words),
            start = self.start,
            resume = self.resume,
        );
        component(&text, "notifier")
    }

    fn common(&self, description: &[u32]) -> String {
        format!(
            r#"(memory (export "memory") {pages})
              (global $top (mut i32) (i32.const 65536))
              (data (i32.const 16) "{description}")
              (data (i32.const 1024) "odd\00\00\00\00\001.0.0\00\00\00One of many")
              {fields}
              (func $realloc (export "cabi_realloc")
                (param $old i32) (param $had i32) (param $align i32) (param $size i32) (result i32)
                {realloc})
              (func (export "describe") (result i32) (local $i i32) {describe})"#,
            pages = self.pages,
            description = words(description),
            fields = self.fields,
            realloc = self.realloc,
            describe = self.describe,
        )
    }
}

/// Numbers as the bytes of a data segment.
pub(crate) fn words(words: &[u32]) -> String {
    use std::fmt::Write as _;
    words.iter().flat_map(|word| word.to_le_bytes()).fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:02x}").unwrap();
        text
    })
}

/// Stores numbers from an address on, as a part of a body.
pub(crate) fn store(at: u32, words: &[u32]) -> String {
    let one = |(at, word): (u32, &u32)| format!("(i32.store (i32.const {at}) (i32.const {word}))");
    (at..).step_by(4).zip(words).map(one).collect()
}

fn component(text: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/wit").join(world);
    let (package, _) = resolve.push_dir(wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let mut blank = ComponentEncoder::default();
    let encoder = blank.module(&module).unwrap();
    encoder.encode().unwrap_or_else(|error| panic!("{error:#}\n{text}"))
}
