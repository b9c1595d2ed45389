//! `ServiceNow`: the Table API and the inbound `OAuth` of the release Xanadu, and the incidents of its base system:
//! <https://www.servicenow.com/docs/bundle/xanadu-api-reference/page/integrate/inbound-rest/concept/c_TableAPI.html>,
//! <https://www.servicenow.com/docs/bundle/xanadu-platform-security/page/administer/security/concept/c_OAuthApplications.html>.
//! The lengths are those of the columns of the table `incident`.

use serde_json::{Value, json};

use super::incidents::{Incident, Incidents};
use super::schema::Kind::{OneOf, Text};
use super::schema::{Field, Kind, may, need};
use super::standin::{Answer, Request, Vendor, pairs};

/// 1 is high, 3 low.
const LEVEL: Kind = OneOf(&["1", "2", "3"]);
/// New, in progress, on hold, resolved, closed, canceled.
const STATE: Kind = OneOf(&["1", "2", "3", "6", "7", "8"]);

const NEW: &[Field] = &[
    need("short_description", Text(1, 160)),
    may("description", Text(0, 4_000)),
    may("correlation_id", Text(0, 100)),
    may("correlation_display", Text(0, 100)),
    may("impact", LEVEL),
    may("urgency", LEVEL),
    may("assignment_group", Text(0, 80)),
    may("caller_id", Text(0, 32)),
    may("category", Text(0, 40)),
    may("work_notes", Text(0, 4_000)),
    may("comments", Text(0, 4_000)),
];

const CHANGE: &[Field] = &[
    may("impact", LEVEL),
    may("urgency", LEVEL),
    may("work_notes", Text(1, 4_000)),
    may("comments", Text(1, 4_000)),
    may("state", STATE),
    may(
        "close_code",
        OneOf(&[
            "Duplicate",
            "Known error",
            "No resolution provided",
            "Resolved by caller",
            "Resolved by change",
            "Resolved by problem",
            "Resolved by request",
            "Solution provided",
            "Workaround provided",
            "User error",
        ]),
    ),
    may("close_notes", Text(1, 4_000)),
];

pub(super) const CLIENT: (&str, &str) = ("a329c4515612210071a5e0c298ee2be8", "wK4%2Fpq");
/// USER:PASSWORD in base64.
pub(super) const BASIC: &str = "d2F0Y2hrZWVwZXI6c2VzYW1l";

#[derive(Debug, Default)]
pub(super) struct ServiceNow {
    pub(super) incidents: Incidents,
    /// The last token that was given.
    tokens: usize,
}

impl Vendor for ServiceNow {
    fn answer(&mut self, request: &Request) -> Result<Answer, Vec<String>> {
        let table = ["api", "now", "table", "incident"];
        match request.target() {
            ("POST", path) if path == ["oauth_token.do"] => return self.token(request),
            (_, path) if !path.starts_with(&table) => {
                return Err(vec!["no such resource".to_owned()]);
            }
            _ => {}
        }
        let known = [format!("Basic {BASIC}"), format!("Bearer token-{}", self.tokens)];
        if !known.iter().any(|known| known == request.header("authorization")) {
            return Err(vec!["User is not authenticated".to_owned()]);
        }
        if request.header("accept") != "application/json" {
            return Err(vec!["the answer would be XML or JSON, as it likes".to_owned()]);
        }
        match request.target() {
            ("GET", path) if path.len() == 4 => self.search(request),
            ("POST", path) if path.len() == 4 => self.create(request),
            ("PATCH", path) if path.len() == 5 => self.change(request, path[4]),
            _ => Err(vec!["no such method here".to_owned()]),
        }
    }
}

impl ServiceNow {
    fn token(&mut self, request: &Request) -> Result<Answer, Vec<String>> {
        if request.header("content-type") != "application/x-www-form-urlencoded" {
            return Err(vec!["it is no form".to_owned()]);
        }
        let mut form = pairs(&String::from_utf8_lossy(&request.body));
        form.sort();
        let (id, secret) = CLIENT;
        let expected =
            format!("client_id={id}&client_secret={secret}&grant_type=client_credentials");
        if form != pairs(&expected) {
            return Err(vec![format!("not a form for client credentials: {form:?}")]);
        }
        self.tokens += 1;
        let token = format!("token-{}", self.tokens);
        let body = json!({
            "access_token": token, "scope": "useraccount", "token_type": "Bearer", "expires_in": 1_799,
        });
        Ok(Answer::json(200, &body))
    }

