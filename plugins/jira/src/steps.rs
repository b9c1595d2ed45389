//! The conversation with Jira: the issue that there is already, and then what is to be done. What
//! would be seen twice if it were repeated, the comment, comes last. Between the requests all of it is
//! in the state, as JSON.

use core::fmt::Write as _;

use watchkeeper_sdk::json::{Object, text_at};
use watchkeeper_sdk::notifier::log::{self, Level};
use watchkeeper_sdk::notifier::{HttpRequest, HttpResponse, Method, Next, judge};

use crate::{Settings, label};

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Whether there is an issue.
    Search,
    /// That there be one.
    Create,
    /// Which transitions it offers.
    Transitions,
    /// That it go through one.
    Transition,
    /// That it get a comment.
    Comment,
}

const STEPS: [(Step, &str); 5] = [
    (Step::Search, "search"),
    (Step::Create, "create"),
    (Step::Transitions, "transitions"),
    (Step::Transition, "transition"),
    (Step::Comment, "comment"),
];

/// What is to be done, and what is known so far.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The group's key.
    pub(crate) key: String,
    /// The issue's id; empty if none is known.
    pub(crate) issue: String,
    /// Whether nothing fires any more.
    pub(crate) over: bool,
    /// The body of a new issue.
    pub(crate) create: String,
    /// The body of a comment.
    pub(crate) comment: String,
}

impl Plan {
    fn state(&self, step: Step) -> Vec<u8> {
        let name = STEPS.iter().find(|(known, _)| *known == step).map_or("", |(_, name)| name);
        let mut state = Object::new();
        state
            .text("step", name)
            .text("key", &self.key)
            .text("issue", &self.issue)
            .flag("over", self.over)
            .text("create", &self.create)
            .text("comment", &self.comment);
        state.finish().into_bytes()
    }

    pub(crate) fn read(state: &[u8]) -> Option<(Step, Self)> {
        let text = |key| text_at(state, &[key]);
        let name = text("step")?;
        let (step, _) = STEPS.into_iter().find(|(_, known)| *known == name)?;
        let plan = Self {
            key: text("key")?,
            issue: text("issue")?,
            over: text("over")? == "true",
            create: text("create")?,
            comment: text("comment")?,
        };
        Some((step, plan))
    }

    /// The first request.
    pub(crate) fn begin(self, settings: &Settings) -> Next {
        if self.issue.is_empty() { self.search(settings) } else { self.change(settings) }
    }

    /// What comes after the response to a step's request.
    pub(crate) fn go_on(
        mut self,
        step: Step,
        response: &HttpResponse,
        settings: &Settings,
    ) -> Next {
        if matches!(step, Step::Transitions | Step::Comment) && response.status == 404 {
            // The issue that was remembered has been deleted, or moved out of sight.
            self.issue.clear();
            return self.search(settings);
        }
        let next = judge(response);
        if next != Next::delivered() {
            return next;
        }
        let found = |path: &[&str]| text_at(&response.body, path).filter(|text| !text.is_empty());
        match step {
            Step::Search => match found(&["issues", "0", "id"]) {
                Some(issue) => Self { issue, ..self }.change(settings),
                None if !is_answer(response) => {
                    Next::retry(None, "the answer to the search is not one of Jira's")
                }
                None if self.over => next,
                None => {
                    let body = self.create.clone();
                    self.send(Step::Create, "/issue", Some(body), settings)
                }
            },
            // If it is there all the same, it is found by its label.
            Step::Create => match found(&["id"]) {
                Some(id) => Next::Delivered(id.into_bytes()),
                None => Next::retry(None, "the answer does not say which issue was opened"),
            },
            Step::Transitions => match transition(&response.body, &settings.transition) {
                Some(id) => self.go_through(&id, settings),
                None => {
                    let line = format!(
                        "the issue {} offers no transition {:?}",
                        self.issue, settings.transition
                    );
                    log::write(Level::Warn, &line);
                    self.say(settings)
                }
            },
            Step::Transition => self.say(settings),
            Step::Comment if self.over => next,
            Step::Comment => Next::Delivered(self.issue.into_bytes()),
        }
    }

    fn search(self, settings: &Settings) -> Next {
        let jql = format!(
            "project = \"{}\" AND labels = \"{}\" AND statusCategory != Done ORDER BY created DESC",
            settings.project.replace(['"', '\\'], ""),
            label(&self.key)
        );
        let mut body = Object::new();
        body.text("jql", &jql).number("maxResults", 1).texts("fields", ["status"]);
        self.send(Step::Search, "/search/jql", Some(body.finish()), settings)
    }

    fn change(self, settings: &Settings) -> Next {
        if self.over && !settings.transition.is_empty() {
            let path = self.path("/transitions");
            return self.send(Step::Transitions, &path, None, settings);
        }
        self.say(settings)
    }

    fn go_through(self, id: &str, settings: &Settings) -> Next {
        let mut body = Object::new();
        body.object("transition", |transition| {
            transition.text("id", id);
        });
        let path = self.path("/transitions");
        self.send(Step::Transition, &path, Some(body.finish()), settings)
    }

    fn say(self, settings: &Settings) -> Next {
        let (path, body) = (self.path("/comment"), self.comment.clone());
        self.send(Step::Comment, &path, Some(body), settings)
    }

    fn path(&self, rest: &str) -> String {
        let mut path = String::from("/issue/");
        for byte in self.issue.bytes() {
            if byte.is_ascii_alphanumeric() || byte == b'-' {
                path.push(char::from(byte));
            } else {
                let _ = write!(path, "%{byte:02X}");
            }
        }
        path + rest
    }

    /// A request with a body posts it, one without gets.
    fn send(self, step: Step, path: &str, body: Option<String>, settings: &Settings) -> Next {
        let url = format!("{}/rest/api/3{path}", settings.url.trim_end_matches('/'));
        let request = match body {
            Some(body) => HttpRequest::new(Method::Post, url).content("application/json", body),
            None => HttpRequest::new(Method::Get, url),
        };
        let request =
            request.header("accept", "application/json").authorization("Basic", &settings.basic);
        Next::http_with(request, self.state(step))
    }
}

/// Whether it is JSON: a proxy or a page to log in can answer 200, too.
fn is_answer(response: &HttpResponse) -> bool {
    response.body.trim_ascii_start().starts_with(b"{")
}

/// The id of the transition of that name, or else of one to the status of that name.
fn transition(body: &[u8], wanted: &str) -> Option<String> {
    let at =
        |number: &str, path: &[&str]| text_at(body, &[&["transitions", number], path].concat());
    // An issue offers a handful.
    let numbers = (0..100).map(|number: u32| number.to_string());
    let offered: Vec<(String, String, String)> = numbers
        .map_while(|number| {
            let id = at(&number, &["id"])?;
            let status = at(&number, &["to", "name"]).unwrap_or_default();
            Some((id, at(&number, &["name"]).unwrap_or_default(), status))
        })
        .collect();
    let same = |name: &str| name.to_lowercase() == wanted.to_lowercase();
    let named = offered.iter().find(|(_, name, _)| same(name));
    let leading = || offered.iter().find(|(_, _, status)| same(status));
    named.or_else(leading).map(|(id, _, _)| id.clone())
}
