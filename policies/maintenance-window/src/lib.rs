//! Holds everything in recurring windows, in which a site works on its servers.
//!
//! It proposes nothing and remembers nothing. Outside of a window it asks for the time alone, and says
//! when it wants to be asked again.

mod window;

use std::time::Duration;

use jiff::Timestamp;
use watchkeeper_sdk::policy::{Alert, Evaluation, Grants, Policy, Snapshot};

use window::{Open, Window};

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// The windows, such as "Sat 22:00-02:00 Europe/Berlin" or "daily 01:00-01:30 UTC".
        windows: Vec<String> = &[];
        /// Whether an open window is told as an alert of severity info.
        tell: bool = true;
    }
}

/// The policy.
pub struct MaintenanceWindow;

/// How long at most until it is asked again: the calendar of a zone may change with a new component.
const DAY: Duration = Duration::from_hours(24);

impl Policy for MaintenanceWindow {
    type Settings = Settings;
    const NAME: &'static str = "maintenance-window";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Holds everything in recurring windows.";
    const NEEDS: Grants = Grants::HOLD.union(Grants::ALERT);

    fn evaluate(
        snapshot: &Snapshot,
        settings: &Settings,
        _state: &[u8],
    ) -> Result<Evaluation, String> {
        let mut evaluation = Evaluation::new();
        let windows: Vec<Window> =
            settings.windows.iter().map(|text| Window::parse(text)).collect::<Result<_, _>>()?;
        if windows.is_empty() {
            return Ok(evaluation);
        }
        let now =
            i64::try_from(snapshot.time()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let now = now.ok_or("the time is beyond the calendar")?;
        let mut look_again = DAY;
        for window in &windows {
            let Some(Open { begin, end }) = window.next(now) else { continue };
            let until = if begin <= now { end } else { begin };
            let left = until.duration_since(now);
            look_again = look_again.min(Duration::try_from(left).unwrap_or(DAY));
            if begin <= now {
                let hold = format!("the maintenance window {} is open until {end:.0}", window.text);
                if settings.tell && evaluation.holds.is_empty() {
                    let summary = format!("{hold}: nothing is done by itself");
                    evaluation.alert(Alert::info("maintenance-window").summary(summary));
                }
                evaluation.hold(hold);
            }
        }
        evaluation.look_again(look_again);
        Ok(evaluation)
    }
}

watchkeeper_sdk::export_policy!(MaintenanceWindow);
