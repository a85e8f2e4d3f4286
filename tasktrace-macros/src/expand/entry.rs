//! `#[tasktrace::main]` and `#[tasktrace::test]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use super::runtime::Runtime;
use super::with_error;
use crate::args::{EntryArgs, Executor};
use crate::item::Function;
use crate::validate::{self, Macro};

/// They hand over to tokio's attribute, with the arguments that were given:
///
/// ```text
/// #[::tokio::main(…)]
/// async fn main() -> Output {
///     ::tasktrace::__private::task(
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
/// With `block_on = path::to::fn`, and `#[::core::prelude::v1::test]` above a test:
///
/// ```text
/// fn main() -> Output {
///     let body = async move { ::tasktrace::__private::task(…).await };
///     let block_on = path::to::fn;
///     block_on(body)
/// }
/// ```
///
/// This is close enough to what tokio's attributes expand to for `#[traced]` to know it when it
/// is expanded afterwards.
pub(crate) fn entry(attribute: Macro, args: TokenStream, item: TokenStream) -> TokenStream {
    let function = match Function::parse(item.clone()) {
        Ok(function) => function,
        Err(other) => return with_error(item, &validate::not_a_function(attribute, other)),
    };
    let checked = validate::entry(attribute, &function).and_then(|()| EntryArgs::parse(args));
    match checked {
        Ok(args) => run(attribute, args, function),
        Err(error) => with_error(not_run(attribute, function), &error),
    }
}

fn run(attribute: Macro, args: EntryArgs, mut function: Function) -> TokenStream {
    let runtime = Runtime::new(args.tasktrace.as_ref(), &function.sig);
    let future = runtime.typed_future(&function);
    let task = runtime.polled(&runtime.task(&future));
    match args.executor {
        Executor::Tokio(tokio) => {
            let krate = tokio
                .krate
                .map_or_else(|| quote!(::tokio), |path| quote!(#path));
            let name = match attribute {
                Macro::Test => quote!(test),
                Macro::Main | Macro::Traced => quote!(main),
            };
            let args = tokio.tokens;
            function.body.tokens = task;
            quote!(#[#krate::#name(#args)] #function)
        }
        Executor::BlockOn(path) => {
            let own = runtime.own;
            if attribute == Macro::Test {
                function
                    .attrs
                    .push(syn::parse_quote!(#[::core::prelude::v1::test]));
            }
            function.sig.asyncness = None;
            // A path that is not such a function is wrong where it is written.
            let call = quote_spanned! {own.located_at(path.span())=>
                let block_on = #path;
                block_on(body)
            };
            function.body.tokens = quote_spanned!(own=> let body = async move { #task }; #call);
            function.into_token_stream()
        }
    }
}

/// The function after an error: not run, but checked by the compiler without a second error.
///
/// ```text
/// fn main() -> Output {
///     let _ = async move {
///         HINT
///         { … }
///     };
///     loop {}
/// }
/// ```
///
/// Where `main` has arguments, they go with the body:
///
/// ```text
/// fn main() -> Output {
///     async fn main(…) -> Output { … }
///     loop {}
/// }
/// ```
fn not_run(attribute: Macro, mut function: Function) -> TokenStream {
    let runtime = Runtime::new(None, &function.sig);
    let own = runtime.own;
    let body = if validate::has_arguments_of_main(&function) {
        let (sig, body) = (function.sig.clone(), &function.body);
        function.sig.inputs.clear();
        quote!(#sig #body)
    } else {
        let future = runtime.typed_future(&function);
        quote_spanned!(own=> let _ = #future;)
    };
    function
        .attrs
        .retain(|attr| !validate::runs_too(attribute, attr));
    function.sig.asyncness = None;
    function.body.tokens = quote_spanned!(own=> #body loop {});
    function.into_token_stream()
}
