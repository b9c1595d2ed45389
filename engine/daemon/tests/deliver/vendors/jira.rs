//! Jira: "The Jira Cloud platform REST API", version 3, and the Atlassian Document Format, version 1:
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/#api-rest-api-3-search-jql-post>,
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/>,
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-comments/>,
//! <https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/>.

use serde_json::{Value, json};

use super::incidents::{Incident, Incidents};
use super::schema::Kind::{Flag, Form, Free, List, Record, Text, Typed, Whole};
use super::schema::{ANY, Kind, may, need};
use super::standin::{Answer, Request, Vendor};

const SEARCH: Kind = Record(&[
    need("jql", Text(1, ANY)),
    may("maxResults", Whole(1, 5_000)),
    may("nextPageToken", Text(0, ANY)),
    may("fields", List(&Text(1, ANY), 0, ANY)),
    may("fieldsByKeys", Flag),
    may("expand", Text(0, ANY)),
    may("properties", List(&Text(1, ANY), 0, 5)),
    may("reconcileIssues", List(&Whole(1, i64::MAX), 0, 50)),
]);

/// By one of several ways to name it.
const NAMED: Kind =
    Record(&[may("id", Text(1, ANY)), may("key", Text(1, ANY)), may("name", Text(1, ANY))]);

const MARKS: Kind = List(&Typed(&[("strong", &[]), ("em", &[]), ("code", &[])]), 0, ANY);
/// What stands in a line.
const INLINE: Kind = Typed(&[
    ("text", &[need("text", Text(1, ANY)), may("marks", MARKS)]),
    ("hardBreak", &[may("attrs", Free)]),
]);
const BLOCK: Kind = Typed(&[("paragraph", &[may("content", List(&INLINE, 0, ANY))])]);
const DOCUMENT: Kind =
    Typed(&[("doc", &[need("version", Whole(1, 1)), need("content", List(&BLOCK, 0, ANY))])]);

const ONE_LINE: Kind = Form("one line of 1 to 255 characters", |text| {
    (1..=255).contains(&text.chars().count()) && !text.contains(['\n', '\r'])
});
const LABEL: Kind =
    Form("a label", |text| (1..=255).contains(&text.chars().count()) && !text.contains(' '));

const CREATE: Kind = Record(&[
    need(
        "fields",
        Record(&[
            need("project", NAMED),
            need("issuetype", NAMED),
            need("summary", ONE_LINE),
            may("labels", List(&LABEL, 0, ANY)),
            may("description", DOCUMENT),
            may("priority", NAMED),
        ]),
    ),
    may("update", Free),
    may("historyMetadata", Free),
    may("properties", List(&Free, 0, ANY)),
    may("transition", NAMED),
]);

const TRANSITION: Kind = Record(&[
    need("transition", Record(&[need("id", Text(1, ANY))])),
    may("fields", Free),
    may("update", Free),
    may("historyMetadata", Free),
    may("properties", List(&Free, 0, ANY)),
]);

const COMMENT: Kind = Record(&[
    need("body", DOCUMENT),
    may("visibility", Free),
    may("properties", List(&Free, 0, ANY)),
]);

/// Most characters of a description and of a comment.
const LONGEST: usize = 32_767;

/// E-MAIL:TOKEN in base64.
pub(super) const BASIC: &str = "YWRhQGV4YW1wbGUuY29tOnRva2Vu";
pub(super) const PROJECT: &str = "DM";

#[derive(Debug, Default)]
pub(super) struct Jira {
    /// By their labels.
    pub(super) incidents: Incidents,
}

impl Vendor for Jira {
    fn answer(&mut self, request: &Request) -> Result<Answer, Vec<String>> {
        if request.header("authorization") != format!("Basic {BASIC}") {
            return Err(vec!["not authorized".to_owned()]);
        }
        request.only(&[])?;
        let (method, path) = request.target();
        let Some(path) = path.strip_prefix(&["rest", "api", "3"]) else {
            return Err(vec!["no such resource".to_owned()]);
        };
        match (method, path) {
            ("POST", ["search", "jql"]) => self.search(&request.json(SEARCH)?),
            ("POST", ["issue"]) => self.create(&request.json(CREATE)?),
            (_, ["issue", id, what]) => match self.number(id) {
                Some(number) => self.about(number, what, request),
                None => Ok(Answer::json(404, &errors("Issue does not exist"))),
            },
            _ => Err(vec!["no such resource".to_owned()]),
        }
    }
}

