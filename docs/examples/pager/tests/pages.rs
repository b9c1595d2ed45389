//! What is sent, and what is made of the answers.

use pager::{Pager, Settings, Way};
use watchkeeper_sdk::notifier::{
    Alert, AlertStatus, Cause, HttpResponse, Next, Notification, Notifier as _, Request, Response,
    Severity,
};

fn notification() -> Notification {
    let alert = Alert {
        fingerprint: "5f1d".to_owned(),
        status: AlertStatus::Firing,
        news: true,
        name: "service-down".to_owned(),
        severity: Severity::Critical,
        cluster: "prod".to_owned(),
        server: "dm1".to_owned(),
        service: "rest".to_owned(),
        code: String::new(),
        summary: "rest on dm1 is down".to_owned(),
        details: String::new(),
        source: "data-mover-ha".to_owned(),
        labels: Vec::new(),
        starts_at: 1_772_330_400_000,
        ends_at: None,
        acknowledged_by: String::new(),
    };
    Notification {
        idempotency_key: "5f1d-1".to_owned(),
        group_key: "aa1d".to_owned(),
        group_labels: Vec::new(),
        cause: Cause::First,
        status: AlertStatus::Firing,
        alerts: vec![alert],
        more: 0,
        memory: Vec::new(),
        queued_at: 1_772_330_400_000,
        monitor: "vp1".to_owned(),
    }
}

fn request(settings: &Settings) -> Request {
    match Pager::start(&notification(), settings) {
        Ok(Next::Send(send)) => send.request,
        other => panic!("nothing is sent: {other:?}"),
    }
}

#[test]
fn over_http_the_key_stays_a_placeholder() {
    let settings = Settings {
        number: "+49 30 1".to_owned(),
        url: "https://sms.example.com/send".to_owned(),
        ..Settings::default()
    };
    let Request::Http(request) = request(&settings) else { panic!("not over HTTP") };
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        r#"{"to":"+49 30 1","text":"prod: rest on dm1 is down","id":"5f1d-1"}"#
    );
    let key = request.headers.iter().find(|(name, _)| name == "x-api-key").unwrap();
    assert_eq!(key.1, "{{secret \"pager-key\"}}");
}

#[test]
fn by_command_the_text_is_its_input() {
    let settings =
        Settings { number: "+49 30 1".to_owned(), way: Way::Command, ..Settings::default() };
    let Request::Command(command) = request(&settings) else { panic!("not by command") };
    assert_eq!(
        (command.name.as_str(), command.arguments.as_slice()),
        ("page", &["+49 30 1".to_owned()][..])
    );
    assert_eq!(command.input, b"prod: rest on dm1 is down");
}

#[test]
fn good_news_wake_nobody_and_a_busy_gateway_is_asked_again() {
    let over = Notification { status: AlertStatus::Resolved, ..notification() };
    assert_eq!(Pager::start(&over, &Settings::default()), Ok(Next::delivered()));
    let busy = Response::Http(HttpResponse { status: 503, headers: Vec::new(), body: Vec::new() });
    let next = Pager::resume(&[], &busy, &Settings::default());
    assert_eq!(next, Ok(Next::retry(None, "HTTP 503")));
}
