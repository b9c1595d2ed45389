//! What the tools of other languages say when a build fails, in the author's places: first the file and line that it is
//! about, then the rest without the tool's own insides.

/// Of cargo: its messages for programs, which are for this one, and among what is for people the crates that it compiled.
pub(super) fn rust(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
    let first =
        lines.iter().position(|line| line.starts_with("error") || line.starts_with("warning"));
    let told = lines.get(first.unwrap_or(0)..).unwrap_or_default().join("\n");
    let hint = "\nis the target there? `rustup target add wasm32-wasip2`";
    format!("{told}{}", if said.contains("E0463") { hint } else { "" })
}

/// Of componentize-qjs: `Error: ...: Error: MESSAGE`, then a line for each frame, the innermost first.
pub(super) fn js(said: &str) -> String {
    let Some((_, error)) = said.split_once("Failed to evaluate user JavaScript module: ") else {
        return said.trim_end().to_owned();
    };
    let mut lines = error.trim_end().lines();
    let first = lines.next().unwrap_or_default();
    let message = first
        .strip_prefix("Failed to declare JavaScript module: ")
        .or_else(|| first.strip_prefix("Failed to finish JavaScript module evaluation: "))
        .unwrap_or(first);
    let message = message.strip_prefix("Error: ").unwrap_or(message);
    let rest: Vec<&str> = lines.collect();
    let place =
        rest.iter().filter_map(|line| js_place(line)).find(|place| !place.contains("sdk/js/"));
    headed(place, message, &rest)
}

/// The place in `    at name (/policy.js:2:48)` or `    at /policy.js:1:18`.
fn js_place(line: &str) -> Option<&str> {
    let frame = line.trim_start().strip_prefix("at ")?;
    let place = frame.rsplit_once('(').map_or(frame, |(_, place)| place);
    Some(place.trim_end_matches(')').trim_start_matches('/')).filter(|place| place.contains(':'))
}

/// Of componentize-py: a traceback, the innermost frame last, in the folders that it mounts as `/0`, `/1` and so on in the
/// order of `path`; then an account of its own insides.
pub(super) fn python(said: &str, path: &[String]) -> String {
    let said = said.split_once("AssertionError: ").map_or(said, |(_, error)| error);
    let said = said.split_once("\n\nCaused by:").map_or(said, |(error, _)| error);
    let mut told = said.trim_end().to_owned();
    for (i, folder) in path.iter().enumerate() {
        let folder = if folder == "." { String::new() } else { format!("{folder}/") };
        told = told.replace(&format!("\"/{i}/"), &format!("\"{folder}"));
    }
    let lines: Vec<&str> = told.lines().collect();
    let place = lines.iter().rev().filter_map(|line| python_place(line)).find(|place| {
        !place.contains("sdk/python/") && !place.starts_with('/') && !place.starts_with('<')
    });
    let message = lines.last().copied().unwrap_or_default();
    headed(place.as_deref(), message, &lines)
}

/// The place in `  File "rule.py", line 4, in <module>`, as `rule.py:4`.
fn python_place(line: &str) -> Option<String> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once('"')?;
    let number: String =
        rest.strip_prefix(", line ")?.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("{file}:{number}"))
}

fn headed(place: Option<&str>, message: &str, rest: &[&str]) -> String {
    let head = place.map_or_else(|| message.to_owned(), |place| format!("{place}: {message}"));
    std::iter::once(head.as_str()).chain(rest.iter().copied()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_rust_is_told_as_cargo_does() {
        let said = "{\"reason\":\"build-finished\"}\n   Compiling rule v0.1.0\nerror: no\n --> src/lib.rs:3:1\n";
        assert_eq!(rust(said), "error: no\n --> src/lib.rs:3:1");
        assert_eq!(rust("   Compiling core\nerror[E0463]: x").lines().count(), 2);
        assert_eq!(rust("could not"), "could not");
    }

    #[test]
    fn a_mistake_in_javascript_is_told_with_its_place() {
        let said = "componentize-qjs\n  WIT: x\nError: : Failed to evaluate user JavaScript module: \
                    Failed to declare JavaScript module: Error: unexpected token\n    at /policy.js:1:18\n\n";
        assert_eq!(js(said), "policy.js:1:18: unexpected token\n    at /policy.js:1:18");
        let said = "Error: : Failed to evaluate user JavaScript module: Failed to finish JavaScript module \
                    evaluation: Error: a policy has no key \"sumary\"\n    at Misuse (/sdk/js/watchkeeper.js:20:1)\n    \
                    at <anonymous> (/lib/b.js:2:48)\n";
        assert!(js(said).starts_with("lib/b.js:2:48: a policy has no key \"sumary\"\n"));
        let said = "Error: : Failed to evaluate user JavaScript module: Failed to declare JavaScript module: \
                    Error: Error resolving module './nothing.js' from '/policy.js'\n";
        assert_eq!(js(said), "Error resolving module './nothing.js' from '/policy.js'");
        assert_eq!(js("something else\n"), "something else");
    }

    #[test]
    fn a_mistake_in_python_is_told_with_its_place() {
        let path = [".".to_owned(), "sdk/python".to_owned()];
        let said = "Traceback (most recent call last):\n  File \"/opt/bin/componentize-py\", line 8, in <module>\n\
                    AssertionError:   File \"/0/rule.py\", line 1\n    def x(:\n          ^\nSyntaxError: invalid \
                    syntax\n\n\nCaused by:\n    SyntaxError: invalid syntax (rule.py, line 1)\n\nStack backtrace:\n";
        assert!(python(said, &path).starts_with("rule.py:1: SyntaxError: invalid syntax\n"));
        let said = "AssertionError: Traceback (most recent call last):\n  File \"/0/rule.py\", line 4, in <module>\n    \
                    W = export(T)\n  File \"/1/watchkeeper/__init__.py\", line 542, in export\nwatchkeeper.Misuse: no \
                    good\n\n\nCaused by:\n";
        let told = python(said, &path);
        assert!(told.starts_with("rule.py:4: watchkeeper.Misuse: no good\n"), "{told}");
        assert!(told.contains("File \"sdk/python/watchkeeper/__init__.py\", line 542"), "{told}");
    }
}
