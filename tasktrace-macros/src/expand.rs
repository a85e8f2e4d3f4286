//! What the attributes expand to.
//!
//! Of the tokens made here, those that an editor or an error message might point to lie on the
//! `fn` keyword. They are marked as a macro's own, so that lints stay away from them.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Error, LitStr, Path, Result, ReturnType, Signature, Type};

use crate::args::{EntryArgs, Executor, TracedArgs};
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
    let runtime = Runtime::new(args.tasktrace, &function.sig);
    let meta = runtime.meta(args.name.as_ref());
    if function.sig.asyncness.is_some() {
        let future = runtime.typed_future(&function);
        // A function may return a future. Clippy suspects a mistake where a block does.
        let future = quote!(#[allow(clippy::async_yields_async)] #future);
        function.body.tokens = runtime.frame(&meta, &future);
    } else {
        let replaced = rewritten::replace(&function.body.tokens, &|inner| {
            let rewritten::AsyncBlock { capture, block } = inner;
            let own = runtime.own;
            runtime.frame(&meta, &quote_spanned!(own=> async #capture #block))
        });
        function.body.tokens = replaced.ok_or_else(|| validate::not_async(&function))?;
    }
    Ok(function.into_token_stream())
}

/// `#[tasktrace::main]` and `#[tasktrace::test]`. They hand over to tokio's attribute, with the
/// arguments that were given:
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
    let runtime = Runtime::new(args.tasktrace, &function.sig);
    let meta = runtime.meta(None);
    let future = runtime.typed_future(&function);
    let task = runtime.task(&meta, &future);
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

/// The private items of the runtime crate, and the function they are named for.
struct Runtime {
    private: TokenStream,
    /// For our own tokens: on the `fn` keyword, and marked as ours.
    own: Span,
    /// The `fn` keyword.
    keyword: Span,
}

impl Runtime {
    fn new(krate: Option<Path>, sig: &Signature) -> Self {
        let keyword = sig.fn_token.span;
        let own = Span::mixed_site().located_at(keyword);
        let krate = match krate {
            Some(path) => path.into_token_stream(),
            None => quote_spanned!(own=> ::tasktrace),
        };
        Self {
            private: quote_spanned!(own=> #krate::__private),
            own,
            keyword,
        }
    }

    /// A block of its own, so that nothing in it is in scope of the body:
    ///
    /// ```text
    /// {
    ///     const fn here() {}
    ///     static META: ::tasktrace::__private::FrameMeta = ::tasktrace::__private::FrameMeta::new(
    ///         ::core::option::Option::None,
    ///         || ::tasktrace::__private::path_of(here),
    ///         ::core::file!(),
    ///         ::core::line!(),
    ///         ::core::column!(),
    ///     );
    ///     &META
    /// }
    /// ```
    fn meta(&self, name: Option<&LitStr>) -> TokenStream {
        let Self {
            private,
            own,
            keyword,
        } = self;
        let name = match name {
            Some(name) => quote_spanned!(*own=> ::core::option::Option::Some(#name)),
            None => quote_spanned!(*own=> ::core::option::Option::None),
        };
        // These report the place of the user's code that they come from, which is the attribute
        // for tokens of ours.
        let place = quote_spanned!(*keyword=> ::core::file!(), ::core::line!(), ::core::column!());
        quote_spanned! {*own=>
            {
                const fn here() {}
                static META: #private::FrameMeta = #private::FrameMeta::new(
                    #name,
                    || #private::path_of(here),
                    #place
                );
                &META
            }
        }
    }

    fn frame(&self, meta: &TokenStream, future: &TokenStream) -> TokenStream {
        let Self { private, own, .. } = self;
        quote_spanned!(*own=> #private::frame(#meta, #future).await)
    }

    fn task(&self, meta: &TokenStream, future: &TokenStream) -> TokenStream {
        let Self { private, own, .. } = self;
        quote_spanned!(*own=> #private::task(#meta, #future).await)
    }

    /// The body as a future, with the type that the signature gives it.
    ///
    /// ```text
    /// async move {
    ///     HINT
    ///     ({ … })
    /// }
    /// ```
    ///
    /// All braces are those of the function: errors and coverage go by them. The inner ones keep
    /// Clippy from seeing a statement, the hint, before the body's own items. The parentheses keep
    /// the compiler from calling these braces unnecessary.
    fn typed_future(&self, function: &Function) -> TokenStream {
        let own = self.own;
        let hint = self.hint(&function.sig);
        let inner = function.body.braces(function.body.tokens.clone());
        let block = function.body.braces(quote_spanned!(own=> #hint (#inner)));
        quote_spanned!(own=> async move #block)
    }

    /// Tells the compiler the type of an async block before it comes to the body, as the return
    /// type of a function does: what the body returns is coerced to it, and a mismatch is
    /// reported in the body.
    ///
    /// ```text
    /// if false {
    ///     return {
    ///         let output: Output = ::tasktrace::__private::output();
    ///         output
    ///     };
    /// }
    /// ```
    ///
    /// The inner braces lie on the return type: there the compiler says where the type is from.
    fn hint(&self, sig: &Signature) -> TokenStream {
        let Self { private, own, .. } = self;
        let (mut output, span) = match &sig.output {
            ReturnType::Default => (syn::parse_quote!(()), sig.ident.span()),
            ReturnType::Type(_, ty) => (Type::clone(ty), ty.span()),
        };
        Unnamed.visit_type_mut(&mut output);
        if matches!(output, Type::Infer(_) | Type::Never(_)) {
            return TokenStream::new();
        }
        let returned = quote_spanned!(*own=> let output: #output = #private::output(); output);
        let mut returned = Group::new(Delimiter::Brace, returned);
        returned.set_span(span);
        quote_spanned!(*own=> if false { return #returned; })
    }
}

/// Leaves to inference what cannot be named in a body: `impl Trait`, and macros, which may expand
/// to it.
struct Unnamed;

impl VisitMut for Unnamed {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if matches!(ty, Type::ImplTrait(_) | Type::Macro(_)) {
            *ty = syn::parse_quote!(_);
        } else {
            visit_mut::visit_type_mut(self, ty);
        }
    }
}

fn with_error(item: TokenStream, error: &Error) -> TokenStream {
    let error = error.to_compile_error();
    quote!(#item #error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the runtime crate is renamed, nothing depends on the name it has.
    #[test]
    fn renamed() {
        let item = quote!(
            async fn f(argument: u32) -> Output {
                body()
            }
        );
        let krate = quote!(other::path);
        let expansions = [
            traced(quote!(crate = #krate), item.clone()),
            entry(Macro::Main, quote!(tasktrace = #krate), item.clone()),
            entry(Macro::Test, quote!(tasktrace = #krate, block_on = f), item),
        ];
        for tokens in expansions {
            let text = tokens.to_string();
            assert!(text.contains("other :: path :: __private ::"), "{text}");
            assert!(!text.contains("tasktrace"), "{text}");
        }
    }

    /// What tokio's attribute is given is what was written, without our own arguments.
    #[test]
    fn arguments_of_tokio() {
        let attribute = |args| {
            let expansion = entry(
                Macro::Main,
                args,
                quote!(
                    async fn f() {}
                ),
            );
            let text = expansion.to_string();
            let (attribute, _) = text.split_once(" async fn").expect("the function follows");
            attribute.to_owned()
        };
        let expected = |tokens: TokenStream| tokens.to_string();
        assert_eq!(attribute(quote!()), expected(quote!(#[::tokio::main()])));
        assert_eq!(
            attribute(quote!(a = 1, tasktrace = t, b(2), nonsense + 3)),
            expected(quote!(#[::tokio::main(a = 1, b(2), nonsense + 3)])),
        );
        assert_eq!(
            attribute(quote!(crate = a::b, c = 1,)),
            expected(quote!(#[a::b::main(crate = "a::b", c = 1,)])),
        );
        assert_eq!(
            attribute(quote!(c = 1, crate = "a::b")),
            expected(quote!(#[a::b::main(c = 1, crate = "a::b")])),
        );
        assert_eq!(
            attribute(quote!(crate = "a b")),
            expected(quote!(#[::tokio::main(crate = "a b")])),
        );
    }
}
