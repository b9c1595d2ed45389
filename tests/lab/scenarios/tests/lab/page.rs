//! The page about the scenario, as somebody would work through it.

use std::process::Command;

use watchkeeper_lab::{Lab, repository};

/// A stranger can set the five servers up by the page alone, and sees each row happen.
#[test]
fn the_page_about_the_scenario_can_be_worked_through() {
    let Some(lab) = Lab::up("the_page_about_the_scenario_can_be_worked_through") else { return };
    let page = std::fs::read_to_string(repository().join("docs/scenario.md")).unwrap();
    let mut script = String::from("set -euo pipefail\nmake() { :; }\nPS4='+ '\nset -x\n");
    for block in page.split("```sh\n").skip(1) {
        script.push_str(block.split("```").next().unwrap());
    }
    assert!(script.matches("wk_until").count() > 15, "the page lost its commands");
    let output = Command::new("timeout")
        .args(["600", "bash", "-c", &script])
        .env("WATCHKEEPER_LAB", lab.name())
        .current_dir(repository())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = said.lines().rev().take(60).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{}\n{out}", output.status, tail.join("\n"));
}
