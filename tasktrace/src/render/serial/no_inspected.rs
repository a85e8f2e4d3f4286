//! Describes nothing: without the feature `inspect`, nothing is read from memory.

use super::value::Value;
#[cfg(feature = "http")]
use crate::dump::Dump;
use crate::inspect::Inspection;

impl From<&Inspection> for Value<'_> {
    fn from(inspection: &Inspection) -> Self {
        match *inspection {}
    }
}

#[cfg(feature = "http")]
pub(super) fn for_page<'a>(inspection: &'a Inspection, _dump: &Dump) -> Value<'a> {
    match *inspection {}
}
