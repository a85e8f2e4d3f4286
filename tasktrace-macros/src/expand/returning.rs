//! Expands `#[traced]` on a function that is not async and returns a future of any kind.
//!
//! Every value that the body returns, early or at its end, is wrapped in one place, so there is one frame:
//!
//! ```text
//! fn f(…) -> Pin<Box<dyn Future<Output = Output>>> {
//!     ::std::boxed::Box::pin(::tasktrace::__private::frame(META, 'end: {
//!         HINT
//!         ({
//!             if … {
//!                 break 'end early;
//!             }
//!             …
//!         })
//!     }))
//! }
//! ```
//!
//! If the function returns `impl Future`, there is no box. The body stays part of the function and is not put into a
//! closure, so it may return a value that borrows from a `&mut` argument.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::Parser;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Block, Expr, ExprReturn, GenericArgument, Item, Lifetime, PathArguments, PathSegment, Result,
    ReturnType, Signature, Type, TypeParamBound,
};

use super::runtime::Runtime;
use crate::args::TracedArgs;
use crate::item::Function;
use crate::tokens::mentions;

/// A return type that is known to be a future.
pub(super) enum ReturnedFuture {
    /// `impl Future`
    Opaque,
    /// `Pin<Box<dyn Future>>`, `BoxFuture` or `LocalBoxFuture`
    Boxed,
}

impl ReturnedFuture {
    pub(super) fn of(sig: &Signature) -> Option<Self> {
        let ReturnType::Type(_, ty) = &sig.output else {
            return None;
        };
        match ungrouped(ty) {
            Type::ImplTrait(opaque) if is_future(&opaque.bounds) => Some(Self::Opaque),
            ty => is_boxed(ty).then_some(Self::Boxed),
        }
    }
}

