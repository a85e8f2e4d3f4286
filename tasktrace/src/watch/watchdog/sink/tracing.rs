//! Emits reports as events, with the feature `tracing`.

use tracing::{Level, event};

use crate::dump::{StallPhase, StallReport};

pub(super) fn report(report: &StallReport) {
    // The level of an event must be a constant.
    macro_rules! event_at {
        ($level:expr) => {
            event!(
                target: "tasktrace::watchdog",
                $level,
                task.id = report.task().id().get(),
                task.name = report.task().name(),
                kind = report.kind().name(),
                duration = ?report.duration(),
                "{report}"
            )
        };
    }
    match report.phase() {
        StallPhase::Began => event_at!(Level::WARN),
        StallPhase::Ended => event_at!(Level::INFO),
    }
}
