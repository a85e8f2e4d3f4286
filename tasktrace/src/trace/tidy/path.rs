//! The way from the root of a task to one leaf.

use std::sync::Arc;

use super::{Part, place_of, wait};
use crate::capture::{LeafKind, Marker};
use crate::origin::Origin;
use crate::symbol::{Class, Paths, Symbol};
use crate::trace::frame::Place;
use crate::trace::resource::{self, Resource};

/// The frames on the way to a leaf, in the making.
pub(super) struct Path<'a> {
    paths: &'a Paths,
    kind: LeafKind,
    /// The number of the task that the trace is of.
    task: u64,
    frames: Vec<TidyFrame>,
    /// Functions of runtimes since the last frame: plumbing if another frame follows, the resource
    /// that is waited for if none does.
    runtime: Vec<&'a Symbol>,
    /// All functions since the last frame, if the thread was interrupted.
    called: Vec<&'a Symbol>,
    /// Whether the thread was interrupted while a stack was recorded on it.
    is_answering: bool,
    caller: Caller,
    /// Whether the last frame is that of the caller, but for what polls on its behalf.
    is_direct: bool,
}

struct TidyFrame {
    /// The path of the function. Empty if it is not known.
    function: Arc<str>,
    /// How many closures deep in that function.
    closures: usize,
    place: Place,
    /// The keys of the live frames that it is: it may be a task as well as a function.
    keys: Vec<u64>,
    source: Source,
}

/// What a frame is known from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Symbols.
    Symbol,
    /// An attribute: the place is that of the function, until a symbol says at which line it is.
    Attribute,
    /// The call of `traced`: as above, and not a frame at all if the symbols say otherwise.
    Call,
    /// A wait for other tasks: there is nothing to be known about it from symbols.
    Wait,
}

/// What the next function was called by, which tells async blocks from other closures.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Something that polls futures.
    Poll,
    /// Something that calls functions.
    Call,
}

/// What became of a function of the program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pushed {
    /// The last frame is its.
    Frame,
    /// It is a closure that its function has called.
    Nothing,
}

impl<'a> Path<'a> {
    pub(super) fn new(paths: &'a Paths, kind: LeafKind, task: u64) -> Self {
        Self {
            paths,
            kind,
            task,
            frames: Vec::new(),
            runtime: Vec::new(),
            called: Vec::new(),
            is_answering: false,
            caller: Caller::Poll,
            is_direct: true,
        }
    }

    pub(super) fn push(&mut self, part: &'a Part<'_>) {
        match part {
            Part::Functions(symbols, markers) => {
                // Each belongs where a poll of ours is. Several may have been inlined into the
                // same function, and without debug information nothing says where.
                let mut markers = markers.iter();
                for symbol in symbols.iter() {
                    self.push_symbol(symbol);
                    if symbol.class == Class::OurFrame
                        && let Some(marker) = markers.next()
                    {
                        self.push_marker(marker);
                    }
                }
                for marker in markers {
                    self.push_marker(marker);
                }
            }
            Part::TailCaller(symbols) => {
                if let Some(symbol) = symbols.first() {
                    self.push_symbol(symbol);
                }
            }
            Part::Root(marker) => self.push_marker(marker),
            Part::Missing(place) => self.frames.push(TidyFrame {
                function: "".into(),
                closures: 0,
                place: place.clone(),
                keys: Vec::new(),
                source: Source::Symbol,
            }),
        }
    }

    fn push_marker(&mut self, marker: &Marker) {
        let mut place = place_of(&marker.identity);
        let key = marker.key.filter(|_| marker.task == self.task);
        let source = match marker.identity.origin() {
            Origin::Function(_) => Source::Attribute,
            Origin::Call { .. } => Source::Call,
            Origin::Wait { .. } => Source::Wait,
        };
        match self.frames.last_mut() {
            // The async fn whose body the attribute has wrapped. Or a task that was made of its future,
            // if nothing is known of what is between the two.
            Some(last)
                if last.function == place.name
                    && (last.source == Source::Symbol
                        || last.source == Source::Call
                            && source == Source::Attribute
                            && (last.place.label.is_none() || place.label.is_none())) =>
            {
                // That of the task, if this is the function that it runs.
                place.label = last.place.label.take().or(place.label);
                // The symbol's line is that of the attribute.
                last.place = place;
                last.keys.extend(key);
                last.source = source;
            }
            _ => self.frames.push(TidyFrame {
                function: Arc::clone(&place.name),
                closures: 0,
                place,
                keys: key.into_iter().collect(),
                source,
            }),
        }
        self.caller = Caller::Poll;
    }

