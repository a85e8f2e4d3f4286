//! Tests wrong uses of the attribute on `impl` blocks, traits and modules, and inside of them.
#![deny(unused, unreachable_code)]

use tasktrace::traced;

struct Type;

#[traced("label {}", 1)]
impl Type {
    async fn in_labelled_block(&self) {}
}

#[traced(name = "name")]
trait Trait {
    async fn in_named_trait(&self) {}
}

#[traced("label")]
mod labelled {
    pub async fn function() {}
}

#[traced(wait_limit = "5s")]
impl Type {
    async fn in_limited_block(&self) {}
}

#[traced(crate = tasktrace, wait_limit = "5s")]
mod limited {
    pub async fn function() {}
}

#[traced]
#[path = "other/empty.rs"]
mod in_a_file;

#[traced]
mod module {
    use tasktrace::traced;

    pub async fn mismatch() -> u32 {
        "text"
    }

    pub async fn unused_argument(unused: u32) {}

    #[traced(unknown)]
    pub async fn argument() {}

    #[traced]
    pub fn sync() {}

    #[traced(skip, crate = tasktrace)]
    pub async fn skip() {}
}

#[traced]
impl Type {
    async fn unused_variable(&self) -> u32 {
        let unused = 1;
        return 2;
    }

    async fn dead_code(&self) -> u32 {
        return 2;
        3
    }
}

impl Trait for Type {}

/// All of the items still exist, so no use is an error.
async fn use_all() {
    Type.in_labelled_block().await;
    Type.in_named_trait().await;
    labelled::function().await;
    Type.in_limited_block().await;
    limited::function().await;
    in_a_file::function();
    module::argument().await;
    module::sync();
    module::skip().await;
    Type.unused_variable().await;
    Type.dead_code().await;
}

fn main() {
    let _ = use_all();
}
