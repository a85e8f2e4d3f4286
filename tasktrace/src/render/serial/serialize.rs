//! Implements `serde::Serialize` for the public types, with the feature `serde`.

use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};

use super::value::{LazyList, Object, Value};
use crate::dump::{Dump, Source, TaskDump};
use crate::profile::Profile;
use crate::task::{NoAnswer, Running, TaskId, TaskState, TraceError};
use crate::trace::{Frame, Trace, Wait};

/// Implements `Serialize` for types by their documents.
macro_rules! serialize_as_document {
    ($($(#[$doc:meta])* $type:ty;)*) => {$(
        $(#[$doc])*
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Value::from(self).serialize(serializer)
            }
        }
    )*};
}

serialize_as_document! {
    /// The feature `serde`: see [`schema/tasktrace.schema.json`](https://github.com/petrosagg/tasktrace/blob/HEAD/tasktrace/schema/tasktrace.schema.json).
    Dump;

    /// The feature `serde`: see [`schema/tasktrace.schema.json`](https://github.com/petrosagg/tasktrace/blob/HEAD/tasktrace/schema/tasktrace.schema.json).
    Profile;

    /// The feature `serde`: an element of the `tasks` of a dump.
    TaskDump;

    /// The feature `serde`: the number.
    TaskId;

    /// The feature `serde`: an object with its `kind`, such as `"suspended"`.
    TaskState;

    /// The feature `serde`: an object of the kind `"running"`.
    Running;

    /// The feature `serde`: an object of the kind `"capture"`, `"sample"` or `"snapshot"`.
    Source;

    /// The feature `serde`: an object with its `kind`, such as `"no_answer"`, and a `message`.
    TraceError;

    /// The feature `serde`: `"running"`, `"not_polled"` or `"not_woken"`.
    NoAnswer;

    /// The feature `serde`: see [`schema/tasktrace.schema.json`](https://github.com/petrosagg/tasktrace/blob/HEAD/tasktrace/schema/tasktrace.schema.json).
    ///
    /// The frames are those of [`frames`](Trace::frames), which are looked up if they have not been.
    Trace;

    /// The feature `serde`: the list of this frame and all below it, as in a trace.
    Frame;

    /// The feature `serde`: a word, such as `"registered"`.
    Wait;
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(it) => serializer.serialize_bool(*it),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Optional(None) => serializer.serialize_none(),
            Self::Optional(Some(value)) => serializer.serialize_some(value),
            Self::LazyList(list) => list.serialize(serializer),
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for LazyList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len))?;
        for element in self.elements() {
            list.serialize_element(&element)?;
        }
        list.end()
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct(self.name, self.fields.len())?;
        for (name, value) in &self.fields {
            object.serialize_field(name, value)?;
        }
        object.end()
    }
}
