//! The word for each kind of event, as it stands in the column `kind`.

use watchkeeper_core::event::Event;

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
