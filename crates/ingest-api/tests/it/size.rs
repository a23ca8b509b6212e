//! How much of it: CI's size, or a multiple of it.

/// A count for CI, times `CADASTRE_TEST_SIZE` where that is set.
pub fn sized(count: u32) -> u32 {
    count * from_environment("CADASTRE_TEST_SIZE").unwrap_or(1)
}

/// A number from the environment.
pub fn from_environment(name: &str) -> Option<u32> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {value}")),
    )
}
