//! Expands `#[tasktrace::test]`, and the attribute that it leaves to be expanded after tokio's.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};

use super::entry::{blocking, tokio_attribute};
use super::runtime::Runtime;
use crate::args::{EntryArgs, Executor};
use crate::item::Function;

/// Expands `test`. With tokio, it emits tokio's attribute, with the arguments that were given:
///
/// ```text
/// #[::tokio::test(…)]
/// #[::tasktrace::__private::around_test(let _running = …;)]
/// async fn test() -> Output {
///     ::tasktrace::__private::test(
///         META,
///         ::tasktrace::__private::CurrentTest::get(),
///         |message| { … },
///         async move {
///             HINT
///             { … }
///         },
///         |output| { ::tasktrace::__private::Outcome(output).failure() },
///     )
///     .await
/// }
/// ```
///
/// Tokio's attribute turns this into a function that builds a runtime and shuts it down, which are parts of the test.
/// [`around_test`] then inserts the registration of the test around both.
///
/// With `block_on = path::to::fn`:
///
/// ```text
/// #[::core::prelude::v1::test]
/// fn test() -> Output {
///     let _running = …;
///     let test = ::tasktrace::__private::CurrentTest::get();
///     ({
///         let body = async move { ::tasktrace::__private::test(META, test, …).await };
///         let block_on = path::to::fn;
///         block_on(body)
///     })
/// }
/// ```
///
/// The function at the path may poll on another thread, where no test is registered.
pub(super) fn test(args: EntryArgs, mut function: Function) -> TokenStream {
    let runtime = Runtime::new(args.tasktrace.as_ref(), &function.sig);
    let own = runtime.own;
    let running = runtime.running_test(args.timeout.as_ref(), &function);
    let running = match (&args.dump_on_signal, &args.attach) {
        (None, None) => running,
        (signal, attach) => {
            let start = runtime.start(signal.as_ref(), attach.as_ref());
            quote!(#start #running)
        }
    };
    let future = runtime.typed_future(&function);
    let current = runtime.current_test();
    match args.executor {
        Executor::Tokio(tokio) => {
            let attribute = tokio_attribute(&quote!(test), tokio);
            let around = runtime.around_test(&running);
            function.body.tokens = runtime.polled(&runtime.test(&current, &future, &function.sig));
            quote!(#attribute #around #function)
        }
        Executor::BlockOn(block_on) => {
            let test = quote_spanned!(own=> test);
            let task = runtime.polled(&runtime.test(&test, &future, &function.sig));
            function.sig.asyncness = None;
            function.body.tokens = blocking(&runtime, &task, &TokenStream::new(), &block_on);
            let before = quote_spanned!(own=> #running let #test = #current;);
            put_before(&runtime, &before, &mut function);
            function
                .attrs
                .push(syn::parse_quote!(#[::core::prelude::v1::test]));
            function.into_token_stream()
        }
    }
}

/// Inserts statements before the body of a function. Their variables live until the body has returned and dropped its
/// values:
///
/// ```text
/// fn test() -> Output {
///     let _running = …;
///     ({ … })
/// }
/// ```
pub(crate) fn around_test(statements: &TokenStream, item: TokenStream) -> TokenStream {
    // If the function cannot be parsed, the attribute or the user that wrote it gets the compiler's error.
    let Ok(mut function) = Function::parse(item.clone()) else {
        return item;
    };
    let runtime = Runtime::new(None, &function.sig);
    put_before(&runtime, statements, &mut function);
    function.into_token_stream()
}

fn put_before(runtime: &Runtime, statements: &TokenStream, function: &mut Function) {
    let body = function.body.tokens.clone();
    function.body.tokens = runtime.block(function, statements, body).stream();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_expands(item: &TokenStream, expected: &TokenStream) {
        let expansion = around_test(&quote!(let a = b;), item.clone());
        assert_eq!(expansion.to_string(), expected.to_string());
    }

    #[test]
    fn statements_are_inserted_into_a_function() {
        assert_expands(
            &quote!(
                #[c]
                pub fn f() -> T {
                    #![d]
                    return e;
                }
            ),
            &quote!(
                #[c]
                pub fn f() -> T {
                    #![d]
                    let a = b;
                    ({
                        return e;
                    })
                }
            ),
        );
    }

    /// The function is still async if tokio's attribute was not expanded.
    #[test]
    fn statements_are_inserted_into_an_async_function() {
        assert_expands(
            &quote!(
                async fn f() {}
            ),
            &quote!(
                async fn f() {
                    let a = b;
                    ({})
                }
            ),
        );
    }

    #[test]
    fn other_items_stay_unchanged() {
        let item = quote!(
            struct S {}
        );
        assert_expands(&item, &item);
    }
}
