//! What is sent for an alert, compared with files that people can read. `UPDATE_GOLDEN=1`
//! rewrites them: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use watchkeeper_sdk::notifier::testkit::{
    Golden, after, alert, alone, answer, bare, several, told,
};
use watchkeeper_sdk::notifier::{Next, Notification, Notifier as _, Request, Send};
use webhook::{Settings, Verb, Webhook};

const GOLDEN: Golden = Golden(env!("CARGO_MANIFEST_DIR"));

fn settings() -> Settings {
    Settings { url: "https://alerts.example.com/hook".to_owned(), ..Settings::default() }
}

#[test]
fn a_firing_alert() {
    GOLDEN.compare("firing.txt", &told::<Webhook>(&alone(alert()), &settings()));
}

#[test]
fn a_group_of_alerts() {
    GOLDEN.compare("group.txt", &told::<Webhook>(&several(), &settings()));
}

#[test]
fn a_resolved_alert_of_the_monitor_itself() {
    GOLDEN.compare("resolved.txt", &told::<Webhook>(&alone(bare()), &settings()));
}

#[test]
fn secrets_stay_references_in_the_guest() {
    let settings = Settings {
        url: "https://alerts.example.com/{{secret \"path\"}}".to_owned(),
        method: Verb::Put,
        headers: vec!["X-Api-Key: {{secret \"key\"}}".to_owned()],
        bearer: "{{secret \"token\"}}".to_owned(),
        ..Settings::default()
    };
    GOLDEN.compare("secrets.txt", &told::<Webhook>(&alone(alert()), &settings));
}

#[test]
fn what_cannot_be_sent_is_said_without_the_value() {
    assert!(Webhook::start(&alone(alert()), &Settings::default()).is_err());
    let settings = Settings { headers: vec!["hunter2".to_owned()], ..settings() };
    let error = Webhook::start(&alone(alert()), &settings).unwrap_err();
    assert!(error.contains("headers") && !error.contains("hunter2"), "{error}");
}

#[test]
fn responses() {
    for status in [200, 201, 202, 204] {
        assert_eq!(after::<Webhook>(&answer(status, &[], ""), &settings()), Next::delivered());
    }
    for status in [408, 429, 500, 502, 503] {
        let Next::Retry(retry) =
            after::<Webhook>(&answer(status, &[("retry-after", "7")], ""), &settings())
        else {
            panic!("{status} is worth another try")
        };
        assert_eq!(retry.after, Some(7_000));
    }
    for status in [400, 401, 403, 404, 410] {
        assert!(
            matches!(after::<Webhook>(&answer(status, &[], ""), &settings()), Next::Refused(_)),
            "{status}"
        );
    }
}

fn templated(body: &str, content_type: &str) -> Settings {
    Settings { body: body.to_owned(), content_type: content_type.to_owned(), ..settings() }
}

/// What the template makes, or why it is refused.
fn filled(notification: &Notification, body: &str, content_type: &str) -> Result<String, String> {
    match Webhook::start(notification, &templated(body, content_type)).unwrap() {
        Next::Send(Send { request: Request::Http(request), .. }) => {
            Ok(String::from_utf8(request.body).unwrap())
        }
        Next::Refused(reason) => Err(reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_template_of_json_and_one_of_plain_text() {
    let json = r#"{"text": {{ headline }}, "key": "{{secret "key"}}", "what": [
{%- for alert in alerts if alert.status == "firing" %}
  {"at": {{ alert.server ~ "/" ~ alert.service }}, "since": {{ alert.starts_at }}, "labels": {{ alert.labels }}}
  {%- if not loop.last %},{% endif %}
{%- endfor %}
]}
"#;
    let settings = templated(json, "application/json");
    GOLDEN.compare("template-json.txt", &told::<Webhook>(&several(), &settings));
    let plain = "{{ severity|upper }} {{ headline }}\n\
                 {% for alert in alerts %}* {{ alert.summary }}\n{% endfor %}";
    let settings = templated(plain, "text/plain; charset=utf-8");
    GOLDEN.compare("template-text.txt", &told::<Webhook>(&several(), &settings));
}

#[test]
fn the_template_of_the_documentation() {
    let template = include_str!("../../../docs/examples/mattermost.json.jinja");
    let settings = templated(template, "application/json");
    GOLDEN.compare("template-mattermost.txt", &told::<Webhook>(&several(), &settings));
}

/// Every key of the plugin's own body is there for a template, too.
#[test]
fn a_template_can_name_what_the_whole_body_has() {
    let Next::Send(Send { request: Request::Http(whole), .. }) =
        Webhook::start(&several(), &settings()).unwrap()
    else {
        panic!("it is sent")
    };
    let whole = String::from_utf8(whole.body).unwrap();
    let keys = whole.split('"').skip(1).step_by(2).zip(whole.split('"').skip(2).step_by(2));
    let mut named = 0;
    for (key, _) in keys.filter(|(key, after)| after.starts_with(':') && *key != "version") {
        if ["cluster", "site"].contains(&key) {
            // Those are labels, too.
            continue;
        }
        let found = ["{{ KEY }}", "{% for alert in alerts %}{{ alert.KEY }}{% endfor %}"]
            .map(|form| filled(&several(), &form.replace("KEY", key), "text/plain"));
        assert!(found.iter().any(Result::is_ok), "{key}: {found:?}");
        named += 1;
    }
    assert!(named > 20, "{named}");
}

#[test]
fn no_value_breaks_out_of_its_place_or_asks_for_a_secret() {
    let mut alert = alert();
    alert.summary = "a\"}, {{secret \"key\"}} \u{f8ff}0\u{f8ff} {% raw %}\\".to_owned();
    alert.details = "{".to_owned();
    alert.source = "{secret \"key\"}}".to_owned();
    let told = alone(alert);
    let whole = "{% for alert in alerts %}{{ alert.summary }}{% endfor %}";
    let json = filled(&told, whole, "application/json").unwrap();
    assert_eq!(json, r#""a\"}, {\u007bsecret \"key\"}} 0 {% raw %}\\""#);
    let together = "{{secret \"own\"}} {% for alert in alerts %}\
                    {{ alert.details }}{{ alert.source }} {{ alert.summary|safe }}{% endfor %}";
    let text = filled(&told, together, "text/plain").unwrap();
    assert!(text.starts_with("{{secret \"own\"}} ") && !text.contains("{{secret \"key"), "{text}");
}

#[test]
fn a_mistake_in_a_template_is_refused_with_its_line() {
    for (template, wanted) in [
        ("{{ headline }}\n{{ headlin }}", "the setting \"body\", line 2: "),
        ("{% for alert in alerts %}", "the setting \"body\", line 1: "),
        ("a\nb\n{{ alerts[0].sumary }}", "the setting \"body\", line 3: "),
        ("{{ nothing|upperr }}", "upperr"),
        ("{% include \"/etc/passwd\" %}", "the setting \"body\""),
    ] {
        let error = filled(&alone(alert()), template, "application/json").unwrap_err();
        assert!(error.contains(wanted), "{template}: {error}");
        println!("{error}");
    }
}
