//! docs/commands.md: what `--help` says, of every command.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use crate::compare;

const HEAD: &str = "\
# The commands

What `watchkeeper COMMAND --help` says, for every command. How to use them: [operations](operations.md).

<!-- Made from the program; do not edit. `UPDATE_DOCS=1 cargo test -p watchkeeper-docs` rewrites it. -->
";

#[test]
fn the_page_has_every_command_as_its_help_says() {
    let mut root = watchkeeper::cli::Cli::command().term_width(100).max_term_width(100);
    root.build();
    let mut text = HEAD.to_owned();
    describe(&mut root, "watchkeeper", &mut text);
    assert!(text.contains("\n## `watchkeeper policy evaluate`\n"), "{text}");
    compare("docs/commands.md", &text);
}

fn describe(command: &mut clap::Command, name: &str, text: &mut String) {
    // The environment of whoever runs this is not part of the help.
    let ids: Vec<_> = command.get_arguments().map(|it| it.get_id().clone()).collect();
    for id in ids {
        *command = command.clone().mut_arg(id, |it| it.hide_env_values(true));
    }
    write!(text, "\n## `{name}`\n\n```text\n").unwrap();
    for line in command.render_long_help().to_string().trim_end().lines() {
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    text.push_str("```\n");
    let names: Vec<String> = command
        .get_subcommands()
        .map(|it| it.get_name().to_owned())
        .filter(|name| name != "help")
        .collect();
    for sub in names {
        let found = command.find_subcommand_mut(&sub).unwrap();
        describe(found, &format!("{name} {sub}"), text);
    }
}
