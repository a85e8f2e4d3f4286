//! What the attributes expand to.
//!
//! Of the tokens made here, those that an editor or an error message might point to lie on the
//! `fn` keyword. They are marked as a macro's own, so that lints stay away from them.

mod container;
mod entry;
mod returning;
mod runtime;
mod test;
mod traced;

use proc_macro2::TokenStream;
use quote::quote;
use syn::Error;

pub(crate) use entry::entry;
pub(crate) use test::around_test;
pub(crate) use traced::traced;

fn with_error(item: TokenStream, error: &Error) -> TokenStream {
    let error = error.to_compile_error();
    quote!(#item #error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::Macro;

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
            traced(quote!("{argument}", crate = #krate), item.clone()),
            traced(quote!(wait_limit = "5s", crate = #krate), item.clone()),
            traced(quote!(crate = #krate), quote!(mod m { trait T { #item } })),
            traced(
                quote!(crate = #krate),
                quote!(impl T { #[traced("label")] #item }),
            ),
            traced(
                quote!(crate = #krate),
                quote!(
                    fn f() -> impl Future {
                        other()
                    }
                ),
            ),
            entry(Macro::Main, quote!(tasktrace = #krate), item.clone()),
            entry(
                Macro::Main,
                quote!(tasktrace = #krate, dump_on_signal, attach, block_on = f),
                item.clone(),
            ),
            entry(
                Macro::Test,
                quote!(tasktrace = #krate, timeout = "5s", dump_on_signal = "USR1"),
                item.clone(),
            ),
            entry(
                Macro::Test,
                quote!(tasktrace = #krate, timeout = "none", block_on = f),
                item,
            ),
        ];
        for tokens in expansions {
            let text = tokens.to_string();
            assert!(text.contains("other :: path"), "{text}");
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

    /// `#[test_log::test]` makes a function a test only if no other attribute has.
    #[test]
    fn tests_beside_attributes_of_other_tests() {
        let expansion = |attribute: TokenStream| {
            let item = quote!(#attribute async fn f() {});
            entry(Macro::Test, quote!(), item).to_string()
        };
        for attribute in [quote!(#[test_log::test]), quote!(#[googletest::test])] {
            let text = expansion(attribute.clone());
            assert!(!text.contains("compile_error"), "{text}");
            assert!(text.contains(&attribute.to_string()), "{text}");
        }
        for attribute in [
            quote!(#[test_log::test(tokio::test)]),
            quote!(#[other::test]),
        ] {
            let text = expansion(attribute);
            assert!(
                text.contains("and so does this attribute: keep one of them"),
                "{text}"
            );
        }
        let text = expansion(quote!(#[::core::prelude::v1::test]));
        assert!(
            text.contains("put `#[tasktrace::test]` above that attribute"),
            "{text}"
        );
    }
}
