//! What the command gets, compared with files that people can read, and what is made of its end.
//! `UPDATE_GOLDEN=1` rewrites the files: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use tvi::{Settings, Tvi, Way};
use watchkeeper_sdk::notifier::testkit::{
    Golden, after, alert, alone, bare, converse, ended, endless, over, play, several, told,
};
use watchkeeper_sdk::notifier::{Alert, Cause, Next, Notification, Notifier as _, Request};

const GOLDEN: Golden = Golden(env!("CARGO_MANIFEST_DIR"));

fn lines(notification: &Notification, settings: &Settings) -> Vec<String> {
    let (requests, _) = converse::<Tvi>(notification, settings, &[ended(Some(0))]);
    let Some(Request::Command(command)) = requests.first() else { panic!("not by command") };
    String::from_utf8(command.input.clone()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_firing_alert() {
    let said = play::<Tvi>(&alone(alert()), &Settings::default(), &[ended(Some(0))]);
    GOLDEN.compare("firing.txt", &said);
}

#[test]
fn of_a_group_only_news_are_passed() {
    GOLDEN.compare("group.txt", &told::<Tvi>(&several(), &Settings::default()));
}

#[test]
fn what_is_told_again_is_all_that_fires() {
    let again = Notification { cause: Cause::Repeat, ..several() };
    GOLDEN.compare("repeat.txt", &told::<Tvi>(&again, &Settings::default()));
}

#[test]
fn a_resolved_alert_of_the_monitor_itself_with_the_code_of_those_that_have_none() {
    let settings = Settings { default_code: "4604999".to_owned(), ..Settings::default() };
    GOLDEN.compare("resolved.txt", &told::<Tvi>(&alone(bare()), &settings));
}

#[test]
fn each_line_can_be_an_argument_in_a_form_of_the_site_s_own() {
    let settings = Settings {
        way: Way::Arguments,
        line: "{since} {monitor} {name} {cluster}/{server}/{service} {code} {nothing} {".to_owned(),
        ..Settings::default()
    };
    GOLDEN.compare("arguments.txt", &told::<Tvi>(&alone(alert()), &settings));
}

#[test]
fn without_a_code_or_when_it_is_over_nothing_need_be_passed() {
    let start = |alert, settings: &Settings| Tvi::start(&alone(alert), settings);
    let without = Alert { code: String::new(), ..alert() };
    assert_eq!(start(without, &Settings::default()), Ok(Next::delivered()));
    let quiet = Settings { resolved: false, ..Settings::default() };
    assert_eq!(start(over(alert()), &quiet), Ok(Next::delivered()));
}

#[test]
fn an_alert_s_text_makes_no_line_no_option_and_no_field() {
    let summary = "a\nTVI 1 {code}\u{1b}[2J".to_owned();
    let alert = Alert { code: "--file=/x".to_owned(), summary, ..alert() };
    let settings = Settings { line: "{code} {summary}".to_owned(), ..Settings::default() };
    assert_eq!(lines(&alone(alert), &settings), ["file=/x a TVI 1 {code} [2J"]);
}

#[test]
fn a_line_is_cut_between_characters() {
    let lines = lines(&endless(), &Settings::default());
    assert_eq!(lines.len(), 40);
    for line in lines {
        assert!((1_021..=1_024).contains(&line.len()) && line.ends_with('😀'), "{}", line.len());
    }
}

#[test]
fn ends_of_the_command() {
    let next = |exit| after::<Tvi>(&ended(exit), &Settings::default());
    assert_eq!(next(Some(0)), Next::delivered());
    assert!(matches!(next(Some(1)), Next::Retry(_)));
    assert!(matches!(next(None), Next::Retry(_)));
}
