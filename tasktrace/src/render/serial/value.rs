//! What a document is made of.

use std::borrow::Cow;
use std::time::Duration;

/// A part of a document: an object or a list, or what is in one.
pub(super) enum Value<'a> {
    Bool(bool),
    Number(u64),
    Text(Cow<'a, str>),
    /// What can be missing. There are formats that tell what is there from what always is.
    Optional(Option<Box<Value<'a>>>),
    List(List<'a>),
    Object(Object<'a>),
}

/// The fields of something, and the type that it is of.
pub(super) struct Object<'a> {
    #[cfg_attr(
        not(feature = "serde"),
        expect(dead_code, reason = "JSON has no types")
    )]
    pub(super) name: &'static str,
    pub(super) fields: Vec<(&'static str, Value<'a>)>,
}

/// A list of which one element is there at a time: those of a dump are as many as there are tasks,
/// and those of a trace as many as there are frames.
pub(super) struct List<'a> {
    #[cfg_attr(
        not(feature = "serde"),
        expect(dead_code, reason = "JSON tells no lengths")
    )]
    pub(super) len: usize,
    elements: Box<dyn Fn() -> Elements<'a> + 'a>,
}

/// The elements of a [`List`], each made when it is asked for.
type Elements<'a> = Box<dyn Iterator<Item = Value<'a>> + 'a>;

impl<'a> List<'a> {
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

/// Whole nanoseconds. In 584 years they do not fit any more.
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

impl<'a> From<List<'a>> for Value<'a> {
    fn from(list: List<'a>) -> Self {
        Self::List(list)
    }
}

impl<'a> From<Object<'a>> for Value<'a> {
    fn from(object: Object<'a>) -> Self {
        Self::Object(object)
    }
}
