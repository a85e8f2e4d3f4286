//! Generates the tokens that name items of the `tasktrace` crate.

use proc_macro2::{Delimiter, Group, Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{LitStr, Path, ReturnType, Signature, Type};

use crate::args::{Label, Timeout, TracedArgs, WaitLimit};
use crate::item::Function;
use crate::validate::{self, ShouldPanic};

/// The path of the private items of the `tasktrace` crate, and the spans of the function that uses them.
pub(super) struct Runtime {
    private: TokenStream,
    /// The span of generated tokens: at the `fn` keyword, and marked as generated.
    pub(super) own: Span,
    /// The span of the `fn` keyword.
    keyword: Span,
}

impl Runtime {
    pub(super) fn new(krate: Option<&Path>, sig: &Signature) -> Self {
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

    /// Returns a block with the metadata of the function: items, which are in this block so that they are not in scope
    /// of the body, and an expression:
    ///
    /// ```text
    /// enum Here {}
    /// static META: ::tasktrace::__private::FrameMeta = ::tasktrace::__private::FrameMeta::new(
    ///     ::core::option::Option::None,
    ///     ::tasktrace::__private::type_name::<Here>,
    ///     ::core::file!(),
    ///     ::core::line!(),
    ///     ::core::column!(),
    /// );
    ///
    /// &META
    /// ```
    ///
    /// With `wait_limit`, the expression also records that the program has such functions:
    ///
    /// ```text
    /// static META: … = ….wait_limit(5000000000);
    ///
    /// ::tasktrace::__private::limited(&META)
    /// ```
    fn meta(&self, name: Option<&LitStr>, wait_limit: Option<&WaitLimit>) -> TokenStream {
        let items = self.items(name, wait_limit);
        let meta = self.reference(&quote_spanned!(self.own=> META), wait_limit);
        quote_spanned!(self.own=> { #items #meta })
    }

    /// Returns the items in the block of [`meta`](Self::meta).
    fn items(&self, name: Option<&LitStr>, wait_limit: Option<&WaitLimit>) -> TokenStream {
        let Self {
            private,
            own,
            keyword,
        } = self;
        let name = self.option(name);
        // These macros expand to the location of the code of the user that they come from. For generated tokens, that
        // is the attribute.
        let place = quote_spanned!(*keyword=> ::core::file!(), ::core::line!(), ::core::column!());
        let limit = wait_limit.map(|WaitLimit { key, duration }| {
            let nanos = Literal::u64_unsuffixed(duration.nanos);
            // The method has the name and the span of the argument, so the compiler reports a deprecated argument
            // there.
            quote_spanned!(*own=> .#key(#nanos))
        });
        quote_spanned! {*own=>
            enum Here {}
            static META: #private::FrameMeta = #private::FrameMeta::new(
                #name,
                #private::type_name::<Here>,
                #place
            )#limit;
        }
    }

    /// Returns a reference to a static of this name, in the block of [`meta`](Self::meta).
    fn reference(&self, to: &TokenStream, wait_limit: Option<&WaitLimit>) -> TokenStream {
        let Self { private, own, .. } = self;
        match wait_limit {
            Some(_) => quote_spanned!(*own=> #private::limited(&#to)),
            None => quote_spanned!(*own=> &#to),
        }
    }

    /// Returns the future of a `#[traced]` function. Without a label to format, it allocates nothing. The identity of
    /// the function is then returned by a function, which has a type of its own, so that it adds nothing to the size of
    /// the future. The block has no `impl` of a trait: if the trait is not found, which can happen with `crate = …`,
    /// the compiler would not report the errors in the body.
    ///
    /// ```text
    /// ::tasktrace::__private::frame(
    ///     {
    ///         enum Here {}
    ///         static META: … = …;
    ///         static FUNCTION: … = ::tasktrace::__private::Function::of(&META);
    ///         fn function() -> &'static ::tasktrace::__private::Function {
    ///             &FUNCTION
    ///         }
    ///         function
    ///     },
    ///     future,
    /// )
    /// ::tasktrace::__private::labelled(META, ::tasktrace::__private::format!("…", …), future)
    /// ```
    ///
    /// The label is formatted first, because the future may move the values that it names.
    pub(super) fn frame(&self, args: &TracedArgs, future: &TokenStream) -> TokenStream {
        let Self { private, own, .. } = self;
        let name = match &args.label {
            Some(Label::Name(name)) => Some(name),
            Some(Label::Format(_)) | None => None,
        };
        match &args.label {
            Some(Label::Format(format)) => {
                let meta = self.meta(name, args.wait_limit.as_ref());
                let label = quote_spanned!(*own=> #private::format!(#format));
                quote_spanned!(*own=> #private::labelled(#meta, #label, #future))
            }
            Some(Label::Name(_)) | None => {
                let items = self.items(name, args.wait_limit.as_ref());
                let function = quote_spanned!(*own=> FUNCTION);
                let function = self.reference(&function, args.wait_limit.as_ref());
                quote_spanned! {*own=>
                    #private::frame(
                        {
                            #items
                            static FUNCTION: #private::Function = #private::Function::of(&META);
                            fn function() -> &'static #private::Function {
                                #function
                            }
                            function
                        },
                        #future
                    )
                }
            }
        }
    }

    /// Returns the statements that a program runs first: the environment and the argument may request dumps.
    ///
    /// ```text
    /// ::tasktrace::__private::start(::core::option::Option::Some("SIGUSR1"));
    /// ::tasktrace::__private::attach!();
    /// ```
    /// The second statement has the span of the argument `attach`, if it is given. So the compiler reports an error
    /// there if the `tasktrace` crate lacks the feature.
    pub(super) fn start(
        &self,
        dump_on_signal: Option<&LitStr>,
        attach: Option<&Ident>,
    ) -> TokenStream {
        let Self { private, own, .. } = self;
        let signal = self.option(dump_on_signal);
        let attach = attach.map(|key| {
            let there = own.located_at(key.span());
            let mut call = Group::new(Delimiter::Parenthesis, TokenStream::new());
            call.set_span(there);
            quote_spanned!(there=> #private::attach! #call;)
        });
        quote_spanned!(*own=> #private::start(#signal); #attach)
    }

    /// Returns the future of `main`.
    pub(super) fn task(&self, future: &TokenStream) -> TokenStream {
        let Self { private, own, .. } = self;
        let meta = self.meta(None, None);
        quote_spanned!(*own=> #private::task(#meta, #future))
    }

    /// Returns the future of a test:
    ///
    /// ```text
    /// ::tasktrace::__private::test(
    ///     META,
    ///     current,
    ///     |message| { (::tasktrace::__private::fail)(message) },
    ///     future,
    ///     |output| { ::tasktrace::__private::Outcome(output).failure() },
    /// )
    /// ```
    ///
    /// `fail` panics at the location of its call, which must be the `fn` keyword. So the call and its delimiters have
    /// that span. The macro `panic!` would trigger lints that search for it.
    ///
    /// The last argument recognises a failure by the type of the output. If the signature does not name a type, it is
    /// `|_| None`.
    pub(super) fn test(
        &self,
        current: &TokenStream,
        future: &TokenStream,
        sig: &Signature,
    ) -> TokenStream {
        let Self {
            private,
            own,
            keyword,
        } = self;
        let meta = self.meta(None, None);
        let parentheses = |content| {
            let mut group = Group::new(Delimiter::Parenthesis, content);
            group.set_span(*keyword);
            group
        };
        let fail = parentheses(quote_spanned!(*own=> #private::fail));
        let message = parentheses(quote_spanned!(*own=> message));
        let failure = match output(sig) {
            Some(_) => quote_spanned!(*own=> |output| { #private::Outcome(output).failure() }),
            None => quote_spanned!(*own=> |_| ::core::option::Option::None),
        };
        quote_spanned! {*own=>
            #private::test(#meta, #current, |message| { #fail #message }, #future, #failure)
        }
    }

    /// Returns an expression for the test that runs on the current thread.
    pub(super) fn current_test(&self) -> TokenStream {
        let Self { private, own, .. } = self;
        quote_spanned!(*own=> #private::CurrentTest::get())
    }

    /// Returns the statement that registers a test until its function returns:
    ///
    /// ```text
    /// let _running = ::tasktrace::__private::RunningTest::new(
    ///     META,
    ///     ::tasktrace::__private::Limit::Nanos(30000000000),
    /// );
    /// ```
    ///
    /// A test that passes if it panics is registered by `panicking`, or by `expecting` with the message, because a
    /// panic may not make it fail.
    pub(super) fn running_test(
        &self,
        timeout: Option<&Timeout>,
        function: &Function,
    ) -> TokenStream {
        let Self { private, own, .. } = self;
        let (new, message) = match validate::should_panic(function) {
            None => (quote_spanned!(*own=> new), None),
            Some(ShouldPanic::Any) => (quote_spanned!(*own=> panicking), None),
            Some(ShouldPanic::Expected(text)) => {
                let text = LitStr::new(&text.value(), *own);
                (quote_spanned!(*own=> expecting), Some(text))
            }
        };
        let message = message.into_iter();
        let meta = self.meta(None, None);
        let limit = match timeout.map(|timeout| timeout.nanos) {
            None => quote_spanned!(*own=> Default),
            Some(None) => quote_spanned!(*own=> None),
            Some(Some(nanos)) => {
                let nanos = Literal::u64_unsuffixed(nanos);
                quote_spanned!(*own=> Nanos(#nanos))
            }
        };
        quote_spanned! {*own=>
            let _running = #private::RunningTest::#new(#meta, #private::Limit::#limit #(, #message)*);
        }
    }

    /// Returns the attribute that inserts statements into a function after another attribute has expanded it.
    pub(super) fn around_test(&self, statements: &TokenStream) -> TokenStream {
        let Self { private, own, .. } = self;
        quote_spanned!(*own=> #[#private::around_test(#statements)])
    }

    fn option(&self, value: Option<&LitStr>) -> TokenStream {
        match value {
            Some(value) => quote_spanned!(self.own=> ::core::option::Option::Some(#value)),
            None => quote_spanned!(self.own=> ::core::option::Option::None),
        }
    }

    /// Returns an expression that awaits the future.
    pub(super) fn polled(&self, future: &TokenStream) -> TokenStream {
        quote_spanned!(self.own=> #future.await)
    }

    /// Returns the body as an async block with the output type of the signature.
    ///
    /// ```text
    /// async move {
    ///     HINT
    ///     ({ … })
    /// }
    /// ```
    ///
    /// All braces have the spans of the function's braces, which errors and coverage use. The inner braces prevent a
    /// lint of Clippy about statements (the hint) before items of the body. The parentheses prevent a warning of the
    /// compiler about unnecessary braces.
    pub(super) fn typed_future(&self, function: &Function) -> TokenStream {
        let own = self.own;
        let hint = self.hint(&function.sig, &quote_spanned!(own=> return));
        let block = self.block(function, &hint, function.body.tokens.clone());
        quote_spanned!(own=> async move #block)
    }

    /// Returns the braces of the function around a hint and the tokens of a body.
    pub(super) fn block(
        &self,
        function: &Function,
        hint: &TokenStream,
        body: TokenStream,
    ) -> Group {
        let inner = function.body.braces(body);
        function
            .body
            .braces(quote_spanned!(self.own=> #hint (#inner)))
    }

    /// Returns a statement that tells the compiler the type of a block before it checks the body, as the return type of
    /// a function does. So the returned values are coerced to that type, and a mismatch is reported in the body. The
    /// code after the block does not become unreachable if the body never ends.
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
    /// The inner braces have the span of the return type, where the compiler reports the origin of the type.
    ///
    /// `exit` is the keyword that leaves the block: `return`, or a `break`.
    pub(super) fn hint(&self, sig: &Signature, exit: &TokenStream) -> TokenStream {
        let Self { private, own, .. } = self;
        let (output, span) = match &sig.output {
            ReturnType::Default => (syn::parse_quote!(()), sig.ident.span()),
            ReturnType::Type(_, ty) => match output(sig) {
                Some(output) => (output, ty.span()),
                None => return TokenStream::new(),
            },
        };
        let returned = quote_spanned!(*own=> let output: #output = #private::output(); output);
        let mut returned = Group::new(Delimiter::Brace, returned);
        returned.set_span(span);
        quote_spanned!(*own=> if false { #exit #returned; })
    }
}

/// Returns the output type of the signature, if it names one other than `()`, with `_` for the parts that cannot be
/// named in a body.
fn output(sig: &Signature) -> Option<Type> {
    let ReturnType::Type(_, ty) = &sig.output else {
        return None;
    };
    let mut output = Type::clone(ty);
    InferUnnameable.visit_type_mut(&mut output);
    (!matches!(output, Type::Infer(_) | Type::Never(_))).then_some(output)
}

/// Replaces the types that cannot be named in a body by `_`: `impl Trait`, and macros, which may expand to it.
struct InferUnnameable;

impl VisitMut for InferUnnameable {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if matches!(ty, Type::ImplTrait(_) | Type::Macro(_)) {
            *ty = syn::parse_quote!(_);
        } else {
            visit_mut::visit_type_mut(self, ty);
        }
    }
}
