//! Expands `#[tasktrace::main]` and `#[tasktrace::test]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use super::runtime::Runtime;
use super::{test, with_error};
use crate::args::{BlockOn, EntryArgs, Executor, TokioArgs};
use crate::item::Function;
use crate::validate::{self, Macro};

pub(crate) fn entry(attribute: Macro, args: TokenStream, item: TokenStream) -> TokenStream {
    let function = match Function::parse(item.clone()) {
        Ok(function) => function,
        Err(other) => return with_error(item, &validate::not_a_function(attribute, other)),
    };
    let checked = validate::entry(attribute, &function)
        .and_then(|()| EntryArgs::parse(args))
        .and_then(|args| validate::entry_args(attribute, &args).map(|()| args));
    match checked {
        Ok(args) if attribute == Macro::Test => test::test(args, function),
        Ok(args) => main(args, function),
        Err(error) => with_error(not_run(attribute, function), &error),
    }
}

/// Expands `main`. With tokio, it emits tokio's attribute, with the arguments that were given:
///
/// ```text
/// #[::tokio::main(…)]
/// async fn main() -> Output {
///     ::tasktrace::__private::start(…);
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
/// With `block_on = path::to::fn`:
///
/// ```text
/// fn main() -> Output {
///     let body = async move { ::tasktrace::__private::task(…).await };
///     ::tasktrace::__private::start(…);
///     let block_on = path::to::fn;
///     block_on(body)
/// }
/// ```
///
/// With `block_on = Runtime::new().block_on`, the last statement is `Runtime::new().block_on(body)`.
fn main(args: EntryArgs, mut function: Function) -> TokenStream {
    let runtime = Runtime::new(args.tasktrace.as_ref(), &function.sig);
    let start = runtime.start(args.dump_on_signal.as_ref(), args.attach.as_ref());
    let task = runtime.polled(&runtime.task(&runtime.typed_future(&function)));
    match args.executor {
        Executor::Tokio(tokio) => {
            let attribute = tokio_attribute(&quote!(main), tokio);
            function.body.tokens = quote!(#start #task);
            quote!(#attribute #function)
        }
        Executor::BlockOn(block_on) => {
            function.sig.asyncness = None;
            function.body.tokens = blocking(&runtime, &task, &start, &block_on);
            function.into_token_stream()
        }
    }
}

/// Returns the attribute `#[::tokio::main(…)]`.
pub(super) fn tokio_attribute(name: &TokenStream, tokio: TokioArgs) -> TokenStream {
    let TokioArgs { krate, tokens } = tokio;
    let krate = krate.map_or_else(|| quote!(::tokio), |path| quote!(#path));
    quote!(#[#krate::#name(#tokens)])
}

/// Returns the body of a function that runs a task with `block_on`.
///
/// The body is so similar to the expansion of tokio's attributes that `#[traced]` recognises it when it is expanded
/// afterwards.
pub(super) fn blocking(
    runtime: &Runtime,
    task: &TokenStream,
    before: &TokenStream,
    block_on: &BlockOn,
) -> TokenStream {
    let own = runtime.own;
    // If the value is not such a function or method, the compiler reports the error at the value.
    let call = match block_on {
        BlockOn::Function(path) => quote_spanned! {own.located_at(path.span())=>
            let block_on = #path;
            block_on(body)
        },
        BlockOn::Method(method) => {
            quote_spanned!(own.located_at(method.span())=> #method(body))
        }
    };
    quote_spanned!(own=> let body = async move { #task }; #before #call)
}

/// Returns the function after an error. It is not run, but the compiler checks it without a second error.
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
/// If `main` has arguments, they stay with the body:
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
