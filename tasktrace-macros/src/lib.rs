//! The attributes of `tasktrace`. Use them through that crate.
//!
//! An attribute is parsed (`args`, `item`, `items`), validated (`validate`) and expanded (`expand`). `rewritten`
//! recognises functions that another attribute has already expanded.
//!
//! The package `tasktrace-tests` tests the examples in `docs`. If this package depended on `tasktrace` for them, cargo
//! would build the library twice: once for the compiler's host, as the dependencies of a procedural macro.

mod args;
mod expand;
mod item;
mod items;
mod rewritten;
mod tokens;
mod validate;

use proc_macro::TokenStream;

use crate::validate::Macro;

#[doc = include_str!("../docs/traced.md")]
#[proc_macro_attribute]
pub fn traced(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::traced(args.into(), item.into()).into()
}

#[doc = include_str!("../docs/main.md")]
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::entry(Macro::Main, args.into(), item.into()).into()
}

#[doc = include_str!("../docs/test.md")]
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::entry(Macro::Test, args.into(), item.into()).into()
}

/// Inserts statements before the body of a function. `test` emits it, to be expanded after tokio's attribute.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn around_test(statements: TokenStream, item: TokenStream) -> TokenStream {
    expand::around_test(&statements.into(), item.into()).into()
}
