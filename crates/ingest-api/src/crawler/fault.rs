//! What is wrong with a field.

use contract::RecordError;

/// A fault: the field as a JSON pointer, and a sentence.
pub fn fault(pointer: impl Into<String>, detail: impl Into<String>) -> RecordError {
    RecordError {
        index: 0,
        pointer: pointer.into(),
        code: "invalid".into(),
        detail: detail.into(),
    }
}
