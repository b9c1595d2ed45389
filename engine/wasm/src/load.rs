//! From bytes to a component that is known to fit its world.
//!
//! Whatever is wrong with a file, its author or the administrator is told what was found and what
//! to do. Nothing of a component runs before it is known to import nothing but what is given.

use std::error::Error as StdError;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;
use watchkeeper_core::proposal::Failure;
use watchkeeper_core::settings::{SchemaProblem, Setting, check_schema, is_kebab};

use crate::cache::{Cache, hex};
use crate::call::clean;
use crate::limits::Limits;
use crate::wasi;

/// Why a file cannot be loaded as a guest.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is nothing in it.
    #[error("the file is empty; it was perhaps still being written: copy it beside and rename it")]
    Empty,
    /// It ends in the middle.
    #[error(
        "the file ends after {have} bytes in the middle of a section: copy it again, beside and \
         then renamed"
    )]
    Truncated {
        /// How many bytes there are.
        have: usize,
    },
    /// It is larger than allowed.
    #[error("the file has {size} bytes; at most {limit} are allowed (limit component-bytes)")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// It is something else.
    #[error("the file is not WebAssembly but looks like {looks_like}")]
    NotWasm {
        /// What it looks like, for people.
        looks_like: &'static str,
    },
    /// It is a module of the core language.
    #[error(
        "the file is a core WebAssembly module, not a component: build it for wasm32-wasip2, or \
         turn it into one with `wasm-tools component new`"
    )]
    CoreModule,
    /// Its encoding is of another age.
    #[error(
        "the file's WebAssembly encoding (version {version}, layer {layer}) is not known here: \
         build it with tools that write components of version 13, layer 1"
    )]
    Encoding {
        /// The version in its head.
        version: u16,
        /// The layer in its head.
        layer: u16,
    },
    /// It does not validate, or asks for more than the limits allow.
    #[error("the component is damaged, or asks for more than a guest may have")]
    Invalid {
        /// What the engine says.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// It is a component of another world.
    #[error("the component is {found}, not a {expected}: {advice}")]
    OtherWorld {
        /// What was expected: `policy` or `notifier`.
        expected: &'static str,
        /// What it is.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// It was built against another version of the contract.
    #[error(
        "the component was built against {found}; this monitor speaks {supported}: build it with \
         the SDK of this release"
    )]
    OtherVersion {
        /// The import that shows it.
        found: String,
        /// The version that is spoken here.
        supported: String,
    },
    /// It wants more of the world than guests get.
    #[error(
        "the component imports {}, which no guest gets: guests have no files, no network and \
         nothing of the host's (with componentize-py, build with --stub-wasi)", .imports.join(", ")
    )]
    NotGranted {
        /// The imports that are not given.
        imports: Vec<String>,
    },
    /// It lacks functions of its world.
    #[error("the component does not export {}; {}", .missing.join(", "), exports(.found))]
    MissingExports {
        /// The functions that it should have.
        missing: Vec<&'static str>,
        /// What it exports.
        found: Vec<String>,
    },
    /// An import or export has other types than the contract.
    #[error("the component's functions do not have the types of the contract {contract}")]
    WrongTypes {
        /// The contract.
        contract: String,
        /// Where they differ.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// `describe` gave no answer.
    #[error("the component cannot describe itself: {0}")]
    Describe(Failure),
    /// What it says of itself makes no sense.
    #[error("the component's description is not acceptable: {0}")]
    Description(String),
    /// The settings it describes make no sense.
    #[error("the component describes settings that cannot work: {}", listed(.0))]
    Schema(Vec<SchemaProblem>),
}

impl LoadError {
    pub(crate) fn wrong_types(world: &World, error: &wasmtime::Error) -> Self {
        Self::WrongTypes { contract: world.contract(), source: told(error) }
    }
}

/// What the engine says of a component, with all that caused it, on one line: it quotes names, which may
/// be of any characters and of any length.
fn told(error: &wasmtime::Error) -> Box<dyn StdError + Send + Sync> {
    const LONGEST: usize = 2_000;
    let said = clean(format!("{error:#}"));
    match said.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", said.get(..at).unwrap_or_default()).into(),
        None => said.into(),
    }
}

fn exports(found: &[String]) -> String {
    if found.is_empty() {
        "it exports nothing: is the SDK's export macro called?".to_owned()
    } else {
        format!("it exports {}", found.join(", "))
    }
}

fn listed(problems: &[SchemaProblem]) -> String {
    let mut text = String::new();
    for (i, problem) in problems.iter().enumerate() {
        // Writing to a text cannot fail.
        let _ = write!(text, "{}{problem}", if i == 0 { "" } else { "; " });
    }
    text
}

/// What a world asks of a component.
pub(crate) struct World {
    /// `policy` or `notifier`.
    pub(crate) name: &'static str,
    /// Its package.
    pub(crate) package: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// The interfaces it gives, beside those of [`wasi::GIVEN`].
    pub(crate) interfaces: &'static [&'static str],
    /// The resources that it names itself, which components import beside the interface's.
    pub(crate) resources: &'static [&'static str],
    /// The functions it wants.
    pub(crate) exports: &'static [&'static str],
}

