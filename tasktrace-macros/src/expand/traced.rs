//! `#[traced]`, and what it makes of a function.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::Result;

use super::runtime::Runtime;
use super::{container, returning, with_error};
use crate::args::TracedArgs;
use crate::item::Function;
use crate::items::{Items, Kind};
use crate::rewritten;
use crate::validate::{self, Macro};

/// `#[traced]`. What it stands on decides which of the expansions it is.
pub(crate) fn traced(args: TokenStream, item: TokenStream) -> TokenStream {
    try_traced(args, item.clone()).unwrap_or_else(|error| with_error(item, &error))
}

fn try_traced(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args = TracedArgs::parse(args);
    if args.as_ref().is_ok_and(|args| args.skip.is_some()) {
        return Ok(item);
    }
    let mut items = Items::new(item.clone());
    if let (Some(container), None) = (items.next(), items.next())
        && matches!(container.kind, Kind::Container(_))
    {
        return container::traced(&args?, container);
    }
    let function =
        Function::parse(item).map_err(|other| validate::not_a_function(Macro::Traced, other))?;
    on_function(&args?, function)
}

/// On an `async fn`:
///
/// ```text
/// async fn f(…) -> Output {
///     ::tasktrace::__private::frame(
///         META,
///         async move {
///             HINT
///             { … }
///         },
///     )
///     .await
/// }
/// ```
///
/// The body becomes a future of its own, polled through the frame. The signature and the
/// attributes stay as they are.
///
/// Where the future is an async block of the body already (see [`rewritten`]), it is the content
/// of this block that is wrapped, and how it captures does not change:
///
/// ```text
/// fn f(…) -> Pin<Box<dyn Future<Output = Output>>> {
///     Box::pin(async move {
///         ::tasktrace::__private::frame(META, async move { … }).await
///     })
/// }
/// ```
///
/// Any other function that returns a future is in [`returning`].
pub(super) fn on_function(args: &TracedArgs, mut function: Function) -> Result<TokenStream> {
    let runtime = Runtime::new(args.tasktrace.as_ref(), &function.sig);
    function.body.tokens = if function.sig.asyncness.is_some() {
        let future = runtime.typed_future(&function);
        // A function may return a future. Clippy suspects a mistake where a block does.
        let future = quote!(#[allow(clippy::async_yields_async)] #future);
        runtime.polled(&runtime.frame(args, &future))
    } else {
        not_async(&runtime, args, &function)?
    };
    Ok(function.into_token_stream())
}

/// The new body of a function that is not async.
fn not_async(runtime: &Runtime, args: &TracedArgs, function: &Function) -> Result<TokenStream> {
    let own = runtime.own;
    let body = &function.body.tokens;
    let in_block = rewritten::replace(body, &|inner| {
        let rewritten::AsyncBlock { capture, block } = inner;
        let future = quote_spanned!(own=> async #capture #block);
        runtime.polled(&runtime.frame(args, &future))
    });
    let around_block = rewritten::replace(body, &|_| TokenStream::new());
    match (in_block, returning::Returned::of(&function.sig)) {
        (Some(body), None) => Ok(body),
        // It is also to be traced where it does not come to the block.
        (Some(body), Some(_)) if !around_block.is_some_and(returning::returns_early) => Ok(body),
        (_, Some(returned)) => returning::wrapped(returned, runtime, args, function),
        (None, None) => Err(validate::not_async(function)),
    }
}
