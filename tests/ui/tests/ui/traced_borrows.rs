//! Tests that errors of later compiler passes have the same places as without the attribute.

use tasktrace::traced;

async fn pause() {}

#[traced]
async fn not_send() {
    let rc = std::rc::Rc::new(1);
    pause().await;
    drop(rc);
}

fn require_send(_: impl Send) {}

fn use_not_send() {
    require_send(not_send());
}

#[traced]
async fn moved(text: String) -> usize {
    drop(text);
    text.len()
}

#[traced]
async fn not_mutable(text: String) {
    text.push('a');
}

#[traced]
async fn dangling() -> &'static str {
    let text = String::new();
    &text
}

#[traced]
async fn dropped_too_early() {
    let outer;
    {
        let text = String::new();
        outer = &text;
    }
    drop(outer);
}

#[traced]
async fn recursive(depth: u32) {
    recursive(depth - 1).await;
}

fn main() {}
