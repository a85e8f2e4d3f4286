//! `#[traced]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::Result;

use super::runtime::Runtime;
use super::with_error;
use crate::args::TracedArgs;
use crate::item::Function;
use crate::rewritten;
use crate::validate::{self, Macro};

/// `#[traced]`. On an `async fn`:
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
pub(crate) fn traced(args: TokenStream, item: TokenStream) -> TokenStream {
    try_traced(args, item.clone()).unwrap_or_else(|error| with_error(item, &error))
}

fn try_traced(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut function =
        Function::parse(item).map_err(|other| validate::not_a_function(Macro::Traced, other))?;
    let args = TracedArgs::parse(args)?;
    let runtime = Runtime::new(args.tasktrace.as_ref(), &function.sig);
    let label = args.label.as_ref();
    if function.sig.asyncness.is_some() {
        let future = runtime.typed_future(&function);
        // A function may return a future. Clippy suspects a mistake where a block does.
        let future = quote!(#[allow(clippy::async_yields_async)] #future);
        function.body.tokens = runtime.polled(&runtime.frame(label, &future));
    } else {
        let replaced = rewritten::replace(&function.body.tokens, &|inner| {
            let rewritten::AsyncBlock { capture, block } = inner;
            let own = runtime.own;
            let future = quote_spanned!(own=> async #capture #block);
            runtime.polled(&runtime.frame(label, &future))
        });
        function.body.tokens = replaced.ok_or_else(|| validate::not_async(&function))?;
    }
    Ok(function.into_token_stream())
}
