//! The tokens that name the runtime crate.

use proc_macro2::{Delimiter, Group, Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{LitStr, Path, ReturnType, Signature, Type};

use crate::args::{Label, Timeout, TracedArgs, WaitLimit};
use crate::item::Function;
use crate::validate::{self, ShouldPanic};

/// The private items of the runtime crate, and the function they are named for.
pub(super) struct Runtime {
    private: TokenStream,
    /// For our own tokens: on the `fn` keyword, and marked as ours.
    pub(super) own: Span,
    /// The `fn` keyword.
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

    /// What is known of the function: items to be put into a block of their own, so that they are not in
    /// scope of the body, and an expression:
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
    /// With `wait_limit`, the runtime is told that there are such functions at all:
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

    /// The items in the block of [`meta`](Self::meta).
    fn items(&self, name: Option<&LitStr>, wait_limit: Option<&WaitLimit>) -> TokenStream {
        let Self {
            private,
            own,
            keyword,
        } = self;
        let name = self.option(name);
        // These report the place of the user's code that they come from, which is the attribute
        // for tokens of ours.
        let place = quote_spanned!(*keyword=> ::core::file!(), ::core::line!(), ::core::column!());
        let limit = wait_limit.map(|WaitLimit { key, duration }| {
            let nanos = Literal::u64_unsuffixed(duration.nanos);
            // The method has the name of the argument, and its place: so the compiler warns there of the one that is
            // deprecated.
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

    /// A reference to a static of this name, in the block of [`meta`](Self::meta).
    fn reference(&self, to: &TokenStream, wait_limit: Option<&WaitLimit>) -> TokenStream {
        let Self { private, own, .. } = self;
        match wait_limit {
            Some(_) => quote_spanned!(*own=> #private::limited(&#to)),
            None => quote_spanned!(*own=> &#to),
        }
    }

    /// The future of a `#[traced]` function. Without a label to format, nothing is allocated, and what is
    /// known of the function is a function, which has a type of its own, so that it takes no place in the
    /// future either. There is no `impl`: one of a trait that is not found, which may be so with
    /// `crate = …`, would keep the compiler from the errors in the body.
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
    /// The label comes first, for the future may take what it names.
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

    /// What a program does before anything else: the environment and a signal may ask for dumps.
    ///
    /// ```text
    /// ::tasktrace::__private::start(::core::option::Option::Some("SIGUSR1"));
    /// ::tasktrace::__private::attach!();
    /// ```
    ///
    /// The latter, if it is asked for, lies where it was: it is an error there if the runtime crate
    /// is built without it.
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

    /// The future of `main`.
    pub(super) fn task(&self, future: &TokenStream) -> TokenStream {
        let Self { private, own, .. } = self;
        let meta = self.meta(None, None);
        quote_spanned!(*own=> #private::task(#meta, #future))
    }

    /// The future of a test:
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
    /// `fail` panics where it is called, which is to be at the `fn` keyword: the call lies there,
    /// with all that delimits it. The macro `panic!` would have the lints on it that look for one.
    ///
    /// The last argument tells a failure by the type of the output, so it is left out where the signature does not
    /// name one: `|_| None`.
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

    /// The test that runs on the thread that asks.
    pub(super) fn current_test(&self) -> TokenStream {
        let Self { private, own, .. } = self;
        quote_spanned!(*own=> #private::CurrentTest::get())
    }

    /// What is there from the beginning of a test to its end:
    ///
    /// ```text
    /// let _running = ::tasktrace::__private::RunningTest::new(
    ///     META,
    ///     ::tasktrace::__private::Limit::Nanos(30000000000),
    /// );
    /// ```
    ///
    /// A test that passes if it panics is begun by `panicking`, or by `expecting` with the message, because a panic may
    /// not make it fail.
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

    /// The attribute that puts statements around a function that another one expands first.
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

    /// What the future resolves to, where it can be awaited.
    pub(super) fn polled(&self, future: &TokenStream) -> TokenStream {
        quote_spanned!(self.own=> #future.await)
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
    pub(super) fn typed_future(&self, function: &Function) -> TokenStream {
        let own = self.own;
        let hint = self.hint(&function.sig, &quote_spanned!(own=> return));
        let block = self.block(function, &hint, function.body.tokens.clone());
        quote_spanned!(own=> async move #block)
    }

    /// The braces of the function around a hint and these tokens in its place.
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

    /// Tells the compiler the type of a block before it comes to the body, as the return type of a
    /// function does: what the body returns is coerced to it, and a mismatch is reported in the
    /// body. Nor does what follows the block become unreachable where the body never ends.
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
    ///
    /// `exit` is what leaves the block: `return`, or a `break`.
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

/// The type that the signature gives the output, if it names one other than `()`, as far as it can be named in a body.
fn output(sig: &Signature) -> Option<Type> {
    let ReturnType::Type(_, ty) = &sig.output else {
        return None;
    };
    let mut output = Type::clone(ty);
    Unnamed.visit_type_mut(&mut output);
    (!matches!(output, Type::Infer(_) | Type::Never(_))).then_some(output)
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