    fn search(&self, request: &Request) -> Result<Answer, Vec<String>> {
        request.only(&[
            "sysparm_query",
            "sysparm_display_value",
            "sysparm_exclude_reference_link",
            "sysparm_suppress_pagination_header",
            "sysparm_fields",
            "sysparm_limit",
            "sysparm_view",
            "sysparm_query_category",
            "sysparm_query_no_domain",
            "sysparm_no_count",
            "sysparm_offset",
        ])?;
        let limit: usize = request.parameter("sysparm_limit").parse().unwrap_or(10_000);
        let mut found: Vec<(usize, &Incident)> = self.incidents.0.iter().enumerate().collect();
        for part in request.parameter("sysparm_query").split('^') {
            if let Some(key) = part.strip_prefix("correlation_id=") {
                found.retain(|(_, incident)| incident.key == key);
            } else if part == "stateNOT IN6,7,8" {
                found.retain(|(_, incident)| !incident.over);
            } else if part == "ORDERBYDESCsys_created_on" {
                found.reverse();
            } else {
                return Err(vec![format!("this is no encoded query: {part:?}")]);
            }
        }
        let found = found.into_iter().take(limit);
        let rows: Vec<Value> = found.map(|(number, _)| row(request, number)).collect();
        Ok(Answer::json(200, &json!({ "result": rows })))
    }

    fn create(&mut self, request: &Request) -> Result<Answer, Vec<String>> {
        request.only(WRITING)?;
        let body = request.json(Kind::Record(NEW))?;
        let key = body["correlation_id"].as_str().unwrap_or_default().to_owned();
        let said = vec!["create".to_owned()];
        self.incidents.0.push(Incident { key, said, over: false });
        let number = self.incidents.0.len() - 1;
        let location = format!("https://127.0.0.1/api/now/table/incident/{}", sys_id(number));
        let answer = Answer::json(201, &json!({ "result": row(request, number) }));
        Ok(answer.with("location", location))
    }

    fn change(&mut self, request: &Request, id: &str) -> Result<Answer, Vec<String>> {
        request.only(WRITING)?;
        let body = request.json(Kind::Record(CHANGE))?;
        let number = (0..self.incidents.0.len()).find(|number| sys_id(*number) == id);
        let Some(number) = number else {
            let error = json!({"message": "No Record found", "detail": "ACL restricts the record"});
            return Ok(Answer::json(404, &json!({"error": error, "status": "failure"})));
        };
        let resolved = body["state"] == "6";
        // The base system's data policy.
        if resolved && (body["close_code"].is_null() || body["close_notes"].is_null()) {
            return Err(vec!["resolution code and notes are mandatory".to_owned()]);
        }
        let incident = &mut self.incidents.0[number];
        incident.say(if resolved { "resolve" } else { "note" });
        incident.over |= resolved;
        Ok(Answer::json(200, &json!({ "result": row(request, number) })))
    }
}

/// The parameters of requests that write.
const WRITING: &[&str] = &[
    "sysparm_display_value",
    "sysparm_exclude_reference_link",
    "sysparm_fields",
    "sysparm_input_display_value",
    "sysparm_suppress_auto_sys_field",
    "sysparm_view",
    "sysparm_query_no_domain",
];

fn sys_id(number: usize) -> String {
    format!("46e18c0fa9fe19810066a0083f76{number:04x}")
}

/// The fields that were asked for.
fn row(request: &Request, number: usize) -> Value {
    let all = json!({
        "sys_id": sys_id(number), "number": format!("INC{number:07}"), "sys_class_name": "incident",
    });
    let asked = request.parameter("sysparm_fields");
    let fields = all.as_object().unwrap().clone().into_iter();
    fields.filter(|(name, _)| asked.is_empty() || asked.split(',').any(|it| it == name)).collect()
}
