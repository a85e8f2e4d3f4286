//! Takes the place of the runtime crate: what is written `#[traced(crate = tasktrace_tests::probe)]`
//! reports here what the expansion says of the function, and runs untouched.

use std::cell::RefCell;

thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
    static LABELS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What polls the body of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `#[traced]`
    Frame,
    /// `main` or `test`
    Task,
}

/// A function that was entered.
#[derive(Clone, Copy, Debug)]
pub struct Entered {
    /// By which attribute.
    pub kind: Kind,
    /// The name that was given.
    pub name: Option<&'static str>,
    /// The path of an item in the function.
    pub path: &'static str,
    /// Where the function is.
    pub place: (&'static str, u32, u32),
}

/// The functions entered on this thread since the last call.
pub fn entered() -> Vec<Entered> {
    ENTERED.take()
}

/// The labels of the functions entered on this thread since the last call, as far as they have one.
pub fn labels() -> Vec<String> {
    LABELS.take()
}

/// The same as [`entered`], as kinds and names of functions.
pub fn names() -> Vec<(Kind, String)> {
    let name = |entered: Entered| {
        let path = entered.path.replace("::{{closure}}", "");
        let mut segments = path.rsplit("::");
        let function = segments.nth(1).map(String::from);
        (
            entered.kind,
            function.expect("an item lies in the function"),
        )
    };
    entered().into_iter().map(name).collect()
}

#[doc(hidden)]
#[allow(missing_docs)]
pub mod __private {
    use super::{ENTERED, Entered, Kind, LABELS};

    pub use std::format;

    #[derive(Debug)]
    pub struct FrameMeta {
        name: Option<&'static str>,
        path: fn() -> &'static str,
        place: (&'static str, u32, u32),
    }

    impl FrameMeta {
        #[must_use]
        pub const fn new(
            name: Option<&'static str>,
            path: fn() -> &'static str,
            file: &'static str,
            line: u32,
            column: u32,
        ) -> Self {
            Self {
                name,
                path,
                place: (file, line, column),
            }
        }
    }

    pub fn path_of<T>(_item: T) -> &'static str {
        std::any::type_name::<T>()
    }

    pub fn frame<F: Future>(meta: &'static FrameMeta, future: F) -> F {
        enter(Kind::Frame, meta);
        future
    }

    pub fn labelled<F: Future>(meta: &'static FrameMeta, label: String, future: F) -> F {
        LABELS.with_borrow_mut(|all| all.push(label));
        frame(meta, future)
    }

    pub fn task<F: Future>(meta: &'static FrameMeta, future: F) -> F {
        enter(Kind::Task, meta);
        future
    }

    pub fn output<T>() -> T {
        unreachable!("only the type is wanted")
    }

    fn enter(kind: Kind, meta: &FrameMeta) {
        let entered = Entered {
            kind,
            name: meta.name,
            path: (meta.path)(),
            place: meta.place,
        };
        ENTERED.with_borrow_mut(|all| all.push(entered));
    }
}
