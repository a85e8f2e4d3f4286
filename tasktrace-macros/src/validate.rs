//! Checks the items and arguments of the attributes, and makes errors that point to their causes.

use quote::ToTokens;
use syn::{Attribute, Error, Expr, ExprLit, Lit, LitStr, Meta, MetaNameValue, Result};

use crate::args::{EntryArgs, TracedArgs};
use crate::item::{Function, NotAFunction};
use crate::items::{Item, ItemKind};
use crate::rewritten;

/// The attribute that was used.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Macro {
    Traced,
    Main,
    Test,
}

impl Macro {
    fn error(self, at: impl ToTokens, complaint: &str) -> Error {
        Error::new_spanned(at, self.says(complaint))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Traced => "traced",
            Self::Main => "tasktrace::main",
            Self::Test => "tasktrace::test",
        }
    }

    fn says(self, complaint: &str) -> String {
        format!("`#[{}]` {complaint}", self.name())
    }
}

pub(crate) fn not_a_function(attribute: Macro, item: NotAFunction) -> Error {
    let accepts = match attribute {
        Macro::Traced => {
            "accepts functions that return futures, and `impl` blocks, traits and modules of them"
        }
        Macro::Main | Macro::Test => "accepts an `async fn` with a body",
    };
    match item {
        NotAFunction::NoBody(keyword) => attribute.error(
            keyword,
            "accepts an `async fn` with a body, and this one has none",
        ),
        NotAFunction::Other(keyword) => {
            let hint = match attribute {
                Macro::Traced => {
                    ". If another attribute has made it, put `#[traced]` above that attribute"
                }
                Macro::Main | Macro::Test => "",
            };
            attribute.error(&keyword, &format!("{accepts}, not this `{keyword}`{hint}"))
        }
        NotAFunction::Invalid(error) => {
            let complaint = format!("{accepts}: {error}");
            Error::new(error.span(), attribute.says(&complaint))
        }
    }
}

/// Returns the error for a function that is not async, does not end with an async block, and does not return a known
/// future.
pub(crate) fn not_async(function: &Function) -> Error {
    Macro::Traced.error(
        function.sig.fn_token,
        "accepts an `async fn`, a `fn` that ends with an `async` block, and one that returns \
         `impl Future` or `Pin<Box<dyn Future>>`. If this was an `async fn`, put `#[traced]` above \
         the attribute that runs this function",
    )
}

/// Checks an `impl` block, a trait or a module for `traced`.
pub(crate) fn container(args: &TracedArgs, container: &Item) -> Result<()> {
    let ItemKind::Container(keyword) = &container.kind else {
        return Ok(());
    };
    if let Some(label) = &args.label {
        return Err(Error::new_spanned(
            label,
            format!("a label is for a function, not for this `{keyword}`"),
        ));
    }
    if let Some(limit) = &args.wait_limit {
        return Err(Error::new_spanned(
            &limit.duration,
            format!(
                "`{}` is for a function, not for this `{keyword}`",
                limit.key
            ),
        ));
    }
    if container.has_content() {
        return Ok(());
    }
    Err(Macro::Traced.error(
        keyword,
        "traces the functions between the braces, but there are no braces: the attribute cannot see the file of a \
         module",
    ))
}

/// Checks the function for `main` or `test`.
pub(crate) fn entry(attribute: Macro, function: &Function) -> Result<()> {
    let sig = &function.sig;
    if sig.asyncness.is_none() {
        return Err(if rewritten::is_run(&function.body.tokens) {
            attribute.error(
                sig.fn_token,
                "runs this function, and so does another attribute: keep one of them",
            )
        } else {
            Error::new_spanned(
                sig.fn_token,
                "the `async` keyword is missing from the function declaration",
            )
        });
    }
    if attribute == Macro::Main && has_arguments_of_main(function) {
        return Err(Error::new_spanned(
            &sig.inputs,
            "the main function cannot accept arguments",
        ));
    }
    match function.attrs.iter().find(|attr| runs_too(attribute, attr)) {
        Some(second) if is_added(second) => Err(attribute.error(
            second,
            &format!(
                "runs this function, and so does the attribute above it: keep one of them, or put `#[{}]` above \
                 that attribute",
                attribute.name()
            ),
        )),
        Some(second) => Err(attribute.error(
            second,
            "runs this function, and so does this attribute: keep one of them",
        )),
        None => Ok(()),
    }
}

/// Checks the arguments of `main` and `test`, apart from their grammar.
pub(crate) fn entry_args(attribute: Macro, args: &EntryArgs) -> Result<()> {
    match &args.timeout {
        Some(timeout) if attribute == Macro::Main => Err(attribute.error(
            &timeout.key,
            "does not accept `timeout`: it is an argument of `#[tasktrace::test]`",
        )),
        _ => Ok(()),
    }
}

/// Returns `true` if this is a function `main` with arguments, which the compiler does not accept either.
pub(crate) fn has_arguments_of_main(function: &Function) -> bool {
    function.sig.ident == "main" && !function.sig.inputs.is_empty()
}

/// Returns `true` for another attribute that runs the function: `#[test]`, `#[tokio::test]` and so on for a `test`, and
/// likewise for a `main`.
pub(crate) fn runs_too(attribute: Macro, other: &Attribute) -> bool {
    let name = match attribute {
        Macro::Traced => return false,
        Macro::Main => "main",
        Macro::Test => "test",
    };
    let path = &other.path().segments;
    path.last().is_some_and(|last| last.ident == name) && !goes_along(other)
}

/// Returns `true` for an attribute that makes the function a test only if no other attribute does.
fn goes_along(attr: &Attribute) -> bool {
    const CRATES: [&str; 2] = ["googletest", "test_log"];
    let first = attr.path().segments.first();
    let is_known = first.is_some_and(|first| CRATES.iter().any(|name| first.ident == name));
    // The argument of such an attribute is another attribute that makes the function a test.
    is_known && matches!(attr.meta, Meta::Path(_))
}

/// Returns `true` for the attribute of the standard library with its full path, in which other attributes add it.
fn is_added(attr: &Attribute) -> bool {
    attr.path()
        .segments
        .iter()
        .any(|segment| segment.ident == "prelude")
}

/// The panic by which a test passes.
pub(crate) enum ShouldPanic {
    /// `#[should_panic]`
    Any,
    /// `#[should_panic = "…"]` or `#[should_panic(expected = "…")]`
    Expected(LitStr),
}

/// Returns the panic by which the test passes, if it has `#[should_panic]`.
pub(crate) fn should_panic(function: &Function) -> Option<ShouldPanic> {
    let mut attrs = function.attrs.iter();
    let attr = attrs.find(|attr| attr.path().is_ident("should_panic"))?;
    let text = |value: &Expr| match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(ShouldPanic::Expected(text.clone())),
        _ => None,
    };
    // The compiler reports other forms of the attribute.
    match &attr.meta {
        Meta::Path(_) => Some(ShouldPanic::Any),
        Meta::NameValue(meta) => text(&meta.value),
        Meta::List(list) => {
            let meta: MetaNameValue = list.parse_args().ok()?;
            text(&meta.value).filter(|_| meta.path.is_ident("expected"))
        }
    }
}
