//! Prints reports on stderr, without the feature `tracing`.

use crate::dump::StallReport;

pub(super) fn report(report: &StallReport) {
    super::print(report);
}
