//! Opens, comments and closes issues in Jira Cloud.
//!
//! This follows "The Jira Cloud platform REST API", version 3, with the search that came in 2025,
//! `POST /rest/api/3/search/jql`, in place of the one that is gone; and the Atlassian Document Format,
//! version 1, in which descriptions and comments are written. A summary is one line of at most 255
//! characters, a description or comment has at most 32,767.
//!
//! Each issue gets the label `watchkeeper-` and the group's key. An issue with that label whose status is
//! not of the category Done is looked for, so that an answer that was lost opens no second one; its id is
//! remembered until the group is over. Jira's search may lag by seconds, so an attempt that is repeated
//! at once can open a second one all the same. Something that was over before it was told opens nothing.
//!
//! What is over goes through the transition that the settings name, by its name or by that of its status,
//! and gets a comment. A transition that the issue does not offer, as when somebody has closed it, is
//! left out.
//!
//! Access is by an e-mail address and an API token, together as HTTP's basic authentication has them.

mod document;
mod steps;

use watchkeeper_sdk::json::Object;
use watchkeeper_sdk::notifier::{AlertStatus, Next, Notification, Notifier, Response, cut, flat};

use steps::Plan;

watchkeeper_sdk::settings! {
    /// The settings of jira.
    pub struct Settings {
        /// The site, such as `https://example.atlassian.net`. Its host has to be granted.
        url: String = "";
        /// E-mail address and API token as HTTP's basic authentication has them: the secret is the base64 of "E-MAIL:TOKEN".
        basic: String = "";
        /// The key of the project.
        project: String = "";
        /// The name of the issues' type.
        issue_type: String = "Task";
        /// Further labels of a new issue, without spaces.
        labels: Vec<String> = &[];
        /// The name of a new issue's priority; the project's default if empty.
        priority: String = "";
        /// The transition, or the status that it leads to, when it is over; none if empty.
        transition: String = "Done";
    }
}

/// Most characters of a summary.
const SUMMARY: usize = 255;

/// The notifier.
#[derive(Debug)]
pub struct Jira;

impl Notifier for Jira {
    type Settings = Settings;

    const NAME: &'static str = "jira";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Opens, comments and closes issues in Jira Cloud.";

    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        let needed =
            [("url", &settings.url), ("basic", &settings.basic), ("project", &settings.project)];
        if let Some((name, _)) = needed.into_iter().find(|(_, value)| value.is_empty()) {
            return Err(format!("the setting {name:?} is empty"));
        }
        let text = document::fitting(&notification.text());
        let mut comment = Object::new();
        comment.object("body", |body| document::write(body, &text));
        let plan = Plan {
            key: notification.group_key.clone(),
            issue: String::from_utf8_lossy(&notification.memory).into_owned(),
            over: notification.status == AlertStatus::Resolved,
            create: create(notification, settings, &text),
            comment: comment.finish(),
        };
        Ok(plan.begin(settings))
    }

    fn resume(state: &[u8], response: &Response, settings: &Settings) -> Result<Next, String> {
        let Response::Http(response) = response else {
            return Err("a response that is not HTTP's".to_owned());
        };
        let (step, plan) = Plan::read(state).ok_or("the state is not one of this plugin's")?;
        Ok(plan.go_on(step, response, settings))
    }
}

/// The label by which a group's issues are found again.
fn label(key: &str) -> String {
    format!("watchkeeper-{key}")
}

fn create(notification: &Notification, settings: &Settings, text: &str) -> String {
    let own = label(&notification.group_key);
    let labels = core::iter::once(own.as_str()).chain(settings.labels.iter().map(String::as_str));
    let mut body = Object::new();
    body.object("fields", |fields| {
        fields
            .object("project", |project| {
                project.text("key", &settings.project);
            })
            .object("issuetype", |kind| {
                kind.text("name", &settings.issue_type);
            })
            .text("summary", &cut(&flat(&notification.headline()), SUMMARY))
            .texts("labels", labels)
            .object("description", |description| document::write(description, text));
        if !settings.priority.is_empty() {
            fields.object("priority", |priority| {
                priority.text("name", &settings.priority);
            });
        }
    });
    body.finish()
}

watchkeeper_sdk::export_notifier!(Jira);
