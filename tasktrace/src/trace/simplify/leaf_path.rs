//! Builds the path of frames from the root of a task to one leaf.
//!
//! Each path is built from the previous path, from the place where they part. So the state after each part is kept. A
//! part changes at most the last of the frames before it, so no other frame has to be copied.

use std::collections::HashMap;
use std::sync::Arc;

use super::{StackPart, StackParts, place_of, wait};
use crate::capture::{LeafKind, ScopeMarker};
use crate::origin::Origin;
use crate::symbol::{Class, PathShortener, ReturnAddress, Symbol};
use crate::trace::frame::{FramePlace, LineIs};
use crate::trace::resource::{self, LibraryFunction, LibraryMatch, Resource};
use crate::trace::tree_builder::TreeBuilder;

/// A builder of the frames on the path to a leaf.
pub(super) struct LeafPath<'a> {
    paths: &'a PathShortener,
    /// `true` if the trace was taken by interrupting the thread.
    is_sampled: bool,
    /// The number of the task of the trace.
    task: u64,
    frames: Vec<SimplifiedFrame>,
    /// The index in `frames` of the last frame of each function.
    last: HashMap<Arc<str>, usize>,
    /// The indices in the tree of the first frames.
    nodes: Vec<usize>,
    /// The functions of runtimes. The functions since the last frame are plumbing if another frame follows. Otherwise
    /// they contain the resource that the leaf waits for.
    runtime: Vec<&'a Symbol>,
    /// All functions, if the thread was interrupted.
    called: Vec<&'a Symbol>,
    state: PathState<'a>,
    /// The state after each part.
    checkpoints: Vec<Checkpoint<'a>>,
}

/// The state of a path after some of its parts.
#[derive(Clone, Copy)]
struct PathState<'a> {
    /// The index in `runtime` of the first function since the last frame.
    runtime: usize,
    /// The index in `called` of the first function since the last frame.
    called: usize,
    /// The last function of this crate.
    own_function: Option<&'a Symbol>,
    caller: CallerKind,
    /// `true` if the program has panicked, so that the following functions are panic hooks.
    has_panicked: bool,
    /// `true` if the function of the last frame has called the next function directly, or through functions that only
    /// poll futures for it.
    is_direct: bool,
}

/// The state after a part, to which a path returns when the next path parts from it there.
struct Checkpoint<'a> {
    state: PathState<'a>,
    /// The length of `frames`.
    frames: usize,
    /// The length of `runtime`.
    runtime: usize,
    /// The length of `called`.
    called: usize,
    /// A copy of the last frame, because the following parts can change it.
    last: Option<SimplifiedFrame>,
}

/// A frame on the path to a leaf.
#[derive(Clone)]
struct SimplifiedFrame {
    /// The path of the function. Empty if it is not known.
    function: Arc<str>,
    /// The depth of nested closures in that function.
    closures: usize,
    place: FramePlace,
    /// The file as it is in the debug information.
    file: Option<Arc<str>>,
    /// The address of a symbol that has a file but no line.
    address_without_line: Option<ReturnAddress>,
    /// The index of the previous frame of the same function.
    before: Option<usize>,
    /// The keys of the live frames that this frame stands for. It may stand for a task as well as for a function.
    keys: Vec<u64>,
    known_from: KnownFrom,
}

/// The source from which a frame is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KnownFrom {
    /// Symbols.
    Symbol,
    /// An attribute. The place is the definition of the function until a symbol has the current line.
    Attribute,
    /// A call of `traced`. The place is that of the call until a symbol has the current line. The frame is replaced if
    /// the symbols show another function.
    Call,
    /// A wait for other tasks, for which symbols show nothing useful.
    Wait,
}

/// The kind of the caller of the next function. It distinguishes async blocks from other closures.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CallerKind {
    /// The caller polls futures.
    Poll,
    /// The caller calls functions.
    Call,
}

/// The result of adding a function of the program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PushOutcome {
    /// The last frame belongs to the function.
    Frame,
    /// The function is a closure that its own function has called, so it has no frame.
    Nothing,
}

/// The state of an empty path.
const START: PathState<'_> = PathState {
    runtime: 0,
    called: 0,
    own_function: None,
    caller: CallerKind::Poll,
    has_panicked: false,
    is_direct: true,
};

impl<'a> LeafPath<'a> {
    pub(super) fn new(paths: &'a PathShortener, is_sampled: bool, task: u64) -> Self {
        Self {
            paths,
            is_sampled,
            task,
            frames: Vec::new(),
            last: HashMap::new(),
            nodes: Vec::new(),
            runtime: Vec::new(),
            called: Vec::new(),
            state: START,
            checkpoints: Vec::new(),
        }
    }

