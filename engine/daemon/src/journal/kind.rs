//! The word for each kind of event, as it stands in the column `kind`.

use watchkeeper_core::event::Event;

/// All of them.
pub const KINDS: [&str; 36] = [
    "monitor-started",
    "monitor-stopped",
    "configuration-applied",
    "configuration-rejected",
    "guest-loaded",
    "guest-rejected",
    "observed",
    "evaluated",
    "remembered",
    "policy-mode-set",
    "policy-rolled-back",
    "policy-retried",
    "plan-begun",
    "step-intended",
    "step-ended",
    "plan-ended",
    "plan-aborted",
    "plan-resumed",
    "plan-abandoned",
    "duty",
    "declared",
    "maintenance-on",
    "maintenance-off",
    "alert-fired",
    "alert-resolved",
    "alert-acknowledged",
    "alert-untold",
    "silence-set",
    "silence-ended",
    "notification-made",
    "notification-queued",
    "notification-tried",
    "notification-delivered",
    "notification-dead",
    "notification-retried",
    "notification-discarded",
];

/// The kind of `event`: the same word as in its JSON form.
pub const fn kind(event: &Event) -> &'static str {
    match event {
        Event::MonitorStarted { .. } => "monitor-started",
        Event::MonitorStopped { .. } => "monitor-stopped",
        Event::ConfigurationApplied { .. } => "configuration-applied",
        Event::ConfigurationRejected { .. } => "configuration-rejected",
        Event::GuestLoaded { .. } => "guest-loaded",
        Event::GuestRejected { .. } => "guest-rejected",
        Event::Observed(_) => "observed",
        Event::Evaluated(_) => "evaluated",
        Event::Remembered { .. } => "remembered",
        Event::PolicyModeSet { .. } => "policy-mode-set",
        Event::PolicyRolledBack { .. } => "policy-rolled-back",
        Event::PolicyRetried { .. } => "policy-retried",
        Event::PlanBegun(_) => "plan-begun",
        Event::StepIntended { .. } => "step-intended",
        Event::StepEnded { .. } => "step-ended",
        Event::PlanEnded { .. } => "plan-ended",
        Event::PlanAborted { .. } => "plan-aborted",
        Event::PlanResumed { .. } => "plan-resumed",
        Event::PlanAbandoned { .. } => "plan-abandoned",
        Event::Duty(_) => "duty",
        Event::Declared { .. } => "declared",
        Event::MaintenanceOn { .. } => "maintenance-on",
        Event::MaintenanceOff { .. } => "maintenance-off",
        Event::AlertFired(_) => "alert-fired",
        Event::AlertResolved { .. } => "alert-resolved",
        Event::AlertAcknowledged { .. } => "alert-acknowledged",
        Event::AlertUntold { .. } => "alert-untold",
        Event::SilenceSet(_) => "silence-set",
        Event::SilenceEnded { .. } => "silence-ended",
        Event::NotificationMade(_) => "notification-made",
        Event::NotificationQueued { .. } => "notification-queued",
        Event::NotificationTried { .. } => "notification-tried",
        Event::NotificationDelivered { .. } => "notification-delivered",
        Event::NotificationDead { .. } => "notification-dead",
        Event::NotificationRetried { .. } => "notification-retried",
        Event::NotificationDiscarded { .. } => "notification-discarded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// serde tells all words that it knows when it meets one that it does not.
    #[test]
    fn every_kind_of_event_is_among_them() {
        let refused = serde_json::from_str::<Event>(r#"{"event":"nothing"}"#).unwrap_err();
        let said = refused.to_string();
        let (_, known) = said.split_once("expected one of ").unwrap();
        let known: Vec<&str> = known.split('`').filter(|it| KINDS.contains(it)).collect();
        assert_eq!(known, KINDS, "{said}");
        assert_eq!(said.matches('`').count(), 2 * (KINDS.len() + 1), "{said}");
    }
}
