//! Tests that errors in the body and in the signature have the same places as without the attribute.
#![deny(unused_variables, unused_mut, unused_must_use, unreachable_code)]

use tasktrace::traced;

#[traced]
async fn last_expression() -> u32 {
    let text = "text";
    text
}

#[traced]
async fn early_return(early: bool) -> u32 {
    if early {
        return "text";
    }
    3
}

#[traced]
async fn semicolon() -> u32 {
    1 + 1;
}

#[traced]
async fn empty() -> u32 {}

#[traced]
async fn no_output() {
    3
}

#[traced]
async fn question_mark() -> Result<(), Error> {
    Err(1)?;
    Ok(())
}

struct Error;

#[traced]
async fn opaque() -> impl Iterator<Item = u32> {
    vec!["text"].into_iter()
}

#[traced]
async fn never() -> ! {
    3
}

#[traced]
async fn missing_type(_: &u32) -> Missing {
    loop {}
}

#[traced]
async fn missing_name() {
    missing;
}

#[traced]
async fn missing_method(text: String) {
    text.missing().await;
}

#[traced(crate = missing)]
async fn missing_crate() {}

fn main() {}
