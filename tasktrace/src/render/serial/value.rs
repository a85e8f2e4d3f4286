//! Defines the values that documents consist of.

use std::borrow::Cow;
use std::time::Duration;

/// A part of a document: an object, a list or a primitive value.
pub(super) enum Value<'a> {
    Bool(bool),
    Number(u64),
    Text(Cow<'a, str>),
    /// A value that can be missing. Some formats of `serde` distinguish an optional value that is present from a value
    /// that is always present.
    Optional(Option<Box<Value<'a>>>),
    LazyList(LazyList<'a>),
    Object(Object<'a>),
}

/// The fields of a value, and the name of its type.
pub(super) struct Object<'a> {
    #[cfg_attr(
        not(feature = "serde"),
        expect(dead_code, reason = "JSON has no types")
    )]
    pub(super) name: &'static str,
    pub(super) fields: Vec<(&'static str, Value<'a>)>,
}

/// A list whose elements are made one at a time.
///
/// A dump may have very many tasks, and a trace very many frames. So the elements are not in memory at the same time.
pub(super) struct LazyList<'a> {
    #[cfg_attr(
        not(feature = "serde"),
        expect(dead_code, reason = "JSON has no lengths")
    )]
    pub(super) len: usize,
    elements: Box<dyn Fn() -> Elements<'a> + 'a>,
}

/// The elements of a [`LazyList`], each of which is made on demand.
type Elements<'a> = Box<dyn Iterator<Item = Value<'a>> + 'a>;

impl<'a> LazyList<'a> {
    pub(super) fn new<I>(len: usize, elements: impl Fn() -> I + 'a) -> Self
    where
        I: Iterator<Item: Into<Value<'a>>> + 'a,
    {
        Self {
            len,
            elements: Box::new(move || Box::new(elements().map(Into::into))),
        }
    }

    pub(super) fn elements(&self) -> Elements<'a> {
        (self.elements)()
    }
}

impl From<bool> for Value<'_> {
    fn from(it: bool) -> Self {
        Self::Bool(it)
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Self::Number(number.try_into().unwrap_or(u64::MAX))
    }
}

/// Durations are whole nanoseconds. The largest one is 584 years.
impl From<Duration> for Value<'_> {
    fn from(duration: Duration) -> Self {
        Self::Number(duration.as_nanos().try_into().unwrap_or(u64::MAX))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        Self::Optional(value.map(|value| Box::new(value.into())))
    }
}

impl<'a> From<LazyList<'a>> for Value<'a> {
    fn from(list: LazyList<'a>) -> Self {
        Self::LazyList(list)
    }
}

impl<'a> From<Object<'a>> for Value<'a> {
    fn from(object: Object<'a>) -> Self {
        Self::Object(object)
    }
}