impl Jira {
    fn number(&self, id: &str) -> Option<usize> {
        let number = id.parse::<usize>().ok()?.checked_sub(10_000)?;
        (number < self.incidents.0.len()).then_some(number)
    }

    /// Understands the one query that restricts a project, a label and what is done.
    fn search(&self, body: &Value) -> Result<Answer, Vec<String>> {
        let jql = body["jql"].as_str().unwrap();
        let key = jql
            .strip_prefix(&format!("project = \"{PROJECT}\" AND labels = \""))
            .and_then(|rest| {
                rest.strip_suffix("\" AND statusCategory != Done ORDER BY created DESC")
            })
            .ok_or_else(|| vec![format!("this is not understood: {jql}")])?;
        let fits = |(_, issue): &(usize, &Incident)| issue.key == key && !issue.over;
        let issue = |(number, _): (usize, &Incident)| {
            let status = json!({"name": "To Do", "statusCategory": {"key": "new"}});
            json!({"id": id(number), "key": format!("{PROJECT}-{number}"), "fields": {"status": status}})
        };
        let most = body["maxResults"].as_u64().unwrap_or(50);
        let found = self.incidents.0.iter().enumerate().filter(fits).rev().map(issue);
        let found: Vec<Value> = found.take(usize::try_from(most).unwrap()).collect();
        Ok(Answer::json(200, &json!({"issues": found, "isLast": true})))
    }

    fn create(&mut self, body: &Value) -> Result<Answer, Vec<String>> {
        let fields = &body["fields"];
        if fields["project"]["key"] != PROJECT || fields["issuetype"]["name"] != "Task" {
            return Err(vec!["valid project and issue type are required".to_owned()]);
        }
        short(&fields["description"])?;
        let key = fields["labels"][0].as_str().unwrap_or_default().to_owned();
        let said = vec!["create".to_owned()];
        self.incidents.0.push(Incident { key, said, over: false });
        let number = self.incidents.0.len() - 1;
        let link = format!("https://127.0.0.1/rest/api/3/issue/{}", id(number));
        let body = json!({"id": id(number), "key": format!("{PROJECT}-{number}"), "self": link});
        Ok(Answer::json(201, &body))
    }

    fn about(
        &mut self,
        number: usize,
        what: &str,
        request: &Request,
    ) -> Result<Answer, Vec<String>> {
        let issue = &mut self.incidents.0[number];
        let (start, finish) = ("11", "31");
        match (request.method.as_str(), what) {
            ("GET", "transitions") => {
                let to = |id: &str, name: &str, status: &str| json!({"id": id, "name": name, "to": {"name": status}});
                let mut offered = vec![to(start, "Start", "In Progress")];
                if !issue.over {
                    offered.push(to(finish, "Finish", "Done"));
                }
                Ok(Answer::json(200, &json!({"expand": "transitions", "transitions": offered})))
            }
            ("POST", "transitions") => {
                let body = request.json(TRANSITION)?;
                if body["transition"]["id"] != finish || issue.over {
                    return Err(vec!["this transition is not offered".to_owned()]);
                }
                issue.say("transition");
                issue.over = true;
                Ok(Answer { status: 204, headers: Vec::new(), body: String::new() })
            }
            ("POST", "comment") => {
                let body = request.json(COMMENT)?;
                short(&body["body"])?;
                issue.say("comment");
                Ok(Answer::json(201, &json!({"id": "10500", "body": body["body"]})))
            }
            _ => Err(vec!["no such resource".to_owned()]),
        }
    }
}

fn id(number: usize) -> String {
    (10_000 + number).to_string()
}

/// Whether the document counts or the text in it is not documented; the document is the longer.
fn short(document: &Value) -> Result<(), Vec<String>> {
    let length = document.to_string().chars().count();
    if length > LONGEST { Err(vec![format!("a document of {length} characters")]) } else { Ok(()) }
}

fn errors(message: &str) -> Value {
    json!({"errorMessages": [message], "errors": {}})
}
