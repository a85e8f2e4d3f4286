//! Tests that errors in a label have the same places as in `format!`.
#![deny(unused)]

use tasktrace::traced;

struct Opaque;

#[traced("{missing}")]
async fn missing_argument() {}

#[traced("{}", missing.id)]
async fn missing_value() {}

#[traced("{} {}", 1)]
async fn too_few() {}

#[traced("{}", 1, 2)]
async fn too_many() {}

#[traced("text", 1)]
async fn no_placeholder() {}

#[traced("{name}", named = 1)]
async fn unused_name(name: u32) {}

#[traced("{")]
async fn unclosed() {}

#[traced("}")]
async fn unopened() {}

#[traced("{:y}", 1)]
async fn unknown_format() {}

#[traced("{opaque} {:?}", opaque)]
async fn not_shown(opaque: Opaque) {}

#[traced("{}", 1 +)]
async fn half_written() {}

#[traced("{value.id}")]
async fn expression(value: u32) {}

#[traced("{}", drop(text))]
async fn not_to_be_shown(text: String) {}

#[traced("{}", { drop(text); 1 })]
async fn moved(text: String) -> usize {
    text.len()
}

#[traced("{self}")]
async fn no_self() {}

fn main() {}