    /// Goes back to the place where the path to the next leaf parts from the previous path, and adds the parts of the
    /// next path from there on.
    pub(super) fn follow(&mut self, parts: &'a [StackPart<'_>], stack_parts: &StackParts) {
        if stack_parts.shared < self.checkpoints.len() {
            self.checkpoints.truncate(stack_parts.shared);
            self.restore();
        }
        for part in &parts[stack_parts.own.clone()] {
            self.push(part);
            self.checkpoints.push(Checkpoint {
                state: self.state,
                frames: self.frames.len(),
                runtime: self.runtime.len(),
                called: self.called.len(),
                last: self.frames.last().cloned(),
            });
        }
    }

    /// Restores the state of the last checkpoint.
    fn restore(&mut self) {
        let checkpoint = self.checkpoints.last();
        let (frames, runtime, called) =
            checkpoint.map_or((0, 0, 0), |it| (it.frames, it.runtime, it.called));
        let last = checkpoint.and_then(|it| it.last.clone());
        self.state = checkpoint.map_or(START, |it| it.state);
        self.runtime.truncate(runtime);
        self.called.truncate(called);
        // Later parts may have replaced the last frame.
        while self.frames.len() >= frames.max(1) {
            self.pop_frame();
        }
        if let Some(last) = last {
            self.push_frame(last);
        }
    }

    /// Adds a part of the stack.
    fn push(&mut self, part: &'a StackPart<'_>) {
        // The last frame may change.
        let unchanged = self.frames.len().saturating_sub(1);
        self.nodes.truncate(unchanged);
        match part {
            StackPart::Functions(symbols, markers) => {
                // The markers belong to the first function, which is on the stack. The others were inlined into it.
                let mut symbols = symbols.iter();
                if let Some(marked) = symbols.next() {
                    self.push_symbol(marked);
                }
                for marker in markers {
                    self.push_marker(marker);
                }
                for inlined in symbols {
                    self.push_symbol(inlined);
                }
            }
            StackPart::TailCaller(symbols) => {
                if let Some(symbol) = symbols.first() {
                    self.push_symbol(symbol);
                }
            }
            StackPart::Root(marker) => self.push_marker(marker),
            StackPart::Missing(place) => self.push_frame(SimplifiedFrame {
                function: "".into(),
                closures: 0,
                place: place.clone(),
                file: None,
                address_without_line: None,
                before: None,
                keys: Vec::new(),
                known_from: KnownFrom::Symbol,
            }),
        }
    }

    /// Adds the task or the frame of a marker, or merges it with the last frame.
    ///
    /// The functions before the marker have polled the frame, so none of them is a resource that the frame waits for.
    /// That also holds if the function of the frame has no symbol.
    fn push_marker(&mut self, marker: &ScopeMarker) {
        self.state.runtime = self.runtime.len();
        self.state.called = self.called.len();
        let mut place = place_of(&marker.identity);
        let key = marker.key.filter(|_| marker.task == self.task);
        let known_from = match marker.identity.origin() {
            // No symbol has the name of an origin that is `Named`.
            Origin::Function(_) | Origin::Named { .. } => KnownFrom::Attribute,
            Origin::Call { .. } => KnownFrom::Call,
            Origin::Wait { .. } => KnownFrom::Wait,
        };
        match self.frames.last_mut() {
            // The last frame is the async fn whose body the attribute has wrapped, or a task that was made of the
            // future of this function. In the latter case both are merged if there are no symbols in between and not
            // both have labels.
            Some(last)
                if last.function == place.name
                    && (last.known_from == KnownFrom::Symbol
                        || last.known_from == KnownFrom::Call
                            && matches!(known_from, KnownFrom::Attribute | KnownFrom::Call)
                            && (last.place.label.is_none() || place.label.is_none())) =>
            {
                // If the last frame is the task that runs this function, its label wins.
                place.label = last.place.label.take().or(place.label);
                // The line of the symbol would be the line of the attribute.
                last.place = place;
                last.keys.extend(key);
                last.known_from = known_from;
            }
            _ => self.push_frame(SimplifiedFrame {
                function: Arc::clone(&place.name),
                closures: 0,
                place,
                file: None,
                address_without_line: None,
                before: None,
                keys: key.into_iter().collect(),
                known_from,
            }),
        }
        self.state.caller = CallerKind::Poll;
    }

    /// Adds a function.
    fn push_symbol(&mut self, symbol: &'a Symbol) {
        if self.is_sampled {
            self.called.push(symbol);
            if symbol.is_foreign() {
                return;
            }
        }
        self.state.has_panicked |= symbol.begins_panic();
        if self.state.has_panicked {
            return;
        }
        match symbol.class {
            Class::User => self.state.is_direct = self.push_user(symbol) == PushOutcome::Frame,
            Class::Runtime => {
                self.runtime.push(symbol);
                self.state.is_direct &= symbol.function.starts_with("tracing");
            }
            Class::PollFn | Class::Std | Class::Ours => {
                self.state.is_direct &= caller(symbol) == CallerKind::Poll;
                if symbol.class == Class::Ours {
                    self.state.own_function = Some(symbol);
                }
            }
        }
        self.state.caller = caller(symbol);
    }

    /// Adds a function of the program or of a library, or merges it with the last frame.
    fn push_user(&mut self, symbol: &Symbol) -> PushOutcome {
        self.state.runtime = self.runtime.len();
        self.state.called = self.called.len();
        let mut place = FramePlace {
            file: symbol
                .file
                .as_deref()
                .map(|file| self.paths.shorten(file).into()),
            line: symbol.line,
            column: symbol.column,
            name: Arc::clone(&symbol.function),
            label: None,
            is_library: symbol.is_library,
            line_is: LineIs::Current,
        };
        if symbol.is_library {
            let file = symbol.file.as_deref();
            let function = &*symbol.function;
            if let Some(name) = resource::public_call_name(&LibraryFunction { function, file }) {
                place.name = name.into();
            }
        }
        let mut keys = Vec::new();
        match self.frames.last_mut() {
            Some(last) if is_closure_of(symbol, last) => {
                if last.known_from != KnownFrom::Symbol {
                    // The closure is the body of the function that has the attribute.
                    last.known_from = KnownFrom::Symbol;
                    last.closures = symbol.closures;
                    if place.line.is_some() {
                        place.label = last.place.label.take();
                        last.place = place;
                    }
                    return PushOutcome::Frame;
                }
                if self.state.caller == CallerKind::Call || last.closures == 0 {
                    return PushOutcome::Nothing;
                }
                // An async block begins before its `.await`s. If the closure is after the current line of the last
                // frame, it is the body of the function, and an attribute has put an async block around it.
                let position = |place: &FramePlace| (place.line, place.column);
                if self.state.is_direct
                    && place.file == last.place.file
                    && position(&place) >= position(&last.place)
                {
                    last.closures = symbol.closures;
                    place.label = last.place.label.take();
                    place.name = Arc::clone(&last.place.name);
                    last.place = place;
                    return PushOutcome::Frame;
                }
            }
            // The call of `traced` has another name than the function, for example because the future was boxed first.
            Some(last)
                if last.known_from == KnownFrom::Call && last.function != symbol.function =>
            {
                keys = std::mem::take(&mut last.keys);
                place.label = last.place.label.take();
                self.pop_frame();
            }
            _ => {}
        }
        // In a recursion, the closure is in the body of the closest frame of its function.
        let around = self.last.get(&symbol.function).map(|at| &self.frames[*at]);
        if self.state.caller == CallerKind::Poll
            && around.is_some_and(|around| is_closure_of(symbol, around))
        {
            place.name = format!("{}::{{async block}}", place.name).into();
        }
        self.push_frame(SimplifiedFrame {
            function: Arc::clone(&symbol.function),
            closures: symbol.closures,
            place,
            file: symbol.file.clone(),
            address_without_line: symbol.address_without_line,
            before: None,
            keys,
            known_from: KnownFrom::Symbol,
        });
        PushOutcome::Frame
    }

    fn push_frame(&mut self, mut frame: SimplifiedFrame) {
        let function = Arc::clone(&frame.function);
        frame.before = self.last.insert(function, self.frames.len());
        self.frames.push(frame);
    }

    fn pop_frame(&mut self) {
        if let Some(SimplifiedFrame {
            function, before, ..
        }) = self.frames.pop()
        {
            self.nodes.truncate(self.frames.len());
            match before {
                Some(before) => self.last.insert(function, before),
                None => self.last.remove(&function),
            };
        }
    }

    /// Adds the frames of the path to a tree, and the resource that the last of them waits for.
    pub(super) fn add_to(&mut self, builder: &mut TreeBuilder, kind: LeafKind, count: usize) {
        let (shown, resource) = self.shown(kind);
        self.nodes.truncate(shown);
        for frame in &self.frames[self.nodes.len()..shown] {
            let parent = self.nodes.last().copied();
            let node = builder.add_frame(parent, frame.place.clone(), &frame.keys);
            self.nodes.push(node);
        }
        let at = match self.nodes.last() {
            None if resource.is_none() => {
                // Nothing is known except that there is a leaf.
                Some(builder.add_frame(None, FramePlace::default(), &[]))
            }
            last => last.copied(),
        };
        builder.add_leaf(at, resource, wait(kind), count);
    }

    /// Returns the number of frames that are shown, and the resource that the last of them waits for.
    fn shown(&self, kind: LeafKind) -> (usize, Option<Resource>) {
        let all = self.frames.len();
        let (shown, resource) = match kind {
            LeafKind::Registered
            | LeafKind::AwaitsTrace
            | LeafKind::AwaitsDump
            | LeafKind::Woken => self.resource(kind),
            LeafKind::Sampled => {
                let called = &self.called[self.state.called..];
                let caller = match self.frames.last() {
                    Some(last) if last.is_of_library() => resource::CallerOwner::Library,
                    _ => resource::CallerOwner::Program,
                };
                (all, resource::find_blocking(called, caller, self.paths))
            }
            LeafKind::NoWaker | LeafKind::Here => (all, None),
        };
        // A wait for another task shows no resource.
        let last = self.frames[..shown].last();
        let waits_for_tasks = last.is_some_and(|last| last.known_from == KnownFrom::Wait);
        (shown, resource.filter(|_| !waits_for_tasks))
    }

    /// Returns the function of this crate that has registered the waker: the last own function before the part that
    /// records the stack.
    fn registrar(&self) -> Option<&'a Symbol> {
        let before = self.checkpoints.len().checked_sub(2)?;
        self.checkpoints[before].state.own_function
    }

    /// Returns the number of frames above the resource for which the waker was registered, and that resource: the
    /// outermost function of a library or a runtime that is a resource by the rules.
    fn resource(&self, kind: LeafKind) -> (usize, Option<Resource>) {
        let program = self.frames.iter().rposition(|frame| !frame.is_of_library());
        let first = program.map_or(0, |program| program + 1);
        let libraries: Vec<LibraryFunction<'_>> = self.frames[first..]
            .iter()
            .map(|frame| LibraryFunction {
                function: &frame.function,
                file: frame.file.as_deref(),
            })
            .collect();
        let found = resource::find_library(&libraries);
        let caller = match libraries.is_empty() {
            true => resource::CallerOwner::Program,
            false => resource::CallerOwner::Library,
        };
        let wait = wait(kind);
        let runtime = &self.runtime[self.state.runtime..];
        let of_runtime = match resource::own_resource_name(kind) {
            Some(name) => Some(resource::own_resource(
                name,
                self.registrar(),
                wait,
                self.paths,
            )),
            None => resource::find(runtime, caller, wait, self.paths),
        };
        match found {
            LibraryMatch::Resource(at, name) => {
                let shown = (first + at).min(self.frames.len());
                let of_library = &self.frames[shown..];
                let (wait, call_path) = of_runtime.map_or((wait, 0), |of| (of.wait, of.call_path));
                // A library may register wakers at two places, so its functions are part of the call path.
                let calls = of_library
                    .iter()
                    .map(|frame| (&frame.place, frame.address_without_line));
                let call_path = resource::library_call_path(call_path, calls);
                let resource = of_library.first().map(|frame| {
                    let name = name.into();
                    let place = FramePlace {
                        name,
                        ..frame.place.clone()
                    };
                    Resource {
                        place,
                        wait,
                        call_path,
                    }
                });
                (shown, resource)
            }
            LibraryMatch::Plumbing(at) => {
                // The root of a trace is always shown.
                let shown = (first + at).max(1).min(self.frames.len());
                (shown, of_runtime)
            }
        }
    }
}

impl SimplifiedFrame {
    /// Returns `true` if the frame is a library function that is not traced.
    fn is_of_library(&self) -> bool {
        self.known_from == KnownFrom::Symbol && self.place.is_library && self.keys.is_empty()
    }
}

/// Returns `true` if the symbol is a closure in the function of the frame, deeper than the frame.
fn is_closure_of(symbol: &Symbol, frame: &SimplifiedFrame) -> bool {
    !symbol.function.is_empty()
        && symbol.function == frame.function
        && symbol.closures > frame.closures
}

/// Returns the kind of caller that a function is for the functions that it calls.
fn caller(symbol: &Symbol) -> CallerKind {
    match symbol.class {
        // The closure is an async block or the body of an async fn, which polls the futures that it awaits.
        Class::User | Class::Runtime if symbol.closures > 0 => CallerKind::Poll,
        Class::User | Class::Std | Class::Runtime if !symbol.is_poll_method() => CallerKind::Call,
        Class::PollFn => CallerKind::Call,
        _ => CallerKind::Poll,
    }
}

#[cfg(test)]
mod tests;