/// The functions by which a component of each world is known.
const KNOWN_BY: [(&str, &str); 2] = [("policy", "evaluate"), ("notifier", "resume")];

impl World {
    pub(crate) fn contract(&self) -> String {
        format!("{}@{}", self.package, self.version)
    }
}

/// SHA-256 in lower-case hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Compiles the component, or takes it from the cache, and checks that it fits its world.
pub(crate) fn component(
    engine: &Engine,
    limits: &Limits,
    cache: Option<&Cache>,
    world: &World,
    bytes: &[u8],
    digest: &str,
) -> Result<Component, LoadError> {
    check_bytes(bytes, limits)?;
    let component = if let Some(component) = cache.and_then(|cache| cache.get(engine, digest)) {
        component
    } else {
        let component = Component::from_binary(engine, bytes)
            .map_err(|error| LoadError::Invalid { source: told(&error) })?;
        if let Some(cache) = cache {
            cache.put(digest, &component);
        }
        component
    };
    check_world(engine, &component, world)?;
    Ok(component)
}

/// Tells apart, from the bytes alone, everything that is not a whole component.
fn check_bytes(bytes: &[u8], limits: &Limits) -> Result<(), LoadError> {
    const MAGIC: &[u8] = b"\0asm";
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > limits.component_bytes {
        return Err(LoadError::TooLarge { size, limit: limits.component_bytes });
    }
    if bytes.is_empty() {
        return Err(LoadError::Empty);
    }
    if !bytes.starts_with(MAGIC) {
        return Err(if MAGIC.starts_with(bytes) {
            LoadError::Truncated { have: bytes.len() }
        } else {
            LoadError::NotWasm { looks_like: looks_like(bytes) }
        });
    }
    let truncated = || LoadError::Truncated { have: bytes.len() };
    let (head, sections) = bytes.split_first_chunk::<8>().ok_or_else(truncated)?;
    let [_, _, _, _, v0, v1, l0, l1] = *head;
    match (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([l0, l1])) {
        (13, 1) => {}
        (1, 0) => return Err(LoadError::CoreModule),
        (version, layer) => return Err(LoadError::Encoding { version, layer }),
    }
    whole_sections(sections).ok_or_else(truncated)
}

/// Walks over the sections; none if the last of them is cut.
fn whole_sections(mut bytes: &[u8]) -> Option<()> {
    while let Some((_id, rest)) = bytes.split_first() {
        let (size, rest) = leb128(rest)?;
        bytes = rest.get(usize::try_from(size).ok()?..)?;
    }
    Some(())
}

/// An unsigned number of at most 32 bits, and what follows it. A longer one is left to the engine
/// to complain about: it is not cut, so it must not look so.
fn leb128(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (i, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(i + 1..)?));
        }
    }
    (bytes.len() >= 5).then_some((0, &[]))
}

fn looks_like(bytes: &[u8]) -> &'static str {
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"(") {
        "the text form of WebAssembly: turn it into the binary form with `wasm-tools parse`"
    } else if bytes.starts_with(b"\x7fELF") {
        "native code: guests are loaded from .wasm files, compiled code only from the cache"
    } else if text.starts_with(b"<") {
        "a web page: the download perhaps led to a page instead of the file"
    } else if bytes.starts_with(b"\x1f\x8b") || bytes.starts_with(b"PK") {
        "an archive: unpack it"
    } else if bytes.starts_with(b"version https://git-lfs") {
        "a Git LFS pointer: fetch the file itself with `git lfs pull`"
    } else if std::str::from_utf8(bytes).is_ok() {
        "a text file"
    } else {
        "unknown binary data"
    }
}

fn check_world(engine: &Engine, component: &Component, world: &World) -> Result<(), LoadError> {
    let ty = component.component_type();
    let imports: Vec<&str> = ty.imports(engine).map(|(name, _)| name).collect();
    let exports: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
    let missing: Vec<&'static str> =
        world.exports.iter().copied().filter(|name| !exports.contains(name)).collect();

    if let Some(found) = other_world(&imports, &exports, world) {
        return Err(found);
    }
    let own = |import: &&&str| import.strip_prefix(world.package).is_some_and(after_package);
    if let Some(other) = imports.iter().filter(own).find(|import| !speaks(world, import)) {
        return Err(LoadError::OtherVersion {
            found: (*other).to_owned(),
            supported: world.contract(),
        });
    }
    let refused: Vec<String> = imports
        .iter()
        .filter(|import| !given(world, import))
        .map(|import| (*import).to_owned())
        .collect();
    if !refused.is_empty() {
        return Err(LoadError::NotGranted { imports: refused });
    }
    if !missing.is_empty() {
        let found = exports.iter().map(|name| (*name).to_owned()).collect();
        return Err(LoadError::MissingExports { missing, found });
    }
    Ok(())
}

fn after_package(rest: &str) -> bool {
    rest.starts_with('/') || rest.starts_with('@')
}

