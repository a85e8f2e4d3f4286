use tasktrace::traced;

#[traced(5)]
async fn literal() {}

#[traced(concat!("a", "b"))]
async fn macro_() {}

#[traced("")]
async fn empty_label() {}

#[traced("label", name = "name")]
async fn label_and_name() {}

#[traced(name = "name", "label {}", 1)]
async fn name_and_label() {}

#[traced("label", crate = tasktrace, name = "name")]
async fn label_crate_and_name() {}

#[traced("label {}", crate = tasktrace, "argument")]
async fn literal_after_crate() {}

#[traced("label {}", crate = tasktrace, 1 + 1)]
async fn argument_after_crate() {}

#[traced("label" "argument")]
async fn no_comma_after_label() {}

#[traced(skip, crate = tasktrace)]
async fn skip_and_crate() {}

#[traced("label", crate = tasktrace, skip)]
async fn label_and_skip() {}

#[traced(skip = true)]
async fn skip_with_value() {}

#[traced(label = "label")]
async fn unknown() {}

#[traced(name)]
async fn no_value() {}

#[traced(name =)]
async fn no_value_after_equals() {}

#[traced(name("label"))]
async fn parentheses() {}

#[traced(name = 5)]
async fn number() {}

#[traced(name = concat!("a", "b"))]
async fn expression() {}

#[traced(name = "")]
async fn empty() {}

#[traced(name = "one", name = "two")]
async fn twice() {}

#[traced(crate = tasktrace, crate = tasktrace)]
async fn crate_twice() {}

#[traced(crate)]
async fn no_path() {}

#[traced(crate = 5)]
async fn not_a_path() {}

#[traced(crate = "not a path")]
async fn not_a_path_in_a_string() {}

#[traced(name = "label" crate = tasktrace)]
async fn no_comma() {}

#[traced(name = "label", skip(self))]
async fn argument_of_another_attribute() {}

/// All of the functions still exist, so no call is an error.
async fn use_all() {
    literal().await;
    macro_().await;
    empty_label().await;
    label_and_name().await;
    name_and_label().await;
    label_crate_and_name().await;
    literal_after_crate().await;
    argument_after_crate().await;
    no_comma_after_label().await;
    skip_and_crate().await;
    label_and_skip().await;
    skip_with_value().await;
    unknown().await;
    no_value().await;
    no_value_after_equals().await;
    parentheses().await;
    number().await;
    expression().await;
    empty().await;
    twice().await;
    crate_twice().await;
    no_path().await;
    not_a_path().await;
    not_a_path_in_a_string().await;
    no_comma().await;
    argument_of_another_attribute().await;
}

fn main() {
    let _ = use_all();
}
