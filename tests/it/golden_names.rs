//! The protocol that lagtape publishes is the one that the reference's servers publish.

use lagtape::wire::names;

use crate::golden;

#[test]
fn golden_protocol_names() {
    for (path, published) in golden::json_files("wire") {
        golden::assert_json_eq(names::protocol(), &published, &path.display().to_string());
    }
}
