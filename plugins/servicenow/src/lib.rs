//! Opens, notes and resolves incidents in `ServiceNow`.
//!
//! This follows the Table API as the API reference of the release Xanadu has it, `/api/now/table`, and
//! the incident states of the state model that came with Helsinki: 6 is resolved, 7 closed, 8 canceled.
//! The lengths are those of the base system: a short description has 160 characters, a description, a
//! work note and the close notes have 4,000. An instance may have other tables, states, close codes and
//! mandatory fields: the settings have what a site most often changes.
//!
//! The group's key is the incident's `correlation_id`. An incident that is neither resolved nor closed
//! is looked for by it, so that an answer that was lost opens no second one; its `sys_id` is remembered
//! until the group is over. Something that was over before it was told opens no incident.
//!
//! Access is by a user and password (setting `basic`), or by an `OAuth` token, which is asked for in each
//! delivery with client credentials (`POST /oauth_token.do`; the instance has to allow inbound client
//! credentials). Secrets are written `{{secret "NAME"}}`.

mod steps;
mod texts;

use watchkeeper_sdk::notifier::{
    AlertStatus, HttpRequest, Method, Next, Notification, Notifier, Response,
};

use steps::{Plan, Step};

watchkeeper_sdk::settings! {
    /// The settings of servicenow.
    pub struct Settings {
        /// The instance, such as `https://example.service-now.com`. Its host has to be granted.
        url: String = "";
        /// User and password as HTTP's basic authentication has them: the secret is the base64 of "USER:PASSWORD".
        basic: String = "";
        /// The OAuth client's id, if there is no basic; as a form has it, so & is written %26.
        client_id: String = "";
        /// The OAuth client's secret, as a secret; as a form has it, too.
        client_secret: String = "";
        /// The table: incident, or one that is made from it.
        table: String = "incident";
        /// Further fields of a new incident, each written "NAME=VALUE", such as "assignment_group=Data Mover".
        fields: Vec<String> = &[];
        /// The state of an incident that is resolved.
        resolved_state: String = "6";
        /// Its close code: one of those that the instance has.
        close_code: String = "Solution provided";
    }
}

/// The notifier.
#[derive(Debug)]
pub struct ServiceNow;

impl Notifier for ServiceNow {
    type Settings = Settings;

    const NAME: &'static str = "servicenow";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Opens, notes and resolves incidents in ServiceNow.";

    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        if settings.url.is_empty() {
            return Err("the setting \"url\" is empty".to_owned());
        }
        let plan = Plan {
            key: notification.group_key.clone(),
            incident: String::from_utf8_lossy(&notification.memory).into_owned(),
            over: notification.status == AlertStatus::Resolved,
            create: texts::create(notification, settings)?,
            update: texts::update(notification, settings),
            token: String::new(),
        };
        if !settings.basic.is_empty() {
            return Ok(plan.begin(settings));
        }
        if settings.client_id.is_empty() {
            return Err("neither the setting \"basic\" nor \"client-id\" is given".to_owned());
        }
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            settings.client_id, settings.client_secret
        );
        let url = format!("{}/oauth_token.do", settings.url.trim_end_matches('/'));
        let request = HttpRequest::new(Method::Post, url)
            .content("application/x-www-form-urlencoded", form)
            .header("accept", "application/json");
        Ok(Next::http_with(request, plan.state(Step::Token)))
    }

    fn resume(state: &[u8], response: &Response, settings: &Settings) -> Result<Next, String> {
        let Response::Http(response) = response else {
            return Err("a response that is not HTTP's".to_owned());
        };
        let (step, plan) = Plan::read(state).ok_or("the state is not one of this plugin's")?;
        Ok(plan.go_on(step, response, settings))
    }
}

watchkeeper_sdk::export_notifier!(ServiceNow);
