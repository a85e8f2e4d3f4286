//! Expands `#[traced]`, and rewrites functions as frames.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::Result;

use super::runtime::Runtime;
use super::{container, returning, with_error};
use crate::args::TracedArgs;
use crate::item::Function;
use crate::items::{ItemKind, Items};
use crate::rewritten;
use crate::validate::{self, Macro};

/// Expands `#[traced]` on any item that it accepts.
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
        && matches!(container.kind, ItemKind::Container(_))
    {
        return container::traced(&args?, container);
    }
    let function =
        Function::parse(item).map_err(|other| validate::not_a_function(Macro::Traced, other))?;
    on_function(&args?, function)
}

/// Expands `#[traced]` on a function. An `async fn` becomes:
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
/// The body becomes a future of its own, which is polled through the frame. The signature and the attributes stay
/// unchanged.
///
/// If the future is already an async block of the body (see [`rewritten`]), the content of that block is wrapped, and
/// the captures of the block do not change:
///
/// ```text
/// fn f(…) -> Pin<Box<dyn Future<Output = Output>>> {
///     Box::pin(async move {
///         ::tasktrace::__private::frame(META, async move { … }).await
///     })
/// }
/// ```
///
/// If the future is that of an `async fn` inside the body, that inner function is traced. For other functions that
/// return futures, see [`returning`].
pub(super) fn on_function(args: &TracedArgs, mut function: Function) -> Result<TokenStream> {
    let runtime = Runtime::new(args.tasktrace.as_ref(), &function.sig);
    function.body.tokens = if function.sig.asyncness.is_some() {
        let future = runtime.typed_future(&function);
        // A function may return a future, but Clippy warns about a block that does.
        let future = quote!(#[allow(clippy::async_yields_async)] #future);
        runtime.polled(&runtime.frame(args, &future))
    } else {
        not_async(&runtime, args, &function)?
    };
    Ok(function.into_token_stream())
}

/// Returns the new body of a function that is not async.
fn not_async(runtime: &Runtime, args: &TracedArgs, function: &Function) -> Result<TokenStream> {
    let own = runtime.own;
    let body = &function.body.tokens;
    let content = &|inner| {
        let rewritten::AsyncBlock { capture, block } = inner;
        let future = quote_spanned!(own=> async #capture #block);
        runtime.polled(&runtime.frame(args, &future))
    };
    let Some(returned) = returning::ReturnedFuture::of(&function.sig) else {
        return match rewritten::replace(body, content) {
            Some(body) => Ok(body),
            None => in_inner_function(args, function),
        };
    };
    let around_block = rewritten::replace_in_returned(body, &|_| TokenStream::new());
    match rewritten::replace_in_returned(body, content) {
        // The block is replaced only if every call reaches it. Otherwise an early return would not be traced.
        Some(body) if !around_block.is_some_and(returning::returns_early) => Ok(body),
        _ => returning::wrapped(returned, runtime, args, function),
    }
}

/// Returns the body with the `async fn` traced that it declares and runs.
fn in_inner_function(args: &TracedArgs, function: &Function) -> Result<TokenStream> {
    let tokens: Vec<TokenTree> = function.body.tokens.clone().into_iter().collect();
    let range = rewritten::inner_function(&tokens, &function.sig.ident);
    let inner = range.as_ref().and_then(|range| {
        let inner = tokens[range.clone()].iter().cloned().collect();
        Function::parse(inner).ok()
    });
    let (Some(range), Some(inner)) = (range, inner) else {
        return Err(validate::not_async(function));
    };
    let traced = on_function(args, inner)?;
    let (before, after) = (&tokens[..range.start], &tokens[range.end..]);
    Ok(quote!(#(#before)* #traced #(#after)*))
}
