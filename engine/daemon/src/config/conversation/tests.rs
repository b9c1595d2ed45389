//! What stands in a conversation's file, and what is said of mistakes in it.

use super::*;

fn read_text(text: &str) -> Result<Conversation, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.toml");
    std::fs::write(&path, text).unwrap();
    let place = folder.path().display().to_string();
    read(&path).map_err(|problems| problems.to_string().replace(&place, ""))
}

fn told(notifications: &str) -> Vec<Told> {
    read_text(&format!("why = \"x\"\n{notifications}")).unwrap().told
}

fn problem(text: &str, words: &[&str]) {
    let said = read_text(text).unwrap_err();
    for word in words {
        assert!(said.contains(word), "{word:?} is not in\n{said}");
    }
}

#[test]
fn a_notification_without_keys_tells_that_rest_is_down() {
    let all = told("[[notification]]\n");
    let [Told { cause: Cause::First, subjects, .. }] = all.as_slice() else { panic!("{all:?}") };
    let [subject] = subjects.as_slice() else { panic!("{subjects:?}") };
    assert_eq!(subject.alert.claim.summary, "rest on dm1 is down");
    assert_eq!(subject.alert.starts_at, BEGIN);
    assert!(subject.news && subject.alert.ends_at.is_none());
}

#[test]
fn an_incident_goes_on_with_the_alerts_of_the_notification_before() {
    let all = told(
        "[[notification]]\n[[notification]]\nalert = [{ service = \"daemon\" }, { news = false }]\nafter = \"5m\"\n\
         [[notification]]\ncause = \"repeat\"\n[[notification]]\nover = true\n[[notification]]\n",
    );
    let causes: Vec<Cause> = all.iter().map(|told| told.cause).collect();
    assert_eq!(causes, [Cause::First, Cause::News, Cause::Repeat, Cause::Over, Cause::First]);
    let started: Vec<u64> =
        all[1].subjects.iter().map(|it| it.alert.starts_at.0 - BEGIN.0).collect();
    assert_eq!(started, [300_000, 0]);
    assert!(all[2].subjects.iter().all(|it| !it.news));
    assert!(all[3].subjects.iter().all(|it| it.alert.ends_at == Some(all[3].at)));
    let again = |it: &Subject| it.alert.ends_at.is_none() && it.alert.starts_at == all[4].at;
    assert!(all[4].subjects.iter().all(again));
}

#[test]
fn what_is_tried_again_is_the_same_notification() {
    let all = told(
        "[[notification]]\nmore = 2\n[[notification.answer]]\nstatus = 503\n[[notification]]\nagain = true\n\
         [[notification.answer]]\nlost = \"reset\"\n",
    );
    assert_eq!((all[1].at, all[1].more, &all[1].subjects), (all[0].at, 2, &all[0].subjects));
    assert_eq!(all[1].answers, [Answer::Lost("reset".to_owned())]);
    problem("why = \"x\"\n[[notification]]\nagain = true\n", &["no notification before", ":3:9"]);
    let twice = "why = \"x\"\n[[notification]]\n[[notification]]\nagain = true\nover = true\n";
    problem(twice, &["`over` cannot stand beside `again`", ":5:8"]);
}

#[test]
fn every_kind_of_answer_is_read() {
    let all = told(
        "[[notification]]\n[[notification.answer]]\nstatus = 201\nheaders = { X-Id = \"7\" }\nbody = '''\n{\n}\n'''\n\
         [[notification.answer]]\nexit = 3\n[[notification.answer]]\nsignal = true\noutput = \"x\"\n\
         [[notification.answer]]\ncode = 250\ntext = \"2.0.0 Ok\"\n",
    );
    let headers = vec![("x-id".to_owned(), "7".to_owned())];
    let expected = [
        Answer::Http { status: 201, headers, body: "{\n}".to_owned() },
        Answer::Command { exit: Some(3), output: String::new() },
        Answer::Command { exit: None, output: "x".to_owned() },
        Answer::Mail { code: 250, text: "2.0.0 Ok".to_owned() },
    ];
    assert_eq!(all[0].answers, expected);
}

#[test]
fn mistakes_are_told_with_their_line_and_the_nearest_key() {
    problem("", &["needs the key `why`"]);
    problem("why = \"x\"\n[[notification]]\nalert = []\n", &["one alert or more", ":3:9"]);
    problem("why = \"x\"\n", &["nothing is told in this conversation"]);
    let start = "why = \"x\"\n[[notification]]\n";
    let answer = format!("{start}[[notification.answer]]\n");
    problem(&format!("{start}ovr = true\n"), &[":3:1", "did you mean `over`?"]);
    problem(&format!("{start}alert = [{{ servce = \"rest\" }}]\n"), &["did you mean `service`?"]);
    problem(&format!("{start}alert = [{{ service = \"rset\" }}]\n"), &["did you mean `rest`?"]);
    problem(&format!("{start}alert = [{{ server = \"a b\" }}]\n"), &["is not a name"]);
    problem(&format!("{answer}staus = 200\n"), &[":4:1", "did you mean `status`?"]);
    problem(&answer, &["this is no answer", "a command's `exit`"]);
    problem(&format!("{answer}status = 200\nexit = 0\n"), &["`exit` cannot stand beside `status`"]);
    problem(
        &format!("{answer}lost = \"x\"\nbody = \"y\"\n"),
        &["`body` cannot stand beside `lost`"],
    );
    problem(&format!("{answer}signal = false\n"), &["`signal` is true, or there is `exit`"]);
    problem(&format!("{answer}status = 99\n"), &["a whole number from 100 to 599"]);
    // Nothing is hidden: the values are an example's.
    problem("why = \"x\"\nsecrets = { a = 1 }\n", &["`secrets.a` has to be a text", "{ a = 1 }"]);
    problem("why = \"x\nhosts = 1\n", &["this is not TOML", "why = \"x"]);
}

#[test]
fn the_group_is_the_cluster_unless_something_else_is_said() {
    let group = |text: &str| read_text(&format!("why = \"x\"\n{text}")).unwrap().group;
    let pair = |name: &str, value: &str| Labels::from([(name.to_owned(), value.to_owned())]);
    assert_eq!(group("[[notification]]\n"), pair("cluster", "prod"));
    assert_eq!(group("[[notification]]\nalert = [{ cluster = \"\" }]\n"), Labels::new());
    assert_eq!(group("group-labels = { site = \"a\" }\n[[notification]]\n"), pair("site", "a"));
}
