//! Without the feature `tracing`: stderr.

use crate::dump::StallReport;

pub(super) fn report(report: &StallReport) {
    super::say(report);
}
