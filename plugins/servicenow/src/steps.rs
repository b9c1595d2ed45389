//! The conversation with the instance: a token, the incident that there is already, and then what is
//! to be done. Between the requests all of it is in the state, as JSON.

use core::fmt::Write as _;

use watchkeeper_sdk::json::{Object, text_at};
use watchkeeper_sdk::notifier::{HttpRequest, HttpResponse, Method, Next, judge};

use crate::Settings;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A token.
    Token,
    /// Whether there is an incident.
    Search,
    /// That there be one.
    Create,
    /// That it be changed.
    Update,
}

const STEPS: [(Step, &str); 4] = [
    (Step::Token, "token"),
    (Step::Search, "search"),
    (Step::Create, "create"),
    (Step::Update, "update"),
];

/// What is to be done, and what is known so far.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The group's key.
    pub(crate) key: String,
    /// The incident's `sys_id`; empty if none is known.
    pub(crate) incident: String,
    /// Whether nothing fires any more.
    pub(crate) over: bool,
    /// The body of a new incident.
    pub(crate) create: String,
    /// The body of a change.
    pub(crate) update: String,
    /// The token; empty if there is none.
    pub(crate) token: String,
}

impl Plan {
    /// The state that goes with the request of a step.
    pub(crate) fn state(&self, step: Step) -> Vec<u8> {
        let name = STEPS.iter().find(|(known, _)| *known == step).map_or("", |(_, name)| name);
        let mut state = Object::new();
        state
            .text("step", name)
            .text("key", &self.key)
            .text("incident", &self.incident)
            .flag("over", self.over)
            .text("create", &self.create)
            .text("update", &self.update)
            .text("token", &self.token);
        state.finish().into_bytes()
    }

    pub(crate) fn read(state: &[u8]) -> Option<(Step, Self)> {
        let text = |key| text_at(state, &[key]);
        let name = text("step")?;
        let (step, _) = STEPS.into_iter().find(|(_, known)| *known == name)?;
        let plan = Self {
            key: text("key")?,
            incident: text("incident")?,
            over: text("over")? == "true",
            create: text("create")?,
            update: text("update")?,
            token: text("token")?,
        };
        Some((step, plan))
    }

    /// The first request that is about the incident.
    pub(crate) fn begin(self, settings: &Settings) -> Next {
        if self.incident.is_empty() { self.search(settings) } else { self.change(settings) }
    }

    /// What comes after the response to a step's request.
    pub(crate) fn go_on(
        mut self,
        step: Step,
        response: &HttpResponse,
        settings: &Settings,
    ) -> Next {
        if step == Step::Update && response.status == 404 {
            // The incident that was remembered has been deleted.
            self.incident.clear();
            return self.search(settings);
        }
        let next = judge(response);
        if next != Next::delivered() {
            return next;
        }
        let found = |path: &[&str]| text_at(&response.body, path).filter(|text| !text.is_empty());
        match step {
            Step::Token => match found(&["access_token"]) {
                Some(token) => Self { token, ..self }.begin(settings),
                None => Next::retry(None, "the answer to the request for a token holds none"),
            },
            Step::Search => match found(&["result", "0", "sys_id"]) {
                Some(incident) => Self { incident, ..self }.change(settings),
                None if !is_list(response) => {
                    Next::retry(None, "the answer to the search is not a list of incidents")
                }
                None if self.over => next,
                None => self.open(settings),
            },
            Step::Create => match found(&["result", "sys_id"]) {
                Some(incident) => Next::Delivered(incident.into_bytes()),
                // If it is there all the same, it is found by its key.
                None => Next::retry(None, "the answer does not say which incident was opened"),
            },
            Step::Update if self.over => next,
            Step::Update => Next::Delivered(self.incident.into_bytes()),
        }
    }

    fn search(self, settings: &Settings) -> Next {
        let query = format!(
            "?sysparm_query=correlation_id={}%5EstateNOT%20IN{}%2C7%2C8%5EORDERBYDESCsys_created_on\
             &sysparm_fields=sys_id&sysparm_limit=1",
            self.key, settings.resolved_state
        );
        let url = url(settings, &query);
        self.send(Step::Search, HttpRequest::new(Method::Get, url), settings)
    }

    fn open(self, settings: &Settings) -> Next {
        let url = url(settings, "?sysparm_fields=sys_id");
        let request =
            HttpRequest::new(Method::Post, url).content("application/json", self.create.clone());
        self.send(Step::Create, request, settings)
    }

    fn change(self, settings: &Settings) -> Next {
        let mut incident = String::from("/");
        for byte in self.incident.bytes() {
            if byte.is_ascii_alphanumeric() {
                incident.push(char::from(byte));
            } else {
                let _ = write!(incident, "%{byte:02X}");
            }
        }
        let url = url(settings, &format!("{incident}?sysparm_fields=sys_id"));
        let request =
            HttpRequest::new(Method::Patch, url).content("application/json", self.update.clone());
        self.send(Step::Update, request, settings)
    }

    fn send(self, step: Step, request: HttpRequest, settings: &Settings) -> Next {
        let request = request
            .header("accept", "application/json")
            .authorization("Basic", &settings.basic)
            .authorization("Bearer", &self.token);
        Next::http_with(request, self.state(step))
    }
}

fn url(settings: &Settings, rest: &str) -> String {
    format!("{}/api/now/table/{}{rest}", settings.url.trim_end_matches('/'), settings.table)
}

/// Whether the answer is what a search gives: an instance that hibernates answers 200 with a page.
fn is_list(response: &HttpResponse) -> bool {
    let body = String::from_utf8_lossy(&response.body);
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    body.starts_with("{\"result\":[")
}