/// Returns the new body of the function.
pub(super) fn wrapped(
    returned: ReturnedFuture,
    runtime: &Runtime,
    args: &TracedArgs,
    function: &Function,
) -> Result<TokenStream> {
    let own = runtime.own;
    let end = Lifetime::new("'end", own);
    let hint = runtime.hint(&function.sig, &quote_spanned!(own=> break #end));
    let early = with_breaks(&end, &function.body.tokens)?;
    let is_left = !hint.is_empty() || early.is_some();
    let body = early.unwrap_or_else(|| function.body.tokens.clone());
    let block = runtime.block(function, &hint, body);
    let block = if is_left {
        quote_spanned!(own=> #end: #block)
    } else {
        block.into_token_stream()
    };
    let frame = runtime.frame(args, &block);
    Ok(match returned {
        ReturnedFuture::Opaque => frame,
        ReturnedFuture::Boxed => quote_spanned!(own=> ::std::boxed::Box::pin(#frame)),
    })
}

/// Returns `true` if the function itself returns early. Returns `false` for a body that cannot be parsed.
pub(super) fn returns_early(body: TokenStream) -> bool {
    let end = Lifetime::new("'end", Span::mixed_site());
    matches!(with_breaks(&end, &body), Ok(Some(_)))
}

/// Returns the body with `break 'end` instead of each `return`, or `None` if it has no `return`.
fn with_breaks(end: &Lifetime, body: &TokenStream) -> Result<Option<TokenStream>> {
    // Bodies without the word are not parsed.
    if !mentions(body.clone(), "return") {
        return Ok(None);
    }
    let mut statements = Block::parse_within.parse2(body.clone())?;
    let mut returns = ReturnReplacer { end, found: false };
    for statement in &mut statements {
        returns.visit_stmt_mut(statement);
    }
    Ok(returns.found.then(|| quote!(#(#statements)*)))
}

/// Replaces each `return` that returns from the function, but not those in closures, async blocks and items.
struct ReturnReplacer<'a> {
    end: &'a Lifetime,
    found: bool,
}

impl VisitMut for ReturnReplacer<'_> {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        if matches!(expr, Expr::Closure(_) | Expr::Async(_)) {
            return;
        }
        visit_mut::visit_expr_mut(self, expr);
        if let Expr::Return(ExprReturn {
            attrs,
            return_token,
            expr: Some(returned),
            ..
        }) = expr
        {
            let end = self.end;
            let own = end.span().located_at(return_token.span);
            let keyword = quote_spanned!(own=> break #end);
            *expr = Expr::Verbatim(quote!(#(#attrs)* #keyword #returned));
            self.found = true;
        }
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}
}

fn is_boxed(ty: &Type) -> bool {
    match last_segment(ty) {
        Some(pin) if pin.ident == "Pin" => argument(pin).is_some_and(is_box_of_future),
        Some(alias) => alias.ident == "BoxFuture" || alias.ident == "LocalBoxFuture",
        None => false,
    }
}

fn is_box_of_future(ty: &Type) -> bool {
    let argument = match last_segment(ty) {
        Some(last) if last.ident == "Box" => argument(last),
        _ => None,
    };
    match argument {
        Some(Type::TraitObject(object)) => is_future(&object.bounds),
        Some(Type::ImplTrait(opaque)) => is_future(&opaque.bounds),
        _ => false,
    }
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// Returns the first type among the generic arguments.
fn argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ungrouped(ty)),
        _ => None,
    })
}

fn is_future<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> bool {
    bounds.into_iter().any(|bound| {
        matches!(bound, TypeParamBound::Trait(bound)
            if bound.path.segments.last().is_some_and(|last| last.ident == "Future"))
    })
}

/// Returns the type without parentheses, and without the invisible ones that a `macro_rules!` macro adds.
fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        ty => ty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned(ty: &str) -> Option<&'static str> {
        let sig = syn::parse_str(&format!("fn f() -> {ty}")).expect("it is a type");
        ReturnedFuture::of(&sig).map(|returned| match returned {
            ReturnedFuture::Opaque => "opaque",
            ReturnedFuture::Boxed => "boxed",
        })
    }

    #[test]
    fn return_types_of_futures_are_recognised() {
        for ty in [
            "impl Future<Output = ()>",
            "(impl 'a + Send + ::core::future::Future<Output = T>)",
        ] {
            assert_eq!(returned(ty), Some("opaque"), "{ty}");
        }
        for ty in [
            "Pin<Box<dyn Future<Output = T> + 'a>>",
            "::core::pin::Pin<::std::boxed::Box<(dyn Send + core::future::Future)>>",
            "Pin<Box<impl Future<Output = T>>>",
            "futures::future::BoxFuture<'static, T>",
            "LocalBoxFuture<T>",
        ] {
            assert_eq!(returned(ty), Some("boxed"), "{ty}");
        }
        for ty in [
            "()",
            "impl Fn() -> BoxFuture<'static, T>",
            "impl IntoFuture",
            "Pin<Box<T>>",
            "Pin<&mut dyn Future<Output = T>>",
            "Box<dyn Future<Output = T>>",
            "Result<BoxFuture<'static, T>, E>",
            "Ready<T>",
        ] {
            assert_eq!(returned(ty), None, "{ty}");
        }
    }

    fn replaced(body: &str) -> Result<Option<String>> {
        let end = Lifetime::new("'end", Span::call_site());
        let body = body.parse().expect("it is made of tokens");
        Ok(with_breaks(&end, &body)?.map(|tokens| tokens.to_string()))
    }

    #[test]
    fn returns_from_the_function_are_replaced() {
        for (body, expected) in [
            ("return a;", "break 'end a;"),
            (
                "let Some(a) = b else { return c }; a",
                "let Some(a) = b else { break 'end c }; a",
            ),
            (
                "loop { unsafe { f(return return a) } }",
                "loop { unsafe { f(break 'end break 'end a) } }",
            ),
            (
                "return async { return a };",
                "break 'end async { return a };",
            ),
        ] {
            let expected: TokenStream = expected.parse().expect("it is made of tokens");
            let replaced = replaced(body).expect("it can be parsed");
            assert_eq!(replaced, Some(expected.to_string()));
        }
    }

    #[test]
    fn returns_from_closures_async_blocks_and_items_are_kept() {
        for body in [
            "a",
            "|| return a",
            "async move { return a }",
            "async || { return a }",
            "fn f() -> A { return a } f()",
            "impl A { fn f() -> A { return a } } f()",
            "m!(return a)",
        ] {
            assert_eq!(replaced(body).expect("it can be parsed"), None, "{body}");
        }
        assert!(replaced("return a +").is_err());
    }
}