    fn push_symbol(&mut self, symbol: &'a Symbol) {
        if self.kind == LeafKind::Sampled {
            // It was about to answer: how that is done is of no interest.
            self.is_answering |= symbol.is_recording();
            if self.is_answering {
                return;
            }
            self.called.push(symbol);
            if symbol.is_foreign() {
                return;
            }
        }
        match symbol.class {
            Class::User => self.is_direct = self.push_user(symbol) == Pushed::Frame,
            Class::Runtime | Class::OurLeaf => {
                self.runtime.push(symbol);
                self.is_direct &= symbol.function.starts_with("tracing");
            }
            Class::PollFn | Class::Std | Class::OurFrame | Class::Ours => {
                self.is_direct &= caller(symbol) == Caller::Poll;
            }
        }
        self.caller = caller(symbol);
    }

    fn push_user(&mut self, symbol: &Symbol) -> Pushed {
        self.runtime.clear();
        self.called.clear();
        let mut place = Place {
            file: symbol
                .file
                .as_deref()
                .map(|file| self.paths.shorten(file).into()),
            line: symbol.line,
            column: symbol.column,
            name: Arc::clone(&symbol.function),
            label: None,
        };
        let mut keys = Vec::new();
        match self.frames.last_mut() {
            Some(last) if is_inside(symbol, last) => {
                if last.source != Source::Symbol {
                    // The body of the function that the attribute is on.
                    last.source = Source::Symbol;
                    last.closures = symbol.closures;
                    if place.line.is_some() {
                        place.label = last.place.label.take();
                        last.place = place;
                    }
                    return Pushed::Frame;
                }
                if self.caller == Caller::Call || last.closures == 0 {
                    return Pushed::Nothing;
                }
                // A block stands before its `.await`, unless an attribute has put it around the
                // body of the function.
                let position = |place: &Place| (place.line, place.column);
                if self.is_direct
                    && place.file == last.place.file
                    && position(&place) >= position(&last.place)
                {
                    last.closures = symbol.closures;
                    place.label = last.place.label.take();
                    place.name = Arc::clone(&last.place.name);
                    last.place = place;
                    return Pushed::Frame;
                }
            }
            // A future that was boxed before it was traced, for example.
            Some(last) if last.source == Source::Call && last.function != symbol.function => {
                keys = std::mem::take(&mut last.keys);
                place.label = last.place.label.take();
                self.frames.pop();
            }
            _ => {}
        }
        // The closest, which in a recursion is the one whose body it is in.
        let mut around = self.frames.iter().rev();
        let around = around.find(|frame| frame.function == symbol.function);
        if self.caller == Caller::Poll && around.is_some_and(|around| is_inside(symbol, around)) {
            place.name = format!("{}::{{async block}}", place.name).into();
        }
        self.frames.push(TidyFrame {
            function: Arc::clone(&symbol.function),
            closures: symbol.closures,
            place,
            keys,
            source: Source::Symbol,
        });
        Pushed::Frame
    }

    /// The frames, and what the last of them waits for.
    pub(super) fn finish(mut self) -> (Vec<(Place, Vec<u64>)>, Option<Resource>) {
        let resource = match self.kind {
            LeafKind::Registered | LeafKind::Woken => {
                resource::find(&self.runtime, wait(self.kind), self.paths)
            }
            LeafKind::Sampled => resource::find_blocking(&self.called, self.paths),
            LeafKind::NoWaker | LeafKind::Here => None,
        };
        // How another task is waited for is not of interest.
        let waits_for_tasks = (self.frames.last()).is_some_and(|last| last.source == Source::Wait);
        let resource = resource.filter(|_| !waits_for_tasks);
        if self.frames.is_empty() && resource.is_none() {
            // Nothing is known but that there is something.
            self.frames.push(TidyFrame {
                function: "".into(),
                closures: 0,
                place: Place::default(),
                keys: Vec::new(),
                source: Source::Symbol,
            });
        }
        let frames = self
            .frames
            .into_iter()
            .map(|frame| (frame.place, frame.keys));
        (frames.collect(), resource)
    }
}

/// Whether it is a closure in the function of the frame.
fn is_inside(symbol: &Symbol, frame: &TidyFrame) -> bool {
    !symbol.function.is_empty()
        && symbol.function == frame.function
        && symbol.closures > frame.closures
}

fn caller(symbol: &Symbol) -> Caller {
    let name = symbol.function.rsplit("::").next().unwrap_or_default();
    let polls = name.starts_with("poll") || name.starts_with("try_poll");
    match symbol.class {
        // It awaits.
        Class::User | Class::Runtime if symbol.closures > 0 => Caller::Poll,
        Class::User | Class::Std | Class::Runtime if !polls => Caller::Call,
        Class::PollFn => Caller::Call,
        _ => Caller::Poll,
    }
}

#[cfg(test)]
mod tests;