/// Whether the component belongs to another world: it has none of this world's own functions, and
/// something that only another has.
fn other_world(imports: &[&str], exports: &[&str], world: &World) -> Option<LoadError> {
    let of =
        |found: String, advice| Some(LoadError::OtherWorld { expected: world.name, found, advice });
    let known_by = |name: &str| KNOWN_BY.iter().find(|(world, _)| *world == name).map(|row| row.1);
    if known_by(world.name).is_some_and(|function| exports.contains(&function)) {
        return None;
    }
    for (other, function) in KNOWN_BY {
        let package = format!("watchkeeper:{other}/");
        if other != world.name
            && (exports.contains(&function)
                || imports.iter().any(|import| import.starts_with(&package)))
        {
            return of(format!("a {other}"), "put it in the folder and section of its kind");
        }
    }
    if exports.iter().any(|name| name.starts_with("wasi:cli/run@")) {
        return of("a program".to_owned(), "build a library (crate-type cdylib) with the SDK");
    }
    exports
        .iter()
        .find(|name| name.contains(':'))
        .and_then(|name| of(format!("of a world that exports {name}"), "build it with the SDK"))
}

/// Whether the import is of a version of the contract that is spoken here: the same major version,
/// and below 1.0 the same minor version.
fn speaks(world: &World, import: &str) -> bool {
    import.rsplit_once('@').is_some_and(|(_, version)| compatible(version, world.version))
}

fn compatible(found: &str, given: &str) -> bool {
    let track = |version: &str| -> Option<(u64, u64)> {
        let mut parts = version.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some(if major == 0 { (0, minor) } else { (major, 0) })
    };
    track(found).is_some_and(|found| Some(found) == track(given))
}

fn given(world: &World, import: &str) -> bool {
    let Some((interface, version)) = import.rsplit_once('@') else {
        return world.resources.contains(&import);
    };
    if let Some(interface) = interface.strip_prefix(world.package) {
        let name = interface.strip_prefix('/').unwrap_or(interface);
        return world.interfaces.contains(&name);
    }
    wasi::GIVEN.contains(&interface) && compatible(version, "0.2.0")
}

/// What every world's description has.
pub(crate) struct Said {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) settings: Vec<Setting>,
}

/// Checks what a component says of itself.
pub(crate) fn check_description(said: Said, limits: &Limits) -> Result<Said, LoadError> {
    let not = |problem: String| Err(LoadError::Description(problem));
    if !is_kebab(&said.name) || said.name.len() > MAX_WORD {
        let name = clean(said.name.chars().take(MAX_WORD).collect::<String>());
        return not(format!(
            "the name {name:?} is not in kebab case, of at most {MAX_WORD} letters"
        ));
    }
    if said.version.is_empty()
        || said.version.len() > MAX_WORD
        || said.version.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        return not(format!("the version has to be one word of at most {MAX_WORD} letters"));
    }
    if said.summary.len() > limits.text_bytes {
        return not(format!("the summary has more than {} bytes", limits.text_bytes));
    }
    if said.settings.len() > limits.items {
        return not(format!("it has more than {} settings", limits.items));
    }
    check_schema(&said.settings).map_err(LoadError::Schema)?;
    Ok(Said { summary: clean(said.summary), ..said })
}

/// The longest name or version of a guest, in bytes.
const MAX_WORD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> Result<(), LoadError> {
        check_bytes(bytes, &Limits::default())
    }

    #[test]
    fn what_is_not_a_component_is_told_apart() {
        assert!(matches!(check(b""), Err(LoadError::Empty)));
        assert!(matches!(check(b"\0as"), Err(LoadError::Truncated { have: 3 })));
        assert!(matches!(check(b"\0asm\x0d\0"), Err(LoadError::Truncated { have: 6 })));
        assert!(matches!(check(b"\0asm\x01\0\0\0"), Err(LoadError::CoreModule)));
        assert!(matches!(
            check(b"\0asm\x0e\0\x01\0"),
            Err(LoadError::Encoding { version: 14, layer: 1 })
        ));
        for (bytes, word) in [
            (&b"  (component)"[..], "text form"),
            (b"<!DOCTYPE html>", "web page"),
            (b"\x7fELF\x02", "native"),
            (b"hello", "text file"),
            (b"\xff\xfe\x00", "unknown"),
        ] {
            match check(bytes) {
                Err(LoadError::NotWasm { looks_like }) => {
                    assert!(looks_like.contains(word), "{looks_like}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_cut_section_is_seen_at_every_length() {
        let whole = b"\0asm\x0d\0\x01\0\x00\x83\x00\x01ab\x00\x01c";
        assert!(check(whole).is_ok());
        for length in 1..whole.len() {
            // After the head and after the first section there is nothing to be seen missing.
            let boundary = length == 8 || length == 14;
            assert_eq!(check(&whole[..length]).is_ok(), boundary, "{length}");
        }
    }

    #[test]
    fn versions_are_compatible_within_their_track() {
        assert!(compatible("0.1.7", "0.1.0"));
        assert!(!compatible("0.2.0", "0.1.0"));
        assert!(!compatible("1.1.0", "0.1.0"));
        assert!(compatible("1.3.0", "1.0.0"));
        assert!(!compatible("x", "0.1.0"));
    }
}
